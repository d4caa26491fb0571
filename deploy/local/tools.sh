#!/usr/bin/env bash
# tools.sh [BINARY…]       builds the pinned programs (default: all but kwok, which only the scale benchmark needs) into the user's cache, by version; skips what is there
# tools.sh --path BINARY   prints where one lies
# Each is built into a temporary folder and moved, so an interrupted build is simply repeated.
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
source "$ROOT/deploy/python.sh"
LOCAL=$ROOT/deploy/local
source "$LOCAL/versions.sh"

ALL=(etcd kube-apiserver kubectl kube-controller-manager kube-scheduler kubelet kube-proxy coredns pause helm)

# go_program GO_MOD: prints a go that is new enough: this machine's own, or the pinned one.
go_program() {
  local needed found
  needed=$(go_needed "$1")
  if have go; then
    found=$(GOTOOLCHAIN=local go env GOVERSION 2>/dev/null | sed 's/^go//')
    if [ "$(printf '%s\n' "$needed" "$found" | sort -V | sed -n 1p)" = "$needed" ]; then command -v go; return 0; fi
    say "go $found is older than the $needed that is needed: taking the pinned one"
  fi
  find "$(bootstrapped go)/lib" -path '*/site-packages/go/bin/go' -print -quit
}

# build GROUP BINARY…: one `go build` for all of them.
build() {
  local group=$1 version out tmp go target packages=() b
  shift
  version=$(version_of "$group")
  out=$TOOLS/$group-$version
  mkdir -p "$out"
  tmp=$(mktemp -d "$TOOLS/.building.XXXXXX")
  for b in "$@"; do
    packages+=("$(package_of "$b")")
  done
  # one program gets its name here: Go would call etcd "server"
  target=$tmp/
  [ $# -gt 1 ] || target=$tmp/$1
  go=$(go_program "$LOCAL/tools/$group/go.mod")
  if ! (
    cd "$LOCAL/tools/$group"
    export CGO_ENABLED=0 GOBIN='' GOTOOLCHAIN=local GOFLAGS='-mod=readonly -trimpath -buildvcs=false'
    export GOMODCACHE=${GOMODCACHE:-$("$go" env GOMODCACHE)}
    heartbeat "building $* ($group $version)" "$go" build -v -ldflags "$(ldflags_of "$group" "$version")" -o "$target" "${packages[@]}"
  ); then
    rm -rf "$tmp"
    die "building $* failed (see above); repeat with: deploy/local/tools.sh $*"
  fi
  mv "$tmp"/* "$out/"
  rmdir "$tmp"
}

if [ "${1:-}" = --path ]; then
  tool "${2:?name one program}"
  exit
fi
[ $# -gt 0 ] || set -- "${ALL[@]}"
mkdir -p "$TOOLS"
# Two runs at once (make cluster beside make test) would build everything twice: the second waits.
exec 9>"$TOOLS/.lock"
flock -n 9 || { say "waiting for another build of the tools"; flock 9; }
declare -A missing=()
for binary in "$@"; do
  group=$(group_of "$binary")
  [ -x "$(tool "$binary")" ] || missing[$group]+="$binary "
done
for group in etcd kubernetes coredns pause helm kwok; do
  # shellcheck disable=SC2086
  [ -z "${missing[$group]:-}" ] || build "$group" ${missing[$group]}
done
