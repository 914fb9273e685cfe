#!/usr/bin/env bash
# From nothing to a chat with a tenant's server. It can be repeated: what exists is left unchanged.
#   CLUSTER=current   uses the current kubectl context instead of the local cluster, and pushes images to IMAGE_REGISTRY
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$ROOT"
# shellcheck disable=SC2034
LOGS=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/copilot-operator/logs
# shellcheck source=/dev/null
source images/versions.sh
# shellcheck source=/dev/null
source test/cluster/lib/step.sh
# shellcheck source=/dev/null
source scripts/demo/shared.sh

NAMESPACE=copilot-demo
SYSTEM_NAMESPACE=copilot-operator-system
IMAGES=${IMAGE_REGISTRY:-localhost}

if [[ ${CLUSTER:-local} == current ]]; then
  KUBECTL=kubectl HELM=helm MAKE_ARGUMENTS=" CLUSTER=current"
  for tool in kubectl helm; do command -v "$tool" >/dev/null || die "CLUSTER=current needs $tool on PATH."; done
else
  KUBECTL=.cluster/bin/kubectl HELM=.cluster/bin/helm MAKE_ARGUMENTS=
fi

create_namespace() {
  "$KUBECTL" create namespace "$NAMESPACE" --dry-run=client --output yaml | "$KUBECTL" apply --filename -
  # The strictest Pod Security standard: servers and model comply with it.
  "$KUBECTL" label namespace "$NAMESPACE" --overwrite pod-security.kubernetes.io/enforce=restricted
}

install_operator() {
  local image
  image=$(images/build.sh --content copilot-operator)
  # For one namespace, so that the tests, which have their own operators, run beside the demo.
  # A new image has the same tag; the annotation makes the Deployment roll out.
  # --take-ownership, --force-conflicts: for CRDs that the tests, an uninstalled release (crds.keep) or Argo CD left behind.
  "$HELM" upgrade --install copilot-operator charts/copilot-operator \
    --namespace "$SYSTEM_NAMESPACE" --create-namespace --take-ownership --force-conflicts --wait --timeout 3m \
    --set image.repository="$IMAGES/copilot-operator" --set image.tag=dev \
    --set serverImage="$IMAGES/copilot-cli:$COPILOT_CLI_VERSION" --set "watchNamespaces={$NAMESPACE}" \
    --set-string podAnnotations.image-content="$image" --set-string gateway.podAnnotations.image-content="$image"
}

apply_tenant() {
  sed "s#image: localhost/#image: $IMAGES/#" test/model/manifest.yaml | "$KUBECTL" apply --namespace "$NAMESPACE" --filename -
  "$KUBECTL" apply --namespace "$NAMESPACE" --filename scripts/demo/tenant.yaml
}

wait_until_ready() {
  "$KUBECTL" wait --namespace "$NAMESPACE" --for=condition=Available deployment/test-model --timeout=90s
  "$KUBECTL" wait --namespace "$NAMESPACE" --for=condition=Ready copilottenant/acme --timeout=180s && return
  "$KUBECTL" describe --namespace "$NAMESPACE" copilottenant/acme
  return 1
}

apply_session() {
  "$KUBECTL" apply --namespace "$NAMESPACE" --filename scripts/demo/session.yaml
  "$KUBECTL" wait --namespace "$NAMESPACE" --for=condition=Ready copilotsession/review --timeout=60s
}

show() {
  printf '\n$ kubectl %s\n' "$*"
  "$KUBECTL" "$@" --namespace "$NAMESPACE"
}

# When the demo is repeated, the session has data already and is resumed.
session_data() {
  "$KUBECTL" exec --namespace "$NAMESPACE" deploy/acme-0 --container server -- "$@"
}
EVENTS=/home/copilot/.copilot/session-state/review/events.jsonl
has_data() {
  [[ $(session_data sh -c "test -s $EVENTS && echo yes || echo no") == yes ]]
}
chat_in_session() {
  local session=SESSION
  ! has_data || session=RESUME
  make --no-print-directory chat "$session=review" "PROMPT=$1"
}

# Asks the test model something by its own HTTP interface.
model() {
  "$KUBECTL" exec --namespace "$NAMESPACE" deploy/test-model -- node -e "$1"
}
have_it_answer_slowly() {
  # The longer one has to outlast its client, and the start of another one.
  model 'const ten = "one two three four five six seven eight nine ten";
    const twenty = ten + " eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen twenty";
    const rules = [["Count to ten", ten, 400], ["Count to twenty", twenty, 600]].map(([match, text, delayMs]) => ({ match, steps: [{ text, delayMs }], repeat: true }));
    const posts = rules.map((rule) => fetch("http://127.0.0.1:8080/script", { method: "POST", body: JSON.stringify(rule) }));
    Promise.all(posts).then((all) => process.exit(all.every(({ ok }) => ok) ? 0 : 1))'
}
requests() {
  model 'fetch("http://127.0.0.1:8080/requests?match=Count%20to%20").then((answer) => answer.json()).then(({ requests }) => console.log(requests.length))'
}
# The model has begun its answer.
wait_for_request() {
  local before=$1
  for _ in {1..100}; do
    [[ $(requests) -gt $before ]] && return
    sleep 0.2
  done
  return 1
}
kill_server() {
  "$KUBECTL" delete pod --namespace "$NAMESPACE" --selector copilot-operator.dev/tenant=acme,app.kubernetes.io/component=server --grace-period=1 --wait=false
}
# chat_while COMMAND ARGUMENTS...: runs the command as soon as the model has begun its answer. The arguments are those of the chat.
chat_while() {
  local before chat command=$1
  shift
  before=$(requests)
  make --no-print-directory chat "PROMPT=Count to ten" "$@" &
  chat=$!
  wait_for_request "$before"
  "$command"
  wait "$chat"
}
# Kills the client of a session when the model has begun its answer: with all of its processes, so that nothing of it says goodbye.
kill_client_of() {
  local before client
  before=$(requests)
  set -m
  make --no-print-directory chat "SESSION=$1" "PROMPT=Count to twenty" </dev/null &
  client=$!
  set +m
  wait_for_request "$before"
  kill -KILL -- "-$client"
  # Of a client that has ended by itself nothing is left to go on.
  if wait "$client" 2>/dev/null; then return 1; fi
}
patch_tenant() {
  "$KUBECTL" patch --namespace "$NAMESPACE" copilottenant acme --type merge --patch "$1"
}
change_program() { patch_tenant '{"spec":{"server":{"binary":"runtime"}}}'; }
wait_until_replaced() {
  "$KUBECTL" rollout status --namespace "$NAMESPACE" deployment/acme-0 --timeout=90s
  wait_until_ready
}
# It sleeps once nobody has used it for a minute.
put_to_sleep() {
  patch_tenant '{"spec":{"hibernation":{"afterIdle":"1m"}}}'
  "$KUBECTL" wait --namespace "$NAMESPACE" --for=condition=Hibernated copilottenant/acme --timeout=180s
}
# As it was before the demo. A tenant that sleeps has no pod that would be replaced.
change_back() {
  patch_tenant '{"spec":{"server":{"binary":null}}}'
}

# A user that may not connect: it has no right in the namespace.
create_stranger() {
  "$KUBECTL" create serviceaccount stranger --namespace "$NAMESPACE" --dry-run=client --output yaml | "$KUBECTL" apply --filename -
}
is_refused() {
  local answer
  answer=$(make --no-print-directory chat SERVICE_ACCOUNT=stranger "PROMPT=$1" 2>&1) && return 1
  grep -o AUTHENTICATION_FAILED <<<"$answer" | head -1
}

apply_users() {
  "$KUBECTL" apply --namespace "$NAMESPACE" --filename scripts/demo/users.yaml
  "$KUBECTL" wait --namespace "$NAMESPACE" --for=condition=Ready copilotsession/pair --timeout=60s
}
# Each user is at a replica of the gateway of their own.
replica() {
  "$KUBECTL" get pods --namespace "$SYSTEM_NAMESPACE" --selector app.kubernetes.io/component=gateway \
    --field-selector status.phase=Running --sort-by .metadata.name --output "jsonpath={.items[$1].metadata.name}"
}
chat_for() {
  local user=$1 gateway=$2
  shift 2
  make --no-print-directory chat SERVICE_ACCOUNT=app "FOR=$user" "THROUGH=$(replica "$gateway")" "$@"
}
# A prompt of bob while alice has a turn: the reason of the refusal.
interrupted_by_bob() {
  local before alice answer
  before=$(requests)
  chat_for alice 0 SESSION=pair "PROMPT=Count to twenty" &
  alice=$!
  wait_for_request "$before"
  answer=$(chat_for bob 1 RESUME=pair "PROMPT=May I?" 2>&1) && return 1
  printf '\n> May I? (bob)\n%s\n' "$(grep -o 'the session is in use by [^\"]*' <<<"$answer" | head -1)"
  wait "$alice"
}

wait_until_idle() {
  "$KUBECTL" wait --namespace "$NAMESPACE" --for=jsonpath='{.status.phase}'=Idle copilotsession/review --timeout=90s
  "$KUBECTL" wait --namespace "$NAMESPACE" --for=jsonpath='{.status.usage.turns}' copilotsession/review --timeout=90s
}

# Its last client has left, so the gateway has the server unload it after a minute. No cleanup takes a session that is in memory.
wait_until_unloaded() {
  for _ in {1..120}; do
    session_data sh -c "ls $(dirname "$EVENTS")/inuse.*.lock >/dev/null 2>&1 || echo unloaded" | grep -q unloaded && return
    sleep 1
  done
  return 1
}

# Makes the session look a month old.
age_session() {
  session_data touch -d '32 days ago' "$EVENTS"
}

# As the CronJob does every hour.
clean_up() {
  "$KUBECTL" delete job cleanup-by-hand --namespace "$NAMESPACE" --ignore-not-found
  "$KUBECTL" create job cleanup-by-hand --from=cronjob/acme-cleanup --namespace "$NAMESPACE"
  "$KUBECTL" wait --for=condition=Complete job/cleanup-by-hand --timeout=120s --namespace "$NAMESPACE"
  ! has_data || { echo "the session was not deleted: $EVENTS" && return 1; }
}

say "a Kubernetes cluster"
if [[ ${CLUSTER:-local} == current ]]; then
  say "✓ the current context: $(kubectl config current-context)"
else
  test/cluster/cluster.sh up
fi
say "the images of the operator, the Copilot CLI and a test model"
images/build.sh
step "create the namespace $NAMESPACE" create_namespace
step "install the operator and the gateway with Helm" install_operator
step "apply the CopilotTenant acme and a test model" apply_tenant
step "wait until acme is Ready" wait_until_ready

say "chat with it through the gateway, as an application with the Copilot SDK does, which knows no key of the model:"
printf '\n> What is a Kubernetes operator?\n'
make --no-print-directory chat "PROMPT=What is a Kubernetes operator?"
show get copilottenants

say "the pod of its server is killed in the middle of an answer, which the next pod finishes:"
step "have the test model answer slowly" have_it_answer_slowly
printf '\n> Count to ten\n'
# The answer goes on at the next pod. Its client sees the pieces that it had seen once more, from the beginning.
chat_while kill_server
step "wait until acme is Ready again" wait_until_ready

say "a client is killed in the middle of an answer, which another one gets:"
COUNTED=count-$$
printf '\n> Count to twenty\n'
kill_client_of "$COUNTED"
printf '\n(the client is killed; another one resumes its session, and says nothing)\n'
make --no-print-directory chat "FOLLOW=$COUNTED"

say "the program of its server is changed in the middle of an answer, which the old pod finishes:"
printf '\n> Count to ten\n'
# What is running is replaced when it has ended: the client sees each piece of its answer once.
chat_while change_program
step "wait until the new pod is Ready" wait_until_replaced

say "somebody without the right to connect is refused by the gateway:"
step "create the ServiceAccount stranger" create_stranger
printf '\n> Let me in\n'
is_refused "Let me in"

say "two users on one session, each at another replica of the gateway: who has the turn is not interrupted:"
step "apply the users alice and bob, and their CopilotSession pair" apply_users
printf '\n> Count to twenty (alice)\n'
interrupted_by_bob
printf '\n> And now? (bob)\n'
chat_for bob 1 RESUME=pair "PROMPT=And now?"
step "delete their session" "$KUBECTL" delete copilotsession pair --namespace "$NAMESPACE"

show_shared_storage

say "a session as a resource, and its cleanup:"
step "apply the CopilotSession review" apply_session
show get copilotsessions
printf '\n> Which files does this pull request change?\n'
chat_in_session "Which files does this pull request change?"
step "wait until its status has the turn" wait_until_idle
show get copilotsessions -o wide
step "delete the resource (deletionPolicy: Retain keeps its data)" "$KUBECTL" delete copilotsession review --namespace "$NAMESPACE"
step "wait until the session is not in memory any more (a minute)" wait_until_unloaded
step "make the session a month old" age_session
step "run the cleanup, which deletes the session" clean_up
show logs job/cleanup-by-hand

say "a tenant sleeps when nobody uses it, and a chat wakes it:"
step "have acme sleep after a minute without use" put_to_sleep
step "change its program back" change_back
show get copilottenants -o wide
printf '\n> Good morning\n'
make --no-print-directory chat "PROMPT=Good morning"
show get copilottenants -o wide
step "have acme sleep no more" patch_tenant '{"spec":{"hibernation":null}}'
cat <<NEXT

The demo took $(seconds_since "$CLUSTER_STARTED_AT") s. Its operator watches the namespace $NAMESPACE. Next, try:
  make chat$MAKE_ARGUMENTS PROMPT="Hello again"
  $KUBECTL -n $NAMESPACE get ct acme -o wide
  $KUBECTL -n $NAMESPACE describe ct acme
  $KUBECTL -n $NAMESPACE delete deployment acme-0     # recreated within seconds, with its sessions
  $KUBECTL -n $NAMESPACE scale ct/acme --replicas=3
  $KUBECTL -n $NAMESPACE apply -f scripts/demo/session.yaml    # and: make chat SESSION=review PROMPT="Hello"
  $KUBECTL explain ct.spec
  make test                                         # to remove the demo: $([[ $KUBECTL == kubectl ]] && echo "helm uninstall -n $SYSTEM_NAMESPACE copilot-operator" || echo "make cluster-down")
NEXT
