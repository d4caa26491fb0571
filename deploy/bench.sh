#!/usr/bin/env bash
# bench.sh [ARGUMENT…]: measures the trainer against hand-written loops, in pairs (tests/bench), with TensorFlow on the
# processors of this machine, and what reports cost, with the operator beside a real API server (visible, thousand). No
# cluster. ARGUMENT… goes to the measurement: --help lists what there is.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

cd "$ROOT"
environment=$("$ROOT/deploy/venv.sh" trainer)
PYTHONPATH=$ROOT/trainer_image:$ROOT exec "$environment/bin/python" -m tests.bench "$@"
