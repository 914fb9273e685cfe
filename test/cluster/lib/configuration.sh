# shellcheck shell=bash
# The components' configuration files: those of config/, with @NAME@ replaced by the setting NAME.

render_configuration() {
  local file
  mkdir -p "$CONFIG/cni"
  for file in "$CLUSTER_SCRIPTS"/config/*; do render "$(basename "$file")"; done
  mv "$CONFIG/cni.conflist" "$CONFIG/cni/10-cluster.conflist"
  # Pods that ask for the node's DNS get none: the cluster has no way out.
  : >"$CONFIG/empty-resolv.conf"
}

# render FILE
render() {
  local name edits=()
  for name in CLUSTER_DIR CLUSTER_NAME CONTAINERD_SOCKET PKI CONFIG NODE_NAME NODE_IP POD_CIDR PROGRAMS PAUSE_IMAGE BUSYBOX_IMAGE; do
    edits+=(-e "s|@$name@|${!name}|g")
  done
  sed "${edits[@]}" "$CLUSTER_SCRIPTS/config/$1" >"$CONFIG/$1"
}
