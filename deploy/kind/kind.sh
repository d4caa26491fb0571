#!/usr/bin/env bash
# kind.sh up | down | audit-log: the cluster in Docker. Up does nothing when it answers already.
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
source "$ROOT/deploy/backend.sh"

FILES=$STATE/kind
FILE=$STATE/kind.kubeconfig

exists() { kind get clusters 2>/dev/null | holds "$KIND_NAME"; }
answers() { "$(program kubectl)" --kubeconfig "$FILE" --context "kind-$KIND_NAME" get --raw /readyz >/dev/null 2>&1; }

up() {
  if exists; then
    mkdir -p "$STATE"
    kind export kubeconfig --name "$KIND_NAME" --kubeconfig "$FILE" >/dev/null 2>&1 || true
    if retry 20 answers; then
      say "the kind cluster runs already"
      return 0
    fi
    say "the kind cluster does not answer: making it anew"
    down
  fi
  mkdir -p "$FILES/policy"
  cp "$ROOT/deploy/local/audit-policy.yaml" "$FILES/policy/"
  sed "s|@POLICY@|$FILES/policy|" "$ROOT/deploy/kind/cluster.yaml" >"$FILES/cluster.yaml"
  heartbeat "kind cluster" kind create cluster --config "$FILES/cluster.yaml" --kubeconfig "$FILE" --wait 180s
}

down() {
  if exists; then kind delete cluster --name "$KIND_NAME" --kubeconfig "$FILE"; fi
  rm -rf "$FILES"
  rm -f "$FILE"
}

case ${1:-} in
  up) up ;;
  down) down ;;
  audit-log) docker exec "$KIND_NAME-control-plane" cat /var/log/kubernetes/audit.log ;;
  *) die "use: kind.sh up | down | audit-log" ;;
esac
