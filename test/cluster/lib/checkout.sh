# shellcheck shell=bash
# How people and tests reach the cluster: wrapper commands beside it, and a directory in each checkout that points there.

write_wrappers() {
  local bin=$CLUSTER_DIR/bin
  mkdir -p "$bin"
  write_script "$bin/enter" <<SCRIPT
#!/bin/sh
# enter COMMAND...: runs it in the cluster's network, with this directory and environment. KUBECONFIG is set if it wasn't.
if [ "\$(stat -fc %T '$NETNS' 2>/dev/null)" != nsfs ]; then
  echo "The local cluster is not up: start it with 'make cluster'." >&2
  exit 1
fi
export KUBECONFIG="\${KUBECONFIG:-$CLUSTER_DIR/kubeconfig}"
exec nsenter --net='$NETNS' -- "\$@"
SCRIPT
  local program
  for program in kubectl helm; do
    write_script "$bin/$program" <<SCRIPT
#!/bin/sh
# $program for the local cluster, from anywhere on this machine, whatever KUBECONFIG says (--kubeconfig is respected).
KUBECONFIG='$CLUSTER_DIR/kubeconfig' exec '$bin/enter' '$PROGRAMS/$program' "\$@"
SCRIPT
  done
  install -m 0600 "$PKI/admin.kubeconfig" "$CLUSTER_DIR/kubeconfig"
}

write_script() {
  cat >"$1.partial"
  chmod 0755 "$1.partial"
  mv -f "$1.partial" "$1"
}

link_checkout() {
  mkdir -p "$LINK_DIR"
  ln -sfn "$CLUSTER_DIR/kubeconfig" "$LINK_DIR/kubeconfig"
  ln -sfn "$CLUSTER_DIR/bin" "$LINK_DIR/bin"
  ln -sfn "$LOGS" "$LINK_DIR/logs"
  ln -sfn "$LOGS/audit.log" "$LINK_DIR/audit.log"
  ln -sfn "$PIDS" "$LINK_DIR/pids"
}
