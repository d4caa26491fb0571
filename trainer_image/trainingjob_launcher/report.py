"""Contract 2, launcher to operator: what the chief's launcher reports, posted as JSON to the intake.

Once more, cut to 4 KiB, it is the container's termination message, which outlives an operator that was away.
"""

from __future__ import annotations

import dataclasses
import json
import re
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple, TypeVar, Union

from trainingjob_launcher.assignment import VERSION
from trainingjob_launcher.fields import (
    ContractError,
    count,
    mapping,
    member,
    optional_amount,
    optional_code,
    optional_count,
    refuse_constant,
    short,
    text,
    unicode,
)
from trainingjob_launcher.ledger import Ledger
from trainingjob_launcher.report_training import Training
from trainingjob_launcher.report_usage import Telemetry

#: Forming: members are missing. Restarting: a generation is over, `failure` says why. Terminated: the chief's pod was
#: asked to go, and the job goes on with the next. ChiefLost: a worker has lost its chief from sight.
STATES = ("Forming", "Running", "Restarting", "Terminated", "Succeeded", "Failed", "ChiefLost")
MAX_REPORT_BYTES = 64 * 1024
MAX_TERMINATION_BYTES = 4096
MAX_LOG_LINES = 50
MAX_MEMBERS = 1000
MAX_TEXT = 1024
#: So many unreachable members are the last that a report gives up: the status shows as many.
_MEMBERS_KEPT = 32

_Part = TypeVar("_Part")


@dataclasses.dataclass(frozen=True)
class Failure:
    """The first cause of a failed generation, as the chief's launcher judged it.

    `reason` is one CamelCase word. `exit_code` is the trainer's, 128 + signal when a signal ended it.
    """

    member: str
    reason: str
    message: str
    exit_code: Optional[int] = None
    signal: Optional[int] = None
    generation: int = 0
    last_log_lines: Tuple[str, ...] = ()

    def to_json(self) -> Dict[str, Any]:
        """Return plain JSON types, without what is unknown."""
        out: Dict[str, Any] = {"member": self.member, "reason": self.reason, "message": self.message}
        out["generation"] = self.generation
        if self.exit_code is not None:
            out["exitCode"] = self.exit_code
        if self.signal is not None:
            out["signal"] = self.signal
        if self.last_log_lines:
            out["lastLogLines"] = list(self.last_log_lines)
        return out

    @classmethod
    def from_json(cls, value: Any) -> Failure:
        """Read what `to_json` wrote.

        Raises:
            ContractError: a field is missing, of the wrong type or out of range.
        """
        document = mapping(value, "failure")
        lines = document.get("lastLogLines", [])
        if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
            raise ContractError("failure.lastLogLines", "must be a list of texts")
        reason = text(document, "reason", "failure.reason")
        if not re.fullmatch(r"[A-Z][A-Za-z0-9]{0,62}", reason):
            raise ContractError("failure.reason", f"is {short(reason)}, must be one CamelCase word")
        return cls(
            member=member(document, "member", "failure.member"),
            reason=reason,
            message=unicode(text(document, "message", "failure.message", empty=True)[:MAX_TEXT]),
            exit_code=optional_code(document, "exitCode", "failure"),
            signal=optional_code(document, "signal", "failure"),
            generation=count(document, "generation", "failure.generation"),
            last_log_lines=tuple(unicode(line[:MAX_TEXT]) for line in lines[-MAX_LOG_LINES:]),
        )


@dataclasses.dataclass(frozen=True)
class Report:
    """One message of the chief's launcher; or, in state ChiefLost, of a worker's.

    `(generation, sequence)` orders the reports of a chief; `incarnation` is the sender pod's. `state` is the
    generation's, `final` says that nothing comes after it. `failure` is why the last generation ended. `size` is how
    many members train, `unreachable` are those that the gang waits for and that have been in it before. `stalled` is
    for how many seconds there was no step, None while there are. A worker's message has the incarnation of the chief
    that it lost in `chief_incarnation`.
    """

    member: str
    incarnation: int
    generation: int
    sequence: int
    state: str
    final: bool = False
    training: Optional[Training] = None
    failure: Optional[Failure] = None
    telemetry: Optional[Telemetry] = None
    ledger: Optional[Ledger] = None
    size: Optional[int] = None
    unreachable: Tuple[str, ...] = ()
    stalled: Optional[float] = None
    chief_incarnation: Optional[int] = None

    def to_json(self) -> Dict[str, Any]:
        """Return the report as plain JSON types; non-finite numbers as the strings NaN, Infinity, -Infinity."""
        out: Dict[str, Any] = {
            "version": VERSION,
            "member": self.member,
            "incarnation": self.incarnation,
            "generation": self.generation,
            "sequence": self.sequence,
            "state": self.state,
            "final": self.final,
        }
        if self.training is not None:
            out["training"] = self.training.to_json()
        if self.failure is not None:
            out["failure"] = self.failure.to_json()
        if self.telemetry is not None:
            out["telemetry"] = self.telemetry.to_json()
        if self.ledger is not None:
            out["ledger"] = self.ledger.to_json()
        values = {
            "size": self.size,
            "unreachable": list(self.unreachable) or None,
            "stalledSeconds": self.stalled,
            "chiefIncarnation": self.chief_incarnation,
        }
        return {**out, **{name: value for name, value in values.items() if value is not None}}

    def encode(self, limit: int = MAX_REPORT_BYTES) -> bytes:
        """Return the report as UTF-8 JSON of at most `limit` bytes.

        What is too much goes in this order: telemetry, which is of the moment; unreachable members from the last, but
        for the first few; the metrics' extremes; the oldest log lines; metrics from the last; the failure's message;
        the other unreachable members; the message of the ledger's last failure. The numbers that order reports, and
        those of the ledger, always stay.
        """
        report = self
        while True:
            data = json.dumps(report.to_json(), ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
            if len(data) <= limit:
                return data
            report = report._smaller(len(data) - limit)

    def _smaller(self, excess: int) -> Report:
        failure, training = self.failure, self.training
        if self.telemetry is not None:
            return dataclasses.replace(self, telemetry=None)
        if len(self.unreachable) > _MEMBERS_KEPT:
            return self._missing_fewer(excess, _MEMBERS_KEPT)
        if training is not None and training.extremes is not None:
            return dataclasses.replace(self, training=dataclasses.replace(training, extremes=None))
        if failure is not None and failure.last_log_lines:
            kept: List[str] = list(failure.last_log_lines)
            freed = 0
            while kept and freed < excess:
                freed += len(kept.pop(0).encode("utf-8", "replace")) + 3
            return dataclasses.replace(self, failure=dataclasses.replace(failure, last_log_lines=tuple(kept)))
        if training is not None and training.metrics:
            names = list(training.metrics)[: max(0, len(training.metrics) - 1 - excess // 64)]
            metrics = {name: training.metrics[name] for name in names}
            return dataclasses.replace(self, training=dataclasses.replace(training, metrics=metrics))
        if failure is not None and failure.message:
            message = failure.message[: max(0, len(failure.message) - max(1, excess))]
            return dataclasses.replace(self, failure=dataclasses.replace(failure, message=message))
        if self.unreachable:
            return self._missing_fewer(excess, 0)
        if self.ledger is not None and self.ledger.last is not None and self.ledger.last.message:
            last = dataclasses.replace(self.ledger.last, message="")
            return dataclasses.replace(self, ledger=dataclasses.replace(self.ledger, last=last))
        raise ContractError("report", "does not fit the limit even without logs, metrics and message")

    def _missing_fewer(self, excess: int, least: int) -> Report:
        """Return it with fewer unreachable members, at least so many."""
        kept, freed = len(self.unreachable), 0
        while kept > least and freed < excess:
            kept -= 1
            freed += len(self.unreachable[kept]) + 3
        return dataclasses.replace(self, unreachable=self.unreachable[:kept])

    @classmethod
    def decode(cls, data: Union[bytes, str]) -> Report:
        """Read a report from JSON.

        Raises:
            ContractError: not JSON, unknown version, or a field that is missing, of the wrong type or out of range.
        """
        if len(data) > MAX_REPORT_BYTES:
            raise ContractError("report", f"has {len(data)} bytes, the limit is {MAX_REPORT_BYTES}")
        try:
            document = json.loads(data, parse_constant=refuse_constant)
        except (ValueError, RecursionError) as error:
            raise ContractError("report", "is not JSON in UTF-8") from error
        if not isinstance(document, dict):
            raise ContractError("report", "must be a JSON object")
        if document.get("version") != VERSION:
            raise ContractError("version", f"is {short(document.get('version'))}, this operator reads {VERSION}")
        state = text(document, "state", "state")
        if state not in STATES:
            raise ContractError("state", f"is {short(state)}, must be one of {', '.join(STATES)}")
        final = document.get("final", False)
        if not isinstance(final, bool):
            raise ContractError("final", "must be true or false")
        return cls(
            member=member(document, "member", "member"),
            incarnation=count(document, "incarnation", "incarnation"),
            generation=count(document, "generation", "generation"),
            sequence=count(document, "sequence", "sequence"),
            state=state,
            final=final,
            training=_part(document, "training", Training.from_json),
            failure=_part(document, "failure", Failure.from_json),
            telemetry=_part(document, "telemetry", Telemetry.from_json),
            ledger=_part(document, "ledger", Ledger.from_json),
            size=optional_count(document, "size", "report"),
            unreachable=_members(document),
            stalled=optional_amount(document, "stalledSeconds", "report", 1e9),
            chief_incarnation=optional_count(document, "chiefIncarnation", "report"),
        )


def _members(document: Mapping[str, Any]) -> Tuple[str, ...]:
    names = document.get("unreachable", [])
    if not isinstance(names, list) or len(names) > MAX_MEMBERS:
        raise ContractError("unreachable", f"must be a list of at most {MAX_MEMBERS} members")
    return tuple(member({"unreachable": name}, "unreachable", "unreachable") for name in names)


def _part(document: Mapping[str, Any], name: str, read: Callable[[Any], _Part]) -> Optional[_Part]:
    return None if document.get(name) is None else read(document[name])
