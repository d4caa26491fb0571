#!/usr/bin/env bash
# venv.sh: makes .venv and brings it to what requirements/dev.lock says; does nothing when it is there already.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
source "$ROOT/deploy/python.sh"

cd "$ROOT"
wanted=$(digest requirements/dev.lock)
if [ "$(cat .venv/.lock-digest 2>/dev/null)" = "$wanted" ] && .venv/bin/python -c '' 2>/dev/null; then exit 0; fi
uv=$(uv_program)
[ -x .venv/bin/python ] || "$uv" venv --quiet --python "$(python311)" .venv
heartbeat "development environment" "$uv" pip sync --python .venv/bin/python --require-hashes requirements/dev.lock
echo "$wanted" >.venv/.lock-digest
