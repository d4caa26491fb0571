#!/usr/bin/env bash
# own.sh: builds the image of tests/e2e/own_image, which stands for any image that a user may bring, and brings it into
# our cluster; prints OWN_IMAGE=… on standard output. `own.sh --print` only prints.
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
source "$ROOT/deploy/python.sh"
source "$ROOT/deploy/backend.sh"
source "$ROOT/deploy/images/builder.sh"

REPOSITORY=${IMAGE_REGISTRY:-localhost/trainingjob}/own
image=$REPOSITORY:dev-$(digest deploy/images/base.sh tests/e2e/own_image/Dockerfile requirements/own-image.lock)
echo "OWN_IMAGE=$image"
[ "${1:-}" != --print ] || exit 0

if ! image_exists "$image"; then
  from=$(mktemp -d)
  trap 'rm -rf "$from"' EXIT
  (cd "$ROOT" && cp -r --parents tests/e2e/own_image/Dockerfile requirements/own-image.lock "$from/")
  build_image "$from" tests/e2e/own_image/Dockerfile "$image" --build-arg "LOCK=$(digest requirements/own-image.lock)"
  forget_old "$REPOSITORY" 2
else
  say "$image exists"
fi
if [ -n "${IMAGE_REGISTRY:-}" ]; then push_image "$image"; else load_images "$image"; fi
