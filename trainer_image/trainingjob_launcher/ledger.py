"""What a job has been through so far, as far as launchers count it. It outlives every single pod.

Each member carries the newest one that it has seen; the chief tells it with every generation, the operator gives the
last that was reported to each new pod. A new chief takes the newest of all. What pods cost (an evicted one, one out
of memory) the operator counts by itself: `Assignment.pod_failures`.
"""

from __future__ import annotations

import dataclasses
import json
from typing import Any, Dict, Mapping, Optional, Tuple

from trainingjob_launcher.fields import ContractError, count, mapping, optional_code, optional_count, text, unicode

_PATH = "ledger"
_MAX_REASON, _MAX_MESSAGE = 63, 256


@dataclasses.dataclass(frozen=True)
class LastFailure:
    """What the last failed generation died of; two failures are the same when all but `step` is."""

    reason: str
    message: str = ""
    exit_code: Optional[int] = None
    signal: Optional[int] = None
    #: The highest step that the job had ever reported then, None for none.
    step: Optional[int] = None

    def same_as(self, other: LastFailure) -> bool:
        """Whether both died of the same."""
        return dataclasses.replace(self, step=None) == dataclasses.replace(other, step=None)

    def to_json(self) -> Dict[str, Any]:
        """Return plain JSON types, without what is unknown."""
        values = {
            "reason": self.reason,
            "message": self.message[:_MAX_MESSAGE],
            "exitCode": self.exit_code,
            "signal": self.signal,
            "step": self.step,
        }
        return {name: value for name, value in values.items() if value is not None}

    @classmethod
    def from_json(cls, value: Any) -> LastFailure:
        """Read what `to_json` wrote; raises ContractError."""
        path = f"{_PATH}.last"
        document = mapping(value, path)
        return cls(
            reason=unicode(text(document, "reason", f"{path}.reason")[:_MAX_REASON]),
            message=unicode(
                text({"message": "", **document}, "message", f"{path}.message", empty=True)[:_MAX_MESSAGE]
            ),
            exit_code=optional_code(document, "exitCode", path),
            signal=optional_code(document, "signal", path),
            step=optional_count(document, "step", path),
        )


@dataclasses.dataclass(frozen=True)
class Ledger:
    """`generation` is the number of the last one that formed; 0 before the first.

    `counted` failures of trainers count against the limit. `step` is the highest that was ever reported, None for
    none; `started` says that the job has made its first step. `fruitless` restarts in a row brought no new step.
    """

    generation: int = 0
    counted: int = 0
    step: Optional[int] = None
    started: bool = False
    fruitless: int = 0
    last: Optional[LastFailure] = None

    @property
    def age(self) -> Tuple[int, int, int, int, int, str]:
        """What orders ledgers of one job: a later one has a greater one.

        Within a generation steps come first, its failure after them. `fruitless` is last: it starts anew after a
        step, where the failure's step is greater. The text only makes sure that there is an order in any case.
        """
        last = -2 if self.last is None else _number(self.last.step)
        return self.generation, _number(self.step), self.counted, last, self.fruitless, self.encode()

    def newest(self, other: Ledger) -> Ledger:
        """Return the later of both, with all that both know to have happened; of one history simply the later."""
        late, early = (self, other) if self.age >= other.age else (other, self)
        steps = [ledger.step for ledger in (late, early) if ledger.step is not None]
        return dataclasses.replace(
            late,
            counted=max(late.counted, early.counted),
            step=max(steps, default=None),
            started=late.started or early.started,
        )

    def to_json(self) -> Dict[str, Any]:
        """Return plain JSON types, without what is unknown."""
        values = {
            "generation": self.generation,
            "counted": self.counted,
            "step": self.step,
            "started": self.started or None,
            "fruitless": self.fruitless or None,
            "last": None if self.last is None else self.last.to_json(),
        }
        return {name: value for name, value in values.items() if value is not None}

    @classmethod
    def from_json(cls, value: Any, path: str = _PATH) -> Ledger:
        """Read what `to_json` wrote.

        Raises:
            ContractError: a field is of the wrong type or out of range.
        """
        document: Mapping[str, Any] = mapping(value, path)
        return cls(
            generation=count(document, "generation", f"{path}.generation"),
            counted=count(document, "counted", f"{path}.counted"),
            step=optional_count(document, "step", path),
            started=document.get("started") is True,
            fruitless=optional_count(document, "fruitless", path) or 0,
            last=None if document.get("last") is None else LastFailure.from_json(document["last"]),
        )

    def encode(self) -> str:
        """Return the ledger as the text that travels in an environment."""
        return json.dumps(self.to_json(), ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def decode(cls, told: str, path: str) -> Ledger:
        """Read what `encode` wrote; "" is an empty one. Raises ContractError."""
        if not told:
            return cls()
        try:
            document = json.loads(told)
        except (ValueError, RecursionError) as error:
            raise ContractError(path, "must be a JSON object") from error
        return cls.from_json(document, path)


def _number(step: Optional[int]) -> int:
    return -1 if step is None else step
