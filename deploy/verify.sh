#!/usr/bin/env bash
# verify.sh: everything that can be judged without a cluster. Goes on after a failure and lists all of them at the end.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

cd "$ROOT"
BIN=.venv/bin
CHART=charts/trainingjob-operator
failures=()
check() { # LABEL COMMAND…
  local label=$1 started
  shift
  started=$(date +%s)
  if "$@"; then say "$label: ok ($(($(date +%s) - started)) s)"; else
    failures+=("$label")
    say "$label: FAILED"
  fi
}

shell_scripts() { git ls-files -co --exclude-standard -- '*.sh' .ci/run; }
shell_syntax() { shell_scripts | while read -r f; do bash -n "$f" || exit 1; done; }
shell_lint() { shell_scripts | xargs "$BIN/shellcheck" --external-sources --source-path=SCRIPTDIR --exclude=SC1090,SC1091; }
crd_drift() { PYTHONPATH=operator:trainer_image "$BIN/python" -m trainingjob_operator crd --check "$CHART/templates/crd.yaml"; }
helm_lint() {
  "$ROOT/deploy/local/tools.sh" helm
  "$("$ROOT/deploy/local/tools.sh" --path helm)" lint --strict "$CHART"
}
# The GPU image is too large to build in CI (4 GB): at least its lock must still follow from its requirements.
lock_follows() { # NAME ARGUMENT…
  local file=requirements/$1.lock new rc=0
  shift
  new=$(mktemp)
  cp "$file" "$new"
  "$(source deploy/python.sh && uv_program)" pip compile --quiet --universal --python-version 3.11 --generate-hashes \
    --no-emit-index-url --no-header -o "$new" "$@" >/dev/null || rc=1
  diff -u "$file" "$new" || rc=1
  rm -f "$new"
  [ "$rc" -eq 0 ] || echo "$file does not follow from its requirements: run make lock" >&2
  return "$rc"
}
locks() {
  lock_follows trainer-cpu trainer_image/requirements-cpu.in &&
    lock_follows trainer-gpu trainer_image/requirements-gpu.in &&
    lock_follows trainer-test -c requirements/trainer-cpu.lock --excludes tests/trainer/excludes.txt tests/trainer/requirements.in &&
    lock_follows own-image tests/e2e/own_image/requirements.in
}

check "ruff check" "$BIN/ruff" check .
check "ruff format" "$BIN/ruff" format --check --quiet .
check "mypy" "$BIN/mypy"
check "import layers" env PYTHONPATH=client:operator:trainer_image "$BIN/lint-imports" --no-cache
check "shell syntax" shell_syntax
check "shellcheck" shell_lint
check "CRD in the chart" crd_drift
check "locks of the images" locks
check "helm lint" helm_lint
# a run that hangs is ended with a dump of its threads
check "unit tests" timeout --foreground --signal=ABRT --kill-after=10 900 "$BIN/python" -m pytest -ra -q tests/unit
[ ${#failures[@]} -eq 0 ] || die "failed: $(IFS=,; echo "${failures[*]}")"
