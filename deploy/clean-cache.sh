#!/usr/bin/env bash
# clean-cache.sh: removes what was built into the user's cache, and our images from buildah's storage.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

[ ! -d "$STATE/cluster" ] || die "a cluster runs from this cache: make cluster-down"
say "removing $(du -sh "$CACHE" 2>/dev/null | cut -f1) from $CACHE"
rm -rf --one-file-system "$CACHE"
if have buildah && [ "$(id -u)" = 0 ]; then
  buildah images --format '{{.Name}}:{{.Tag}}' 2>/dev/null | grep '^localhost/trainingjob/' | while read -r image; do
    buildah rmi --force "$image" >/dev/null || true
  done
  buildah rmi --prune >/dev/null 2>&1 || true
fi
