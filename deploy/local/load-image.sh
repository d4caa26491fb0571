#!/usr/bin/env bash
# load-image.sh REFERENCE…: brings images of buildah's storage into every node of the running local cluster.
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
source "$ROOT/deploy/local/all.sh"

for node in "$NODES"/*/; do
  node=$(basename "$node")
  pid_of "$node" >/dev/null || die "node $node does not run: make cluster"
  for ref in "$@"; do
    ctr_in "$node" images ls -q | holds "$ref" ||
      heartbeat "loading $ref into $node" import_image "$ref" ctr_in "$node"
  done
done
