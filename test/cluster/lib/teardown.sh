# shellcheck shell=bash
# Everything away that `make cluster` made on the machine, whatever state it was left in. What stays is files: the image
# store (so that the next start needs no import) and the logs (so that a failure can still be read).

tear_down() {
  local root
  root=$(tracking_cgroup)
  # The kubelet first: it would start containers again. No graceful end for the others: their data is dropped.
  [[ ! -d $root ]] || kill_cgroups "$root/system/kubelet"
  [[ ! -d $root ]] || kill_cgroups "$root"
  remove_network
  remove_cgroups
  unmount_below "$CLUSTER_DIR"
  restore_sysctls
  remove_made_directories
  # The next cluster begins its own record of requests.
  [[ ! -f $LOGS/audit.log ]] || mv "$LOGS/audit.log" "$LOGS/audit.log.1"
  rm -rf "$CLUSTER_DIR"/{pki,config,etcd,etcd.unreadable,containerd.unreadable,kubelet,volumes,pod-logs,run,kubeconfig*}
}

# The mounts are in a namespace that died with its processes; this is for what a person mounted by hand.
unmount_below() {
  local mount_point
  while read -r mount_point; do umount -l "$mount_point"; done < <(awk -v dir="$1/" 'index($2, dir) == 1 { print $2 }' /proc/mounts | sort -r)
}

remove_made_directories() {
  local made=$CLUSTER_DIR/run/made-directories
  [[ ! -f $made ]] || xargs -r rmdir --ignore-fail-on-non-empty -- <"$made"
}
