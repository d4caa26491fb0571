#!/usr/bin/env bash
# up.sh: a real Kubernetes on this machine: etcd, kube-apiserver, kube-controller-manager and kube-scheduler as processes,
# and one node (containerd, kubelet, kube-proxy) in namespaces of its own. Does nothing when it runs already; a
# half-started one is removed first. down.sh removes everything.
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
source "$ROOT/deploy/local/all.sh"

healthy() {
  local part
  for part in etcd apiserver controller-manager scheduler "$FIRST_NODE"; do pid_of "$part" >/dev/null || return 1; done
  [ "$(cat "$CLUSTER/versions" 2>/dev/null)" = "$(versions)" ] || return 1
  api_ready && node_ready && dns_ready
}
versions() { for group in etcd kubernetes coredns pause; do version_of "$group"; done | tr '\n' ' '; }
node_ready() {
  [ "$(kubectl_ get node "$FIRST_NODE" -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}' 2>/dev/null)" = True ]
}
dns_ready() {
  [ "$(kubectl_ -n kube-system get deployment coredns -o 'jsonpath={.status.readyReplicas}' 2>/dev/null)" = 1 ]
}

# dns FORWARD: CoreDNS as the cluster wants it; names outside the cluster go to this machine's servers, if it has any.
deploy_dns() {
  local forward='# no DNS server outside the cluster'
  grep -q '^nameserver' "$NODES/$FIRST_NODE/resolv.conf" && forward='forward . /etc/resolv.conf'
  sed -e "s|@IMAGE@|$(system_image coredns)|" -e "s|@IP@|$DNS_IP|" -e "s|@FORWARD@|$forward|" -e "s|@NODE@|$FIRST_NODE|" \
    "$LOCAL/dns.yaml" | kubectl_ apply -f - >/dev/null
}

[ "$(uname -s)" = Linux ] || die "the local cluster needs Linux: use Docker and kind, or KUBE_CONTEXT=<an existing cluster>"
[ "$(id -u)" = 0 ] || die "the local cluster needs root (namespaces, mounts, a bridge): repeat with sudo -E, or start Docker and install kind, or set KUBE_CONTEXT=<an existing cluster>"
had_containerd=$(command -v containerd || true)
packages containerd=containerd runc=runc "$CNI/ptp=containernetworking-plugins" buildah=buildah iptables=iptables ip=iproute2 \
  openssl=openssl nsenter=util-linux
# the package starts a containerd for the whole machine, which nobody here asked for
if [ -z "$had_containerd" ] && [ -d /run/systemd/system ]; then systemctl disable --quiet --now containerd || true; fi
"$LOCAL/tools.sh" etcd kube-apiserver kubectl kube-controller-manager kube-scheduler kubelet kube-proxy coredns pause

mkdir -p "$STATE"
exec 8>"$STATE/lock"
flock -n 8 || { say "waiting for another run of up.sh or down.sh"; flock 8; }
# more_nodes: those that LOCAL_NODES asks for besides the first. Those that somebody added are left alone.
more_nodes() {
  local names=() i
  for ((i = 1; i < NODE_COUNT; i++)); do names+=("node$i"); done
  [ ${#names[@]} -eq 0 ] || TJ_LOCKED=yes "$LOCAL/nodes.sh" add "${names[@]}"
}
[[ $NODE_COUNT =~ ^([1-9]|10)$ ]] || die "LOCAL_NODES=$NODE_COUNT: from 1 to 10 nodes"
if healthy; then
  say "the local cluster runs already"
  more_nodes
  exit 0
fi
[ ! -d "$CLUSTER" ] || { say "removing what is left of an earlier cluster"; "$LOCAL/down.sh" --locked; }
# Addresses, bridge and firewall rules are the machine's: one cluster at a time, and never somebody else's undone.
! ip link show "$BRIDGE" >/dev/null 2>&1 || die "a local cluster of another user or home folder runs on this machine (bridge $BRIDGE): remove it there with make cluster-down; if nothing of it runs any more, with ip link del $BRIDGE"

failed() {
  trap - EXIT
  say "the cluster did not come up; its logs: $STATE/failed-logs"
  rm -rf "$STATE/failed-logs"
  cp -r "$LOG" "$STATE/failed-logs" 2>/dev/null || true
  cp -r "$NODES/$FIRST_NODE/log/." "$STATE/failed-logs/" 2>/dev/null || true
  "$LOCAL/down.sh" --locked
}
trap failed EXIT
trap 'exit 130' INT TERM

mkdir -p "$RUN" "$LOG" "$NODES"
host_network_up
make_pki
start_control_plane
say "Kubernetes API ready"
with_store "$FIRST_NODE" prepare_store
node_up "$FIRST_NODE" 0
deploy_dns
retry 60 node_ready || die "the node is not ready after 60 s: $(tail -n 3 "$NODES/$FIRST_NODE/log/kubelet.log")"
say "node ready"
retry 60 dns_ready || die "CoreDNS is not ready after 60 s: $(kubectl_ -n kube-system get pods -o wide)"
versions >"$CLUSTER/versions"
more_nodes
trap - EXIT
say "cluster up: $(kubectl_ version -o json | python3 -c 'import json,sys; print(json.load(sys.stdin)["serverVersion"]["gitVersion"])'), KUBECONFIG=$KUBECONFIG_FILE"
