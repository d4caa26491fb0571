# Sourced: a node of the local cluster. node_up NAME I makes and starts number I (0…), node_down NAME removes it.
# shellcheck shell=bash

# in_node NAME COMMAND…: runs COMMAND inside a node. (Not `ip netns exec`: that mounts a fresh /sys without cgroups.)
in_node() {
  local pid
  pid=$(pid_of "$1") || die "node $1 does not run"
  shift
  nsenter -t "$pid" -n -m -p -u -- "$@"
}

ctr_in() {
  local name=$1
  shift
  in_node "$name" ctr -a /run/containerd/containerd.sock -n k8s.io "$@"
}

# control_groups NAME: this node's control group in every hierarchy that the host has (one with cgroup v2).
control_groups() {
  local dir
  if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
    echo "/sys/fs/cgroup/trainingjob-$1"
  else
    for dir in /sys/fs/cgroup/*/; do
      case $dir in */unified/) ;; *) [ -L "${dir%/}" ] || echo "${dir}trainingjob-$1" ;; esac
    done
  fi
}

make_control_groups() {
  local dir f
  if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
    for f in cpuset cpu io memory pids; do
      echo "+$f" >/sys/fs/cgroup/cgroup.subtree_control 2>/dev/null ||
        grep -qw "$f" /sys/fs/cgroup/cgroup.subtree_control ||
        die "the cgroup controller '$f' cannot be switched on for child groups here (in a container? start it with its own systemd, or use a virtual machine)"
    done
  fi
  for dir in $(control_groups "$1"); do
    mkdir -p "$dir"
    for f in cpus mems; do # cgroup v1: an empty cpuset takes no process
      [ ! -e "$dir/cpuset.$f" ] || [ -e /sys/fs/cgroup/cgroup.controllers ] || cat "$(dirname "$dir")/cpuset.$f" >"$dir/cpuset.$f"
    done
  done
}

remove_control_groups() {
  local dir
  # runc makes one in the hybrid layout's own cgroup v2 hierarchy as well
  for dir in $(control_groups "$1") "/sys/fs/cgroup/unified/trainingjob-$1"; do
    [ -d "$dir" ] || continue
    # the last processes of a killed node may need a moment to go
    for _ in $(seq 50); do
      find "$dir" -depth -type d -exec rmdir {} + 2>/dev/null || true
      [ -d "$dir" ] || break
      sleep 0.1
    done
  done
}

node_network() { # NAME I
  local ip link=${BRIDGE}n$2
  ip=$(node_ip "$2")
  ip netns add "$1"
  ip link add "$link" type veth peer name eth0 netns "$1"
  ip link set "$link" master "$BRIDGE" up
  ip -n "$1" link set lo up
  ip -n "$1" addr add "$ip/24" dev eth0
  ip -n "$1" link set eth0 up
  ip -n "$1" route add default via "$API_IP"
  nsenter --net="/run/netns/$1" sh -c 'echo 1 > /proc/sys/net/ipv4/ip_forward'
  # a lock file in our namespace would be shared with the host's kube-proxy, if there is one: /run is private (node-init.sh)
  ip route replace "$POD_NET.$2.0/24" via "$ip"
}

node_files() { # NAME I
  local dir=$NODES/$1 ip
  ip=$(node_ip "$2")
  mkdir -p "$dir"/{log,cni,kubelet,cni-state,pod-logs,container-logs} "$(image_store "$1")"
  echo "$ip" >"$dir/ip"
  echo "$2" >"$dir/number"
  certificate "node-$1" "/O=system:nodes/CN=system:node:$1" "DNS:$1,IP:$ip,IP:127.0.0.1"
  kubeconfig "$dir/kubelet.kubeconfig" "node-$1" "$CONTEXT"
  # a resolver on the loopback address of this machine is of no use inside a pod
  grep -vE '^nameserver[[:space:]]+(127\.|::1)' "$(resolver)" >"$dir/resolv.conf" || true
  # ptp, not bridge: every packet is routed, so Services work without the kernel module br_netfilter
  cat >"$dir/cni/10-trainingjob.conflist" <<JSON
{"cniVersion": "0.4.0", "name": "trainingjob", "plugins": [
  {"type": "ptp", "ipMasq": false, "ipam": {"type": "host-local", "dataDir": "/var/lib/cni/networks",
   "ranges": [[{"subnet": "$POD_NET.$2.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
JSON
  # restrict_oom_score_adj: without CAP_SYS_RESOURCE the kernel refuses the -998 that every sandbox asks for
  cat >"$dir/containerd.toml" <<TOML
version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
[grpc]
  address = "/run/containerd/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "$(system_image pause)"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "$CNI"
    conf_dir = "$dir/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
TOML
  # failCgroupV1: 1.35 and later refuse cgroup v1 hosts otherwise. Images come by hand, so nothing may collect them.
  cat >"$dir/kubelet.yaml" <<YAML
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
failCgroupV1: false
failSwapOn: false
cgroupDriver: cgroupfs
cgroupRoot: /trainingjob-$1
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
authentication: {x509: {clientCAFile: "$PKI/ca.crt"}, anonymous: {enabled: false}, webhook: {enabled: true}}
authorization: {mode: Webhook}
tlsCertFile: "$PKI/node-$1.crt"
tlsPrivateKeyFile: "$PKI/node-$1.key"
clusterDNS: [$DNS_IP]
clusterDomain: cluster.local
resolvConf: "$dir/resolv.conf"
evictionHard: {memory.available: 100Mi, nodefs.available: 1%, imagefs.available: 1%}
imageGCHighThresholdPercent: 100
volumePluginDir: /var/lib/kubelet/volume-plugins
${KUBELET_YAML:-}
YAML
}

# resolver: the file that names this machine's real DNS servers.
resolver() {
  if [ -e /run/systemd/resolve/resolv.conf ]; then echo /run/systemd/resolve/resolv.conf; else echo /etc/resolv.conf; fi
}

# power_on NAME: starts process 1 of a node whose files and network exist.
power_on() {
  local dir=$NODES/$1 unshare child='' f
  make_control_groups "$1"
  : >"$dir/log/containerd.log"
  for f in kubelet cni containers; do [ -e "/var/lib/$f" ] || echo "/var/lib/$f" >>"$CLUSTER/folders"; done
  for f in pods containers; do [ -e "/var/log/$f" ] || echo "/var/log/$f" >>"$CLUSTER/folders"; done
  start "$1-starter" nsenter --net="/run/netns/$1" unshare --mount --pid --uts --fork --kill-child \
    "$LOCAL/node-init.sh" "$1" "$dir" "$(image_store "$1")" "$CLUSTER" "$(tool kubelet)" "$(tool kube-proxy)" "$POD_NET.0.0/16"
  unshare=$(pid_of "$1-starter") || die "node $1 did not start, see $LOG/$1-starter.log"
  for _ in $(seq 50); do
    child=$(cat "/proc/$unshare/task/$unshare/children" 2>/dev/null || true)
    [ -n "$child" ] && break
    sleep 0.1
  done
  [ -n "$child" ] || die "node $1 did not start, see $LOG/$1-starter.log"
  record "$1" "${child%% *}"
}

node_up() { # NAME I
  node_files "$1" "$2"
  node_network "$1" "$2"
  power_on "$1"
}

node_down() { # NAME
  local dir=$NODES/$1 number
  stop "$1"
  stop "$1-starter"
  number=$(cat "$dir/number" 2>/dev/null || true)
  ip netns del "$1" 2>/dev/null || true
  if [ -n "$number" ]; then
    ip link del "${BRIDGE}n$number" 2>/dev/null || true
    ip route del "$POD_NET.$number.0/24" 2>/dev/null || true
  fi
  remove_control_groups "$1"
}
