# shellcheck shell=bash
# Two servers of a tenant on one volume: one is deleted in the middle of an answer, and the session goes on at the other one.
# To be sourced by demo.sh, whose names it uses. SHARED_CLASS is a StorageClass of ReadWriteMany volumes, for CLUSTER=current.

# On the local cluster the volume is a directory of its one node, which is this machine.
SHARED_VOLUME=copilot-demo-shared
SHARED_DIRECTORY=/tmp/$SHARED_VOLUME
# One that no repetition of the demo had: the gateway remembers for a while what was there before.
SHARED_SESSION=shared-$$

has_shared_class() {
  [[ ${CLUSTER:-local} != current || -n ${SHARED_CLASS:-} ]]
}

# Also what an interrupted demo has left.
remove_shared_tenant() {
  "$KUBECTL" delete copilottenant duo --namespace "$NAMESPACE" --ignore-not-found --timeout=60s
  # It goes with its last pod.
  "$KUBECTL" delete persistentvolumeclaim duo-shared --namespace "$NAMESPACE" --ignore-not-found --timeout=60s
  [[ ${CLUSTER:-local} != current ]] || return 0
  "$KUBECTL" delete persistentvolume,storageclass "$SHARED_VOLUME" --ignore-not-found --timeout=60s
  rm -rf "$SHARED_DIRECTORY"
}

apply_shared_tenant() {
  remove_shared_tenant
  if [[ ${CLUSTER:-local} != current ]]; then
    # Kubernetes applies no fsGroup to a directory of a node.
    install --directory --mode=777 "$SHARED_DIRECTORY"
    sed "s#@DIRECTORY@#$SHARED_DIRECTORY#" scripts/demo/shared-volume.yaml | "$KUBECTL" apply --filename -
  fi
  sed "s#storageClassName: .*#storageClassName: ${SHARED_CLASS:-$SHARED_VOLUME}#" scripts/demo/shared-tenant.yaml |
    "$KUBECTL" apply --namespace "$NAMESPACE" --filename -
}

wait_until_shared_is_ready() {
  "$KUBECTL" wait --namespace "$NAMESPACE" --for=condition=Ready copilottenant/duo --timeout=90s && return
  "$KUBECTL" describe --namespace "$NAMESPACE" copilottenant/duo
  return 1
}

chat_at_shared() {
  make --no-print-directory chat TENANT=duo "$@"
}

# The server at which the session is, as the replicas of the gateway have agreed.
shared_server() {
  local tenant server
  tenant=$("$KUBECTL" get copilottenant duo --namespace "$NAMESPACE" --output 'jsonpath={.metadata.uid}')
  for _ in {1..100}; do
    server=$("$KUBECTL" get leases --namespace "$SYSTEM_NAMESPACE" --selector app.kubernetes.io/component=session --output \
      'jsonpath={range .items[*]}{.metadata.annotations.copilot-operator\.dev/session-key} {.metadata.annotations.copilot-operator\.dev/session-record}{"\n"}{end}' |
      sed -n "s#^\[\"$tenant\",\"$SHARED_SESSION\"\] [0-9]* Placed .* \[\[\"$NAMESPACE/\([^\"]*\)\".*#\1#p")
    [[ -z $server ]] || break
    sleep 0.2
  done
  [[ -n $server ]] && echo "$server"
}

# How many prompts of the session the model was told with the last one that begins so.
prompts_told() {
  model "fetch('http://127.0.0.1:8080/requests?match=' + encodeURIComponent('$1')).then((answer) => answer.json())
    .then(({ requests }) => console.log(requests.at(-1).roles.filter((role) => role === 'user').length))"
}

where_it_is() {
  local server prompts
  # Not in the words of printf, where a failure would end nothing.
  server=$(shared_server)
  prompts=$(prompts_told "$1")
  printf '(at server %s; the model was told the prompts of the session: %s)\n' "$server" "$prompts"
}

# While a tenant is paused nothing of it is created again: the server does not come back before the answer is complete.
pause_shared_tenant() {
  "$KUBECTL" annotate copilottenant duo copilot-operator.dev/paused=true --namespace "$NAMESPACE"
  "$KUBECTL" wait --namespace "$NAMESPACE" copilottenant/duo --timeout=30s \
    --for='jsonpath={.status.conditions[?(@.type=="Reconciling")].reason}'=Paused
}
delete_shared_server() {
  "$KUBECTL" delete deployment "$SHARED_SERVER" --namespace "$NAMESPACE"
}

show_shared_storage() {
  if ! has_shared_class; then
    say "skipped: servers that share a volume. SHARED_CLASS=... names a StorageClass of ReadWriteMany volumes with hard links"
    return
  fi
  say "a session on a volume of two servers: its server is deleted in the middle of an answer, which the other one finishes:"
  step "apply a ReadWriteMany volume and the CopilotTenant duo" apply_shared_tenant
  step "wait until both servers are Ready" wait_until_shared_is_ready
  printf '\n> Remember the number 42\n'
  chat_at_shared "SESSION=$SHARED_SESSION" "PROMPT=Remember the number 42"
  where_it_is "Remember the number"
  SHARED_SERVER=$(shared_server)
  step "pause duo, so that nobody creates its server again" pause_shared_tenant
  printf '\n> Count to ten\n'
  chat_while delete_shared_server TENANT=duo "RESUME=$SHARED_SESSION"
  where_it_is "Count to ten"
  step "delete duo and the volume" remove_shared_tenant
}
