#!/usr/bin/env bash
# demo.sh: from nothing to a finished training: a cluster, the images, the operator by Helm, examples/mnist-cnn.yaml,
# followed until it ends. Can be repeated at once. JOB_FILE is another job, JOB_TIMEOUT the seconds it may take.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
source "$ROOT/deploy/backend.sh"

FILE=${JOB_FILE:-$ROOT/examples/mnist-cnn.yaml}
TIMEOUT=${JOB_TIMEOUT:-900}
kubectl_() { "$KUBECTL" --kubeconfig "$(kubeconfig_file)" --context "$(context_name)" "$@"; }
timings=()
step() { # LABEL COMMAND…
  local label=$1 started
  started=$(date +%s)
  shift
  printf '\n== %s\n' "$label" >&2
  "$@"
  timings+=("$(printf '%-10s %4d s' "$label" $(($(date +%s) - started)))")
}

# follow: prints the job's line whenever it changes, until a condition Succeeded or Failed is True or the job is Invalid.
# The columns are those of `kubectl get tj`, which aligns only the lines of one call.
COLUMNS_=(PHASE MEMBERS PROGRESS EPOCH LOSS METRIC SPEED ETA)
PATHS='{.phase}|{.display.members}|{.display.progress}|{.display.epoch}|{.display.loss}|{.display.metric}|{.display.speed}|{.display.eta}'
row() { printf '%-11s %-9s %-10s %-7s %-9s %-22s %-12s %s\n' "$@" >&2; }
follow() {
  local deadline line='' now phase='' fields
  deadline=$(($(date +%s) + TIMEOUT))
  row "${COLUMNS_[@]}"
  while [ "$(date +%s)" -lt "$deadline" ]; do
    now=$(kubectl_ get "$JOB" -o "jsonpath={range .status}$PATHS{end}" 2>/dev/null || true)
    if [ -n "$now" ] && [ "$now" != "$line" ]; then
      line=$now
      IFS='|' read -ra fields <<<"$now"
      row "${fields[@]}"
    fi
    phase=${now%%|*}
    case $phase in Succeeded | Failed | Invalid) return 0 ;; esac
    sleep 1
  done
  say "the job is still $phase after $TIMEOUT s"
}

[ -e "$FILE" ] || die "there is no $FILE"
started=$(date +%s)
step cluster "$ROOT/deploy/cluster.sh" up
step images "$ROOT/deploy/images.sh" >/dev/null
step install "$ROOT/deploy/install.sh"
KUBECTL=$(program kubectl)
# an earlier run's job: a job that has ended is not started again
step apply kubectl_ delete -f "$FILE" --ignore-not-found --wait --timeout 60s
kubectl_ apply -f "$FILE" >&2
JOB=$(kubectl_ get -f "$FILE" -o name | sed -n '/^trainingjob\./{p;q}')
step training follow

printf '\n== result\n' >&2
kubectl_ get "$JOB" -o wide >&2
kubectl_ get "$JOB" -o json | python3 "$ROOT/deploy/show_status.py"
printf '%s\n' "${timings[@]}" "$(printf '%-10s %4d s' total $(($(date +%s) - started)))" >&2
phase=$(kubectl_ get "$JOB" -o 'jsonpath={.status.phase}')
if [ "$phase" != Succeeded ]; then
  kubectl_ get pods -l "trainingjob.dev/job=${JOB#*/}" -o wide >&2 || true
  kubectl_ logs -l "trainingjob.dev/job=${JOB#*/}" --all-containers --prefix --tail 30 >&2 || true
  die "the job ended as '$phase'"
fi
cat >&2 <<TEXT

The job succeeded. The cluster is still up:
  export KUBECONFIG=$(kubeconfig_file)
  $KUBECTL --context $(context_name) get tj
Remove it with: make cluster-down
TEXT
