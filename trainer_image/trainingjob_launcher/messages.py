"""What launchers tell each other about members, trainers and the end. Plain values with their JSON form."""

from __future__ import annotations

import dataclasses
import json
from typing import Any, Dict, Mapping, Optional, Tuple

from trainingjob_launcher.contract import (
    MAX_LOG_LINES,
    MAX_METRICS,
    METRIC_NAME,
    ContractError,
    Failure,
    Ledger,
    MemberUsage,
    decode_number,
)

SUCCEEDED = "Succeeded"
FAILED = "Failed"
TERMINATED = "Terminated"
OUTCOMES = (SUCCEEDED, FAILED, TERMINATED)

MAX_LINE = 500
#: What one frame may carry of log lines, as JSON with its escapes; a frame has at most 64 KiB.
_MAX_LINES_BYTES = 48 * 1024


class MessageError(ValueError):
    """A message of a peer that holds the key, but makes no sense: another release, or a fault."""


@dataclasses.dataclass(frozen=True)
class Hello:
    """Who a member is and where its trainer will listen. `address` is HOST:PORT, IPv6 hosts in brackets.

    `ledger` is the newest that it has seen; `pod_failures` is how many pods had failed when its own was made.
    """

    member: str
    incarnation: int
    address: str
    pod_name: str = ""
    pod_uid: str = ""
    accelerators: int = 0
    ledger: Ledger = dataclasses.field(default_factory=Ledger)
    pod_failures: int = 0

    def to_json(self) -> Dict[str, Any]:
        """Return plain JSON types."""
        return {**dataclasses.asdict(self), "ledger": self.ledger.to_json()}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Hello:
        """Read what `to_json` wrote; raises MessageError."""
        return cls(
            member=text(value, "member"),
            incarnation=count(value, "incarnation"),
            address=text(value, "address"),
            pod_name=text(value, "pod_name", ""),
            pod_uid=text(value, "pod_uid", ""),
            accelerators=count(value, "accelerators"),
            ledger=ledger(value),
            pod_failures=count({"pod_failures": 0, **value}, "pod_failures"),
        )


@dataclasses.dataclass(frozen=True)
class TrainerExit:
    """How a trainer ended. `code` follows the shell: 128 + `signal` when a signal ended it."""

    code: int
    signal: Optional[int] = None
    reason: str = ""
    message: str = ""
    log_lines: Tuple[str, ...] = ()

    def to_json(self) -> Dict[str, Any]:
        """Return plain JSON types, with as many of the last log lines as fit a frame."""
        return {
            "code": self.code,
            "signal": self.signal,
            "reason": self.reason,
            "message": self.message[:MAX_LINE],
            "log_lines": fitting(self.log_lines),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> TrainerExit:
        """Read what `to_json` wrote; raises MessageError."""
        lines = value.get("log_lines", [])
        if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
            raise MessageError("log_lines must be a list of texts")
        signal = value.get("signal")
        return cls(
            code=count(value, "code", 256),
            signal=None if signal is None else count(value, "signal", 256),
            reason=text(value, "reason", ""),
            message=text(value, "message", ""),
            log_lines=tuple(lines[-MAX_LOG_LINES:]),
        )


@dataclasses.dataclass(frozen=True)
class End:
    """The chief's last word to the gang: how the job ended, and the first cause when it failed."""

    outcome: str
    failure: Optional[Failure] = None

    def to_json(self) -> Dict[str, Any]:
        """Return plain JSON types."""
        failure: Optional[Dict[str, Any]] = None
        if self.failure is not None:
            failure = dataclasses.asdict(self.failure)
            failure["last_log_lines"] = fitting(self.failure.last_log_lines)
        return {"outcome": self.outcome, "failure": failure}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> End:
        """Read what `to_json` wrote; raises MessageError."""
        outcome = text(value, "outcome")
        if outcome not in OUTCOMES:
            raise MessageError(f"outcome {outcome!r} is not known")
        document = value.get("failure")
        if document is None:
            return cls(outcome)
        if not isinstance(document, dict):
            raise MessageError("failure must be an object")
        end = TrainerExit.from_json({"code": 0, **document, "log_lines": document.get("last_log_lines", [])})
        code = document.get("exit_code")
        return cls(
            outcome,
            Failure(
                member=text(document, "member"),
                reason=end.reason,
                message=end.message,
                exit_code=None if code is None else count(document, "exit_code", 256),
                signal=end.signal,
                generation=count(document, "generation"),
                last_log_lines=end.log_lines,
            ),
        )


def fitting(lines: Tuple[str, ...]) -> list[str]:
    """Return the last of `lines` that fit a frame together, each cut to `MAX_LINE` characters."""
    kept: list[str] = []
    room = _MAX_LINES_BYTES
    for line in reversed(lines[-MAX_LOG_LINES:]):
        cut = line[:MAX_LINE]
        room -= len(json.dumps(cut)) + 1
        if room < 0:
            break
        kept.append(cut)
    return kept[::-1]


def text(value: Mapping[str, Any], name: str, default: Optional[str] = None) -> str:
    """Return the text `name` of a message; raises MessageError."""
    found = value.get(name, default)
    if not isinstance(found, str):
        raise MessageError(f"{name} must be a text")
    return found


def metrics(value: Mapping[str, Any], prefix: str) -> Dict[str, float]:
    """Return the metrics of a message whose names begin with `prefix`; raises MessageError."""
    found = value.get("metrics")
    if not isinstance(found, dict) or len(found) > MAX_METRICS:
        raise MessageError(f"metrics must be an object of at most {MAX_METRICS} names and numbers")
    try:
        return {
            name: decode_number(number, name)
            for name, number in found.items()
            if name.startswith(prefix) and METRIC_NAME.fullmatch(name)
        }
    except ContractError as error:
        raise MessageError(f"metric {error}") from error


def usage(value: Mapping[str, Any], member: str) -> MemberUsage:
    """Return what `member` says that it uses; raises MessageError."""
    try:
        found = MemberUsage.from_json(value.get("usage"), "usage")
    except ContractError as error:
        raise MessageError(str(error)) from error
    if found.member != member:
        raise MessageError(f"it is {member} and tells what {found.member} uses")
    return found


def ledger(value: Mapping[str, Any]) -> Ledger:
    """Return the ledger of a message, an empty one where there is none; raises MessageError."""
    try:
        return Ledger.from_json(value["ledger"]) if value.get("ledger") is not None else Ledger()
    except ContractError as error:
        raise MessageError(str(error)) from error


def count(value: Mapping[str, Any], name: str, limit: int = 2**31) -> int:
    """Return the whole number `name` of a message, 0 to `limit`; raises MessageError."""
    found = value.get(name)
    if isinstance(found, bool) or not isinstance(found, int) or not 0 <= found <= limit:
        raise MessageError(f"{name} must be a whole number from 0 to {limit}")
    return found
