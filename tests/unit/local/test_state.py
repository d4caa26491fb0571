"""Two writers, one status: each replaces what it wrote, and nothing of the other's."""

from __future__ import annotations

from tests.unit.local.runs import job
from trainingjob_local.state import JobState
from trainingjob_operator.api.contract import Report, Training


def report(generation: int, sequence: int, loss: float) -> Report:
    training = Training(step=sequence, total_steps=10, metrics={"loss": loss})
    return Report("chief-0", 1, generation, sequence, "Running", training=training)


def test_decisions_and_reports_stand_side_by_side() -> None:
    state = JobState({**job(), "metadata": {"name": "toy", "uid": "u"}})
    assert "status" not in state.body
    state.decided({"phase": "Starting", "display": {"members": "1/2", "reason": "X"}})
    assert state.report(report(1, 1, 0.5), 0.0)
    state.decided({"phase": "Running", "display": {"members": "2/2"}})
    status = state.status
    assert status["phase"] == "Running"
    assert status["display"]["members"] == "2/2"
    assert "reason" not in status["display"], "what a writer no longer says is gone"
    assert status["display"]["loss"] == "0.5"
    assert status["training"]["step"] == 1
    assert state.fact.formed_generation == 1


def test_an_older_report_changes_nothing() -> None:
    state = JobState({**job(), "metadata": {"name": "toy", "uid": "u"}})
    state.decided({"phase": "Running"})
    assert state.report(report(2, 5, 0.5), 0.0)
    for late in (report(2, 5, 9.0), report(2, 4, 9.0), report(1, 99, 9.0)):
        assert not state.report(late, 1.0)
    assert state.status["training"]["metrics"] == {"loss": 0.5}
    assert state.report(report(3, 1, 0.25), 2.0)
    assert state.status["training"]["metrics"] == {"loss": 0.25}
