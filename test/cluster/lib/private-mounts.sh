#!/usr/bin/env bash
# private-mounts.sh CLUSTER_DIR CONTAINERD_SOCKET DIRECTORY... -- COMMAND...
# Inside a fresh private mount namespace: gives each DIRECTORY (and /run, /var/log) a private stand-in, then becomes COMMAND.
set -euo pipefail
cluster_dir=$1 socket=$2
shift 2

while [[ $1 != -- ]]; do
  mkdir -p "$cluster_dir/run/private$1"
  mount --bind "$cluster_dir/run/private$1" "$1"
  shift
done
shift

mount -t tmpfs -o mode=0755 tmpfs /run
mount -t tmpfs -o mode=0755 tmpfs /var/log
# cAdvisor, inside the kubelet, knows containerd by this path alone.
mkdir -p /run/containerd /run/lock
ln -s "$socket" /run/containerd/containerd.sock
# Pods that ask for mount propagation need a shared root; shared within this namespace only.
mount --make-rshared /

exec "$@"
