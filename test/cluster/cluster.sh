#!/usr/bin/env bash
# The local cluster: cluster.sh up | down | kwok-up | kwok-down | load-image ARCHIVE | tag-image NAME OTHER. See docs/local-cluster.md.
set -euo pipefail

CLUSTER_SCRIPTS=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
for part in versions lib/settings lib/step lib/process lib/prerequisites lib/binaries lib/configuration lib/pki lib/network lib/control-plane lib/node \
  lib/images lib/addons lib/kwok lib/checkout lib/teardown; do
  # shellcheck source=/dev/null
  source "$CLUSTER_SCRIPTS/$part.sh"
done

COMPONENTS=(containerd etcd kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy coredns local-path-provisioner)

# Two commands at once would start everything twice.
lock() {
  exec {LOCK}<"$CLUSTER_DIR"
  flock --nonblock "$LOCK" || { say "waiting for another command that works on this cluster" && flock "$LOCK"; }
}

# prepare: what every command needs.
prepare() {
  require_root
  require_linux_x86_64
  require_own_directory
  lock
}

is_up() {
  local component
  network_exists || return 1
  for component in "${COMPONENTS[@]}"; do is_running "$component" || return 1; done
  node_is_ready 2>/dev/null
}

# What the running cluster was made from; other checkouts may have moved on.
STARTED_FROM=$CLUSTER_DIR/run/started-from
scripts_digest() { (cd "$CLUSTER_SCRIPTS" && cat versions.sh config/* lib/* modules/*/go.sum | sha256sum); }

up() {
  prepare
  # Even for a cluster that is up: it may be of another checkout, which needs fewer packages.
  [[ -z $(missing_packages "${REQUIRED_COMMANDS[@]}") ]] || step "install packages" install_missing "${REQUIRED_COMMANDS[@]}"
  if is_up; then
    link_checkout
    say "the cluster is up already: $LINK_DIR/bin/kubectl get nodes"
    [[ $(scripts_digest) == $(cat "$STARTED_FROM" 2>/dev/null) ]] || say "! the scripts have changed since its start: 'make cluster-down cluster' updates it"
    return
  fi
  ensure_binaries
  step "network" start_foundation
  step "containerd" start_containerd
  step "etcd" start_etcd
  step "kube-apiserver" start_kube_apiserver
  step "controllers and scheduler" start_controllers
  step "base images" ensure_base_images
  step "kubelet and kube-proxy" start_node
  step "DNS and storage" start_addons
  step "node ready" wait_for_node
  link_checkout
  say "the cluster is up: $LINK_DIR/bin/kubectl get nodes"
}

start_foundation() {
  make_cgroups
  ensure_network
  prepare_sysctls
  ensure_pki
  render_configuration
  write_wrappers
  scripts_digest >"$STARTED_FROM"
}

start_controllers() {
  start_kube_controller_manager
  start_kube_scheduler
}

start_node() {
  start_kubelet
  start_kube_proxy
}

start_addons() {
  start_coredns
  start_local_path_provisioner
}

down() {
  prepare
  step "stop and clean up" tear_down
}

kwok_up() {
  up
  ensure_go_program kwok sigs.k8s.io/kwok kwok sigs.k8s.io/kwok/cmd/kwok
  step "kwok" start_kwok
}

kwok_down() {
  prepare
  step "stop kwok" stop_kwok
}

case ${1-} in
  up | down) "$1" ;;
  kwok-up) kwok_up ;;
  kwok-down) kwok_down ;;
  load-image) load_image "${2:?an OCI archive}" ;;
  tag-image) cluster_ctr images tag --force "${2:?an image}" "${3:?another name of it}" ;;
  *) die "usage: cluster.sh up | down | kwok-up | kwok-down | load-image ARCHIVE | tag-image NAME OTHER" ;;
esac
