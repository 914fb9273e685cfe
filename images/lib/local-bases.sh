# shellcheck shell=bash
# Bases for a machine that reaches package mirrors and no image registry: Debian by debootstrap, and the same with Node.
# They replace the Dockerfiles' defaults, so a Dockerfile may rely only on what both have.

STORAGE_FLAGS=(--root "$IMAGE_STORAGE" --runroot "$IMAGE_RUNROOT" --storage-driver overlay)
builder() { buildah "${STORAGE_FLAGS[@]}" "$@"; }

has_built_image() { builder images --quiet "$1" >/dev/null 2>&1; }

require_builder() {
  ((EUID == 0)) || die "Building the images for the local cluster needs root: run it as root, for instance with 'sudo -E make images'."
  # shellcheck disable=SC2046
  [[ -z $(missing_packages "${BUILDER_COMMANDS[@]}") ]] || step "install buildah and debootstrap" install_missing "${BUILDER_COMMANDS[@]}"
}
BUILDER_COMMANDS=(buildah:buildah debootstrap:debootstrap)

# A base is named after what decides its content: Debian's suite and the steps that make it.
BASE_NAME=localhost/copilot-operator-base
debian_base() { echo "$BASE_NAME:$DEBIAN_SUITE-$(declare -f make_debian_base trim_debian make_node_base | sha256sum | cut -c1-8)"; }
node_base() { echo "$(debian_base)-node$(node_version)"; }

node_version() { sed -n 's/^ *"version": *"\([^"]*\)".*/\1/p' "$NODE_PACKAGE/package.json"; }

# base_of IMAGE: the base that replaces its Dockerfile's default.
base_of() {
  case $1 in
    copilot-cli) debian_base ;;
    *) node_base ;;
  esac
}

ensure_local_bases() {
  has_built_image "$(debian_base)" || step "make a Debian base" make_debian_base "$(debian_base)"
  has_built_image "$(node_base)" || step "make a Node base" make_node_base "$(node_base)"
}

# Bases of earlier versions; an image that is built on one keeps its layers.
remove_other_bases() {
  builder images --format '{{.Name}}:{{.Tag}}' | awk -v base="$BASE_NAME:" -v debian="$(debian_base)" -v node="$(node_base)" \
    'index($0, base) == 1 && $0 != debian && $0 != node' | xargs --no-run-if-empty buildah "${STORAGE_FLAGS[@]}" rmi
}

make_debian_base() {
  local root=$CACHE_DIR/debootstrap.partial mirror mounted
  # A debootstrap that was killed leaves /proc and /sys mounted there.
  for mounted in proc sys; do ! mountpoint -q "$root/$mounted" || umount -l "$root/$mounted"; done
  rm -rf --one-file-system "$root"
  mkdir -p "$root"
  # The mirror of this machine's own packages is one that it can reach.
  # shellcheck disable=SC2016
  mirror=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' "Codename: $DEBIAN_SUITE" | head -n 1)
  debootstrap --variant=minbase --include=ca-certificates,libstdc++6 "$DEBIAN_SUITE" "$root" ${mirror:+"$mirror"}
  trim_debian "$root"
  commit_base "$1" "$root"
  rm -rf --one-file-system "$root"
}

# Removes what Debian's slim images leave out too. The copyright files stay.
trim_debian() {
  local root=$1
  printf 'path-exclude /usr/share/%s/*\n' locale man info lintian >"$root/etc/dpkg/dpkg.cfg.d/slim"
  printf 'path-exclude /usr/share/doc/*\npath-include /usr/share/doc/*/copyright\n' >>"$root/etc/dpkg/dpkg.cfg.d/slim"
  rm -rf "$root"/usr/share/{locale,man,info,lintian}/* "$root"/var/cache/{apt,debconf}/* "$root"/var/lib/apt/lists/*
  find "$root/usr/share/doc" -type f ! -name copyright -delete
  find "$root/usr/share/doc" -depth -type d -empty -delete
  find "$root/var/log" -type f -delete
  # This machine's name and resolver do not belong in an image.
  rm -f "$root/etc/hostname" "$root/etc/resolv.conf"
}

make_node_base() {
  local root=$CACHE_DIR/node.partial
  rm -rf "$root"
  install -D -m 0755 "$NODE_PACKAGE/bin/node" "$root/usr/local/bin/node"
  install -D -m 0644 "$NODE_PACKAGE/LICENSE" "$root/usr/share/doc/node/LICENSE"
  commit_base "$1" "$root" "$(debian_base)"
  rm -rf "$root"
}

# commit_base NAME ROOT [FROM]
commit_base() {
  local container
  container=$(builder from --pull-never "${3:-scratch}")
  builder copy --quiet "$container" "$2" /
  builder config --cmd /bin/bash "$container"
  builder commit --quiet --rm "$container" "$1"
}
