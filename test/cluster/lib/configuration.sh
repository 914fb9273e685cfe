# shellcheck shell=bash
# The components' configuration files: those of config/, with @NAME@ replaced by the setting NAME.

render_configuration() {
  local file name
  mkdir -p "$CONFIG/cni"
  for file in "$CLUSTER_SCRIPTS"/config/*; do
    [[ -f $file ]] || continue
    cp "$file" "$CONFIG/"
    for name in CLUSTER_DIR CLUSTER_NAME CONTAINERD_SOCKET PKI CONFIG LOGS NODE_NAME NODE_IP POD_CIDR PROGRAMS PAUSE_IMAGE BUSYBOX_IMAGE; do
      sed -i "s|@$name@|${!name}|g" "$CONFIG/$(basename "$file")"
    done
  done
  mv "$CONFIG/cni.conflist" "$CONFIG/cni/10-cluster.conflist"
  # Pods that ask for the node's DNS get none: the cluster has no way out.
  : >"$CONFIG/empty-resolv.conf"
}
