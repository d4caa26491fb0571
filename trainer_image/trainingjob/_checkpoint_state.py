"""`trainingjob.checkpoint(...)`: resume and save for a training loop of the user's own, in three lines.

state = trainingjob.checkpoint(model=model, optimizer=optimizer)
for step in range(state.step, total):
    train_step(step)
    state.save(step + 1)
"""

from __future__ import annotations

from trainingjob import _checkpoint_job as job
from trainingjob._checkpoint import Checkpoints, broadcast_restore
from trainingjob._checkpoint_variables import collect, strategy_of
from trainingjob._progress import note_resumed
from trainingjob._stop import ALONE, GO, stop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Mapping, Optional


class State:
    """Where a training loop is, and the means to save it. Made by `checkpoint`."""

    def __init__(
        self,
        checkpoints: Optional[Checkpoints],
        schedule: Optional[job.Schedule],
        variables: Mapping[str, Any],
        position: Optional[Dict[str, Any]],
    ) -> None:
        #: Steps done before this run; 0 when it starts from the beginning.
        self.step: int = int(position["step"]) if position else 0
        #: What was given to `save` with the checkpoint that this run resumes; empty when it starts.
        self.position: Dict[str, Any] = dict(position or {})
        self._checkpoints = checkpoints
        self._schedule = schedule
        self._variables = variables
        self._saved = self.step
        self._last = (self.step, self.position)

    def save(self, step: int, **position: Any) -> None:
        """Say that `step` steps are done; write a checkpoint if one is due.

        Call it after every step, on every member: it costs next to nothing when no checkpoint is due. The chief
        alone writes. After SIGTERM (a drain, a deletion) all members go on to the end of the same step, the chief
        writes it, and all end with exit code 77. If only the chief calls `save`, it writes and ends alone.

        Args:
            step: steps (optimizer updates) done since the start of the job.
            **position: what else the loop needs to go on, as plain JSON; `state.position` after a restart.

        A checkpoint that can't be written is said in the log, and training goes on.

        Raises:
            SystemExit: the program was told to end, and all is saved: exit code 77. Let it pass.
            FencedError: this trainer was replaced by another one: a SystemExit with exit code 75.
        """
        if self._checkpoints is None or self._schedule is None:
            return
        step = int(step)
        self._last = (step, position)
        verdict = stop.at(step)
        if verdict != GO and (verdict != ALONE or self._checkpoints.is_chief):
            self.finish()
            stop.saved(is_chief=self._checkpoints.is_chief)
            raise SystemExit(job.PREEMPTED)
        if self._checkpoints.is_chief and self._schedule.is_due(step):
            self._write(step, position)

    def finish(self) -> None:
        """Write what the last `save` said, if it is not written, and wait until it is. Optional.

        Raises:
            OSError: it could not be written.
        """
        if self._checkpoints is None or not self._checkpoints.is_chief:
            return
        step, position = self._last
        if step > self._saved:
            self._write(step, position)
        self._checkpoints.wait()

    def __enter__(self) -> State:
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if kind is None:
            self.finish()

    def _write(self, step: int, position: Mapping[str, Any]) -> None:
        assert self._checkpoints is not None
        assert self._schedule is not None
        self._checkpoints.write(step, self._variables, {**position, "step": step})
        self._schedule.start(step)
        self._saved = step


def checkpoint(**objects: Any) -> State:
    """Resume from the job's newest checkpoint, and return what saves the next ones.

    Call it once, on all members, when everything is built and before the first step: the chief's values go to all.
    Without `spec.checkpoint`, so on a laptop too, it does nothing: the step is 0 and `save` writes nothing.

    Args:
        **objects: what is to be saved, each under a name of your choice: Keras models and optimizers (built for the
            model's variables if that has not happened), tf.Variable, tf.Module, tf.random.Generator, anything with
            `.variables`, and lists of these.

    Raises:
        OSError: nothing can be written to the folder.
        ValueError: the checkpoint belongs to another model, or something has no variables yet.
        TypeError: an object has no variables.
    """
    environ = job.environ()
    settings = job.folder(job.read_spec(environ))
    if settings is None:
        return State(None, None, {}, None)
    variables = collect(objects)
    strategy = strategy_of(variables.values())
    is_chief = job.is_chief(environ)
    checkpoints = Checkpoints(settings["path"], int(settings.get("keep", 3)), is_chief=is_chief)
    position = broadcast_restore(checkpoints, variables, strategy)
    schedule = job.Schedule(settings)
    if position is not None:
        schedule.start(int(position["step"]))
        note_resumed(position["step"])
    state = State(checkpoints, schedule, variables, position)
    stop.begin(state.step, strategy)
    return state
