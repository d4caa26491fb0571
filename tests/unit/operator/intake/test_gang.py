"""What the status tells of the gang: what it has been through, whom it misses, what failed last, who lost the chief."""

from dataclasses import replace
from typing import Any

import pytest

from trainingjob_operator.api.contract import Failure, LastFailure, Ledger, Report, Training
from trainingjob_operator.api.status import GangStatus
from trainingjob_operator.intake.gang import LINE_LENGTH, LOG_LINES, MEMBERS, Lost, patience
from trainingjob_operator.intake.pending import NOTHING, Pending
from trainingjob_operator.intake.view import REPORTING, fragment, late_fragment

AT = 1_767_225_600.0  # 2026-01-01T00:00:00Z
KILLED = Failure("worker-1", "TrainerKilled", "was killed by signal 9", 137, 9, 2, ("one", "two"))


def report(sequence: int = 1, generation: int = 2, state: str = "Running", **kwargs: Any) -> Report:
    return Report("chief-0", kwargs.pop("incarnation", 1), generation, sequence, state, **kwargs)


def shown(*reports: tuple[float, Report], before: Any = None, lost: Lost | None = None) -> Any:
    """Return `status.gang` after these reports, each written when it came."""
    status, said = before or {}, NOTHING
    for at, one in reports:
        carried = said.plus(one, AT + at)
        status = fragment(one, AT + at, status, REPORTING, carried, lost)
        said = carried.without(carried)
    GangStatus.model_validate(status.get("gang", {}))
    return status.get("gang", {})


def unwritten(*reports: tuple[float, Report], before: Any = None) -> Any:
    """Return it when none but the last is written."""
    said = NOTHING
    for at, one in reports:
        said = said.plus(one, AT + at)
    at, last = reports[-1]
    return fragment(last, AT + at, before, REPORTING, said).get("gang", {})


def time(second: float) -> str:
    return f"2026-01-01T00:00:{int(second):02}Z"


def test_a_gang_that_says_nothing_of_itself_has_no_section() -> None:
    assert "gang" not in fragment(report(training=Training(step=1)), AT)


def test_size_and_ledger_of_a_gang_that_trains() -> None:
    ledger = Ledger(2, 1, 450, True, 0, LastFailure("TrainerKilled", "m", 137, 9, 440))
    assert shown((0, report(size=3, ledger=ledger))) == {"size": 3, "ledger": ledger.to_json()}


def test_the_ledger_never_goes_back() -> None:
    """A new chief may begin with what was known when its pod was made."""
    first = report(size=2, ledger=Ledger(4, 3, 900, True))
    after = report(incarnation=2, generation=3, state="Forming", ledger=Ledger(3, 2, 800, True))
    assert shown((0, first), (5, after))["ledger"] == Ledger(4, 3, 900, True).to_json()
    assert unwritten((0, first), (5, after))["ledger"] == Ledger(4, 3, 900, True).to_json()


def test_an_operator_that_starts_anew_loses_nothing_of_the_ledger() -> None:
    before = {"gang": {"ledger": Ledger(4, 3, 900, True).to_json()}}
    late = report(incarnation=2, generation=3, state="Forming", ledger=Ledger(3, 2, 800, True))
    assert shown((5, late), before=before)["ledger"] == before["gang"]["ledger"]


def test_a_ledger_that_nobody_can_read_is_no_trouble() -> None:
    before = {"gang": {"ledger": {"generation": "many"}}}
    assert shown((0, report(ledger=Ledger(1))), before=before) == {"ledger": {"generation": 1, "counted": 0}}


@pytest.mark.parametrize("see", [shown, unwritten])
def test_a_failure_stays_until_the_next_one(see: Any) -> None:
    told = (10, report(2, state="Restarting", failure=KILLED))
    again = (11, report(3, state="Forming", failure=KILLED))
    running = (20, report(1, 3, size=2))
    expected = {
        "time": time(10), "member": "worker-1", "exitCode": 137, "signal": 9, "reason": "TrainerKilled",
        "message": "was killed by signal 9", "generation": 2, "lastLogLines": ["one", "two"],
    }  # fmt: skip
    assert see(told, again)["failure"] == expected
    assert see(told, again, running)["failure"] == expected
    other = (30, report(2, 3, "Restarting", failure=replace(KILLED, generation=3)))
    assert see(told, again, running, other)["failure"] == expected | {"time": time(30), "generation": 3}


def test_a_failure_that_an_operator_told_before_it_was_replaced_keeps_its_time() -> None:
    before = {"gang": shown((10, report(2, state="Restarting", failure=KILLED)))}
    assert shown((15, report(3, state="Forming", failure=KILLED)), before=before)["failure"]["time"] == time(10)


def test_a_log_that_is_not_said_again_stays() -> None:
    """All reports of a generation say why the last one ended; its log lines only the first of them."""
    short = replace(KILLED, last_log_lines=(), message="was killed")
    first, later = report(state="Restarting", failure=KILLED), report(2, 3, failure=short)
    for gang in (shown((0, first), (5, later)), unwritten((0, first), (5, later))):
        assert (gang["failure"]["lastLogLines"], gang["failure"]["message"]) == (["one", "two"], "was killed")
    anew = shown((9, later), before={"gang": shown((0, first))})["failure"]
    assert (anew["lastLogLines"], anew["time"]) == (["one", "two"], time(0))
    other = report(3, 4, failure=replace(short, generation=3))
    assert "lastLogLines" not in shown((0, first), (5, other))["failure"]


def test_a_log_is_cut_to_what_a_status_has_room_for() -> None:
    lines = tuple(f"{number} " + "x" * 1000 for number in range(50))
    found = shown((0, report(state="Restarting", failure=replace(KILLED, last_log_lines=lines))))["failure"]
    assert [len(line) for line in found["lastLogLines"]] == [LINE_LENGTH] * LOG_LINES
    assert found["lastLogLines"][-1].startswith("49 ")


# --- Members that the gang misses ---


def restarting(at: float, *missed: str) -> tuple[float, Report]:
    return at, report(int(at), state="Restarting", unreachable=missed)


@pytest.mark.parametrize("see", [shown, unwritten])
def test_a_member_is_missed_since_it_was_told_first(see: Any) -> None:
    found = see(
        restarting(10, "worker-1"), restarting(12, "worker-1", "worker-2"), restarting(19, "worker-1", "worker-2")
    )
    assert found["unreachable"] == [{"name": "worker-1", "since": time(10)}, {"name": "worker-2", "since": time(12)}]


@pytest.mark.parametrize("see", [shown, unwritten])
def test_one_that_came_back_and_is_missed_again_is_missed_since_then(see: Any) -> None:
    found = see(restarting(10, "worker-1"), restarting(12), restarting(19, "worker-1"))
    assert found["unreachable"] == [{"name": "worker-1", "since": time(19)}]


def test_one_that_came_back_between_two_writes_is_not_missed_since_the_first() -> None:
    first = restarting(10, "worker-1")
    said = NOTHING.plus(first[1], AT + 10)
    status = fragment(first[1], AT + 10, {}, REPORTING, said)
    said = said.without(said)
    for at, one in (restarting(12), restarting(19, "worker-1")):
        said = said.plus(one, AT + at)
    assert fragment(one, AT + at, status, REPORTING, said)["gang"]["unreachable"] == [
        {"name": "worker-1", "since": time(19)}
    ]


def test_an_operator_that_starts_anew_knows_since_when_from_the_status() -> None:
    before = fragment(restarting(10, "worker-1")[1], AT + 10)
    assert shown(restarting(50, "worker-1"), before=before)["unreachable"] == [
        {"name": "worker-1", "since": time(10)}
    ]


def test_of_many_members_the_first_are_shown() -> None:
    names = tuple(f"worker-{number}" for number in range(999))
    found = shown(restarting(10, *names))["unreachable"]
    assert [item["name"] for item in found] == list(names[:MEMBERS])


# --- Over ---


def test_a_gang_that_trains_again_misses_nobody_and_does_not_stall() -> None:
    trouble = report(5, size=2, stalled=61.4, unreachable=("worker-1",))
    before = fragment(trouble, AT, {}, REPORTING, None, Lost(1, "worker-0", AT + 1))
    assert before["gang"] == {
        "size": 2, "stalledSeconds": 61, "unreachable": [{"name": "worker-1", "since": time(0)}],
        "chiefLost": {"incarnation": 1, "member": "worker-0", "since": time(1)},
    }  # fmt: skip
    assert shown((9, report(1, 3, size=3)), before=before) == {"size": 3}


@pytest.mark.parametrize("state", ["Terminated", "Succeeded", "Failed"])
def test_a_chief_that_leaves_says_nothing_of_the_moment(state: str) -> None:
    last = report(9, state=state, final=True, size=2, stalled=5.0, unreachable=("worker-1",), ledger=Ledger(2))
    assert shown((9, last)) == {"ledger": {"generation": 2, "counted": 0}}


def test_a_chief_that_was_asked_to_go_does_not_end_the_job() -> None:
    ended = report(
        9, state="Terminated", final=True, training=Training(step=70, eta_seconds=9, examples_per_second=5)
    )
    training = fragment(ended, AT)["training"]
    assert (training["final"], training["step"]) == (False, 70)
    assert not {"etaSeconds", "examplesPerSecond"} & set(training)


# --- Workers that lost their chief ---


def noticed(status: Any, lost: Lost | None, heard_at: float | None = None) -> Any:
    """Return the gang after a write that only workers asked for; None where there was nothing to write."""
    heard = None if heard_at is None else AT + heard_at
    found = late_fragment(status, REPORTING, Pending(), lost, heard)
    return None if found is None else found["gang"]


LOST = {"incarnation": 1, "member": "worker-0", "since": time(9)}
STATUS = fragment(report(3, size=2, training=Training(step=5)), AT)


def test_what_workers_say_is_added_to_the_status_as_it_is() -> None:
    written = late_fragment(STATUS, REPORTING, Pending(), Lost(1, "worker-0", AT + 9))
    assert written == STATUS | {"gang": {"size": 2, "chiefLost": LOST}}


def test_what_is_shown_already_is_not_written_again() -> None:
    status = STATUS | {"gang": {"chiefLost": LOST}}
    assert noticed(status, Lost(1, "worker-1", AT + 12)) is None
    assert noticed(status, None) is None


def test_a_chief_that_was_heard_later_is_not_lost() -> None:
    assert noticed(STATUS, Lost(1, "worker-0", AT)) is None, "the status has heard it"
    assert noticed(STATUS, Lost(1, "worker-0", AT + 9), heard_at=10) is None, "we have"
    status = STATUS | {"gang": {"size": 2, "chiefLost": LOST}}
    assert noticed(status, None, heard_at=10) == {"size": 2}


def test_a_chief_that_reports_again_is_found() -> None:
    status = STATUS | {"gang": {"size": 2, "chiefLost": LOST}}
    early, late = report(4, size=2), report(5, size=2)
    assert shown((8, early), before=status)["chiefLost"] == LOST, "it was heard before that, and is written only now"
    assert "chiefLost" not in shown((10, late), before=status)


def test_of_the_next_chief_nothing_is_known() -> None:
    status = STATUS | {"gang": {"chiefLost": LOST}}
    next_one = report(1, 3, "Forming", incarnation=2)
    assert "chiefLost" not in shown((5, next_one), before=status, lost=Lost(1, "worker-0", AT + 9))


def test_a_job_of_which_nothing_was_ever_reported() -> None:
    """The operator has just started, and the first chief is gone."""
    found = late_fragment({}, REPORTING, NOTHING, Lost(1, "worker-0", AT + 9))
    assert found == {"gang": {"chiefLost": LOST}, "display": {}}


@pytest.mark.parametrize(("interval", "seconds"), [(1, 3.0), (2, 3.0), (5, 7.5), (60, 90.0)])
def test_how_long_a_chief_is_silent_before_workers_are_believed(interval: float, seconds: float) -> None:
    assert patience(interval) == seconds
