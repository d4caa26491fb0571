# Sourced: brings images of buildah's storage into a node.
# shellcheck shell=bash

# import_image REFERENCE CTR…: CTR is how containerd is reached. Sends only the layers that it lacks.
import_image() {
  local ref=$1 present
  shift
  if "$@" images ls -q | holds "$ref"; then return 0; fi
  present=$(mktemp)
  "$@" content ls -q >"$present"
  buildah push -q "$ref" docker-archive:/dev/stdout | python3 "$LOCAL/thin_archive.py" "$ref" --present "$present" |
    "$@" images import - >/dev/null
  rm -f "$present"
}

# build_system_image NAME: an image from scratch with nothing but the built program.
build_system_image() {
  local ref container
  ref=$(system_image "$1")
  buildah inspect --type image "$ref" >/dev/null 2>&1 && return 0
  container=$(buildah from scratch)
  buildah add -q "$container" "$(tool "$1")" "/$1" >/dev/null
  buildah config --entrypoint "[\"/$1\"]" "$container"
  buildah commit -q --rm "$container" "$ref" >/dev/null
}

# forget_stale_images: of our development images, those that buildah no longer has (images.sh keeps the newest).
forget_stale_images() {
  local built ref
  built=$(buildah images --format '{{.Name}}:{{.Tag}}')
  ctr -a "$STORE_SOCKET" -n k8s.io images ls -q | { grep '^localhost/trainingjob/.*:dev-' || true; } | while read -r ref; do
    holds "$ref" <<<"$built" || ctr -a "$STORE_SOCKET" -n k8s.io images rm "$ref" >/dev/null
  done
}

# prepare_store: run inside with_store before a node starts.
prepare_store() {
  local name ref
  forget_containers
  forget_stale_images
  for name in pause coredns; do
    ref=$(system_image "$name")
    [ -n "$(missing_images "$ref")" ] || continue
    build_system_image "$name"
    import_image "$ref" ctr -a "$STORE_SOCKET" -n k8s.io
  done
}
