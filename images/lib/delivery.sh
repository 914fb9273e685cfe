# shellcheck shell=bash
# From a filled build context to an image that pods can use.

# make_local_image IMAGE: an archive is named after its digest, so one that exists is up to date.
make_local_image() {
  local image=$1 name archive
  name=localhost/$image:$(tag_of "$image")
  archive=$IMAGE_ARCHIVES/$image-$(digest_of "$image" "$(base_of "$image")").tar
  if [[ ! -f $archive ]]; then
    require_builder
    # Working containers of a build that was killed; no other build runs now.
    builder rm --all >/dev/null
    ensure_local_bases
    step "build $name" build_archive "$image" "$name" "$archive"
  fi
  if ! is_running containerd; then
    say "$name is built and not loaded: the cluster is down; run 'make cluster images'"
  elif cluster_has_image "$name" "$(<"$archive.digest")"; then
    say "$name is up to date"
  else
    step "load $name" load_image "$archive"
  fi
}

build_archive() {
  local image=$1 name=$2 archive=$3 bundle=()
  # In place of the Dockerfile's build stages.
  [[ $image != copilot-operator ]] || bundle=(--build-context "bundle=$ROOT/dist")
  # chroot isolation needs no container runtime; the host's network, because apt inside must reach its mirror.
  builder build --isolation chroot --network host --layers --pull-never "${bundle[@]}" \
    --build-arg "BASE=$(base_of "$image")" --file "$(dockerfile_of "$image")" --tag "$name" "$(context_of "$image")"
  # An OCI archive keeps the digest by which the cluster knows the image.
  builder push --digestfile "$archive.digest" "$name" "oci-archive:$archive.partial:$name"
  find "$IMAGE_ARCHIVES" -name "$image-*.tar*" ! -name "${archive##*/}*" -delete
  mv "$archive.partial" "$archive"
  remove_other_bases
  builder rmi --prune
}

# cluster_has_image NAME DIGEST
cluster_has_image() { cluster_ctr images list "name==$1" | awk 'NR > 1 { print $3 }' | grep -qxF "$2"; }

# make_public_image IMAGE: for the user's own cluster (docs/images.md says how much of this was tried).
make_public_image() {
  local image=$1 engine=${CONTAINER_ENGINE:-docker} name
  name=${IMAGE_REGISTRY:-localhost}/$image:$(tag_of "$image")
  command -v "$engine" >/dev/null || die "'$engine' is not on PATH: install it to build $name, or set CONTAINER_ENGINE=podman."
  step "build $name" "$engine" build --file "$(dockerfile_of "$image")" --tag "$name" "$(context_of "$image")"
  if [[ -n ${IMAGE_REGISTRY:-} ]]; then
    step "push $name" "$engine" push "$name"
  else
    say "$name is built and not pushed: set IMAGE_REGISTRY, or load it into the cluster ('kind load docker-image $name')"
  fi
}
