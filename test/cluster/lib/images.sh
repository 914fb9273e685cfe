# shellcheck shell=bash
# The two images the node itself needs, built here because no registry can be reached: `pause` holds a pod's namespaces,
# `busybox` makes and removes volume directories.

ensure_base_images() {
  local archives=$CACHE_DIR/images-1
  [[ -f $archives/pause.tar ]] || build_pause_image "$archives/pause.tar"
  [[ -f $archives/busybox.tar ]] || build_busybox_image "$archives/busybox.tar"
  has_image "$PAUSE_IMAGE" || load_image "$archives/pause.tar"
  has_image "$BUSYBOX_IMAGE" || load_image "$archives/busybox.tar"
}

has_image() { [[ -n $(cluster_ctr images list -q "name==$1") ]]; }

# load_image ARCHIVE: an OCI archive, under the name it carries.
load_image() { cluster_ctr images import --no-unpack=false "$1"; }

build_pause_image() {
  local root
  command -v gcc >/dev/null || install_missing gcc:gcc gcc:libc6-dev
  root=$(mktemp -d)
  gcc -Os -static -s -o "$root/pause" "$CLUSTER_SCRIPTS/images/pause.c"
  oci_archive "$1" "$PAUSE_IMAGE" "$root" '["/pause"]'
  rm -rf "$root"
}

build_busybox_image() {
  local root applet
  root=$(mktemp -d)
  mkdir -p "$root"/{bin,tmp}
  cp "$CACHE_DIR/debian-$(debian_release)/bin/busybox" "$root/bin/busybox"
  for applet in $("$root/bin/busybox" --list); do ln -s busybox "$root/bin/$applet" 2>/dev/null || true; done
  chmod 1777 "$root/tmp"
  oci_archive "$1" "$BUSYBOX_IMAGE" "$root" '["/bin/sh"]'
  rm -rf "$root"
}

# oci_archive FILE NAME ROOT ENTRYPOINT: one layer, same bytes for the same files.
oci_archive() {
  local file=$1 name=$2 root=$3 entrypoint=$4 work layer config manifest
  work=$(mktemp -d)
  mkdir -p "$work/blobs/sha256" "$(dirname "$file")"
  tar -C "$root" --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -cf "$work/layer" .
  layer=$(store_blob "$work" <"$work/layer")
  config=$(printf '{"architecture":"amd64","os":"linux","config":{"Entrypoint":%s,"Env":["PATH=/bin"]},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' \
    "$entrypoint" "$layer" | store_blob "$work")
  manifest=$(printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":%s,"layers":[%s]}' \
    "$(descriptor "$work" "$config" config.v1+json)" "$(descriptor "$work" "$layer" layer.v1.tar)" | store_blob "$work")
  printf '{"imageLayoutVersion":"1.0.0"}' >"$work/oci-layout"
  printf '{"schemaVersion":2,"manifests":[%s]}' "$(descriptor "$work" "$manifest" manifest.v1+json \
    ",\"annotations\":{\"io.containerd.image.name\":\"$name\",\"org.opencontainers.image.ref.name\":\"${name##*:}\"}")" >"$work/index.json"
  tar -C "$work" -cf "$file.partial" oci-layout index.json blobs
  mv "$file.partial" "$file"
  rm -rf "$work"
}

# store_blob WORK <CONTENT: prints its digest.
store_blob() {
  local digest
  cat >"$1/blob"
  digest=$(sha256sum <"$1/blob" | cut -d' ' -f1)
  mv "$1/blob" "$1/blobs/sha256/$digest"
  echo "$digest"
}

# descriptor WORK DIGEST MEDIA_TYPE [MORE_FIELDS]
descriptor() {
  printf '{"mediaType":"application/vnd.oci.image.%s","digest":"sha256:%s","size":%d%s}' "$3" "$2" "$(stat -c %s "$1/blobs/sha256/$2")" "${4-}"
}
