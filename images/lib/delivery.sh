# shellcheck shell=bash
# From a filled build context to an image that pods can use.

# make_local_image IMAGE: its archive is named after its digest, so an archive that exists is up to date.
make_local_image() {
  local image=$1 name archive
  name=localhost/$image:$(tag_of "$image")
  archive=$IMAGE_ARCHIVES/$image-$(digest_of "$image" "$(base_of "$image")").tar
  if [[ ! -f $archive ]]; then
    require_builder
    # Working containers of a build that was killed; nobody else builds now.
    builder rm --all >/dev/null
    ensure_local_bases
    step "build $name" build_archive "$image" "$name" "$archive"
  fi
  if ! is_running containerd; then
    say "$name is built; it is loaded by the next 'make images' with the cluster up ('make cluster')"
  elif cluster_has_image "$name" "$(<"$archive.digest")"; then
    say "$name is up to date"
  else
    step "load $name" load_image "$archive"
  fi
}

build_archive() {
  local image=$1 name=$2 archive=$3
  # chroot isolation needs no container runtime; the host's network, because apt inside must reach its mirror.
  builder build --isolation chroot --network host --layers --pull-never \
    --build-arg "BASE=$(base_of "$image")" --file "$ROOT/images/$image/Dockerfile" --tag "$name" "$(context_of "$image")"
  # An OCI archive keeps the digest that the cluster will know the image by.
  builder push --digestfile "$archive.digest" "$name" "oci-archive:$archive.partial:$name"
  find "$IMAGE_ARCHIVES" -name "$image-*.tar*" ! -name "${archive##*/}*" -delete
  mv "$archive.partial" "$archive"
  remove_other_bases
  builder rmi --prune
}

# cluster_has_image NAME DIGEST
cluster_has_image() { cluster_ctr images list "name==$1" | awk 'NR > 1 { print $3 }' | grep -qxF "$2"; }

# make_public_image IMAGE: for a cluster of the user's own (docs/images.md says what of this was tried).
make_public_image() {
  local image=$1 engine=${CONTAINER_ENGINE:-docker} name
  name=${IMAGE_REGISTRY:-localhost}/$image:$(tag_of "$image")
  command -v "$engine" >/dev/null || die "'$engine' is needed to build $name and is not on PATH: install it, or name another one by CONTAINER_ENGINE=podman."
  step "build $name" "$engine" build --file "$ROOT/images/$image/Dockerfile" --tag "$name" "$(context_of "$image")"
  if [[ -n ${IMAGE_REGISTRY:-} ]]; then
    step "push $name" "$engine" push "$name"
  else
    say "$name is not pushed: set IMAGE_REGISTRY, or load it into the cluster yourself ('kind load docker-image $name')"
  fi
}
