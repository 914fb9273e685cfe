#!/usr/bin/env bash
# From nothing to a chat with a tenant's server. Every step can be repeated: what is there already is left as it is.
#   CLUSTER=current   uses the current kubectl context instead of the local cluster; IMAGE_REGISTRY says where images go
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$ROOT"
# shellcheck disable=SC2034
LOGS=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/copilot-operator/logs
# shellcheck source=/dev/null
source images/versions.sh
# shellcheck source=/dev/null
source test/cluster/lib/step.sh

NAMESPACE=copilot-demo
SYSTEM_NAMESPACE=copilot-operator-system
IMAGES=${IMAGE_REGISTRY:-localhost}

if [[ ${CLUSTER:-local} == current ]]; then
  KUBECTL=kubectl HELM=helm MAKE_ARGUMENTS=" CLUSTER=current"
  for tool in kubectl helm; do command -v "$tool" >/dev/null || die "CLUSTER=current needs $tool on PATH."; done
else
  KUBECTL=.cluster/bin/kubectl HELM=.cluster/bin/helm MAKE_ARGUMENTS=
fi

make_namespace() {
  "$KUBECTL" create namespace "$NAMESPACE" --dry-run=client --output yaml | "$KUBECTL" apply --filename -
  # The strictest of the Pod Security standards: the servers and the model run under it.
  "$KUBECTL" label namespace "$NAMESPACE" --overwrite pod-security.kubernetes.io/enforce=restricted
}

install_operator() {
  # For one namespace, so that the tests, which bring operators of their own, run beside the demo.
  # The tag stays the same when the image is built anew; the annotation makes the Deployment notice.
  # --take-ownership: the tests leave the CRDs behind, and so does an uninstalled release (crds.keep).
  "$HELM" upgrade --install copilot-operator charts/copilot-operator \
    --namespace "$SYSTEM_NAMESPACE" --create-namespace --take-ownership --wait --timeout 3m \
    --set image.repository="$IMAGES/copilot-operator" --set image.tag=dev \
    --set serverImage="$IMAGES/copilot-cli:$COPILOT_CLI_VERSION" --set "watchNamespaces={$NAMESPACE}" \
    --set-string podAnnotations.image-content="$(images/build.sh --content copilot-operator)"
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

say "a Kubernetes cluster"
if [[ ${CLUSTER:-local} == current ]]; then
  say "✓ the current context: $(kubectl config current-context)"
else
  test/cluster/cluster.sh up
fi
say "the images of the operator, the Copilot CLI and a test model"
images/build.sh
step "make the namespace $NAMESPACE" make_namespace
step "install the operator with Helm" install_operator
step "apply the CopilotTenant acme and a test model" apply_tenant
step "wait until acme is Ready" wait_until_ready

say "chat with it, as an application with the Copilot SDK does:"
printf '\n> What is a Kubernetes operator?\n'
make --no-print-directory chat "PROMPT=What is a Kubernetes operator?"
printf '\n$ kubectl get copilottenants\n'
"$KUBECTL" get --namespace "$NAMESPACE" copilottenants
cat <<NEXT

The demo took $(seconds_since "$CLUSTER_STARTED_AT") s. Its operator looks after the namespace $NAMESPACE. Next, try:
  make chat$MAKE_ARGUMENTS PROMPT="Hello again"
  $KUBECTL -n $NAMESPACE get ct acme -o wide
  $KUBECTL -n $NAMESPACE describe ct acme
  $KUBECTL -n $NAMESPACE delete deployment acme-0     # it is back within seconds, with its sessions
  $KUBECTL -n $NAMESPACE scale ct/acme --replicas=3
  $KUBECTL explain ct.spec
  make test                                         # or away with it: $([[ $KUBECTL == kubectl ]] && echo "helm uninstall -n $SYSTEM_NAMESPACE copilot-operator" || echo "make cluster-down")
NEXT
