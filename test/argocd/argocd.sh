#!/usr/bin/env bash
# A real Argo CD beside the local cluster, for `make test-argocd`: argocd.sh build | up | down. Its application controller, its repo
# server and the cache between them run as processes in the cluster's network, as the cluster's own parts do.
set -euo pipefail

CLUSTER_SCRIPTS=$(cd "$(dirname "${BASH_SOURCE[0]}")/../cluster" && pwd)
for part in lib/settings lib/step lib/process lib/prerequisites lib/binaries lib/network lib/control-plane; do
  # shellcheck source=/dev/null
  source "$CLUSTER_SCRIPTS/$part.sh"
done

MODULE=github.com/argoproj/argo-cd/v3
NAMESPACE=copilot-argocd-test
DATA=$CLUSTER_DIR/argocd
# Far from the usual ones, which operators under test listen on.
CACHE_PORT=26379 REPO_SERVER_PORT=26081 REPO_METRICS_PORT=26084 CONTROLLER_METRICS_PORT=26082

ARGOCD=$(built_dir argocd "$MODULE")

build_argocd() {
  local source version
  version=$(module_version argocd "$MODULE")
  source=$(cd "$CLUSTER_SCRIPTS/modules/argocd" && GOWORK=off go mod download -json "$MODULE" | awk -F'"' '$2 == "Dir" { print $4 }')
  mkdir -p "$ARGOCD"
  # Beside the program, because the module cache may be emptied.
  install -m 0755 "$source/hack/git-verify-wrapper.sh" "$ARGOCD/"
  install -m 0644 "$source"/manifests/crds/{application,appproject}-crd.yaml "$ARGOCD/"
  go_build "$ARGOCD" argocd "-X $MODULE/common.version=${version#v}" .
}

make_objects() {
  kubectl_admin apply --server-side --filename "$ARGOCD/application-crd.yaml" --filename "$ARGOCD/appproject-crd.yaml"
  # Not `kubectl wait`: it ends with an error when a CRD is so new that it has no conditions.
  wait_until 30 "Argo CD's kinds are served" kubectl_admin get applications.argoproj.io,appprojects.argoproj.io --all-namespaces
  kubectl_admin create namespace "$NAMESPACE" --dry-run=client --output yaml | kubectl_admin apply --server-side --filename -
  kubectl_admin apply --server-side --namespace "$NAMESPACE" --filename "$CLUSTER_SCRIPTS/../argocd/argocd.yaml"
  # As docs/gitops.md tells people to.
  kubectl_admin patch configmap argocd-cm --namespace "$NAMESPACE" --patch-file "$CLUSTER_SCRIPTS/../../config/argocd/argocd-cm.yaml"
}

listens() { in_network bash -c "exec 3<>/dev/tcp/127.0.0.1/$1"; }

# run_argocd PROGRAM [NAME=VALUE...] -- ARGUMENT...: one of its programs, in the cluster's network.
run_argocd() {
  local program=$1 environment=()
  shift
  while [[ $1 != -- ]]; do environment+=("$1") && shift; done
  shift
  # git, helm and the wrapper around git are looked for on PATH.
  run "argocd-$program" env PATH="$ARGOCD:$COMPONENT_PATH" HOME="$DATA/home" TMPDIR="$DATA/tmp" "${environment[@]}" \
    nsenter --net="$NETNS" -- "$ARGOCD/argocd" "$@"
}

start_cache() {
  run_argocd redis -- redis "127.0.0.1:$CACHE_PORT"
  must_answer argocd-redis 30 listens "$CACHE_PORT"
}

start_repo_server() {
  # Without --client-ca-path= it refuses --disable-tls.
  run_argocd repo-server ARGOCD_GPG_ENABLED=false ARGOCD_TLS_DATA_PATH="$DATA/tls" ARGOCD_SSH_DATA_PATH="$DATA/ssh" -- argocd-repo-server \
    --redis "127.0.0.1:$CACHE_PORT" --address 127.0.0.1 --port "$REPO_SERVER_PORT" --metrics-address 127.0.0.1 --metrics-port "$REPO_METRICS_PORT" \
    --disable-tls --client-ca-path=
  must_answer argocd-repo-server 60 listens "$REPO_SERVER_PORT"
}

start_controller() {
  # The health of each resource is put into the status of its Application, where the test reads it; an argocd-server is not there to ask.
  run_argocd application-controller KUBECONFIG="$PKI/admin.kubeconfig" ARGOCD_FAKE_IN_CLUSTER=true -- argocd-application-controller \
    --namespace "$NAMESPACE" --redis "127.0.0.1:$CACHE_PORT" --repo-server "127.0.0.1:$REPO_SERVER_PORT" --repo-server-plaintext \
    --metrics-port "$CONTROLLER_METRICS_PORT" --app-resync 10 --persist-resource-health
  must_answer argocd-application-controller 60 listens "$CONTROLLER_METRICS_PORT"
}

build() {
  [[ -x $ARGOCD/argocd ]] || { require_go && step "build Argo CD" build_argocd; }
}

up() {
  require_root
  network_exists || die "Argo CD needs the local cluster, which is not up: start it with 'make cluster'."
  [[ -z $(missing_packages git:git) ]] || step "install git" install_missing git:git
  build
  stop_programs
  rm -rf "$DATA"
  mkdir -p "$DATA"/{home,tmp,tls,ssh}
  step "objects of Argo CD" make_objects
  step "Argo CD's cache" start_cache
  step "Argo CD's repo server" start_repo_server
  step "Argo CD's application controller" start_controller
}

stop_programs() {
  local program
  for program in application-controller repo-server redis; do stop "argocd-$program"; done
}

# Its Applications are let go of first: what they brought is the test's to take away, while Argo CD runs.
remove_objects() {
  local application
  if kubectl_admin get crd applications.argoproj.io >/dev/null 2>&1; then
    for application in $(kubectl_admin get applications.argoproj.io --namespace "$NAMESPACE" --output name); do
      kubectl_admin patch "$application" --namespace "$NAMESPACE" --type=merge --patch '{"metadata":{"finalizers":null}}'
    done
  fi
  kubectl_admin delete namespace "$NAMESPACE" --ignore-not-found --timeout=60s
  kubectl_admin delete crd applications.argoproj.io appprojects.argoproj.io --ignore-not-found --timeout=60s
}

down() {
  require_root
  step "stop Argo CD" stop_programs
  step "remove the objects of Argo CD" remove_objects
  rm -rf "$DATA"
}

case ${1-} in
  build | up | down) "$1" ;;
  *) die "usage: argocd.sh build | up | down" ;;
esac
