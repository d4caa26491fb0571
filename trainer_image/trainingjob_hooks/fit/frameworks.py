"""The three Keras that there are, as far as they differ for us: Keras 3 on TensorFlow, tf-keras, and Keras 2."""

from __future__ import annotations

import importlib
from typing import Any, Dict, Mapping, Optional, Sequence

from trainingjob_hooks.fit.report import numbers


class Framework:
    """What both have. `package` is where callbacks are found."""

    package = ""
    #: Whether a run can begin in the middle of an epoch.
    can_start_inside = False

    @property
    def callbacks(self) -> Any:
        """The module of this Keras that has Callback, CallbackList and History."""
        return importlib.import_module(f"{self.package}.callbacks")

    def make(self, mixin: type, *arguments: Any) -> Any:
        """Return one of our callbacks as a callback of this Keras."""
        return type(mixin.__name__, (mixin, self.callbacks.Callback), {})(*arguments)

    def batches_done(self, callback: Any, batch: int) -> int:
        """Batches of the epoch that are done when on_train_batch_end gets `batch`."""
        return batch + 1

    def batch_metrics(self, model: Any, logs: Mapping[str, Any]) -> Dict[str, float]:
        """Numbers from the logs of a batch."""
        return numbers(logs)

    def start_at(self, model: Any, epoch: int, batch: int, position: Mapping[str, Any]) -> None:
        """Let the `fit` that runs begin there."""
        raise NotImplementedError

    def describe(self, model: Any) -> Dict[str, Any]:
        """What has to be in the position so that the order of the data is the same again."""
        return {}

    def before_fit(self, model: Any, arguments: Mapping[str, Any], position: Optional[Mapping[str, Any]]) -> None:
        """Prepare a `fit` that will go on at `position`, before it opens its data."""

    def after_fit(self, model: Any) -> None:
        """Leave nothing of `start_at` behind."""

    def agree_on_statistics(self, model: Any, strategy: Any) -> None:
        """Make what every replica averages for itself (BatchNormalization) equal, before it is saved."""

    def flush(self, model: Any) -> None:
        """Run the steps that were only counted; every member must ask for it at the same step."""

    def waiting(self, model: Any) -> int:
        """Return how many steps were only counted."""
        return 0

    def split_validation(self, arrays: Sequence[Any], split: float) -> Any:
        """Return the part of (x, y, sample_weight) that `validation_split` takes."""
        raise NotImplementedError


class Keras3(Framework):
    """Keras 3 on TensorFlow. Beginning inside of an epoch is helped by `trainingjob_hooks.keras3`."""

    package = "keras.src"

    def __init__(self, spec: Mapping[str, Any]) -> None:
        self._spec = spec

    @property
    def can_start_inside(self) -> bool:  # type: ignore[override]
        """Whether Keras's epoch iterator is the one of ours."""
        from keras.src.backend.tensorflow import trainer

        return str(trainer.TFEpochIterator.__init__.__module__).startswith("trainingjob_hooks.")

    def batches_done(self, callback: Any, batch: int) -> int:
        import keras

        if tuple(int(part) for part in keras.__version__.split(".")[:2]) < (3, 11):
            batch += int(callback.model.steps_per_execution or 1) - 1  # these say where the execution began
        return batch + 1

    def start_at(self, model: Any, epoch: int, batch: int, position: Mapping[str, Any]) -> None:
        if self.can_start_inside:
            from trainingjob_hooks.keras3 import position as place

            place.start_at(model, epoch, batch, position.get("seed"))
        else:
            model._initial_epoch = epoch

    def describe(self, model: Any) -> Dict[str, Any]:
        if not self.can_start_inside:
            return {}
        from trainingjob_hooks.keras3 import position as place

        return {"seed": place.describe(model)["seed"]}

    def after_fit(self, model: Any) -> None:
        if not self.can_start_inside:
            model._initial_epoch = None

    def agree_on_statistics(self, model: Any, strategy: Any) -> None:
        from trainingjob_hooks.keras3 import members, source

        if self.can_start_inside and source.is_ours(strategy):
            floats = [v for v in model.non_trainable_variables if "float" in str(v.dtype)]
            if floats:
                members.share_values(strategy, floats, mean=True)

    def flush(self, model: Any) -> None:
        from trainingjob_hooks.keras3 import step

        step.flush(model)

    def waiting(self, model: Any) -> int:
        from trainingjob_hooks.keras3 import step

        return step.waiting(model)

    def split_validation(self, arrays: Sequence[Any], split: float) -> Any:
        from keras.src.trainers.data_adapters import array_slicing

        return array_slicing.train_validation_split(tuple(arrays), validation_split=split)[1]


class Legacy(Framework):
    """tf-keras, and Keras 2: the same code under two names."""

    def __init__(self, spec: Mapping[str, Any], training: Any) -> None:
        """`training` is its module engine.training."""
        self.package = training.__name__.rsplit(".engine.", 1)[0]
        self._patch = spec.get("keras", {}).get("patchFit", True) is not False

    @property
    def can_start_inside(self) -> bool:  # type: ignore[override]
        """Whether we may reach into its data handler."""
        return self._patch

    def batch_metrics(self, model: Any, logs: Mapping[str, Any]) -> Dict[str, float]:
        """Its logs of a batch are the sums over all replicas, where those of an epoch are means."""
        return numbers(logs, int(model.distribute_strategy.num_replicas_in_sync))

    def start_at(self, model: Any, epoch: int, batch: int, position: Mapping[str, Any]) -> None:
        from trainingjob_hooks.fit import legacy

        legacy.start_at(model, self.package, epoch, batch, wind=self._patch)

    def describe(self, model: Any) -> Dict[str, Any]:
        from trainingjob_hooks.fit import legacy

        return {"seed": legacy.global_seed()}

    def before_fit(self, model: Any, arguments: Mapping[str, Any], position: Optional[Mapping[str, Any]]) -> None:
        from trainingjob_hooks.fit import legacy

        if position is not None:
            legacy.build(model, arguments.get("x"), model.distribute_strategy)
            if self._patch:
                legacy.set_global_seed(position.get("seed"))

    def after_fit(self, model: Any) -> None:
        from trainingjob_hooks.fit import legacy

        legacy.forget(model)

    def split_validation(self, arrays: Sequence[Any], split: float) -> Any:
        adapter = importlib.import_module(f"{self.package}.engine.data_adapter")
        return adapter.train_validation_split(tuple(arrays), validation_split=split)[1]
