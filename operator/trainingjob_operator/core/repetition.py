"""A member's pod that ends as the one before it did, without a new step of the job in between, would do so again.

What trainers die of twice launchers judge. Of pods that end without a word the operator has to know: each pod carries
in an annotation how the last of its member ended that counted, and how far the job had come then. It is made with the
pod, so no restart of the operator loses it.
"""

import json
from dataclasses import dataclass, replace

from trainingjob_operator.api.contract import Ledger
from trainingjob_operator.core.observe import PodFact
from trainingjob_operator.core.verdict import Cost, Verdict

#: A program that tells no steps may have made some in a pod that ran for so many seconds.
SILENT_SECONDS = 60.0
AGAIN = "twice without a new step in between"


@dataclass(frozen=True, slots=True)
class End:
    """How a pod ended. `step` is the highest that the job had ever reported then, None for none."""

    reason: str
    exit_code: int | None
    step: int | None

    def encode(self) -> str:
        """Return the text that a pod carries."""
        values = {"reason": self.reason, "exitCode": self.exit_code, "step": self.step}
        kept = {name: value for name, value in values.items() if value is not None}
        return json.dumps(kept, ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def decode(cls, text: str) -> "End | None":
        """Read what `encode` wrote; None for anything else."""
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            return None
        if not isinstance(value, dict) or not isinstance(value.get("reason"), str):
            return None
        return cls(value["reason"], _number(value.get("exitCode")), _number(value.get("step")))


def carried(pod: PodFact | None, verdict: Verdict | None, ledger: Ledger) -> str:
    """Return what the next pod of a member carries on, "" for nothing. What is free, or ruled, changes nothing."""
    if verdict is not None and verdict.cost is Cost.COUNTED and not verdict.ruled:
        return End(str(verdict.failure.reason), verdict.failure.exit_code, ledger.step).encode()
    return pod.last_end if pod is not None else ""


def repeats(pod: PodFact, verdict: Verdict, ledger: Ledger) -> bool:
    """Whether a pod has ended as the last one of its member that counted, and nothing was achieved in between."""
    if verdict.cost is not Cost.COUNTED or verdict.ruled:
        return False
    before = End.decode(pod.last_end)
    if before is None or (before.reason, before.exit_code) != (verdict.failure.reason, verdict.failure.exit_code):
        return False
    if ledger.step is None:
        return not _lasted(pod)
    return before.step is not None and ledger.step <= before.step


def ended_again(verdict: Verdict) -> Verdict:
    """Return the verdict on an end that repeats: the job has failed, of the same."""
    message = f"{AGAIN}: {verdict.failure.message}"
    return replace(verdict, cost=Cost.FATAL, failure=replace(verdict.failure, message=message))


def _lasted(pod: PodFact) -> bool:
    ended = pod.terminated
    if ended is None or ended.finished_at is None:
        return False
    started = ended.started_at or pod.started_at or pod.created_at
    return started is not None and (ended.finished_at - started).total_seconds() >= SILENT_SECONDS


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
