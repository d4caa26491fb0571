"""Whether training moves: the clock of steps, and what stacks say about who is stuck. Pure.

Heartbeats do not help here: a stuck trainer's launcher beats on. The clock passes ten times slower where a step may
well take long: before the first one of a generation (imports, compilation), in an evaluation, while saving.
"""

from __future__ import annotations

import dataclasses
from typing import List, Mapping, Optional, Tuple

from trainingjob_launcher.contract import MAX_LOG_LINES, Failure, Ledger
from trainingjob_launcher.gang_types import CHIEF, Pace, Progressed
from trainingjob_launcher.stacks import main_thread, stuck

REASON = "Stalled"
_SLOWER = 10.0
#: So many lines of the stack of a member that waits for the culprit.
_OTHERS = 6


def begin(now: float) -> Pace:
    """Return the clock of a generation that begins."""
    return Pace(at=now, moved_at=now)


def idle(pace: Pace, now: float) -> float:
    """Return the seconds without a step that count."""
    return pace.idle + max(0.0, now - pace.at) / (_SLOWER if pace.slow else 1.0)


def due(pace: Pace, limit: Optional[float]) -> Optional[float]:
    """Return when something is to be done about a generation that does not move; None for never."""
    if pace.inspect_by is not None:
        return pace.inspect_by
    if limit is None or pace.stalled:
        return None
    return pace.at + (limit - pace.idle) * (_SLOWER if pace.slow else 1.0)


def progressed(pace: Pace, ledger: Ledger, event: Progressed, now: float) -> Tuple[Pace, Ledger]:
    """Return clock and ledger after the trainer has spoken.

    Only steps that a generation makes by itself count: where a checkpoint has put it somebody was before.
    """
    moved = event.step is not None and event.step != pace.step
    step = event.step if event.step is not None else pace.step
    made = step is not None and step > (event.resumed_step or 0)
    advanced = made and (ledger.step is None or (step or 0) > ledger.step)
    pace = dataclasses.replace(
        pace,
        at=now,
        moved_at=now if moved else pace.moved_at,
        idle=0.0 if moved else idle(pace, now),
        slow=bool(event.busy) or not made,
        step=step,
        total=event.total if event.total is not None else pace.total,
        advanced=pace.advanced or advanced,
        inspect_by=None if moved else pace.inspect_by,
        stalled=pace.stalled and not moved,
    )
    if advanced:
        ledger = dataclasses.replace(ledger, step=step, started=True, fruitless=0)
    elif made:
        ledger = dataclasses.replace(ledger, started=True)
    return pace, ledger


def failure(generation: int, pace: Pace, stacks: Mapping[str, str], now: float) -> Failure:
    """Return the failure of a generation that stalls. The stacks take the place of the last log lines."""
    culprit = stuck(stacks, CHIEF)
    step = "a first step" if pace.step is None else f"a step after step {pace.step}"
    said = f"there was no sign of {step} for {now - pace.moved_at:.0f} s"
    return Failure(culprit, REASON, said, generation=generation, last_log_lines=_lines(stacks, culprit))


def _lines(stacks: Mapping[str, str], culprit: str) -> Tuple[str, ...]:
    """Return the stacks, the culprit's first and whole: the others only show where they wait."""
    out: List[str] = []
    for member in sorted(stacks, key=lambda member: member != culprit):
        lines = main_thread(stacks[member]).splitlines()
        block = [f"{member}: {line}" if at == 0 else line for at, line in enumerate(lines)]
        room = MAX_LOG_LINES - len(out)
        out += block[: room if member == culprit else min(room, _OTHERS)]
    return tuple(out)
