#!/usr/bin/env bash
# bench-scale.sh [ARGUMENT…]: measures what many jobs at once cost (tests/scale): a control plane of its own on free ports
# of this machine, nodes that kwok plays, the real operator. No cluster is needed, and one that runs is not touched.
# ARGUMENT… goes to the measurement: --help lists what there is; --sizes 1,20 --pairs 1 --standing 0 is a try.
# --fair, --lead and --churn measure something else instead of sizes. --gate, as the first, compares a small measurement
# with the stored one (tests/scale/gate.py).
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

cd "$ROOT"
"$ROOT/deploy/venv.sh"
TRAININGJOB_TEST_OPERATOR_PYTHON=$("$ROOT/deploy/venv.sh" operator)/bin/python
export TRAININGJOB_TEST_OPERATOR_PYTHON
module=tests.scale
if [ "${1:-}" = --gate ]; then
  module=tests.scale.gate
  shift
fi
PYTHONPATH=$ROOT/operator:$ROOT/trainer_image:$ROOT/client:$ROOT exec .venv/bin/python -m "$module" "$@"
