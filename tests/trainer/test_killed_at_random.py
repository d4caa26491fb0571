"""Killed ten times at random moments, a training ends with the loss and the weights of one that was never broken.

All trainers die at once by SIGKILL, as a launcher ends a generation: while they start, restore, train, evaluate or
write a checkpoint. Each next generation finds in the folder what the one before has left.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.trainer.close import differences
from tests.trainer.gang import PROGRAMS, python_path
from tests.trainer.trainers import TEST_DIGITS, Trainers, document, trained, training
from trainingjob._checkpoint import Checkpoints

KILLS = 10
HOOKED = {"PYTHONPATH": python_path(hooked=True)}
Start = Callable[[int], Trainers]


def kill_again_and_again(start: Start, seed: int) -> tuple[list[int], list[str]]:
    """Start and kill the trainers of ten generations; return the step that each began with, and what its chief said."""
    chance, resumed, said = random.Random(seed), [], []
    for generation in range(1, KILLS + 1):
        with start(generation) as trainers:
            if chance.random() < 0.25:  # early: the model is built, the checkpoint is read, nothing is trained
                moment = chance.uniform(0.05, 1.0)
            else:
                trainers.wait_for_report(lambda report: report.get("step", 0) > report.get("resumedStep", 0))
                moment = chance.uniform(0.0, 0.3)
            codes = trainers.wait_at_most(moment)
            assert set(codes) <= {None, 0}, trainers.output()[-3000:]
            for process in trainers.processes:
                process.kill()
            resumed.append(max((report.get("resumedStep", 0) for report in trainers.reports), default=0))
            said.append(trainers.output())
    return resumed, said


def assert_went_on(resumed: list[int]) -> None:
    """Most generations came to a step, and each began where the one before had saved, or later."""
    said = [step for step in resumed if step]
    assert said == sorted(said)
    assert len(said) >= KILLS // 2


def generation(number: int) -> dict[str, str]:
    return {"TRAININGJOB_GENERATION": f"1.{number}"}


@pytest.mark.gang
def test_the_declarative_trainer(tmp_path: Path) -> None:
    def job(folder: Path) -> dict[str, Any]:
        spec = training(epochs=10, pipeline={"shuffle": True}, validation={"dataset": TEST_DIGITS})
        return document(spec, checkpoint={"path": str(folder), "everySteps": 10, "keep": 2})

    def epochs(output: str) -> list[str]:
        return [row.rpartition(" (")[0] for row in output.splitlines() if row.startswith("epoch") and row[-1] == ")"]

    with trained(job(tmp_path / "whole"), 2) as trainers:
        whole = epochs(trainers.output())
    broken = job(tmp_path / "broken")
    resumed, said = kill_again_and_again(lambda number: Trainers(broken, 2, env=generation(number)), seed=1)
    with trained(broken, 2, env=generation(KILLS + 1)) as trainers:
        last = epochs(trainers.output())
    assert_went_on(resumed)
    assert last == whole[len(whole) - len(last) :]
    # what all generations have said together is the history without a seam: broken epochs' loss and metrics, too
    together = list(dict.fromkeys([*(row for output in said for row in epochs(output)), *last]))
    assert together == whole
    ours, theirs = (Checkpoints(str(tmp_path / name), is_chief=False).read() for name in ("broken", "whole"))
    assert ours is not None
    assert theirs is not None
    assert ours[1]["step"] == theirs[1]["step"] == 840
    assert differences(_lists(theirs), _lists(ours)) == []


@pytest.mark.parametrize(
    ("program", "arguments"),
    [
        ("resume_loop.py", ["--steps", "1000", "--pause", "0.01"]),
        ("resume_fit.py", ["--epochs", "60", "--pause", "0.01"]),
    ],
    ids=["a loop of the user's own", "fit"],
)
def test_programs(tmp_path: Path, program: str, arguments: list[str]) -> None:
    def start(folder: Path, number: int) -> Trainers:
        spec = {
            "version": 1,
            "keras": {"patchFit": True},
            "checkpoint": {"path": str(folder), "everySteps": 5, "keep": 2},
        }
        return Trainers(spec, program=[str(PROGRAMS / program), *arguments], env={**HOOKED, **generation(number)})

    with start(tmp_path / "whole", 1) as trainers:
        [whole] = trainers.results()
    broken = tmp_path / "broken"
    resumed, _ = kill_again_and_again(lambda number: start(broken, number), seed=2)
    with start(broken, KILLS + 1) as trainers:
        [ended] = trainers.results()
    assert_went_on(resumed)
    if program == "resume_loop.py":
        whole["losses"] = whole["losses"][-len(ended["losses"]) :]  # "total" holds those of all steps, each once
    of_this_process = ("start", "steps")
    mine, theirs = ({k: v for k, v in result.items() if k not in of_this_process} for result in (ended, whole))
    assert differences(theirs, mine) == []


def _lists(found: tuple[dict[str, Any], dict[str, Any]]) -> Any:
    arrays, position = found
    return json.loads(json.dumps([{name: value.tolist() for name, value in arrays.items()}, position]))
