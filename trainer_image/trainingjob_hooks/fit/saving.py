"""Resume and save for `fit`. Two callbacks: one before all of the program's, one after them.

The state between two batches is the one to save: all callbacks have seen the batch before, none the next. So saving
is done in `on_train_batch_begin` of the first callback, or, between two epochs, in `on_epoch_end` of the last.
Restoring is done in `on_train_begin` of the last, as the program's callbacks reset themselves there.

After SIGTERM all members stop before the same batch (`trainingjob._stop`), so what they save together is whole: the
steps that were only counted are run, and the epoch's metrics are those of all members.
"""

from __future__ import annotations

import weakref
from typing import Any, Dict, List, Mapping, Optional, Tuple

from trainingjob._checkpoint import Checkpoints
from trainingjob._checkpoint_job import PREEMPTED
from trainingjob._checkpoint_restore import members
from trainingjob._progress import Busy, busy, note_resumed
from trainingjob._stop import ALONE, GO, stop
from trainingjob_hooks.fit.callbacks import Memory
from trainingjob_hooks.fit.model_state import ModelState
from trainingjob_hooks.fit.schedule import Agreed
from trainingjob_hooks.log import say

#: Models whose steps are compiled.
_started: weakref.WeakSet[Any] = weakref.WeakSet()
Found = Tuple[Dict[str, Any], Dict[str, Any]]


class Saving:
    """What both callbacks work on: one `fit` call and its folder."""

    def __init__(self, call: Any, checkpoints: Checkpoints, schedule: Agreed, found: Optional[Found]) -> None:
        self.call = call
        self.checkpoints = checkpoints
        self._schedule = schedule
        self._found = found
        self._memory: Optional[Memory] = None
        self._totals: Dict[str, Any] = {}
        self._saved = -1
        self._was_stopped = False
        self._was_finished = False
        self.epoch = 0
        self._model: Any = None
        self._strategy: Any = None
        self._state: Any = None

    @property
    def was_interrupted(self) -> bool:
        """Whether an earlier run of this call is continued."""
        return self._found is not None

    def begin(self, model: Any, callbacks: List[Any]) -> None:
        """Restore, when there is something to restore. The program's callbacks have begun."""
        self._model, self._strategy = model, model.distribute_strategy
        self._state = ModelState(model, self._strategy)
        self._memory = Memory(callbacks)
        if self._found is not None:
            self._restore(*self._found)
            self._found = None
            note_resumed(self.call.offset + self.call.step)
        self._schedule.start(self.call.step, self._strategy)
        stop.begin(self.call.offset + self.call.step, self._strategy)

    def _restore(self, arrays: Mapping[str, Any], position: Mapping[str, Any]) -> None:
        assert self._memory is not None
        self._state.restore(arrays, position.get("builds", {}), self.checkpoints.path)
        lost = self._memory.restore(position.get("callbacks", ()), arrays)
        if lost:
            say(f"checkpoint: the program has no {', '.join(lost)} any more, whose state is left out")
        epoch, batch, step = int(position["epoch"]), int(position["batch"]), int(position["step"])
        if batch:
            self._totals = {name: array for name, array in arrays.items() if name.startswith("metric/")}
        self._was_stopped = bool(position.get("stopped"))
        if self._was_stopped:
            epoch, batch = max(epoch, int(self.call.epochs)), 0
        self._was_finished = bool(position.get("finished")) and epoch >= int(self.call.epochs)
        if not self._was_finished:
            self.checkpoints.reopen()
        self.call.before, self.call.step, self.call.first_batch = step - batch, step, batch
        self._saved = step
        self.call.framework.start_at(self._model, epoch, batch, position)
        if self._was_finished:
            say(f"{self.checkpoints.path} holds the end of this fit (step {step}): it is not run again")
        else:
            say(f"fit resumes from {self.checkpoints.path} at step {step}: epoch {epoch + 1}, batch {batch + 1}")
            self._say_size(int(position.get("members", 0)))

    def _say_size(self, before: int) -> None:
        """Say what a gang of another size than `before` changes: not the batches, but what each member does alone."""
        now = members(self._strategy)
        if before in (0, now):
            return
        said = f"fit goes on with {now} members, the checkpoint is of {before}: the global batches are the same"
        kinds = {type(layer).__name__ for layer in getattr(self._model, "layers", ())}
        own = [kind for kind in ("BatchNormalization", "Dropout") if kind in kinds]
        if own:
            said += f"; {' and '.join(own)} work on each member's part of a batch, so numbers differ a little"
        say(said)

    def begin_epoch(self, epoch: int) -> None:
        """The metrics were reset: those of the first epoch go on where it was left."""
        self.epoch = epoch
        if not self._totals:
            return
        if self._state.restore_metrics(self._totals, self.checkpoints.is_chief):
            self._totals = {}
        else:  # they are made with the first batch, which may be the epoch's last
            self._state.before_results(self._add_totals)

    def before_batch(self, batch: int) -> None:
        """Save if it is due, and end if the job is to end."""
        if self._totals and batch > 0 and self.call.step > self._saved:
            self._add_totals()
        if batch == 0 or self._totals:
            return
        self._leave_if_told(self.epoch, batch)
        if self.call.framework.can_start_inside and self._schedule.is_due(self.call.step):
            self._save(self.epoch, batch)

    def _add_totals(self) -> None:
        """Add what the metrics had before, to what they have of this epoch since."""
        if self._totals and not self._state.restore_metrics(self._totals, self.checkpoints.is_chief, add=True):
            say("checkpoint: the metrics are others than before; those of this epoch are of its last part only")
        self._totals = {}

    def end_epoch(self, epoch: int) -> None:
        """Save if it is due; the next epoch begins with its first batch."""
        self._leave_if_told(epoch + 1, 0)
        if self._schedule.is_due(self.call.step):
            self._save(epoch + 1, 0)

    def end(self) -> None:
        """Save the last state, and say that it is the last."""
        if not self._was_finished:
            self._save(self.epoch + 1 if self._is_stopped() else int(self.call.epochs), 0, finished=True)
        self.checkpoints.complete(self.call.step)

    def _is_stopped(self) -> bool:
        """Whether a callback has ended training, now or in the run that is continued."""
        return self._was_stopped or bool(getattr(self._model, "stop_training", False))

    def _leave_if_told(self, epoch: int, batch: int) -> None:
        """Save and end after SIGTERM; where the others can't be told, the chief alone does."""
        verdict = stop.at(self.call.offset + self.call.step)
        is_alone = verdict == ALONE
        if verdict == GO or (is_alone and not self.checkpoints.is_chief):
            return
        self._save(epoch, batch, alone=is_alone)
        self.checkpoints.wait()
        stop.saved(is_chief=self.checkpoints.is_chief)
        raise SystemExit(PREEMPTED)

    def _save(self, epoch: int, batch: int, *, finished: bool = False, alone: bool = False) -> None:
        """Write the state. With `alone` the others don't know: then nothing may be asked of them."""
        assert self._memory is not None
        call, state = self.call, self._state
        together = not alone or members(self._strategy) == 1
        if together:
            call.framework.flush(self._model)
            call.framework.agree_on_statistics(self._model, self._strategy)
        totals = state.metric_totals() if batch and together else {}
        # Steps that were counted but not run can't be run alone: the state is that of before them.
        behind = call.framework.waiting(self._model)
        step = call.step - behind
        self._schedule.saved(step)
        self._saved = step
        if not self.checkpoints.is_chief:
            return
        callbacks, arrays = self._memory.capture()
        position = {
            "step": step,
            "epoch": epoch,
            "batch": batch - behind,
            "builds": state.builds(),
            "callbacks": callbacks,
            "stopped": self._is_stopped(),
            "finished": finished,
            "members": members(self._strategy),
            **call.framework.describe(self._model),
        }
        self.checkpoints.write(step, {**state.variables(), **totals, **arrays}, position)


class First:
    """The callback before all others: counts, and saves between batches."""

    async_safe = True  # its on_train_batch_end only counts
    needs_batch_logs = False

    def __init__(self, call: Any, saving: Optional[Saving]) -> None:
        super().__init__()
        self._supports_tf_logs = True
        self._call = call
        self._saving = saving
        self._done = 0
        self._pause: Optional[Busy] = None

    def _begin_pause(self, what: str) -> None:
        self._end_pause()
        self._pause = busy(what)
        self._pause.__enter__()

    def _end_pause(self) -> None:
        pause, self._pause = self._pause, None
        if pause is not None:
            pause.__exit__()

    def on_test_begin(self, logs: Any = None) -> None:
        """Say that there are no steps of training now."""
        self._begin_pause("evaluation")

    def on_test_end(self, logs: Any = None) -> None:
        """Say that there are some again."""
        self._end_pause()

    def on_train_begin(self, logs: Any = None) -> None:
        """Let files that callbacks write go on, when an earlier run is continued."""
        if self.model not in _started:  # type: ignore[attr-defined]
            _started.add(self.model)  # type: ignore[attr-defined]
            self._begin_pause("starting")  # until the first step is compiled and done
        if self._saving is not None and self._saving.was_interrupted:
            for callback in self._call.callbacks:
                if type(callback).__name__ == "CSVLogger":
                    callback.append = True

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Count from the start of this epoch."""
        self._done, self._call.first_batch = self._call.first_batch, 0

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Everything before `batch` is done."""
        self._call.step = self._call.before + batch
        if self._saving is not None:
            self._saving.before_batch(batch)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Keras 3 may call this in another thread, and later; it is done with it when the epoch ends."""
        self._done = max(self._done, self._call.framework.batches_done(self, batch))
        if self._pause is not None:
            self._end_pause()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """The epoch had as many batches as were done."""
        steps = (getattr(self, "params", None) or {}).get("steps")
        done = min(self._done, steps) if steps else self._done
        self._call.before += done
        self._call.step = self._call.before
        self._end_pause()


class Last:
    """The callback after all others: restores, and saves between epochs."""

    async_safe = True
    needs_batch_logs = False

    def __init__(self, call: Any, saving: Saving) -> None:
        super().__init__()
        self._supports_tf_logs = True
        self._call = call
        self._saving = saving

    def on_train_begin(self, logs: Any = None) -> None:
        """Restore."""
        self._saving.begin(self.model, self._call.callbacks)  # type: ignore[attr-defined]

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Go on with the metrics of an epoch that was left in the middle."""
        self._saving.begin_epoch(epoch)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Save if it is due."""
        self._saving.end_epoch(epoch)

    def on_train_end(self, logs: Any = None) -> None:
        """Save the end."""
        self._saving.end()
