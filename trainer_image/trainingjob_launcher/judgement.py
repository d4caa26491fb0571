"""What follows a generation that has ended: a restart, free or counted, or the end of the job. Pure.

In this order: the first rule of the failurePolicy that fits; then what is free (lost members, exit codes by which a
program asks to be started again); then an error before the job's first step, which is the program's and would only
come again; all else restarts and counts. Unless a rule decided, the same failure twice without a new step in between
ends the job too, also where it is free: nothing loops for ever. Counted failures of trainers and of pods together may
not exceed the limit. Restarts that bring no new step wait longer and longer.
"""

from __future__ import annotations

import dataclasses
from typing import Optional, Tuple

from trainingjob_launcher.blame import RESTART_CODES
from trainingjob_launcher.contract import Failure, LastFailure, Ledger, Policy
from trainingjob_launcher.policy import FAIL, RESTART, RESTART_FREE
from trainingjob_launcher.settings import Timings

#: How a generation ended. OWN: a trainer ended by a cause of its own. ECHO: trainers ended, all by their peers' end,
#: and nobody knows of whom. STUCK: a trainer still runs and does nothing. LOST: a member is gone, with its trainer.
OWN, ECHO, STUCK, LOST = "own", "echo", "stuck", "lost"

LIMIT_REASON = "BackoffLimitExceeded"
_MAX_ERROR_CODE = 127
_MAX_DOUBLINGS = 16
#: What a ledger keeps of a message.
_MAX_MESSAGE = 256


@dataclasses.dataclass(frozen=True)
class Verdict:
    """`delay` are the seconds until the next generation; `failure` is what people are told."""

    restart: bool
    failure: Failure
    ledger: Ledger
    delay: float = 0.0


@dataclasses.dataclass(frozen=True)
class Case:
    """What is judged. `ran` is for how many seconds the generation ran, `advanced` whether it made a new step.

    `silent`: its program has not told a single step.
    """

    failure: Failure
    how: str
    ran: float
    advanced: bool
    silent: bool


def judge(case: Case, ledger: Ledger, pod_failures: int, policy: Policy, timings: Timings) -> Verdict:
    """Return the verdict on a generation that has failed. `ledger` is that of the generation."""
    failure = case.failure
    lasted = case.silent and ledger.step is None and case.ran >= timings.silent
    ledger = dataclasses.replace(ledger, started=ledger.started or lasted)
    rule = policy.rule_for(failure.reason, failure.exit_code)
    action = rule if rule in (FAIL, RESTART, RESTART_FREE) else _usual(case, ledger)
    free = action == RESTART_FREE
    last = ledger.last
    if case.how != LOST:
        ledger = dataclasses.replace(ledger, last=_last(failure, ledger))
        # A program that tells no steps can have made some, if it lasted; but one that only asks for restarts has to
        # say.
        repeats = last is not None and last.same_as(_last(failure, ledger)) and not _beyond(ledger.step, last.step)
        if repeats and action != rule and (free or not lasted):
            failure = dataclasses.replace(failure, message=f"twice without a new step in between: {failure.message}")
            return Verdict(False, failure, ledger)
    if action == FAIL:
        return Verdict(False, failure, ledger)
    if not free:
        ledger = dataclasses.replace(ledger, counted=ledger.counted + 1)
        beyond = over_limit(failure, ledger, pod_failures, policy)
        if beyond is not None:
            return Verdict(False, beyond, ledger)
    ledger, delay = restarted(ledger, case.advanced or lasted, timings)
    return Verdict(True, failure, ledger, delay)


def _usual(case: Case, ledger: Ledger) -> str:
    code = case.failure.exit_code
    if case.how == LOST or (case.how in (OWN, ECHO) and code in RESTART_CODES):
        return RESTART_FREE
    by_itself = case.how == OWN and case.failure.signal is None and code is not None and 1 <= code <= _MAX_ERROR_CODE
    return FAIL if by_itself and not ledger.started else RESTART


def heard_late(before: Ledger, ledger: Ledger, failure: Optional[Failure]) -> Ledger:
    """Return a ledger in which steps were told after the judgement on their generation: they were made before it.

    `before` is the ledger that was judged, `failure` what of. The failure is then one at the later step.
    """
    last = ledger.last
    if failure is None or last is None or last.step != before.step or not last.same_as(_last(failure, before)):
        return ledger  # that generation was lost, or stopped: what failed last did so in an earlier one
    return dataclasses.replace(ledger, last=dataclasses.replace(last, step=ledger.step))


def over_limit(failure: Optional[Failure], ledger: Ledger, pod_failures: int, policy: Policy) -> Optional[Failure]:
    """Return the failure of a job with too many counted ones, None while there are few enough."""
    count = ledger.counted + pod_failures
    if count <= policy.backoff_limit:
        return None
    if failure is None:
        failure = Failure("chief-0", LIMIT_REASON, "pods have failed", generation=ledger.generation)
    said = f"{count} failure{'s' if count > 1 else ''}, the limit is {policy.backoff_limit}: {failure.message}"
    return dataclasses.replace(failure, reason=LIMIT_REASON, message=said)


def restarted(ledger: Ledger, advanced: bool, timings: Timings) -> Tuple[Ledger, float]:
    """Return the ledger for the restart after a generation, and the seconds to wait before it."""
    # The first generation is no restart: it can't have been one that brought nothing.
    fruitless = 0 if advanced or ledger.generation <= 1 else ledger.fruitless + 1
    delay = 0.0 if fruitless == 0 else min(timings.backoff, 2.0 ** min(_MAX_DOUBLINGS, fruitless - 1))
    return dataclasses.replace(ledger, fruitless=fruitless), delay


def _last(failure: Failure, ledger: Ledger) -> LastFailure:
    message = failure.message[:_MAX_MESSAGE].encode("utf-8", "replace").decode("utf-8")
    return LastFailure(failure.reason, message, failure.exit_code, failure.signal, ledger.step)


def _beyond(step: Optional[int], last: Optional[int]) -> bool:
    return step is not None and (last is None or step > last)
