# Sourced after lib.sh: names and addresses of the local cluster.
# shellcheck shell=bash disable=SC2034
LOCAL=$ROOT/deploy/local
CLUSTER=$STATE/cluster             # everything of the running cluster; deleted by down.sh
RUN=$CLUSTER/run                   # process ids
LOG=$CLUSTER/log
PKI=$CLUSTER/pki
NODES=$CLUSTER/nodes
KUBECONFIG_FILE=$CLUSTER/kubeconfig
AUDIT_LOG=$CLUSTER/audit.log
CONTEXT=trainingjob-local

# The bridge that nodes hang on; the control plane listens on its address only, so nobody else's network sees it
# and certificates stay right when this machine's own address changes.
BRIDGE=tjbr0
NODE_NET=172.31.77
API_IP=$NODE_NET.1
API_PORT=${LOCAL_API_PORT:-6443}
API=https://$API_IP:$API_PORT
ETCD_PORT=${LOCAL_ETCD_PORT:-12379}
POD_NET=10.244                     # node I has POD_NET.I.0/24
SERVICE_CIDR=10.96.0.0/16
SERVICE_IP=10.96.0.1
DNS_IP=10.96.0.10
FIRST_NODE=node0
NODE_COUNT=${LOCAL_NODES:-1}       # node0 … node9; nodes.sh adds more at any time

# Network plugins: the distribution's folder, or the one of Docker's and upstream's packages.
CNI=/usr/lib/cni
[ -e "$CNI/ptp" ] || [ ! -e /opt/cni/bin/ptp ] || CNI=/opt/cni/bin

# Extra flags for experiments and tests: shorter node timeouts, feature gates.
API_ARGS=${LOCAL_API_ARGS:-}
KCM_ARGS=${LOCAL_KCM_ARGS:-}
SCHEDULER_ARGS=${LOCAL_SCHEDULER_ARGS:-}
KUBELET_YAML=${LOCAL_KUBELET_YAML:-}

node_ip() { echo "$NODE_NET.$((10 + $1))"; }
# The images of a node outlive the cluster, so that the next one starts with them.
image_store() { echo "$CACHE/nodes/$1/containerd"; }
