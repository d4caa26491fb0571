"""A training that was killed and started again ends as one that was never broken, on any number of members."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.trainer.trainers import SMALL_CNN, TEST_DIGITS, Trainers, document, trained, training
from trainingjob._checkpoint import Checkpoints

pytestmark = pytest.mark.gang
AUGMENT = [{"flip": "horizontal"}, {"crop": {"padding": 2}}]
EPOCHS = 6


def job(folder: Path, **changes: Any) -> dict[str, Any]:
    """A job with everything that has a state: momenta, a schedule, moving averages, stopWhen, metrics, best weights."""
    rate = {"CosineDecay": {"initial_learning_rate": 0.002, "decay_steps": 500}}
    spec = training(
        epochs=EPOCHS,
        optimizer={"Adam": {"learning_rate": rate}},
        pipeline={"shuffle": True, "augment": AUGMENT},
        validation={"dataset": TEST_DIGITS},
        metrics=["accuracy", "auc"],
        **changes,
    )
    return document(
        spec,
        checkpoint={"path": str(folder), "everySteps": 20, "keep": 2},
        stopWhen={"metric": "val_loss", "patience": 50, "restoreBest": True},
    )


def end_of(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return (variables, position) of the last checkpoint."""
    found = Checkpoints(str(folder), is_chief=True).read()
    assert found is not None
    return found


def saved(folder: Path) -> int:
    """The step of the last checkpoint, 0 without any."""
    return max((int(path.stem.split("-")[1]) for path in folder.glob("checkpoint-*.npz")), default=0)


def epochs_of(trainers: Trainers) -> list[str]:
    """The chief's lines of epochs, without times."""
    return [row.rpartition(" (")[0] for row in trainers.output().splitlines() if row.startswith("epoch")]


Unbroken = tuple[Path, list[str]]


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Unbroken]:
    """The folder and the epochs of a run of one member that nothing happened to, for a size of the batch."""

    @functools.cache
    def run(batch: int) -> Unbroken:
        folder = tmp_path_factory.mktemp("whole")
        with trained(job(folder, globalBatchSize=batch)) as trainers:
            return folder, epochs_of(trainers)

    return run


@pytest.mark.parametrize(("before", "after", "batch"), [(1, 1, 96), (2, 1, 96), (1, 2, 96), (2, 3, 100)])
def test_killed_in_the_middle_it_ends_as_if_nothing_had_been(
    tmp_path: Path, unbroken: Callable[[int], Unbroken], before: int, after: int, batch: int
) -> None:
    """Also with another number of members, where they can't share a batch evenly."""
    folder, whole = unbroken(batch)
    broken = tmp_path / "broken"
    with Trainers(job(broken, globalBatchSize=batch), before) as trainers:
        # in epoch 2: 84 steps make one, or 80; and saving goes on beside training
        trainers.wait_for_report(lambda report: report.get("step", 0) > 150 and saved(broken) >= 140)
        for process in trainers.processes:
            process.kill()
    with trained(job(broken, globalBatchSize=batch), after) as trainers:
        first = trainers.output().splitlines()[0]
        resumed = epochs_of(trainers)
    assert first.startswith("training goes on after step ")
    assert int(first.split("after step ")[1].split(":")[0]) >= 140
    assert resumed == whole[-len(resumed) :]  # the running epoch's loss and metrics, too
    assert len(resumed) >= EPOCHS - 4
    (ours, position), (theirs, expected) = end_of(broken), end_of(folder)
    assert position["step"] == expected["step"] == EPOCHS * -(-8000 // batch)
    assert position["stopping"]["best"] == pytest.approx(expected["stopping"]["best"], rel=1e-5)
    assert list(ours) == list(theirs)
    for name, value in ours.items():
        np.testing.assert_allclose(value, theirs[name], rtol=2e-3, atol=1e-5, err_msg=name)


def test_random_layers_go_on_where_they_were(tmp_path: Path) -> None:
    """Dropout's seeds and moving averages are part of the checkpoint: on as many members the end is the same."""
    layers = [SMALL_CNN[0], "BatchNormalization", {"Dropout": {"rate": 0.3}}, *SMALL_CNN[1:]]
    with trained(job(tmp_path / "whole", model={"layers": layers})) as trainers:
        whole = epochs_of(trainers)
    with Trainers(job(tmp_path / "broken", model={"layers": layers})) as trainers:
        trainers.wait_for_report(lambda report: report.get("step", 0) > 110)
        trainers.processes[0].kill()
    with trained(job(tmp_path / "broken", model={"layers": layers})) as trainers:
        assert epochs_of(trainers)[-1] == whole[-1]


def test_more_epochs_on_the_same_folder_go_on(tmp_path: Path) -> None:
    few, more = job(tmp_path), job(tmp_path)
    few["training"]["epochs"], more["training"]["epochs"] = 1, 2
    with trained(few):
        assert json.loads((tmp_path / "complete").read_text()) == {"step": 84}
    with trained(few) as trainers:  # nothing is left to do
        assert trainers.output().partition(":")[0] == "training goes on after step 84"
    with trained(more) as trainers:
        assert [row.split(":")[0] for row in epochs_of(trainers)] == ["epoch 2/2"]
    assert json.loads((tmp_path / "complete").read_text()) == {"step": 168}


def test_a_checkpoint_of_another_model_is_refused(tmp_path: Path) -> None:
    other = {"layers": ["Flatten", {"Dense": {"units": 10, "activation": "softmax"}}]}
    small = job(tmp_path)
    small["training"]["epochs"] = 1
    with trained(small):
        pass
    with Trainers(job(tmp_path, model=other)) as trainers:
        assert trainers.wait() == [1]
        assert trainers.output().startswith("error: spec.checkpoint: checkpoint: the folder ")
