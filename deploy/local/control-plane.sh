# Sourced: etcd, kube-apiserver, kube-controller-manager and kube-scheduler as processes of this machine.
# shellcheck shell=bash disable=SC2086

kubectl_() { "$(tool kubectl)" --kubeconfig "$KUBECONFIG_FILE" "$@"; }

start_etcd() {
  # no fsync: the cluster is thrown away, and laptops' disks are slow
  start etcd "$(tool etcd)" --data-dir "$CLUSTER/etcd" --unsafe-no-fsync --log-level warn \
    --listen-client-urls "http://127.0.0.1:$ETCD_PORT" --advertise-client-urls "http://127.0.0.1:$ETCD_PORT" \
    --listen-peer-urls "http://127.0.0.1:$((ETCD_PORT + 1))"
}

start_apiserver() {
  start apiserver "$(tool kube-apiserver)" --etcd-servers "http://127.0.0.1:$ETCD_PORT" \
    --bind-address "$API_IP" --advertise-address "$API_IP" --secure-port "$API_PORT" \
    --tls-cert-file "$PKI/apiserver.crt" --tls-private-key-file "$PKI/apiserver.key" --client-ca-file "$PKI/ca.crt" \
    --service-account-key-file "$PKI/service-accounts.pub" --service-account-signing-key-file "$PKI/service-accounts.key" \
    --service-account-issuer https://kubernetes.default.svc.cluster.local --service-cluster-ip-range "$SERVICE_CIDR" \
    --authorization-mode Node,RBAC --enable-admission-plugins NodeRestriction --allow-privileged \
    --kubelet-client-certificate "$PKI/kubelet-client.crt" --kubelet-client-key "$PKI/kubelet-client.key" \
    --kubelet-certificate-authority "$PKI/ca.crt" --kubelet-preferred-address-types InternalIP \
    --audit-policy-file "$LOCAL/audit-policy.yaml" --audit-log-path "$AUDIT_LOG" --audit-log-maxsize 200 --audit-log-maxbackup 2 \
    $API_ARGS
}

start_controllers() {
  # Pod address ranges follow from the node's number (node.sh), so the controller manager hands out none.
  start controller-manager "$(tool kube-controller-manager)" --kubeconfig "$CLUSTER/controller-manager.kubeconfig" \
    --bind-address 127.0.0.1 --leader-elect=false --use-service-account-credentials \
    --service-account-private-key-file "$PKI/service-accounts.key" --root-ca-file "$PKI/ca.crt" \
    --cluster-signing-cert-file "$PKI/ca.crt" --cluster-signing-key-file "$PKI/ca.key" $KCM_ARGS
  start scheduler "$(tool kube-scheduler)" --kubeconfig "$CLUSTER/scheduler.kubeconfig" \
    --bind-address 127.0.0.1 --leader-elect=false $SCHEDULER_ARGS
}

api_ready() { kubectl_ get --raw /readyz --request-timeout 2s >/dev/null 2>&1; }

start_control_plane() {
  local port
  for port in "127.0.0.1:$ETCD_PORT" "127.0.0.1:$((ETCD_PORT + 1))" "$API_IP:$API_PORT"; do
    if timeout 1 bash -c "exec 3<>/dev/tcp/${port%:*}/${port#*:}" 2>/dev/null; then
      die "something else listens on $port: stop it, or choose others with LOCAL_API_PORT and LOCAL_ETCD_PORT"
    fi
  done
  start_etcd
  start_apiserver
  for _ in $(seq 300); do
    pid_of apiserver >/dev/null || die "kube-apiserver ended, see $LOG/apiserver.log: $(grep -E '^(E|F)|[Ee]rror' "$LOG/apiserver.log" | tail -n1)"
    pid_of etcd >/dev/null || die "etcd ended, see $LOG/etcd.log: $(tail -n1 "$LOG/etcd.log")"
    api_ready && break
    sleep 0.2
  done
  api_ready || die "kube-apiserver is not ready after 60 s, see $LOG/apiserver.log"
  start_controllers
}
