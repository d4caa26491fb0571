"""When a checkpoint is due: by steps that all members count alike, or by the chief's clock."""

import pytest

from trainingjob._checkpoint_job import Schedule, is_chief, is_evaluator, read_spec


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def due(schedule: Schedule, steps: range) -> list[int]:
    found = []
    for step in steps:
        if schedule.is_due(step):
            schedule.start(step)
            found.append(step)
    return found


def test_by_steps_it_is_due_at_their_multiples() -> None:
    assert due(Schedule({"everySteps": 5}), range(1, 17)) == [5, 10, 15]


def test_by_steps_a_resumed_run_goes_on_with_the_same_multiples() -> None:
    schedule = Schedule({"everySteps": 5})
    schedule.start(7)
    assert due(schedule, range(8, 17)) == [10, 15]


def test_by_steps_executions_of_several_steps_save_once_past_a_multiple() -> None:
    assert due(Schedule({"everySteps": 5}), range(0, 30, 4)) == [8, 12, 16, 20, 28]


def test_by_seconds_the_clock_decides() -> None:
    clock = Clock()
    schedule = Schedule({"everySeconds": 60}, clock)
    assert not schedule.is_due(1)
    clock.now += 60
    assert schedule.is_due(2)
    schedule.start(2)
    assert not schedule.is_due(3)


def test_the_same_step_is_not_due_twice() -> None:
    clock = Clock()
    schedule = Schedule({"everySeconds": 1}, clock)
    schedule.start(4)
    clock.now += 10
    assert not schedule.is_due(4)


CLUSTER = '{"cluster": {%s}, "task": {"type": "%s", "index": %d}}'


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, True),
        ({"TF_CONFIG": "{}"}, True),
        ({"TF_CONFIG": CLUSTER % ('"chief": ["a:1"], "worker": ["b:1"]', "chief", 0)}, True),
        ({"TF_CONFIG": CLUSTER % ('"chief": ["a:1"], "worker": ["b:1"]', "worker", 0)}, False),
        ({"TF_CONFIG": CLUSTER % ('"worker": ["a:1", "b:1"]', "worker", 0)}, True),
        ({"TF_CONFIG": CLUSTER % ('"worker": ["a:1", "b:1"]', "worker", 1)}, False),
        ({"TF_CONFIG": CLUSTER % ('"chief": ["a:1"]', "evaluator", 0)}, False),
        ({"TRAININGJOB_MEMBER": "evaluator-0"}, False),
        ({"TRAININGJOB_MEMBER": "chief-0"}, True),
    ],
)
def test_who_writes(environ: dict[str, str], expected: bool) -> None:
    assert is_chief(environ) is expected


def test_who_evaluates() -> None:
    assert is_evaluator({"TRAININGJOB_MEMBER": "evaluator-0"})
    assert is_evaluator({"TF_CONFIG": CLUSTER % ('"chief": ["a:1"]', "evaluator", 0)})
    assert not is_evaluator({"TRAININGJOB_MEMBER": "worker-1"})
    assert not is_evaluator({})


def test_without_a_document_there_is_nothing_asked_for() -> None:
    assert read_spec({}) == {}
    assert read_spec({"TRAININGJOB_SPEC": '{"version": 1, "checkpoint": {"path": "/c"}}'})["checkpoint"] == {
        "path": "/c"
    }
