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

# copy_store NAME: gives node NAME, which must be off, the images of the first node, which runs. Layers are never written
# again, so they are hard links; the two databases are copies, made while containerd stands still, and as sound as after
# a power failure.
copy_store() {
  local from to
  from=$(image_store "$FIRST_NODE")
  to=$(image_store "$1")
  mkdir -p "$(dirname "$to")"
  (
    pid=$(containerd_of "$FIRST_NODE") || die "containerd of $FIRST_NODE does not run: make cluster-down cluster"
    trap 'kill -CONT "$pid"' EXIT # also when we are interrupted
    kill -STOP "$pid"
    cp -al "$from" "$to"
    find "$from" -name '*.db' -printf '%P\n' | while read -r file; do
      rm "$to/$file"
      cp "$from/$file" "$to/$file"
    done
  ) || die "the images of $FIRST_NODE could not be copied to $to"
  # its containers are not ours
  rm -rf "$to"/io.containerd.runtime.v*/* "$to"/io.containerd.grpc.v1.cri/{sandboxes,containers}/* "$to"/tmpmounts/*
  with_store "$1" forget_containers
}

# containerd_of NAME: the process of a running node's containerd, as this machine counts.
containerd_of() {
  local init child children
  init=$(pid_of "$1") || return 1
  read -ra children <"/proc/$init/task/$init/children" || true
  for child in "${children[@]}"; do
    [ "$(cat "/proc/$child/comm")" != containerd ] || { echo "$child" && return 0; }
  done
  return 1
}

# forget_store NAME: removes the images of a node that is off. Those of the first node stay for the next cluster.
forget_store() {
  [ "$1" = "$FIRST_NODE" ] || rm -rf --one-file-system "$(dirname "$(image_store "$1")")"
}
