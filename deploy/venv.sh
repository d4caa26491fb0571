#!/usr/bin/env bash
# venv.sh            makes .venv and brings it to what requirements/dev.lock says; does nothing when it is there already
# venv.sh trainer    makes the environment of the trainer's tests and measurements: what the trainer image holds, and
#                    pytest. It has no place in the working tree (1.5 GB, the same for every checkout): its folder lies
#                    in the cache, one for each state of its locks. Prints the folder.
# venv.sh operator   makes what the operator's image holds and nothing else, for measurements; in the cache as well
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
source "$ROOT/deploy/python.sh"

cd "$ROOT"
development() {
  local wanted
  wanted=$(digest requirements/dev.lock)
  if [ "$(cat .venv/.lock-digest 2>/dev/null)" = "$wanted" ] && .venv/bin/python -c '' 2>/dev/null; then return 0; fi
  uv=$(uv_program)
  [ -x .venv/bin/python ] || "$uv" venv --quiet --python "$(python311)" .venv
  heartbeat "development environment" "$uv" pip sync --python .venv/bin/python --require-hashes requirements/dev.lock
  echo "$wanted" >.venv/.lock-digest
}

# TensorFlow is built for these Pythons
trainer() { cached trainer '>=3.11,<3.14' "trainer's environment (TensorFlow: 1.5 GB)" requirements/trainer-cpu.lock requirements/trainer-test.lock; }
operator() { cached operator '>=3.11' "operator's environment" requirements/operator.lock; }

# cached NAME PYTHON TEXT LOCK…: whoever comes second waits for the first; one that was interrupted left no mark, and is
# filled again from where it was.
cached() {
  local name=$1 python=$2 text=$3 dir
  shift 3
  dir=$CACHE/venv/$name-$(digest "$@")
  if [ ! -e "$dir/complete" ] || ! "$dir/bin/python" -c '' 2>/dev/null; then
    mkdir -p "$CACHE/venv"
    exec 9>"$dir.lock"
    flock 9
    if [ ! -e "$dir/complete" ] || ! "$dir/bin/python" -c '' 2>/dev/null; then
      uv=$(uv_program)
      "$uv" venv --quiet --allow-existing --python "$python" "$dir" 9>&-
      heartbeat "$text" "$uv" pip sync --python "$dir/bin/python" --compile-bytecode --require-hashes "$@" 9>&-
      touch "$dir/complete"
    fi
  fi
  echo "$dir"
}

case ${1:-development} in
  development | trainer | operator) "${1:-development}" ;;
  *) die "no environment is called $1: trainer, operator, or none for development" ;;
esac
