#!/usr/bin/env bash
# test.sh [TIER…]: runs tests and says at the end what ran, how it ended and how long it took. Tiers, in this order:
#   verify     format, lint, types, layers, drift of generated files, the unit tests        (seconds, no cluster)
#   chart      the Helm chart, rendered                                                      (seconds, no cluster)
#   trainer    the trainer, the Keras hooks and the examples with TensorFlow, as plain processes   (minutes, no cluster)
#   apiserver  against etcd and kube-apiserver alone                                         (a minute)
#   scale      many jobs at once beside a control plane of its own: no ratio worse than the stored one  (three minutes)
#   e2e        real pods on a real cluster                                                   (minutes)
#   chaos      gangs on several nodes of the local cluster, and what can go wrong with them  (a quarter of an hour)
# All of them unless some are named. What pytest skips is listed with its reason (-ra). PYTEST_ARGS goes
# to pytest, SCALE_ARGS to the measurement of scale: --help lists what there is.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
source "$ROOT/deploy/backend.sh"

cd "$ROOT"
summary=()
failed=0
SKIPPED=77

# pytest_ FOLDER SECONDS [PYTHON]: a run that hangs is ended with a dump of its threads. Exit code 5, "nothing collected", is a failure too: a tier without tests has not passed.
pytest_() {
  # shellcheck disable=SC2086
  timeout --foreground --signal=ABRT --kill-after=10 "$2" "${3:-.venv/bin/python}" -m pytest -ra ${PYTEST_ARGS:-} "$1"
}

verify() { "$ROOT/deploy/verify.sh"; }
# the chart's roles and manifests are rendered in both of the next two
pinned_helm() {
  "$ROOT/deploy/local/tools.sh" helm
  HELM=$("$ROOT/deploy/local/tools.sh" --path helm)
  export HELM
}
chart() {
  pinned_helm
  pytest_ tests/chart 600
}
# Most of a TensorFlow process's life is one thread's: two runs share the files. The second one's output comes at the end.
trainer() {
  local environment rc=0
  environment=$("$ROOT/deploy/venv.sh" trainer)
  work=$(mktemp -d)
  mkdir "$work/taken"
  PYTEST_ARGS="${PYTEST_ARGS:-} --shared=$work/taken --backwards" \
    pytest_ tests/trainer 2700 "$environment/bin/python" >"$work/log" 2>&1 &
  other=$!
  # also when this one is interrupted
  trap 'kill "$other" 2>/dev/null || true; rm -rf "$work"' EXIT
  PYTEST_ARGS="${PYTEST_ARGS:-} --shared=$work/taken" pytest_ tests/trainer 2700 "$environment/bin/python" || rc=$?
  wait "$other" || rc=$?
  cat "$work/log"
  return "$rc"
}
apiserver() {
  "$ROOT/deploy/local/tools.sh" etcd kube-apiserver kubectl
  pinned_helm
  pytest_ tests/apiserver 1500
}
# about_cluster: tells the tests of which cluster, and of which images. The operator of the tests is the chart's, with the
# images of this working tree.
about_cluster() {
  local images
  images=$("$ROOT/deploy/images.sh" --print)
  KUBECTL=$(program kubectl)
  HELM=$(program helm)
  KUBECONFIG=$(kubeconfig_file)
  TRAININGJOB_TEST_CONTEXT=$(context_name)
  TRAININGJOB_TEST_BACKEND=$(backend)
  TRAININGJOB_TEST_OPERATOR_IMAGE=$(sed -n 's/^OPERATOR_IMAGE=//p' <<<"$images")
  TRAININGJOB_TEST_TRAINER_IMAGE=$(sed -n 's/^TRAINER_IMAGE=//p' <<<"$images")
  export KUBECTL HELM KUBECONFIG TRAININGJOB_TEST_CONTEXT TRAININGJOB_TEST_BACKEND
  export TRAININGJOB_TEST_OPERATOR_IMAGE TRAININGJOB_TEST_TRAINER_IMAGE
}
e2e() {
  "$ROOT/deploy/cluster.sh" up
  "$ROOT/deploy/install.sh"
  "$ROOT/deploy/images/own.sh" >/dev/null
  about_cluster
  TRAININGJOB_TEST_OWN_IMAGE=$("$ROOT/deploy/images/own.sh" --print | sed -n 's/^OWN_IMAGE=//p')
  export TRAININGJOB_TEST_OWN_IMAGE
  pytest_ tests/e2e 3000
}
chaos() {
  # other clusters' nodes are not ours to break
  if [ -n "${KUBE_CONTEXT:-}" ] || [ "$(uname -s)" != Linux ] || [ "$(id -u)" != 0 ]; then
    say "skipped: faults of nodes are tried on the local cluster, which needs Linux, root, and no KUBE_CONTEXT"
    exit "$SKIPPED"
  fi
  # also where Docker answers; its images would not reach the local cluster
  export CLUSTER_BACKEND=local TJ_DOCKER=no
  "$ROOT/deploy/cluster.sh" up
  # new ones, made after the images, which they then have from the first node
  "$ROOT/deploy/local/nodes.sh" remove node1 node2 node3
  # whatever happens, nobody finds the nodes afterwards, broken or whole; a signal ends what runs, and then us
  trap '"$ROOT/deploy/local/api.sh" on && "$ROOT/deploy/local/nodes.sh" remove node1 node2 node3' EXIT
  trap 'exit 130' INT TERM HUP
  # the operator stays on the node that is not broken
  HELM_ARGS="--set nodeSelector.kubernetes\.io/hostname=node0 ${HELM_ARGS:-}" "$ROOT/deploy/install.sh"
  "$ROOT/deploy/local/nodes.sh" add node1 node2 node3
  about_cluster
  pytest_ tests/chaos 2400
}
scale() {
  # shellcheck disable=SC2086
  timeout --foreground --signal=INT --kill-after=30 1500 "$ROOT/deploy/bench-scale.sh" --gate ${SCALE_ARGS:-}
}

tier() {
  local started rc=0 ended=passed
  started=$(date +%s)
  printf '\n== %s\n' "$1" >&2
  # in a shell of its own: `set -e` holds inside, and one tier's failure does not hide the next one's
  bash -c 'source deploy/test.sh --sourced; "$1"' _ "$1" || rc=$?
  case $rc in
    0) ;;
    "$SKIPPED") ended=skipped ;;
    *) ended=FAILED failed=1 ;;
  esac
  summary+=("$(printf '%-10s %-7s %5d s' "$1" "$ended" $(($(date +%s) - started)))")
}

[ "${1:-}" != --sourced ] || return 0
"$ROOT/deploy/venv.sh"
[ $# -gt 0 ] || set -- verify chart trainer apiserver scale e2e chaos
for name in "$@"; do
  case $name in
    verify | chart | trainer | apiserver | scale | e2e | chaos) tier "$name" ;;
    *) die "no tier is called $name: verify, chart, trainer, apiserver, scale, e2e, chaos" ;;
  esac
done
printf '\n== summary\n' >&2
printf '%s\n' "${summary[@]}" >&2
exit "$failed"
