# shellcheck shell=bash
# Where the cluster lives. Two instances with different directories run side by side: addresses are in a network
# namespace of their own, and the cgroup is named after the directory.

CLUSTER_DIR=${COPILOT_CLUSTER_DIR:-/var/lib/copilot-operator-cluster}
CLUSTER_NAME=$(basename "$CLUSTER_DIR")
CACHE_DIR=${COPILOT_CLUSTER_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/copilot-operator}
# The directory of this checkout that refers to the cluster.
LINK_DIR=${COPILOT_CLUSTER_LINK:-$(cd "$CLUSTER_SCRIPTS/../.." && pwd)/.cluster}

# Told apart from a directory of somebody's that COPILOT_CLUSTER_DIR names by mistake.
MARKER=$CLUSTER_DIR/.copilot-operator-cluster

PKI=$CLUSTER_DIR/pki
CONFIG=$CLUSTER_DIR/config
LOGS=$CLUSTER_DIR/logs
PIDS=$CLUSTER_DIR/run/pids
NETNS=$CLUSTER_DIR/run/netns
CONTAINERD_SOCKET=$CLUSTER_DIR/run/containerd.sock

NODE_NAME=node1
NODE_IP=10.88.0.1
POD_CIDR=10.88.0.0/16
SERVICE_CIDR=10.96.0.0/16
# The first address of SERVICE_CIDR: what the API server gives to the Service `kubernetes`.
API_SERVICE_IP=10.96.0.1
# Pods of kwok nodes; every address of it answers on the loopback of the cluster's network.
KWOK_CIDR=10.200.0.0/16
