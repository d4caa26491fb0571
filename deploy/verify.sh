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
locks() {
  local kind out
  for kind in cpu gpu; do
    out=$(mktemp)
    cp "requirements/trainer-$kind.lock" "$out"
    if ! "$(source deploy/python.sh && uv_program)" pip compile --quiet --universal --python-version 3.11 --generate-hashes \
      --no-emit-index-url --no-header -o "$out" "trainer_image/requirements-$kind.in" >/dev/null ||
      ! diff -u "requirements/trainer-$kind.lock" "$out"; then
      rm -f "$out"
      echo "requirements/trainer-$kind.lock does not follow from trainer_image/requirements-$kind.in: run make lock" >&2
      return 1
    fi
    rm -f "$out"
  done
}

check "ruff check" "$BIN/ruff" check .
check "ruff format" "$BIN/ruff" format --check --quiet .
check "mypy" "$BIN/mypy"
check "import layers" env PYTHONPATH=operator:trainer_image "$BIN/lint-imports" --no-cache
check "shell syntax" shell_syntax
check "shellcheck" shell_lint
check "CRD in the chart" crd_drift
check "locks of the trainer images" locks
check "helm lint" helm_lint
# a run that hangs is ended with a dump of its threads
check "unit tests" timeout --foreground --signal=ABRT --kill-after=10 900 "$BIN/python" -m pytest -ra -q tests/unit
[ ${#failures[@]} -eq 0 ] || die "failed: $(IFS=,; echo "${failures[*]}")"
