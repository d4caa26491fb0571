# Sourced: keys and kubeconfig files of the local cluster, made anew for each cluster.
# shellcheck shell=bash

# certificate NAME SUBJECT [ALT_NAMES]: NAME.key and NAME.crt, signed by the cluster's authority.
certificate() {
  local extensions
  extensions=$(printf 'basicConstraints=CA:FALSE\nkeyUsage=digitalSignature\nextendedKeyUsage=clientAuth,serverAuth\n%s\n' "${3:+subjectAltName=$3}")
  openssl ecparam -name prime256v1 -genkey -noout -out "$PKI/$1.key" 2>/dev/null
  openssl req -new -key "$PKI/$1.key" -subj "$2" -out "$PKI/$1.csr" 2>/dev/null
  openssl x509 -req -in "$PKI/$1.csr" -CA "$PKI/ca.crt" -CAkey "$PKI/ca.key" -CAcreateserial -days 365 \
    -extfile <(printf '%s\n' "$extensions") -out "$PKI/$1.crt" 2>/dev/null
  rm "$PKI/$1.csr"
}

# kubeconfig FILE CERTIFICATE CONTEXT
kubeconfig() {
  (
    umask 077
    cat >"$1" <<YAML
apiVersion: v1
kind: Config
clusters:
- name: $3
  cluster: {server: "$API", certificate-authority-data: $(base64 -w0 "$PKI/ca.crt")}
users:
- name: $3
  user: {client-certificate-data: $(base64 -w0 "$PKI/$2.crt"), client-key-data: $(base64 -w0 "$PKI/$2.key")}
contexts:
- name: $3
  context: {cluster: $3, user: $3}
current-context: $3
YAML
  )
}

make_pki() {
  mkdir -p "$PKI"
  chmod 700 "$PKI"
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=trainingjob-local-ca -days 365 \
    -addext keyUsage=critical,keyCertSign,cRLSign,digitalSignature -keyout "$PKI/ca.key" -out "$PKI/ca.crt" 2>/dev/null
  # RSA: service-account tokens are RS256 then, as on any other cluster
  openssl genrsa -out "$PKI/service-accounts.key" 2048 2>/dev/null
  openssl rsa -in "$PKI/service-accounts.key" -pubout -out "$PKI/service-accounts.pub" 2>/dev/null
  certificate apiserver /CN=kube-apiserver \
    "IP:$API_IP,IP:$SERVICE_IP,IP:127.0.0.1,DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local"
  certificate admin /O=system:masters/CN=admin
  certificate kubelet-client /O=system:masters/CN=kube-apiserver-kubelet-client
  local who
  for who in controller-manager scheduler proxy; do
    certificate "$who" "/CN=system:kube-$who"
    kubeconfig "$CLUSTER/$who.kubeconfig" "$who" "$CONTEXT"
  done
  kubeconfig "$KUBECONFIG_FILE" admin "$CONTEXT"
}
