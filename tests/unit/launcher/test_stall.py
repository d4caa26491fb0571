"""Whether training moves: slow work is no stall, a stuck trainer is, and its stack says where."""

from __future__ import annotations

import pytest

from tests.unit.launcher.machines import Gang
from trainingjob_launcher import gang, stall
from trainingjob_launcher.contract import Ledger, Policy, Rule

STUCK = """Thread 0x00007f01 (most recent call first):
  File "/usr/lib/python3.11/threading.py", line 320 in wait

Thread 0x00007f00 (most recent call first):
  File "/app/main.py", line 12 in load
  File "/app/main.py", line 90 in <module>
"""
WAITS = """Thread 0x00007f00 (most recent call first):
  File "/venv/lib/python3.11/site-packages/tensorflow/python/eager/execute.py", line 53 in quick_execute
  File "/app/main.py", line 91 in <module>
"""


def stalling(policy: Policy | None = None, workers: int = 1) -> Gang:
    g = Gang(workers, policy=policy or Policy(stall=60.0)).started()
    assert gang.deadline(g.state) == pytest.approx(60.0)
    assert g.on(gang.Tick(), after=60) == (gang.Inspect(1),)
    return g


def test_without_a_limit_nothing_is_a_stall() -> None:
    assert gang.deadline(Gang().started().state) is None


def test_a_generation_without_a_step_is_inspected_and_then_restarted() -> None:
    g = stalling()
    assert gang.stalled_for(g.state, g.now) == 60
    g.on(gang.Inspected(1, {"chief-0": WAITS, "worker-0": STUCK}), after=1)
    assert (g.cause().reason, g.cause().member) == ("Stalled", "worker-0")
    assert g.cause().message == "there was no sign of a step after step 10 for 61 s"
    assert g.cause().last_log_lines[:2] == (
        "worker-0: Thread 0x00007f00 (most recent call first):",
        '  File "/app/main.py", line 12 in load',
    )
    assert any(line.startswith("chief-0: ") for line in g.cause().last_log_lines)
    assert gang.ledger_of(g.state).counted == 1
    assert gang.stalled_for(g.state, g.now) == 61


def test_stacks_are_not_waited_for_longer_than_a_few_seconds() -> None:
    g = stalling()
    assert gang.deadline(g.state) == pytest.approx(63.0)
    g.on(gang.Tick(), after=3)
    assert (g.cause().reason, g.cause().last_log_lines) == ("Stalled", ())


def test_a_step_in_the_last_moment_ends_the_stall() -> None:
    g = stalling().at_step(11, after=1)
    assert g.on(gang.Inspected(1, {}), after=1) == ()
    assert gang.stalled_for(g.state, g.now) is None
    assert gang.deadline(g.state) == pytest.approx(121.0)


def test_where_the_policy_says_so_it_is_only_shown() -> None:
    g = stalling(Policy(stall=60.0, rules=(Rule("Ignore", reasons=("Stalled",)),)))
    assert g.on(gang.Inspected(1, {}), after=1) == ()
    assert isinstance(g.state, gang.Running)
    assert gang.stalled_for(g.state, g.now + 100) == 161
    assert gang.deadline(g.state) is None
    g.at_step(11)
    assert gang.stalled_for(g.state, g.now) is None
    assert gang.deadline(g.state) == pytest.approx(g.now + 60)


@pytest.mark.parametrize("busy", ["evaluation", "checkpoint", "starting"])
def test_what_may_take_long_has_ten_times_as_long(busy: str) -> None:
    g = Gang(workers=1, policy=Policy(stall=60.0)).started()
    g.at_step(10, after=30, busy=busy)
    assert gang.deadline(g.state) == pytest.approx(330.0), "half of the time is over"
    g.at_step(10, after=100)
    assert gang.deadline(g.state) == pytest.approx(150.0), "ten of the hundred seconds count"


def test_the_way_to_the_first_step_of_a_generation_may_take_long() -> None:
    g = Gang(workers=1, policy=Policy(stall=60.0)).running()
    assert gang.deadline(g.state) == pytest.approx(600.0)
    g.at_step(100, resumed_step=100)
    assert gang.deadline(g.state) == pytest.approx(600.0), "that is where the checkpoint has put it"
    g.at_step(101, resumed_step=100)
    assert gang.deadline(g.state) == pytest.approx(60.0)


def test_where_a_checkpoint_has_put_it_the_job_has_made_no_step() -> None:
    pace, ledger = stall.progressed(stall.begin(0.0), Ledger(1), gang.Progressed(1, 100, None, 100), 1.0)
    assert (ledger.step, ledger.started, pace.advanced) == (None, False, False)
    pace, ledger = stall.progressed(pace, ledger, gang.Progressed(1, 101, None, 100), 2.0)
    assert (ledger.step, ledger.started, pace.advanced) == (101, True, True)


def test_a_step_that_was_made_before_is_movement_but_no_progress() -> None:
    pace, ledger = stall.progressed(
        stall.begin(0.0), Ledger(2, step=105, fruitless=2), gang.Progressed(2, 103, None, 100), 1.0
    )
    assert (ledger.step, ledger.fruitless, pace.advanced, pace.idle) == (105, 2, False, 0.0)
    pace, ledger = stall.progressed(pace, ledger, gang.Progressed(2, 106, None, 100), 2.0)
    assert (ledger.step, ledger.fruitless, pace.advanced) == (106, 0, True)
