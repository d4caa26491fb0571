# Sourced: the images of a node, kept between clusters in the user's cache.
# shellcheck shell=bash

# system_image NAME: the reference of an image that the cluster itself needs (pause, coredns).
system_image() { echo "localhost/trainingjob/$1:$(basename "$(dirname "$(tool "$1")")" | sed "s/^$1-//")"; }

# with_store NAME COMMAND…: runs COMMAND while a containerd without Kubernetes serves the image store of node NAME, which
# must be off. COMMAND finds the socket in $STORE_SOCKET.
with_store() {
  local dir pid rc=0 store
  store=$(image_store "$1")
  shift
  mkdir -p "$store"
  dir=$(mktemp -d /run/trainingjob-store.XXXXXX)
  cat >"$dir/containerd.toml" <<TOML
version = 2
root = "$store"
state = "$dir/state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = "$dir/containerd.sock"
TOML
  containerd --config "$dir/containerd.toml" >"$dir/log" 2>&1 8>&- 9>&- &
  pid=$!
  export STORE_SOCKET=$dir/containerd.sock
  if retry 30 ctr -a "$STORE_SOCKET" version; then "$@" || rc=$?; else
    cat "$dir/log" >&2
    rc=1
  fi
  kill "$pid" 2>/dev/null || true
  wait "$pid" 2>/dev/null || true
  awk -v dir="$dir/" 'index($2, dir) == 1 { print $2 }' /proc/mounts | sort -r | while read -r mount; do umount "$mount"; done
  rm -rf --one-file-system "$dir"
  return "$rc"
}

# forget_containers: containers of an earlier cluster must not come back to life with the next one's kubelet.
forget_containers() {
  local ids
  ids=$(ctr -a "$STORE_SOCKET" -n k8s.io containers ls -q)
  # shellcheck disable=SC2086
  [ -z "$ids" ] || ctr -a "$STORE_SOCKET" -n k8s.io containers rm $ids >/dev/null
}

# missing_images REFERENCE…: prints those that the store lacks.
missing_images() {
  local all ref
  all=$(ctr -a "$STORE_SOCKET" -n k8s.io images ls -q)
  for ref in "$@"; do
    holds "$ref" <<<"$all" || echo "$ref"
  done
}
