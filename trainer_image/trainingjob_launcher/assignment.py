"""Contract 1, operator to launcher: what one member is told, carried by `TRAININGJOB_*` environment variables."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from typing import Any, Dict, Mapping

from trainingjob_launcher.fields import ContractError, short
from trainingjob_launcher.ledger import Ledger
from trainingjob_launcher.policy import Policy

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
#: Set by the launcher for the trainer: the generation that it belongs to, `CHIEF_INCARNATION.NUMBER`.
GENERATION_VARIABLE = "TRAININGJOB_GENERATION"
#: Set by the launcher for the trainer: the number of an open file that takes a stack (`faulthandler`) on SIGUSR2.
STACK_VARIABLE = "TRAININGJOB_STACK_FD"
#: The JSON document that says what to train: for the launcher a text that it hands on, but for a few keys.
SPEC_VARIABLE = "TRAININGJOB_SPEC"

RENDEZVOUS_PORT = 7070
TRAINER_PORT = 2222

#: The evaluator is no member of the gang: it never is in the TensorFlow cluster.
ROLES = ("chief", "worker", "evaluator")
#: Linux takes 128 KiB for one environment variable.
MAX_SPEC_BYTES = 96 * 1024


def member_name(role: str, index: int) -> str:
    """Return the name of a member, `chief-0` or `worker-3`."""
    return f"{role}-{index}"


@dataclasses.dataclass(frozen=True)
class Assignment:
    """What one member is told when its container starts.

    `key` is the job's rendezvous key in hex, the same for all its members. The chief's launcher reports to
    `report_url`, a worker's only that it has lost its chief. `ledger` is what was reported last when the pod was
    made; `pod_failures` is how many pods of the whole job had failed by then in a way that counts. `files` are the
    program's inline files, written to `work_dir` before the trainer starts; `source_dir` is a mounted folder whose
    files are copied there instead. `spec` is the JSON document of what to train, "" for none. `tensorboard_dir` is
    the folder that the chief's launcher writes event files to, "" for none.
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
    tensorboard_dir: str = ""
    policy: Policy = dataclasses.field(default_factory=Policy)
    ledger: Ledger = dataclasses.field(default_factory=Ledger)
    pod_failures: int = 0
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
            "TRAININGJOB_TENSORBOARD_DIR": self.tensorboard_dir,
            "TRAININGJOB_POLICY": "" if self.policy == Policy() else self.policy.encode(),
            "TRAININGJOB_LEDGER": "" if self.ledger == Ledger() else self.ledger.encode(),
            "TRAININGJOB_POD_FAILURES": str(self.pod_failures) if self.pod_failures else "",
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
            tensorboard_dir=env.get("TRAININGJOB_TENSORBOARD_DIR", ""),
            policy=Policy.decode(env.get("TRAININGJOB_POLICY", "")),
            ledger=Ledger.decode(env.get("TRAININGJOB_LEDGER", ""), "TRAININGJOB_LEDGER"),
            pod_failures=_int_env({"TRAININGJOB_POD_FAILURES": "0", **env}, "TRAININGJOB_POD_FAILURES"),
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
            f"has version {short(version)}, this launcher reads {VERSION}: use a trainer image of the operator's "
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
