#!/usr/bin/env bash
# Process 1 of one node, in mount, process, host-name and network namespaces of its own (node.sh starts it).
# Killing it is a power failure: kubelet, containerd and all containers end, their mounts and networks vanish.
# Arguments: NAME NODE_FOLDER IMAGE_STORE CLUSTER_FOLDER KUBELET KUBE_PROXY POD_NETWORKS
set -euo pipefail
name=$1 node=$2 store=$3 cluster=$4 kubelet=$5 proxy=$6 pods=$7

mount --make-rprivate /
mount -t proc proc /proc
resolv=$(readlink -m /etc/resolv.conf)
mount -t tmpfs tmpfs /run
mkdir -p /run/netns /run/lock
# where resolv.conf is a link into /run, the new /run lacks it
[ -e "$resolv" ] || { mkdir -p "$(dirname "$resolv")" && cp "$node/resolv.conf" "$resolv"; }
hostname "$name"
bind() {
  mkdir -p "$1" "$2"
  mount --bind "$1" "$2"
}
# kubelet's device-plugin folder is a constant below /var/lib/kubelet whatever --root-dir says, hence default paths
bind "$node/kubelet" /var/lib/kubelet
bind "$node/cni-state" /var/lib/cni
bind "$node/pod-logs" /var/log/pods
bind "$node/container-logs" /var/log/containers
bind "$store" /var/lib/containerd
mount --make-rshared / # pods may ask for mount propagation

containerd --config "$node/containerd.toml" >>"$node/log/containerd.log" 2>&1 </dev/null &
# kubelet ends when containerd answers "server is not initialized yet"
for _ in $(seq 300); do
  grep -q 'Start streaming server' "$node/log/containerd.log" && break
  sleep 0.1
done
"$kubelet" --config "$node/kubelet.yaml" --kubeconfig "$node/kubelet.kubeconfig" --hostname-override "$name" \
  --node-ip "$(cat "$node/ip")" >>"$node/log/kubelet.log" 2>&1 </dev/null &
# --conntrack-max-per-core 0: that setting belongs to the host
"$proxy" --kubeconfig "$cluster/proxy.kubeconfig" --proxy-mode iptables --cluster-cidr "$pods" --hostname-override "$name" \
  --bind-address "$(cat "$node/ip")" --conntrack-max-per-core 0 >>"$node/log/kube-proxy.log" 2>&1 </dev/null &
# bash reaps what containerd's shims leave behind; a part that ends stays ended, as nothing restarts it here
while :; do wait -n 2>/dev/null || sleep 1; done
