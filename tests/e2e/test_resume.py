"""A `fit` script that knows nothing of checkpoints: killed, it goes on in place; a new job on the same volume does too."""

import re
from typing import Any

import pytest

from tests.e2e.folders import node_folder
from tests.e2e.installation import Installation
from tests.e2e.kube import Json
from tests.e2e.programs import KILL_TRAINER, job
from tests.e2e.world import World

TRAINING = 180.0
EPOCHS, STEPS = 60, 10  # 640 examples in batches of 64
EVERY = 25

#: As a tutorial has it: no strategy, no checkpoint, no report. It waits for nobody; the pause makes it last.
SCRIPT = f"""\
import time
import numpy as np
import keras

keras.utils.set_random_seed(3)
x = np.random.default_rng(1).normal(size=(640, 4)).astype("float32")
y = x @ np.array([[1.0], [-2.0], [3.0], [0.5]], "float32") + 1

model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, activation="tanh"), keras.layers.Dense(1)])
model.compile(optimizer=keras.optimizers.Adam(0.01), loss="mse")
pause = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: time.sleep(0.2))
history = model.fit(x, y, batch_size=64, epochs={EPOCHS}, verbose=0, callbacks=[pause])
print("losses", len(history.history["loss"]), "last", repr(float(history.history["loss"][-1])))
print("weights", repr(float(sum((w ** 2).sum() for w in model.get_weights()))))
"""


def _job(name: str, volume: Json | None, **spec: Any) -> Json:
    checkpoint: dict[str, Any] = {"checkpoint": {"volume": volume, "everySteps": EVERY}} if volume else {}
    return job(name, SCRIPT, workers=1, **checkpoint, **spec)


def _said(world: World, name: str) -> tuple[int, float, float]:
    log = world.kubectl("logs", f"{name}-chief-0")
    losses = re.search(r"^losses (\d+) last (\S+)$", log, re.MULTILINE)
    weights = re.search(r"^weights (\S+)$", log, re.MULTILINE)
    assert losses, log
    assert weights, log
    return int(losses[1]), float(losses[2]), float(weights[1])


def _kill_on_its_way(world: World, name: str) -> None:
    """Kill the chief's trainer when two checkpoints are there."""
    world.until(
        name, lambda s: ((s.get("training") or {}).get("step") or 0) > 2 * EVERY or None, "two checkpoints", TRAINING
    )
    world.kubectl("exec", f"{name}-chief-0", "--", "python3", "-c", KILL_TRAINER)


@pytest.mark.timeout(600, func_only=True)
def test_a_killed_script_goes_on_where_it_was(world: World, operator: Installation) -> None:
    world.apply(_job("unbroken", None))
    world.until_phase("unbroken", "Succeeded", TRAINING)
    wanted = _said(world, "unbroken")
    assert wanted[0] == EPOCHS

    with node_folder(world, operator) as folder:
        world.apply(_job("in-place", folder))
        _kill_on_its_way(world, "in-place")
        status = world.until_phase("in-place", "Succeeded", TRAINING)
        assert status["restarts"] == {"total": 1, "counted": 1, "free": 0}
        assert status["resumedFrom"]["step"] > EVERY
        found = _said(world, "in-place")
        assert found[0] == EPOCHS, "the history is whole"
        assert found[1:] == pytest.approx(wanted[1:], rel=1e-5)

    with node_folder(world, operator) as folder:
        ends = {"rules": [{"reasons": ["TrainerKilled"], "action": "Fail"}]}
        world.apply(_job("killed", folder, failurePolicy=ends))
        _kill_on_its_way(world, "killed")
        world.until("killed", lambda s: s.get("phase") == "Failed" or None, "failed", TRAINING)
        done = world.status("killed")["training"]["step"]
        assert done < EPOCHS * STEPS, "it was killed on its way"

        world.apply(_job("resumed", folder))
        status = world.until_phase("resumed", "Succeeded", TRAINING)
        assert status["training"]["step"] == status["training"]["totalSteps"] == EPOCHS * STEPS
        assert status["resumedFrom"]["step"] > EVERY
        steps = [
            seen.body["status"]["training"]["step"]
            for seen in world.jobs.of("resumed")
            if (seen.body.get("status", {}).get("training") or {}).get("step")
        ]
        assert min(steps) > EVERY, f"it began again: {steps}"
        found = _said(world, "resumed")
        assert found[0] == EPOCHS, "the history is whole"
        assert found[1:] == pytest.approx(wanted[1:], rel=1e-5)
