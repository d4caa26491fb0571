"""How far the trainer is: the part of a report that most of it is about."""

from __future__ import annotations

import dataclasses
from typing import Any, Dict, Mapping, Optional

from trainingjob_launcher.fields import (
    ContractError,
    decode_number,
    encode_number,
    mapping,
    metric_names,
    optional_amount,
    optional_count,
)

_PATH = "training"


@dataclasses.dataclass(frozen=True)
class Extremes:
    """The lowest and the highest value that a metric has had, and at which step, where steps are told.

    Reports are samples; these are not: every value that the program reported has been looked at. NaN is left out.
    """

    low: float
    high: float
    low_step: Optional[int] = None
    high_step: Optional[int] = None

    def wider(self, other: Extremes) -> Extremes:
        """Return the extremes of both; of equal values the step of these."""
        low, high = (other if other.low < self.low else self), (other if other.high > self.high else self)
        return Extremes(low.low, high.high, low.low_step, high.high_step)

    def to_json(self) -> Dict[str, Any]:
        """Return plain JSON types."""
        values = {
            "low": encode_number(self.low),
            "lowStep": self.low_step,
            "high": encode_number(self.high),
            "highStep": self.high_step,
        }
        return {name: value for name, value in values.items() if value is not None}

    @classmethod
    def from_json(cls, value: Any, path: str) -> Extremes:
        """Read what `to_json` wrote.

        Raises:
            ContractError: a field is missing or wrong.
        """
        document = mapping(value, path)
        low, high = (decode_number(document.get(name), f"{path}.{name}") for name in ("low", "high"))
        if not low <= high:
            raise ContractError(path, f"low is {low:g} and high is {high:g}: low must not be above high")
        return cls(low, high, optional_count(document, "lowStep", path), optional_count(document, "highStep", path))


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
    #: The step that the generation began at, from a checkpoint; None when it began with nothing.
    resumed_step: Optional[int] = None
    #: None is not told: the metrics are all that is known. Else a metric without extremes has no value that counts.
    extremes: Optional[Mapping[str, Extremes]] = None

    def to_json(self) -> Dict[str, Any]:
        """Return plain JSON types, without what is unknown."""
        values: Dict[str, Any] = {
            "step": self.step,
            "totalSteps": self.total_steps,
            "epoch": self.epoch,
            "totalEpochs": self.total_epochs,
            "percent": self.percent,
            "etaSeconds": self.eta_seconds,
            "examplesPerSecond": self.examples_per_second,
            "resumedStep": self.resumed_step,
        }
        out = {name: value for name, value in values.items() if value is not None}
        if self.metrics:
            out["metrics"] = {name: encode_number(value) for name, value in self.metrics.items()}
        if self.extremes is not None:
            out["extremes"] = {name: extremes.to_json() for name, extremes in self.extremes.items()}
        return out

    @classmethod
    def from_json(cls, value: Any) -> Training:
        """Read what `to_json` wrote.

        Raises:
            ContractError: a field is of the wrong type or out of range.
        """
        document = mapping(value, _PATH)
        metrics = metric_names(document.get("metrics", {}), f"{_PATH}.metrics")
        told = document.get("extremes")
        extremes = None if told is None else metric_names(told, f"{_PATH}.extremes")
        return cls(
            step=optional_count(document, "step", _PATH),
            total_steps=optional_count(document, "totalSteps", _PATH),
            epoch=optional_count(document, "epoch", _PATH),
            total_epochs=optional_count(document, "totalEpochs", _PATH),
            percent=optional_amount(document, "percent", _PATH, 100.0),
            eta_seconds=optional_amount(document, "etaSeconds", _PATH, 1e9),
            examples_per_second=optional_amount(document, "examplesPerSecond", _PATH, 1e15),
            resumed_step=optional_count(document, "resumedStep", _PATH),
            metrics={name: decode_number(v, f"{_PATH}.metrics.{name}") for name, v in metrics.items()},
            extremes=None
            if extremes is None
            else {name: Extremes.from_json(v, f"{_PATH}.extremes.{name}") for name, v in extremes.items()},
        )
