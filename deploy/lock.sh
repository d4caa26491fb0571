#!/usr/bin/env bash
# lock.sh [--upgrade]: writes requirements/*.lock anew from pyproject.toml, trainer_image/requirements-*.in and
# requirements.in of tests/trainer and of tests/e2e/own_image.
# No line of them names a package index: that is each machine's own matter.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
source "$ROOT/deploy/python.sh"

cd "$ROOT"
uv=$(uv_program)
lock() { # OUTPUT ARGUMENT…
  local out=requirements/$1.lock
  shift
  "$uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
    "${upgrade[@]}" -o "$out" "$@"
  say "$out: $(grep -cE '^[A-Za-z0-9]' "$out") packages"
}
upgrade=("$@")
lock operator pyproject.toml
lock dev --group dev pyproject.toml
lock trainer-cpu trainer_image/requirements-cpu.in
lock trainer-gpu trainer_image/requirements-gpu.in
# one environment holds both this and trainer-cpu.lock
lock trainer-test -c requirements/trainer-cpu.lock --excludes tests/trainer/excludes.txt tests/trainer/requirements.in
lock own-image tests/e2e/own_image/requirements.in
