"""Settings of the operator process: one frozen object, from environment variables and flags.

A flag `--intake-port` and a variable `TRAININGJOB_OPERATOR_INTAKE_PORT` set the field `intake_port`; flags win.
"""

import argparse
import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

ENV_PREFIX = "TRAININGJOB_OPERATOR_"


class SettingsError(ValueError):
    """A setting that is missing or can't be read. The text names it and says what to write."""


def _help(text: str, default: Any) -> Any:
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that an installation can set. Times are seconds, rates are per second."""

    namespace: str = _help("namespace that the operator runs in (for its Lease and Secret)", "")
    pod_name: str = _help("this replica's name, its identity in the Lease and in events", "trainingjob-operator")
    watch_namespaces: tuple[str, ...] = _help("namespaces whose jobs it runs, by commas; empty: all", ())
    trainer_image_cpu: str = _help("members' image where a job names none and asks for no accelerator", "")
    trainer_image_gpu: str = _help("members' image where a job asks for an accelerator; empty: there is none", "")
    trainer_pull_policy: str = _help("pull policy of these two images", "IfNotPresent")
    node_pools_file: str = _help("JSON file: name of a node pool to its profile, as spec.nodePool", "")
    intake_service: str = _help("name of the Service that leads to the intake on every replica", "")
    intake_port: int = _help("port on which the intake listens", 8443)
    report_rate: float = _help("at most so many reports of one job are taken; more are told to wait", 2.0)
    namespace_report_rate: float = _help("at most so many reports of all jobs of a namespace are taken", 200.0)
    intake_secret: str = _help("Secret with the intake's CA and the gang key; filled when empty", "")
    lease: str = _help("Lease that the leading replica holds", "trainingjob-operator")
    health_port: int = _help("port of /healthz for the liveness probe", 8080)
    metrics_port: int = _help("port of /metrics for Prometheus, plain HTTP", 9090)
    metrics_jobs: int = _help("at most so many jobs get metrics of their own there", 2000)
    status_rate: float = _help("at most so many status writes for metrics", 20.0)
    qps: float = _help("at most so many API requests for reconciling", 100.0)
    burst: int = _help("so many API requests may be made at once", 200)
    workers: int = _help("how many jobs are reconciled at the same time", 8)
    log_level: str = _help("DEBUG, INFO, WARNING or ERROR", "INFO")

    @property
    def intake_url(self) -> str:
        """Where the chief's launcher posts its reports."""
        return f"https://{self.intake_service}.{self.namespace}.svc"

    def require(self, *names: str) -> None:
        """Check that settings without a sensible default are set.

        Raises:
            SettingsError: one of them is empty.
        """
        for name in names:
            if not getattr(self, name):
                raise SettingsError(f"{_variable(name)} is not set: {_text(name)}. The Helm chart sets it.")


def _variable(name: str) -> str:
    return ENV_PREFIX + name.upper()


def _text(name: str) -> str:
    return str(Settings.__dataclass_fields__[name].metadata["help"])


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Give a parser one flag for each setting."""
    for item in dataclasses.fields(Settings):
        parser.add_argument(
            f"--{item.name.replace('_', '-')}", help=f"{item.metadata['help']} [{_variable(item.name)}]", metavar=""
        )


def load(env: Mapping[str, str], flags: Mapping[str, str | None] | None = None) -> Settings:
    """Read settings; a flag wins over its variable, and an empty value means the default.

    Raises:
        SettingsError: a value can't be read.
    """
    values: dict[str, Any] = {}
    for item in dataclasses.fields(Settings):
        text = (flags or {}).get(item.name) or env.get(_variable(item.name)) or ""
        if text:
            values[item.name] = _read(item.name, text, item.default)
    return Settings(**values)


def _read(name: str, text: str, default: object) -> Any:
    if isinstance(default, tuple):
        return tuple(part.strip() for part in text.split(",") if part.strip())
    if isinstance(default, str):
        if name == "log_level" and text.upper() not in ("DEBUG", "INFO", "WARNING", "ERROR"):
            raise SettingsError(f"{_variable(name)} is {text!r}: write DEBUG, INFO, WARNING or ERROR")
        return text
    try:
        value = int(text) if isinstance(default, int) else float(text)
    except ValueError:
        value = -1
    if not 0 < value < 1e9:
        raise SettingsError(f"{_variable(name)} is {text!r}: write a positive number")
    return value


__all__: Sequence[str] = ("ENV_PREFIX", "Settings", "SettingsError", "add_flags", "load")
