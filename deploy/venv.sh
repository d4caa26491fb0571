#!/usr/bin/env bash
# venv.sh            makes .venv and brings it to what requirements/dev.lock says; does nothing when it is there already
# venv.sh trainer    makes the environment of the trainer's tests and measurements: what the trainer image holds, and
#                    pytest. It has no place in the working tree (1.5 GB, the same for every checkout): its folder lies
#                    in the cache, one for each state of its locks. Prints the folder.
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

# Whoever comes second waits for the first; one that was interrupted left no mark, and is filled again from where it was.
trainer() {
  local locks=(requirements/trainer-cpu.lock requirements/trainer-test.lock) dir
  dir=$CACHE/venv/trainer-$(digest "${locks[@]}")
  if [ ! -e "$dir/complete" ] || ! "$dir/bin/python" -c '' 2>/dev/null; then
    mkdir -p "$CACHE/venv"
    exec 9>"$dir.lock"
    flock 9
    if [ ! -e "$dir/complete" ] || ! "$dir/bin/python" -c '' 2>/dev/null; then
      uv=$(uv_program)
      # TensorFlow is built for these
      "$uv" venv --quiet --allow-existing --python '>=3.11,<3.14' "$dir" 9>&-
      heartbeat "trainer's environment (TensorFlow: 1.5 GB)" \
        "$uv" pip sync --python "$dir/bin/python" --compile-bytecode --require-hashes "${locks[@]}" 9>&-
      touch "$dir/complete"
    fi
  fi
  echo "$dir"
}

case ${1:-development} in
  development | trainer) "${1:-development}" ;;
  *) die "no environment is called $1: trainer, or none for development" ;;
esac
