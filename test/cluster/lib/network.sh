# shellcheck shell=bash
# The cluster's own network namespace: its bridge, routes, iptables rules and listeners are in there alone. It is held by
# a mount on a file of ours and not by `ip netns add`, which leaves /run/netns mounted for ever.

network_exists() { [[ $(stat -fc %T "$NETNS" 2>/dev/null) == nsfs ]]; }

in_network() { nsenter --net="$NETNS" -- "$@"; }

# A half-made one (killed between two of these lines) is mended: each line is left out if it was done.
ensure_network() {
  mkdir -p "$(dirname "$NETNS")"
  network_exists || { : >"$NETNS" && unshare --net="$NETNS" -- true; }
  in_network ip link set lo up
  in_network ip link show cni0 >/dev/null 2>&1 || in_network ip link add cni0 type bridge
  in_network ip address replace "$NODE_IP/${POD_CIDR#*/}" dev cni0
  in_network ip link set cni0 up
  # Without a route the node can't reach a ClusterIP: kube-proxy's rules come after routing.
  in_network ip route replace "$SERVICE_CIDR" dev cni0
  in_network ip route replace local "$KWOK_CIDR" dev lo
}

remove_network() {
  while network_exists; do umount -l "$NETNS"; done
  rm -f "$NETNS"
}
