#!/usr/bin/env bash
# down.sh: ends and removes the local cluster: processes, namespaces, mounts, links, firewall rules, control groups, data.
# Safe to repeat, and after any half-finished up.sh. The cache of built programs and images stays (make clean-cache).
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
source "$ROOT/deploy/local/all.sh"

[ -d "$CLUSTER" ] || { say "no local cluster to remove"; exit 0; }
[ "$(id -u)" = 0 ] || die "the local cluster was started by root: repeat with sudo -E"
if [ "${1:-}" != --locked ]; then
  exec 8>"$STATE/lock"
  flock -n 8 || { say "waiting for another run of up.sh or down.sh"; flock 8; }
fi

for dir in "$NODES"/*/; do
  [ -d "$dir" ] || continue
  node_down "$(basename "$dir")"
  forget_store "$(basename "$dir")"
done
# kube-apiserver would wait up to a minute for open watches, and nothing of its data is kept
for part in scheduler controller-manager apiserver etcd; do stop "$part"; done
host_network_down
# every mount of a node lives in its mount namespace; anything here would be a mistake, and must not be deleted through
if grep -qF " $CLUSTER/" /proc/mounts; then die "mounts below $CLUSTER: $(grep -F " $CLUSTER/" /proc/mounts | cut -d' ' -f2 | tr '\n' ' ')"; fi
while read -r folder; do rmdir "$folder" 2>/dev/null || true; done < <(cat "$CLUSTER/folders" 2>/dev/null || true)
rm -rf --one-file-system "$CLUSTER"
say "local cluster removed"
