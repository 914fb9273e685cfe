#!/usr/bin/env bash
# The local cluster: cluster.sh up | down | load-image ARCHIVE. See docs/local-cluster.md.
set -euo pipefail

CLUSTER_SCRIPTS=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
for part in versions lib/settings lib/step lib/process lib/prerequisites lib/binaries lib/configuration lib/pki lib/network lib/control-plane lib/node \
  lib/images lib/addons lib/checkout lib/teardown; do
  # shellcheck source=/dev/null
  source "$CLUSTER_SCRIPTS/$part.sh"
done

COMPONENTS=(containerd etcd kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy coredns local-path-provisioner)

# Two commands at once would start everything twice.
lock() {
  mkdir -p "$CLUSTER_DIR"
  exec {LOCK}<"$CLUSTER_DIR"
  flock --nonblock "$LOCK" || { say "another command is working on this cluster: waiting for it" && flock "$LOCK"; }
}

is_up() {
  local component
  network_exists || return 1
  for component in "${COMPONENTS[@]}"; do is_running "$component" || return 1; done
  node_is_ready 2>/dev/null
}

up() {
  require_root
  require_linux_x86_64
  lock
  if is_up; then
    link_checkout
    say "the cluster is up already: $LINK_DIR/bin/kubectl get nodes"
    return
  fi
  # shellcheck disable=SC2046
  [[ -z $(missing_packages "${REQUIRED_COMMANDS[@]}") ]] || step "install packages" install_missing "${REQUIRED_COMMANDS[@]}"
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
  require_root
  require_linux_x86_64
  lock
  step "stop and clean up" tear_down
}

case ${1-} in
  up | down) "$1" ;;
  load-image) load_image "${2:?an OCI archive}" ;;
  *) die "usage: cluster.sh up | down | load-image ARCHIVE" ;;
esac
