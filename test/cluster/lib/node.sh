# shellcheck shell=bash
# containerd, kubelet, kube-proxy. They run in a mount namespace of their own that containerd holds: what they mount is
# seen by nobody else and is gone with the last of them, and the paths that are compiled into them are private there.

# Compiled in: the kubelet's device plugin socket and libcni's result cache. (/run, with the sockets of containerd's
# shims, runc's state and the iptables lock, becomes a tmpfs; so does /var/log, where the kubelet puts links.)
FIXED_DIRECTORIES=(/var/lib/kubelet /var/lib/cni)

start_containerd() {
  is_running containerd || start_or_begin_anew containerd "$CLUSTER_DIR/containerd" run_containerd 30 containerd_answers
}

containerd_answers() {
  local answer
  answer=$(cluster_ctr images list -q 2>&1) && return 0
  # With an image store that it can't read it runs on, without its services.
  [[ $answer != *"unknown service"* ]] || stop containerd
  return 1
}

run_containerd() {
  # Containers can't be taken over without the namespace they were mounted in: start from a clean node.
  clean_node
  mkdir -p "$CLUSTER_DIR"/{containerd,kubelet,run/containerd,pod-logs}
  make_mount_points
  run containerd nsenter --net="$NETNS" -- unshare --mount --propagation=private -- \
    bash "$CLUSTER_SCRIPTS/lib/private-mounts.sh" "$CLUSTER_DIR" "$CONTAINERD_SOCKET" "${FIXED_DIRECTORIES[@]}" -- \
    "$PROGRAMS/containerd" --config "$CONFIG/containerd.toml"
}

# clean_node: nothing of the node runs; what it left on disk about running things is dropped.
clean_node() {
  local root
  root=$(tracking_cgroup)
  stop kube-proxy 2
  stop kubelet 2
  kill_cgroups "$root/system/containerd" "$root/kubepods"
  rm -rf "$CLUSTER_DIR/run/containerd" "$CLUSTER_DIR/run/cni-leases" "$CLUSTER_DIR/run/private" "$CONTAINERD_SOCKET"*
}

# An absent mount point is made, noted, and taken away again by the teardown.
make_mount_points() {
  local directory
  for directory in "${FIXED_DIRECTORIES[@]}"; do
    [[ -d $directory ]] || { mkdir -p "$directory" && echo "$directory" >>"$CLUSTER_DIR/run/made-directories"; }
  done
}

cluster_ctr() { "$PROGRAMS/ctr" --address "$CONTAINERD_SOCKET" --namespace k8s.io "$@"; }

# run_on_node COMPONENT COMMAND...: in containerd's namespaces.
run_on_node() {
  local component=$1
  shift
  run "$component" nsenter --net="$NETNS" --mount="/proc/$(component_pid containerd)/ns/mnt" -- "$@"
}

start_kubelet() {
  is_running kubelet || run_on_node kubelet "$PROGRAMS/kubelet" --config="$CONFIG/kubelet.yaml" --kubeconfig="$PKI/kubelet.kubeconfig" \
    --root-dir="$CLUSTER_DIR/kubelet" --cert-dir="$CLUSTER_DIR/kubelet/pki" --hostname-override="$NODE_NAME" --node-ip="$NODE_IP"
}

start_kube_proxy() {
  is_running kube-proxy || run_on_node kube-proxy "$PROGRAMS/kube-proxy" --config="$CONFIG/kube-proxy.yaml"
}

# After a restart the API still shows the Ready of the last run: it counts once this kubelet has spoken.
wait_for_node() {
  must_answer kubelet 60 kubelet_has_spoken "$(stat -c %Y "$PIDS/kubelet.pid")"
  must_answer kubelet 60 node_is_ready
}

# kubelet_has_spoken SINCE: by the condition, which it writes when it changed (a new node), or by the lease, which a new
# node gets ten seconds late.
kubelet_has_spoken() {
  local time
  while read -r time; do
    [[ -z $time ]] || (($(date -d "$time" +%s) < $1)) || return 0
  done < <(kubectl_admin get "node/$NODE_NAME" "lease/$NODE_NAME" --namespace=kube-node-lease --ignore-not-found --request-timeout=5s \
    -o 'jsonpath={range .items[*]}{.spec.renewTime}{.status.conditions[?(@.type=="Ready")].lastHeartbeatTime}{"\n"}{end}')
  return 1
}

node_is_ready() {
  [[ $(kubectl_admin get node "$NODE_NAME" --request-timeout=5s -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}') == True ]]
}

# The kubelet also writes kernel settings of the whole machine (what it does on a kernel panic, memory overcommit); the
# first start notes them and the teardown puts them back.
SHARED_SYSCTLS=(fs.inotify.max_user_instances vm.overcommit_memory vm.panic_on_oom kernel.panic kernel.panic_on_oops kernel.keys.root_maxkeys kernel.keys.root_maxbytes)

prepare_sysctls() {
  local saved=$CLUSTER_DIR/run/sysctls
  [[ -s $saved ]] || { sysctl "${SHARED_SYSCTLS[@]}" >"$saved.partial" && mv "$saved.partial" "$saved"; }
  # Every pod and each part watches files; 128 instances, the default, last for a dozen pods.
  (($(sysctl -n fs.inotify.max_user_instances) >= 8192)) || sysctl -qw fs.inotify.max_user_instances=8192
}

restore_sysctls() {
  local saved=$CLUSTER_DIR/run/sysctls
  [[ ! -s $saved ]] || sysctl -q -p "$saved"
  rm -f "$saved"
}
