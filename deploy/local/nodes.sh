#!/usr/bin/env bash
# nodes.sh VERB…: more nodes for the running local cluster, and what can go wrong with them. Names are node1 … node9.
#   add NAME…               makes each of them, with the images of node0, or mends it; waits until all are Ready
#   remove NAME…            removes them with all they hold
#   off NAME, on NAME       a power failure: everything on the node ends and nobody is told; the same disk comes back
#   cut NAME, heal NAME     the network cable: nothing reaches the node or leaves it, and what runs there runs on
#   cutapi NAME, healapi NAME   only the API server is out of its reach
#   in NAME COMMAND…        runs a command inside the node
#   list                    prints name, address and whether it runs
# add, remove, on, heal and healapi may be repeated. down.sh removes all nodes.
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
source "$ROOT/deploy/local/all.sh"

# number NAME: its number, which its addresses follow from.
number() {
  [[ $1 =~ ^node[1-9]$ ]] || die "'$1' is no name for another node: node1 … node9"
  echo "${1#node}"
}

known() { number "$1" >/dev/null && [ -e "$NODES/$1/complete" ]; }
must_be_known() { known "$1" || die "there is no node $1: deploy/local/nodes.sh add $1"; }

is_ready() { kubectl_ wait --for=condition=Ready "node/$1" --timeout=1s; }

# one at a time with up.sh and down.sh
lock() {
  exec 8>"$STATE/lock"
  flock -n 8 || { say "waiting for another run of a script of deploy/local"; flock 8; }
}

make_node() {
  # what an interrupted run has left
  destroy_node "$1"
  mkdir -p "$NODES/$1"
  copy_store "$1"
  node_up "$1" "$(number "$1")"
  touch "$NODES/$1/complete"
}

# destroy_node NAME: the node and its disk, not what the API server knows of it.
destroy_node() {
  api_reach "$1"
  node_down "$1"
  forget_store "$1"
  rm -rf --one-file-system "${NODES:?}/$1"
}

# mend NAME: whatever was done to the node is over.
mend() {
  api_reach "$1"
  link "$1" up
  pid_of "$1" >/dev/null || switch_on "$1"
}

link() { ip link set "${BRIDGE}n$(number "$1")" "$2"; }

switch_on() {
  local since
  since=$(date -u +%Y-%m-%dT%H:%M:%S)
  stop "$1-starter"
  # control groups of the dead containers cost kubelet three seconds each
  remove_control_groups "$1"
  link "$1" up
  power_on "$1"
  # what the API server says of the node's readiness may be from before
  retry 60 beats_since "$1" "$since" || die "$1 does not answer after 60 s: $(tail -n 3 "$NODES/$1/log/kubelet.log")"
}

# beats_since NAME TIME: whether the node has renewed its lease since.
beats_since() {
  local beat
  beat=$(kubectl_ -n kube-node-lease get lease "$1" -o 'jsonpath={.spec.renewTime}')
  [[ $beat > $2 ]]
}

add() {
  local name
  pid_of "$FIRST_NODE" >/dev/null || die "the local cluster does not run: make cluster"
  for name in "$@"; do
    number "$name" >/dev/null
    if known "$name"; then mend "$name"; else make_node "$name"; fi
  done
  for name in "$@"; do
    retry 60 is_ready "$name" || die "$name is not ready after 60 s: $(tail -n 3 "$NODES/$name/log/kubelet.log")"
    kubectl_ uncordon "$name" >/dev/null
  done
  say "ready: $*"
}

remove() {
  local name
  for name in "$@"; do
    number "$name" >/dev/null
    destroy_node "$name"
    kubectl_ delete node "$name" --ignore-not-found >/dev/null
  done
}

list() {
  local dir name
  for dir in "$NODES"/*/; do
    name=$(basename "$dir")
    echo "$name $(cat "$dir/ip") $(if pid_of "$name" >/dev/null; then echo on; else echo off; fi)"
  done
}

[ "$(id -u)" = 0 ] || die "nodes are made of namespaces, which needs root: repeat with sudo -E"
[ -d "$NODES" ] || die "the local cluster does not run: make cluster"
verb=${1:-}
[ -z "$verb" ] || shift
case $verb in
  list) list ;;
  add | remove)
    [ $# -gt 0 ] || die "which nodes?"
    # up.sh holds the lock when it calls
    [ -n "${TJ_LOCKED:-}" ] || lock
    "$verb" "$@"
    ;;
  off | on | cut | heal | cutapi | healapi | in)
    name=${1:?which node?}
    must_be_known "$name"
    case $verb in
      # first the cable: dying processes close their connections, which a power failure leaves no time for
      off) link "$name" down && stop "$name" && stop "$name-starter" ;;
      on) if pid_of "$name" >/dev/null; then link "$name" up; else switch_on "$name"; fi ;;
      cut) link "$name" down ;;
      heal) link "$name" up ;;
      cutapi) api_reach "$name" && api_cut "$name" ;;
      healapi) api_reach "$name" ;;
      in) shift && in_node "$name" "$@" ;;
    esac
    ;;
  *) die "use: nodes.sh add | remove | off | on | cut | heal | cutapi | healapi | in | list" ;;
esac
