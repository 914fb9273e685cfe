# shellcheck shell=bash
# What a cluster has besides its core: DNS and the default StorageClass. Both run as processes on the node, which saves
# two images.

start_coredns() {
  is_running coredns || run coredns nsenter --net="$NETNS" -- "$PROGRAMS/coredns" -conf "$CONFIG/Corefile"
}

start_local_path_provisioner() {
  # It exits if its ConfigMap isn't there yet.
  kubectl_admin apply --server-side --force-conflicts -f "$CONFIG/storage.yaml"
  is_running local-path-provisioner || run local-path-provisioner nsenter --net="$NETNS" -- "$PROGRAMS/local-path-provisioner" start \
    --kubeconfig "$PKI/local-path-provisioner.kubeconfig" --namespace local-path-storage --configmap-name local-path-config \
    --service-account-name default --helper-image "$BUSYBOX_IMAGE"
}
