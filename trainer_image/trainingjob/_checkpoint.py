"""The checkpoint folder: `checkpoint-<step>.npz` files, written by the chief alone, the newest few kept.

No member but the chief reads or writes the folder, and saving takes no collective: what is mirrored is equal on
every member, so the chief's copy is the gang's. The folder need not be shared storage, and a slow member holds nobody
up.

`write` copies the values and returns; a thread writes them. At most one write is under way, the next one waits for
it. The thread is none of the daemon kind: a program that ends writes its last checkpoint to the end. Before
`os._exit`, call `wait`.

A folder that can't be written to is an error at the start (`claim`): a typo must not burn hours. Later, training goes
on without the checkpoint that failed, which the log says each time; only where nothing comes after it, in `wait`, it
is an error. What a replaced chief wants to write is refused: see _checkpoint_fence.py.
"""

from __future__ import annotations

import json
import logging
import os
import re
import threading

from trainingjob import _checkpoint_fence as fence
from trainingjob import _checkpoint_file as file
from trainingjob._checkpoint_restore import broadcast_restore, parts
from trainingjob._checkpoint_storage import TEMPORARY, is_full, storage
from trainingjob._progress import busy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List, Mapping, Optional, Set, Tuple

__all__ = ["Checkpoints", "broadcast_restore", "value_of"]

COMPLETE = "complete"
log = logging.getLogger("trainingjob")


class Checkpoints:
    """A checkpoint folder; knows nothing of training."""

    def __init__(self, path: str, keep: int = 3, *, is_chief: bool) -> None:
        """Open the folder.

        Args:
            path: a folder, made when the first checkpoint is written; or an address for `tf.io.gfile` (gs://…).
            keep: how many of the newest checkpoints stay.
            is_chief: whether this process writes; in the others `write` and `complete` do nothing.
        """
        if keep < 1:
            raise ValueError(f"checkpoint.keep is {keep}; at least 1 is needed to resume")
        self.path = path
        self.is_chief = is_chief
        self._keep = keep
        self._storage = storage(path)
        self._fence = fence.Fence(self._storage, fence.pair_of(os.environ))
        self._broken: Set[int] = set()
        self._thread: Optional[threading.Thread] = None
        self._error: Optional[BaseException] = None

    def steps(self) -> List[int]:
        """Steps of the checkpoints that there are, ascending."""
        found = (re.fullmatch(r"checkpoint-(\d+)\.npz", name) for name in self._storage.names())
        return sorted(int(match.group(1)) for match in found if match)

    def write(self, step: int, variables: Mapping[str, Any], position: Mapping[str, Any]) -> str:
        """Copy the values now and write them in the background; return the path.

        Args:
            step: optimizer updates done; names the file.
            variables: name → `tf.Variable`, Keras variable or numpy array. What each member holds a part of
                (metrics, `VariableSynchronization.ON_READ`) is saved as the chief's own part.
            position: what else is needed to go on: plain JSON.

        Raises:
            FencedError: a later generation has the folder.
            TypeError: the checkpoint before this one held something that can't be saved.
        """
        name = _name(step)
        if self.is_chief:
            with busy("checkpoint"):
                arrays = {key: value_of(variable) for key, variable in variables.items()}
                position = dict(position)
                self._join()
            if self._error is not None and not isinstance(self._error, self._storage.errors):
                raise self._error
            self._thread = threading.Thread(target=self._write, args=(step, arrays, position), name="checkpoint")
            self._thread.start()
        return self._storage.path(name)

    def wait(self) -> None:
        """Wait until the last checkpoint is written.

        Raises:
            FencedError: a later generation has the folder.
            OSError: it could not be written.
        """
        with busy("checkpoint"):
            self._join()
        error, self._error = self._error, None
        if error is None:
            return
        if isinstance(error, self._storage.errors):
            raise self._trouble(error) from error
        raise error

    def claim(self) -> None:
        """Take the folder for this process's generation; the chief calls it before it reads the folder.

        Raises:
            FencedError: a later generation has it.
            OSError: nothing can be written there. A full disk is no error: there may be space later.
        """
        if not self.is_chief:
            return
        try:
            self._fence.claim()
        except self._storage.errors as error:
            if not is_full(error):
                raise self._trouble(error) from error
            log.error("%s Nothing is saved until there is.", self._trouble(error))

    def read(self, step: Optional[int] = None) -> Optional[Tuple[Dict[str, Any], Dict[str, Any]]]:
        """Return (name → numpy array, position) of `step`, or of the newest that is whole; None if there is none."""
        if self.is_chief:
            self.wait()
        for candidate in [step] if step is not None else reversed(self.steps()):
            try:
                with self._storage.open(_name(candidate)) as stream:
                    return file.load(stream)
            except FileNotFoundError:
                continue  # the chief removed it meanwhile
            except file.NewerError as error:
                raise ValueError(f"checkpoint: {self._storage.path(_name(candidate))} {error}") from error
            except file.BrokenError as error:
                self._broken.add(candidate)
                log.warning(
                    "checkpoint: %s is not whole and is passed over (%s)", self._storage.path(_name(candidate)), error
                )
        return None

    def complete(self, step: int) -> None:
        """Say that training ended well, with `step` the last one: who follows the folder need wait for no more."""
        if self.is_chief:
            self.wait()
            data = json.dumps({"step": step}).encode()
            self._fence.check()
            self._storage.write(COMPLETE, lambda stream: _put(stream, data), self._fence.check)

    def reopen(self) -> None:
        """Take `complete` back: training goes on, for more epochs than it had."""
        if self.is_chief:
            self._storage.remove(COMPLETE)

    def completed(self) -> Optional[int]:
        """The step with which training ended; None while it has not."""
        try:
            with self._storage.open(COMPLETE) as stream:
                return int(json.loads(stream.read())["step"])
        except (FileNotFoundError, ValueError, KeyError, TypeError):  # not there, or cut off
            return None

    def _join(self) -> None:
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _write(self, step: int, arrays: Dict[str, Any], position: Dict[str, Any]) -> None:
        self._error = None
        try:
            self._fence.hold()
            self._storage.write(
                _name(step), lambda stream: file.save(stream, arrays, position), before=self._fence.check
            )
        except BaseException as error:  # raised by `wait`, or the next `write`
            self._error = error
            if isinstance(error, self._storage.errors):
                log.error("step %d is not saved, training goes on: %s", step, self._trouble(error))
            return
        try:
            self._prune(step)
        except self._storage.errors as error:
            log.warning("checkpoint: older ones can't be removed from %s: %s", self.path, error)

    def _trouble(self, error: BaseException) -> OSError:
        return OSError(
            f"checkpoint: cannot write to {self.path}: {error}. Is spec.checkpoint a volume or address that the "
            "chief may write to, with space left?"
        )

    def _prune(self, written: int) -> None:
        # What is newer than the one just written stays, unless it was found broken: it is somebody's, not ours.
        self._broken.discard(written)
        older = [step for step in self.steps() if step <= written and step not in self._broken]
        for step in [*older[: -self._keep], *self._broken]:
            self._storage.remove(_name(step))
        self._broken.clear()
        for name in self._storage.names():
            if name.startswith("checkpoint-") and name.endswith(TEMPORARY):
                self._storage.remove(name)  # of a process that was killed


def value_of(variable: Any) -> Any:
    """A copy of a variable's value in this process, as a numpy array. Takes no collective, whatever the strategy."""
    import numpy

    part = parts(variable)[0]
    return part.numpy() if hasattr(part, "numpy") else numpy.array(part)


def _name(step: int) -> str:
    return f"checkpoint-{step}.npz"


def _put(stream: Any, data: bytes) -> None:
    stream.write(data)
