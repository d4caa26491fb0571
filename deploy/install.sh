#!/usr/bin/env bash
# install.sh            builds the images that are missing and installs or upgrades the operator with Helm
# install.sh uninstall  removes the release; the CRD and the jobs stay, as Helm's keep policy says
# More values: HELM_ARGS="--set logLevel=DEBUG"
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
source "$ROOT/deploy/backend.sh"

RELEASE=trainingjob-operator
NAMESPACE=trainingjob-system
helm_() { "$HELM" --kubeconfig "$(kubeconfig_file)" --kube-context "$(context_name)" -n "$NAMESPACE" "$@"; }
kubectl_() { "$KUBECTL" --kubeconfig "$(kubeconfig_file)" --context "$(context_name)" "$@"; }

# repository IMAGE, tag IMAGE: the two halves of a reference
repository() {
  local last=${1##*/}
  [[ $last == *:* && $1 != *@* ]] || die "the image $1 names no tag: the chart needs one, for example $1:v1"
  echo "${1%:*}"
}
tag() { echo "${1##*:}"; }

HELM=$(program helm)
KUBECTL=$(program kubectl)
if [ "${1:-}" = uninstall ]; then
  helm_ uninstall "$RELEASE" --ignore-not-found --wait --timeout 120s
  exit
fi

images=$("$ROOT/deploy/images.sh")
operator=$(sed -n 's/^OPERATOR_IMAGE=//p' <<<"$images")
trainer=$(sed -n 's/^TRAINER_IMAGE=//p' <<<"$images")
role=cpu
[ "${TRAINER_TARGET:-cpu}" = cpu ] || role=gpu
values=(
  --set "image.repository=$(repository "$operator")" --set-string "image.tag=$(tag "$operator")"
  --set "trainer.$role.repository=$(repository "$trainer")" --set-string "trainer.$role.tag=$(tag "$trainer")"
)
# shellcheck disable=SC2086
if ! heartbeat "helm: $RELEASE with $operator" helm_ upgrade --install "$RELEASE" "$ROOT/charts/trainingjob-operator" \
  --create-namespace --wait --timeout 120s "${values[@]}" ${HELM_ARGS:-}; then
  kubectl_ -n "$NAMESPACE" get pods -o wide >&2 || true
  kubectl_ -n "$NAMESPACE" get events --sort-by=.lastTimestamp 2>/dev/null | tail -n 15 >&2 || true
  kubectl_ -n "$NAMESPACE" logs -l app.kubernetes.io/name=trainingjob-operator --tail 20 --prefix >&2 || true
  die "the operator did not become ready (above: its pods, events and logs)"
fi
