#!/usr/bin/env bash
# images.sh            builds the operator and trainer images that are missing and brings them into our cluster;
#                      prints OPERATOR_IMAGE=… and TRAINER_IMAGE=… on standard output
# images.sh --print    only prints; images.sh --no-load builds and prints
# A tag is a digest of everything that goes into the image, so what exists is right and is not built again.
# OPERATOR_IMAGE and TRAINER_IMAGE name images that exist elsewhere; IMAGE_REGISTRY builds with that prefix and pushes.
# TRAINER_TARGET=gpu builds the trainer for NVIDIA GPUs (about 4 GB of packages). BASE_IMAGE replaces the base.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
source "$ROOT/deploy/python.sh"
source "$ROOT/deploy/backend.sh"
source "$ROOT/deploy/images/builder.sh"

PREFIX=${IMAGE_REGISTRY:-localhost/trainingjob}
TARGET=${TRAINER_TARGET:-cpu}
[[ $TARGET == cpu || $TARGET == gpu ]] || die "TRAINER_TARGET=$TARGET: it is cpu or gpu"

# A copy of the sources: what is built is what the tag was computed from, even when somebody edits meanwhile.
FROM=$(mktemp -d)
trap 'rm -rf "$FROM"' EXIT
(cd "$ROOT" && cp -r --parents .dockerignore requirements operator trainer_image "$FROM/")
find "$FROM" -name __pycache__ -type d -prune -exec rm -rf {} +


# tag PATH…: of an image made of these and of the base.
tag() {
  local base=${BASE_IMAGE:-}
  [ -n "$base" ] || base=$(FROM=$ROOT digest deploy/images/base.sh)
  echo "dev-$( (digest "$@" && echo "$base") | sha256sum | cut -c1-12)"
}

operator=${OPERATOR_IMAGE:-$PREFIX/operator:$(tag .dockerignore operator/Dockerfile operator/trainingjob_operator \
  requirements/operator.lock trainer_image/trainingjob trainer_image/trainingjob_hooks trainer_image/trainingjob_launcher)}
trainer=${TRAINER_IMAGE:-$PREFIX/trainer:$(cd "$FROM" && tag .dockerignore trainer_image/Dockerfile trainer_image/trainingjob* \
  "requirements/trainer-$TARGET.lock")$([ "$TARGET" = cpu ] || echo "-$TARGET")}
printf 'OPERATOR_IMAGE=%s\nTRAINER_IMAGE=%s\n' "$operator" "$trainer"
[ "${1:-}" != --print ] || exit 0

if [ "$(builder)" = buildah ] && [ -z "${OPERATOR_IMAGE:+${TRAINER_IMAGE:-}}" ]; then
  [ "$(id -u)" = 0 ] || die "building images without Docker needs root: repeat with sudo -E, start Docker, or set OPERATOR_IMAGE and TRAINER_IMAGE"
  packages buildah=buildah mmdebstrap=mmdebstrap
fi
ensure() { # DOCKERFILE IMAGE [OPTION…]
  if image_exists "$2"; then say "$2 exists"; else build_image "$FROM" "$@"; fi
}
images=()
prune() { # the last few of each are kept: tests upgrade from one to the next
  for image in operator trainer; do forget_old "$PREFIX/$image" 6; done
}
if [ -z "${OPERATOR_IMAGE:-}" ]; then
  ensure operator/Dockerfile "$operator" \
    --build-arg "LOCK=$(digest requirements/operator.lock)" --build-arg "SOURCES=${operator##*:}"
  images+=("$operator")
fi
if [ -z "${TRAINER_IMAGE:-}" ]; then
  ensure trainer_image/Dockerfile "$trainer" --target "$TARGET" \
    --build-arg "LOCK=$(digest "requirements/trainer-$TARGET.lock")"
  images+=("$trainer")
fi
[ ${#images[@]} -gt 0 ] || exit 0
prune
if [ -n "${IMAGE_REGISTRY:-}" ]; then
  for image in "${images[@]}"; do push_image "$image"; done
elif [ "${1:-}" != --no-load ]; then
  load_images "${images[@]}"
fi
