"""The two contracts between operator and launcher, in one module that both sides import.

Contract 1, operator to launcher: `Assignment`, carried by `TRAININGJOB_*` environment variables.
Contract 2, launcher to operator: `Report`, posted as JSON to the intake, and once more, cut to 4 KiB, as the
container's termination message, which outlives an operator that was away.

Both carry a version. A reader refuses a version that it does not know, and names the field that is wrong:
a launcher and an operator of different releases may meet in one cluster.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
from typing import Any, Dict, List, Mapping, Optional, Tuple, Union

VERSION = 1

ENV_PREFIX = "TRAININGJOB_"
#: Variables that the kubelet fills in: name -> the pod field (downward API).
DOWNWARD_FIELDS: Dict[str, str] = {
    "TRAININGJOB_POD_NAME": "metadata.name",
    "TRAININGJOB_POD_UID": "metadata.uid",
    "TRAININGJOB_POD_IP": "status.podIP",
    "TRAININGJOB_NODE_NAME": "spec.nodeName",
}
#: Never handed on to the trainer.
SECRET_VARIABLES = ("TRAININGJOB_KEY",)
#: Set by the launcher for the trainer: the Unix datagram socket that takes progress.
SOCKET_VARIABLE = "TRAININGJOB_SOCKET"
#: Set by the launcher for the trainer: who it is, `chief-0`, `worker-3` or `evaluator-0`.
MEMBER_VARIABLE = "TRAININGJOB_MEMBER"
#: The JSON document that says what to train: for the launcher a text that it hands on, but for a few keys.
SPEC_VARIABLE = "TRAININGJOB_SPEC"

RENDEZVOUS_PORT = 7070
TRAINER_PORT = 2222

#: The evaluator is no member of the gang: it never is in the TensorFlow cluster.
ROLES = ("chief", "worker", "evaluator")
STATES = ("Forming", "Running", "Succeeded", "Failed")

MAX_REPORT_BYTES = 64 * 1024
MAX_TERMINATION_BYTES = 4096
#: Linux takes 128 KiB for one environment variable.
MAX_SPEC_BYTES = 96 * 1024
MAX_METRICS = 64
MAX_LOG_LINES = 50
MAX_TEXT = 1024
METRIC_NAME = re.compile(r"^[A-Za-z_][A-Za-z0-9_./-]{0,62}$")
_NON_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_MEMBER = re.compile(r"^(chief|worker|evaluator)-(0|[1-9][0-9]{0,3})$")


class ContractError(ValueError):
    """A document of the other side that breaks the contract. `field` is its path, the text says what to do."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field


def member_name(role: str, index: int) -> str:
    """Return the name of a member, `chief-0` or `worker-3`."""
    return f"{role}-{index}"


# --- Contract 1 -----------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Assignment:
    """What one member is told when its container starts.

    `key` is the job's rendezvous key in hex, the same for all its members. `report_*` are empty for workers:
    only the chief's launcher reports. `files` are the program's inline files, written to `work_dir` before the
    trainer starts; `source_dir` is a mounted folder whose files are copied there instead. `spec` is the JSON document
    of what to train, "" for none.
    """

    job: str
    namespace: str
    uid: str
    role: str
    index: int
    incarnation: int
    workers: int
    key: str
    chief_host: str = ""
    chief_port: int = RENDEZVOUS_PORT
    trainer_port: int = TRAINER_PORT
    work_dir: str = ""
    source_dir: str = ""
    files: Mapping[str, str] = dataclasses.field(default_factory=dict)
    spec: str = ""
    report_url: str = ""
    report_ca: str = ""
    report_token_file: str = ""
    report_interval_seconds: float = 5.0
    pod_name: str = ""
    pod_uid: str = ""
    pod_ip: str = ""
    node_name: str = ""

    @property
    def member(self) -> str:
        """Name of this member in its gang."""
        return member_name(self.role, self.index)

    @property
    def document(self) -> Dict[str, Any]:
        """What to train, read; empty for none."""
        return read_document(self.spec)

    def to_env(self) -> Dict[str, str]:
        """Return the environment, without the four fields that the kubelet fills in (`DOWNWARD_FIELDS`)."""
        env = {
            "TRAININGJOB_CONTRACT": str(VERSION),
            "TRAININGJOB_NAME": self.job,
            "TRAININGJOB_NAMESPACE": self.namespace,
            "TRAININGJOB_UID": self.uid,
            "TRAININGJOB_ROLE": self.role,
            "TRAININGJOB_INDEX": str(self.index),
            "TRAININGJOB_INCARNATION": str(self.incarnation),
            "TRAININGJOB_WORKERS": str(self.workers),
            "TRAININGJOB_KEY": self.key,
            "TRAININGJOB_CHIEF": f"{self.chief_host}:{self.chief_port}",
            "TRAININGJOB_TRAINER_PORT": str(self.trainer_port),
        }
        optional = {
            "TRAININGJOB_WORK_DIR": self.work_dir,
            "TRAININGJOB_SOURCE_DIR": self.source_dir,
            "TRAININGJOB_FILES": json.dumps(dict(self.files), ensure_ascii=False) if self.files else "",
            SPEC_VARIABLE: self.spec,
            "TRAININGJOB_REPORT_URL": self.report_url,
            "TRAININGJOB_REPORT_CA": self.report_ca,
            "TRAININGJOB_REPORT_TOKEN_FILE": self.report_token_file,
            "TRAININGJOB_REPORT_INTERVAL": f"{self.report_interval_seconds:g}" if self.report_url else "",
        }
        env.update({name: value for name, value in optional.items() if value})
        return env

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Assignment:
        """Read an assignment from a process environment.

        Raises:
            ContractError: a variable is missing or wrong; the text names it.
        """
        version = _env(env, "TRAININGJOB_CONTRACT")
        if version != str(VERSION):
            raise ContractError(
                "TRAININGJOB_CONTRACT",
                f"this launcher speaks version {VERSION}, the operator {version!r}: use a trainer image of the "
                "operator's release",
            )
        host, separator, port = _env(env, "TRAININGJOB_CHIEF").rpartition(":")
        if not separator:
            raise ContractError("TRAININGJOB_CHIEF", "must be HOST:PORT")
        role = _env(env, "TRAININGJOB_ROLE")
        if role not in ROLES:
            raise ContractError("TRAININGJOB_ROLE", f"is {role!r}, must be one of {', '.join(ROLES)}")
        files = _json_env(env, "TRAININGJOB_FILES")
        spec = env.get(SPEC_VARIABLE, "")
        read_document(spec)
        return cls(
            job=_env(env, "TRAININGJOB_NAME"),
            namespace=_env(env, "TRAININGJOB_NAMESPACE"),
            uid=_env(env, "TRAININGJOB_UID"),
            role=role,
            index=_int_env(env, "TRAININGJOB_INDEX"),
            incarnation=_int_env(env, "TRAININGJOB_INCARNATION"),
            workers=_int_env(env, "TRAININGJOB_WORKERS"),
            key=_env(env, "TRAININGJOB_KEY"),
            chief_host=host,
            chief_port=_port("TRAININGJOB_CHIEF", port),
            trainer_port=_port("TRAININGJOB_TRAINER_PORT", env.get("TRAININGJOB_TRAINER_PORT", str(TRAINER_PORT))),
            work_dir=env.get("TRAININGJOB_WORK_DIR", ""),
            source_dir=env.get("TRAININGJOB_SOURCE_DIR", ""),
            files=files,
            spec=spec,
            report_url=env.get("TRAININGJOB_REPORT_URL", ""),
            report_ca=env.get("TRAININGJOB_REPORT_CA", ""),
            report_token_file=env.get("TRAININGJOB_REPORT_TOKEN_FILE", ""),
            report_interval_seconds=_seconds_env(env, "TRAININGJOB_REPORT_INTERVAL", 5.0),
            pod_name=env.get("TRAININGJOB_POD_NAME", ""),
            pod_uid=env.get("TRAININGJOB_POD_UID", ""),
            pod_ip=env.get("TRAININGJOB_POD_IP", ""),
            node_name=env.get("TRAININGJOB_NODE_NAME", ""),
        )


def read_document(text: str) -> Dict[str, Any]:
    """Read the document of what to train (`SPEC_VARIABLE`); an empty text is an empty document.

    Raises:
        ContractError: too long, not a JSON object, or of another version.
    """
    if not text:
        return {}
    size = len(text.encode("utf-8", "replace"))
    if size > MAX_SPEC_BYTES:
        raise ContractError(SPEC_VARIABLE, f"has {size} bytes, the limit is {MAX_SPEC_BYTES}")
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise ContractError(SPEC_VARIABLE, "must be a JSON object")
    version = document.get("version")
    if version != VERSION or isinstance(version, bool):
        raise ContractError(
            SPEC_VARIABLE,
            f"has version {_short(version)}, this launcher reads {VERSION}: use a trainer image of the operator's "
            "release",
        )
    return document


def _env(env: Mapping[str, str], name: str) -> str:
    value = env.get(name, "")
    if not value:
        raise ContractError(name, "is not set: the launcher runs in pods that the operator makes")
    return value


def _int_env(env: Mapping[str, str], name: str) -> int:
    value = _env(env, name)
    if not re.fullmatch(r"[0-9]{1,6}", value):
        raise ContractError(name, f"is {value!r}, must be a whole number")
    return int(value)


def _port(name: str, value: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", value) or int(value) > 65535:
        raise ContractError(name, f"port {value!r} must be a number from 0 to 65535")
    return int(value)


def _seconds_env(env: Mapping[str, str], name: str, default: float) -> float:
    text = env.get(name, "")
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not value > 0 or math.isinf(value):
        raise ContractError(name, f"is {text!r}, must be a positive number of seconds")
    return value


def _json_env(env: Mapping[str, str], name: str) -> Dict[str, str]:
    text = env.get(name, "")
    if not text:
        return {}
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict) or not all(isinstance(v, str) for v in value.values()):
        raise ContractError(name, "must be a JSON object of file names and texts")
    return value


# --- Contract 2 -----------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Training:
    """How far the trainer is. `None` is unknown, never zero. Rates are per second, over the whole gang."""

    step: Optional[int] = None
    total_steps: Optional[int] = None
    epoch: Optional[int] = None
    total_epochs: Optional[int] = None
    percent: Optional[float] = None
    eta_seconds: Optional[float] = None
    examples_per_second: Optional[float] = None
    metrics: Mapping[str, float] = dataclasses.field(default_factory=dict)


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


@dataclasses.dataclass(frozen=True)
class Report:
    """One message of the chief's launcher.

    `(generation, sequence)` orders the reports of a chief; `incarnation` is the chief pod's. `state` is the
    generation's, `final` says that nothing comes after it.
    """

    member: str
    incarnation: int
    generation: int
    sequence: int
    state: str
    final: bool = False
    training: Optional[Training] = None
    failure: Optional[Failure] = None

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
            t = self.training
            values = {
                "step": t.step,
                "totalSteps": t.total_steps,
                "epoch": t.epoch,
                "totalEpochs": t.total_epochs,
                "percent": t.percent,
                "etaSeconds": t.eta_seconds,
                "examplesPerSecond": t.examples_per_second,
            }
            out["training"] = {name: value for name, value in values.items() if value is not None}
            if t.metrics:
                out["training"]["metrics"] = {name: encode_number(v) for name, v in t.metrics.items()}
        if self.failure is not None:
            f = self.failure
            out["failure"] = {"member": f.member, "reason": f.reason, "message": f.message}
            out["failure"]["generation"] = f.generation
            if f.exit_code is not None:
                out["failure"]["exitCode"] = f.exit_code
            if f.signal is not None:
                out["failure"]["signal"] = f.signal
            if f.last_log_lines:
                out["failure"]["lastLogLines"] = list(f.last_log_lines)
        return out

    def encode(self, limit: int = MAX_REPORT_BYTES) -> bytes:
        """Return the report as UTF-8 JSON of at most `limit` bytes.

        What is too much goes in this order: the oldest log lines, then metrics from the last, then the
        failure's message. The numbers that order reports always stay.
        """
        report = self
        while True:
            data = json.dumps(report.to_json(), ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
            if len(data) <= limit:
                return data
            report = report._smaller(len(data) - limit)

    def _smaller(self, excess: int) -> Report:
        failure, training = self.failure, self.training
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
        raise ContractError("report", "does not fit the limit even without logs, metrics and message")

    @classmethod
    def decode(cls, data: Union[bytes, str]) -> Report:
        """Read a report from JSON.

        Raises:
            ContractError: not JSON, unknown version, or a field that is missing, of the wrong type or out of range.
        """
        if len(data) > MAX_REPORT_BYTES:
            raise ContractError("report", f"has {len(data)} bytes, the limit is {MAX_REPORT_BYTES}")
        try:
            document = json.loads(data, parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as error:
            raise ContractError("report", "is not JSON in UTF-8") from error
        if not isinstance(document, dict):
            raise ContractError("report", "must be a JSON object")
        if document.get("version") != VERSION:
            raise ContractError("version", f"is {_short(document.get('version'))}, this operator reads {VERSION}")
        member = _text(document, "member", "member")
        if not _MEMBER.fullmatch(member):
            raise ContractError("member", f"is {_short(member)}, must be like chief-0, worker-3 or evaluator-0")
        state = _text(document, "state", "state")
        if state not in STATES:
            raise ContractError("state", f"is {_short(state)}, must be one of {', '.join(STATES)}")
        final = document.get("final", False)
        if not isinstance(final, bool):
            raise ContractError("final", "must be true or false")
        return cls(
            member=member,
            incarnation=_count(document, "incarnation", "incarnation"),
            generation=_count(document, "generation", "generation"),
            sequence=_count(document, "sequence", "sequence"),
            state=state,
            final=final,
            training=_training(document.get("training")),
            failure=_failure(document.get("failure")),
        )


def encode_number(value: float) -> Union[float, str]:
    """Return a number as JSON can carry it: non-finite ones as the strings NaN, Infinity and -Infinity."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return value


def decode_number(value: Any, field: str) -> float:
    """Read what `encode_number` wrote."""
    if isinstance(value, str) and value in _NON_FINITE:
        return _NON_FINITE[value]
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ContractError(field, f"is {_short(value)}, must be a number, NaN, Infinity or -Infinity")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf if value > 0 else -math.inf
    return number


def _training(value: Any) -> Optional[Training]:
    if value is None:
        return None
    if not isinstance(value, dict):
        raise ContractError("training", "must be an object")
    metrics = value.get("metrics", {})
    if not isinstance(metrics, dict):
        raise ContractError("training.metrics", "must be an object of names and numbers")
    if len(metrics) > MAX_METRICS:
        raise ContractError("training.metrics", f"has {len(metrics)} names, the limit is {MAX_METRICS}")
    numbers: Dict[str, float] = {}
    for name, number in metrics.items():
        if not METRIC_NAME.fullmatch(name):
            raise ContractError("training.metrics", f"name {_short(name)} must match {METRIC_NAME.pattern}")
        numbers[name] = decode_number(number, f"training.metrics.{name}")
    return Training(
        step=_optional_count(value, "step"),
        total_steps=_optional_count(value, "totalSteps"),
        epoch=_optional_count(value, "epoch"),
        total_epochs=_optional_count(value, "totalEpochs"),
        percent=_optional_amount(value, "percent", 100.0),
        eta_seconds=_optional_amount(value, "etaSeconds", 1e9),
        examples_per_second=_optional_amount(value, "examplesPerSecond", 1e15),
        metrics=numbers,
    )


def _failure(value: Any) -> Optional[Failure]:
    if value is None:
        return None
    if not isinstance(value, dict):
        raise ContractError("failure", "must be an object")
    lines = value.get("lastLogLines", [])
    if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
        raise ContractError("failure.lastLogLines", "must be a list of texts")
    reason = _text(value, "reason", "failure.reason")
    if not re.fullmatch(r"[A-Z][A-Za-z0-9]{0,62}", reason):
        raise ContractError("failure.reason", f"is {_short(reason)}, must be one CamelCase word")
    member = _text(value, "member", "failure.member")
    if not _MEMBER.fullmatch(member):
        raise ContractError("failure.member", f"is {_short(member)}, must be like chief-0, worker-3 or evaluator-0")
    return Failure(
        member=member,
        reason=reason,
        message=_text(value, "message", "failure.message", empty=True)[:MAX_TEXT],
        exit_code=_optional_code(value, "exitCode"),
        signal=_optional_code(value, "signal"),
        generation=_count(value, "generation", "failure.generation"),
        last_log_lines=tuple(line[:MAX_TEXT] for line in lines[-MAX_LOG_LINES:]),
    )


def _refuse_constant(name: str) -> float:
    raise ValueError(name)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _text(document: Mapping[str, Any], name: str, field: str, empty: bool = False) -> str:
    value = document.get(name)
    if not isinstance(value, str) or not (value or empty):
        raise ContractError(field, f"is {_short(value)}, must be a text")
    return value


def _count(document: Mapping[str, Any], name: str, field: str) -> int:
    value = document.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**53:
        raise ContractError(field, f"is {_short(value)}, must be a whole number from 0 on")
    return value


def _optional_count(document: Mapping[str, Any], name: str) -> Optional[int]:
    return None if document.get(name) is None else _count(document, name, f"training.{name}")


def _optional_amount(document: Mapping[str, Any], name: str, limit: float) -> Optional[float]:
    if document.get(name) is None:
        return None
    value = decode_number(document[name], f"training.{name}")
    if not 0 <= value <= limit:
        raise ContractError(f"training.{name}", f"is {_short(value)}, must be from 0 to {limit:g}")
    return value


def _optional_code(document: Mapping[str, Any], name: str) -> Optional[int]:
    value = document.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not -256 <= value <= 256:
        raise ContractError(f"failure.{name}", f"is {_short(value)}, must be a process's exit code or signal")
    return value
