"""What a failed generation costs: nothing, one of the restarts that the job has, or the job."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainingjob_launcher.contract import Failure, LastFailure, Ledger, Policy, Rule
from trainingjob_launcher.judgement import ECHO, LOST, OWN, STUCK, Case, Verdict, judge
from trainingjob_launcher.settings import Timings

ERROR = Failure("worker-1", "TrainerFailed", "ValueError: bad shape", exit_code=1, generation=2)
KILLED = Failure(
    "worker-1", "TrainerKilled", "the trainer was ended by SIGKILL", exit_code=137, signal=9, generation=2
)
GONE = Failure("worker-1", "MemberLost", "closed", generation=2)
BEGUN = Ledger(generation=2, counted=1, step=50, started=True)
NEW = Ledger(generation=1)


def verdict(
    failure: Failure,
    how: str = OWN,
    ledger: Ledger = BEGUN,
    policy: Policy | None = None,
    pod_failures: int = 0,
    ran: float = 10.0,
    advanced: bool = True,
    silent: bool = False,
) -> Verdict:
    return judge(Case(failure, how, ran, advanced, silent), ledger, pod_failures, policy or Policy(), Timings())


def same(failure: Failure, step: int | None = 50) -> Ledger:
    last = LastFailure(failure.reason, failure.message, failure.exit_code, failure.signal, step)
    return dataclasses.replace(BEGUN, last=last)


# --- Before the first step ---


def test_an_error_before_the_jobs_first_step_is_the_programs() -> None:
    found = verdict(ERROR, ledger=NEW)
    assert not found.restart
    assert (found.failure, found.ledger.counted) == (ERROR, 0)


@pytest.mark.parametrize(("failure", "how"), [(KILLED, OWN), (ERROR, ECHO), (GONE, LOST)])
def test_what_is_not_the_programs_error_restarts_also_before_the_first_step(failure: Failure, how: str) -> None:
    assert verdict(failure, how, ledger=NEW, advanced=False).restart


def test_a_program_that_tells_no_steps_has_started_after_a_minute() -> None:
    assert not verdict(ERROR, ledger=NEW, ran=59, silent=True).restart
    found = verdict(ERROR, ledger=NEW, ran=60, silent=True)
    assert found.restart
    assert found.ledger.started
    assert not verdict(ERROR, ledger=NEW, ran=60, silent=False).restart, "it speaks, and has made none"


# --- Free and counted ---


@pytest.mark.parametrize("failure", [ERROR, KILLED, dataclasses.replace(ERROR, exit_code=139, signal=11)])
def test_errors_and_crashes_count(failure: Failure) -> None:
    assert verdict(failure).ledger.counted == 2


@pytest.mark.parametrize("how", [ECHO, STUCK])
def test_what_nobody_can_explain_counts(how: str) -> None:
    assert verdict(ERROR, how).ledger.counted == 2


def test_a_lost_member_is_free_and_no_failure_of_the_program() -> None:
    found = verdict(GONE, LOST, ledger=same(KILLED), advanced=False)
    assert found.restart
    assert (found.ledger.counted, found.ledger.last) == (1, same(KILLED).last)


@pytest.mark.parametrize("code", [42, 77, 143])
def test_codes_that_ask_for_a_restart_are_free(code: int) -> None:
    found = verdict(dataclasses.replace(ERROR, exit_code=code), ledger=NEW)
    assert found.restart
    assert found.ledger.counted == 0


# --- Twice the same ---


def test_the_same_failure_twice_without_a_new_step_ends_the_job() -> None:
    found = verdict(ERROR, ledger=same(ERROR), advanced=False)
    assert not found.restart
    assert (found.failure.reason, found.failure.message) == (
        "TrainerFailed",
        "twice without a new step in between: ValueError: bad shape",
    )
    assert found.ledger.counted == 1


def test_a_new_step_or_another_failure_is_another_case() -> None:
    assert verdict(ERROR, ledger=same(ERROR, step=49)).restart
    assert verdict(ERROR, ledger=same(ERROR, step=None)).restart
    assert verdict(KILLED, ledger=same(ERROR), advanced=False).restart


def test_what_asks_for_a_restart_again_and_again_without_a_step_does_not_loop_for_ever() -> None:
    preempted = dataclasses.replace(ERROR, exit_code=42)
    assert not verdict(preempted, ledger=same(preempted), advanced=False).restart
    silent = dataclasses.replace(same(preempted, step=None), step=None)
    assert not verdict(preempted, ledger=silent, ran=1000, silent=True).restart


def test_a_program_that_tells_no_steps_and_ran_for_a_minute_may_have_made_some() -> None:
    ledger = dataclasses.replace(same(KILLED, step=None), step=None)
    assert verdict(KILLED, ledger=ledger, ran=60, silent=True).restart
    assert not verdict(KILLED, ledger=ledger, ran=59, silent=True).restart


# --- Rules ---


@pytest.mark.parametrize(
    ("rule", "restart", "counted"),
    [
        (Rule("Fail", exit_codes=(137,)), False, 1),
        (Rule("RestartFree", reasons=("TrainerKilled",)), True, 1),
        (Rule("Restart", exit_codes=(137,)), True, 2),
        (Rule("Fail", exit_codes=(1,)), True, 2),
        (Rule("Ignore", reasons=("TrainerKilled",)), True, 2),
    ],
)
def test_the_first_rule_that_fits_is_followed(rule: Rule, restart: bool, counted: int) -> None:
    found = verdict(KILLED, policy=Policy(rules=(rule, Rule("Restart", reasons=("TrainerKilled",)))))
    assert (found.restart, found.ledger.counted) == (restart, counted)


def test_a_rule_overrides_the_usual_judgement() -> None:
    restart = Policy(rules=(Rule("Restart", exit_codes=(1,)),))
    assert verdict(ERROR, ledger=NEW, policy=restart).restart, "before the first step"
    assert verdict(ERROR, ledger=same(ERROR), policy=restart).restart, "twice the same"
    assert not verdict(GONE, LOST, policy=Policy(rules=(Rule("Fail", reasons=("MemberLost",)),))).restart
    counted = Policy(rules=(Rule("Restart", reasons=("MemberLost",)),))
    assert verdict(GONE, LOST, policy=counted).ledger.counted == 2


# --- The limit ---


def test_the_limit_is_exact() -> None:
    policy = Policy(backoff_limit=2)
    assert verdict(KILLED, policy=policy).restart, "the second of two"
    found = verdict(KILLED, policy=policy, ledger=dataclasses.replace(BEGUN, counted=2))
    assert not found.restart
    assert (found.failure.reason, found.ledger.counted) == ("BackoffLimitExceeded", 3)
    assert found.failure.message == "3 failures, the limit is 2: the trainer was ended by SIGKILL"
    assert not verdict(KILLED, policy=policy, pod_failures=1).restart, "pods count too"
    assert verdict(GONE, LOST, policy=policy, pod_failures=1).restart, "what is free never exceeds it"


# --- Back-off ---


def test_the_first_restart_is_immediate_and_so_is_each_after_a_new_step() -> None:
    assert verdict(KILLED, ledger=NEW, advanced=False).delay == 0
    assert verdict(KILLED, advanced=True, ledger=dataclasses.replace(BEGUN, fruitless=5)).delay == 0
    found = verdict(KILLED, advanced=False)
    assert (found.delay, found.ledger.fruitless) == (1, 1)
    assert verdict(KILLED, advanced=False, ledger=dataclasses.replace(BEGUN, fruitless=3)).delay == 8
    assert verdict(KILLED, advanced=False, ledger=dataclasses.replace(BEGUN, fruitless=10**6)).delay == 30


@given(
    st.lists(st.tuples(st.sampled_from([ERROR, KILLED, GONE]), st.booleans()), max_size=40),
    st.integers(0, 6),
)
def test_counts_are_exact_and_never_more_than_one_above_the_limit(
    story: list[tuple[Failure, bool]], limit: int
) -> None:
    ledger, counted, step = BEGUN, 1, 50
    for number, (failure, advanced) in enumerate(story, 3):
        ledger = dataclasses.replace(ledger, generation=number)
        if advanced:
            step += 1
            ledger = dataclasses.replace(ledger, step=step, fruitless=0)
        how = LOST if failure is GONE else OWN
        found = verdict(failure, how, ledger, Policy(backoff_limit=limit), advanced=advanced)
        ledger = found.ledger
        counted += failure is not GONE and (found.restart or found.failure.reason == "BackoffLimitExceeded")
        assert ledger.counted == counted <= max(limit + 1, 2)
        if not found.restart:
            return
