# Sourced by every script in deploy/: strict mode, folders, messages. No side effect beyond variables and functions.
# shellcheck shell=bash disable=SC2034
set -Eeuo pipefail
export LC_ALL=C
# nothing ends without a word; conditions and `||` are not errors
# (`bash -c` has no file of its own)
trap 'printf "error: %s line %s: %s\n" "${BASH_SOURCE[0]:-$0}" "$LINENO" "$BASH_COMMAND" >&2' ERR

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/trainingjob           # what can be made again, kept between runs
STATE=${XDG_STATE_HOME:-$HOME/.local/state}/trainingjob     # what a running cluster needs
TOOLS=$CACHE/tools
# bash ≥ 4.2: a number, so that every script counts from where its caller started
TJ_STARTED=${TJ_STARTED:-$(date +%s)}
export TJ_STARTED

# say MESSAGE…: one progress line with the seconds since the outermost script started.
say() { printf '[%4ds] %s\n' "$(($(date +%s) - TJ_STARTED))" "$*" >&2; }
# die MESSAGE…: says what is wrong and what to do about it, and ends the script.
die() { printf 'error: %s\n' "$*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

# retry SECONDS COMMAND…: runs COMMAND until it succeeds, silently; fails after SECONDS.
retry() {
  local deadline=$(($(date +%s) + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    [ "$(date +%s)" -lt "$deadline" ] || return 1
    sleep 0.2
  done
}

# heartbeat LABEL COMMAND…: runs COMMAND with its output in a log file, a line every 20 s while it runs,
# the end of the log when it fails.
heartbeat() {
  local label=$1 log pid started rc=0
  shift
  log=$(mktemp "${TMPDIR:-/tmp}/trainingjob.XXXXXX")
  started=$(date +%s)
  say "$label …"
  "$@" >"$log" 2>&1 &
  pid=$!
  # Ctrl-C reaches COMMAND as well only when it stays in our process group: it does, no setsid here.
  while kill -0 "$pid" 2>/dev/null; do
    for _ in $(seq 100); do kill -0 "$pid" 2>/dev/null || break; sleep 0.2; done
    kill -0 "$pid" 2>/dev/null && say "$label … still at it ($(($(date +%s) - started)) s): $(tail -n1 "$log" | cut -c1-100)"
  done
  wait "$pid" || rc=$?
  if [ "$rc" -ne 0 ]; then
    tail -n 40 "$log" >&2
    rm -f "$log"
    say "$label FAILED (exit $rc)"
    return "$rc"
  fi
  rm -f "$log"
  say "$label: done in $(($(date +%s) - started)) s"
}

# holds LINE: whether standard input has that very line. (`grep -q` would end early, and with pipefail the writer's broken
# pipe would count as "no".)
holds() { grep -cxF -- "$1" >/dev/null; }

# digest PATH…: 12 hex digits over the names and contents of files and folders, relative to the repository or to $FROM.
digest() {
  (
    cd "${FROM:-$ROOT}"
    find "$@" -type f ! -path '*/__pycache__/*' ! -name '*.pyc' -print0 | sort -z | xargs -0 sha256sum
  ) | sha256sum | cut -c1-12
}
