"""Where the members of a gang stop after SIGTERM: all at the end of the same step, so that all is saved and nobody
waits in a collective for one who has left.

The launchers send the signal to all trainers, but not at one instant: one may be a step ahead of the others. So the
first who comes to the end of a step with the signal asks all to freeze, through the key-value store of TensorFlow's
coordination service. In each member a thread waits for that word. It answers with the first end of a step at which
its program can still be held, even while that is inside of a collective. The chief's thread takes the latest of the
answers; everybody runs on to there and stops. A step costs the comparison of two numbers and no message.

The store is not public API. Without it, and when somebody does not answer, the chief saves alone: what is mirrored is
equal on all members.
"""

from __future__ import annotations

import contextlib
import json
import threading

from trainingjob._checkpoint_job import Termination, termination
from trainingjob._checkpoint_restore import members

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, List, Optional, Tuple

    Place = Tuple[int, int]

#: What `Stop.at` says: train on; stop, and so do all others at this step; stop, and the others know nothing of it.
GO, TOGETHER, ALONE = "go", "together", "alone"
ANSWER_SECONDS = 5.0
SAVE_SECONDS = 600.0
_PREFIX = "trainingjob/stop/"


class Stop:
    """One for each process. `at` is called by the thread that trains, `_watch` is a thread of its own."""

    def __init__(self, termination: Termination, open_store: Callable[[Any], Optional[Store]]) -> None:
        """`open_store` gets the strategy; it returns None when this process is a gang of its own."""
        self._termination = termination
        self._open_store = open_store
        self._lock = threading.Lock()
        self._decided = threading.Event()
        self._store: Optional[Store] = None
        self._loop = 0  # loops that members have begun: step numbers are those of one loop
        self._passed: Place = (0, -1)
        self._frozen = False
        self._verdict: Optional[Place] = None

    def begin(self, step: int, strategy: Any) -> None:
        """Begin a loop after `step` steps; all members do so, with the same strategy."""
        self._termination.watch()
        with self._lock:
            self._loop += 1
            self._passed = (self._loop, step - 1)
        if self._store is None:
            self._store = self._open_store(strategy)
            if self._store is None:
                return
            threading.Thread(target=self._watch, name="trainingjob-stop", daemon=True).start()

    def at(self, step: int) -> str:
        """Say that the program is at the end of `step`, where it may be held; return GO, TOGETHER or ALONE.

        Members call it at the same steps.
        """
        here = (self._loop, step)
        if not self._frozen and not self._termination.requested:
            with self._lock:
                if not self._frozen:
                    self._passed = here
                    return GO
        store = self._store
        if store is None:
            return TOGETHER if self._termination.requested else GO
        if not self._frozen:
            store.say("freeze", "")
        # Longer than the thread gives the others, so that it is it who decides.
        self._decided.wait(2 * ANSWER_SECONDS)
        if self._verdict is None:
            return ALONE if self._termination.requested else GO
        return TOGETHER if here >= self._verdict else GO

    def saved(self, *, is_chief: bool) -> None:
        """Let all leave at one time, when the chief has written: one that is gone disturbs those who are not."""
        store = self._store
        if store is not None and self._verdict is not None:
            if is_chief:
                store.say("saved", "")
            else:
                store.hear("saved", SAVE_SECONDS)

    def _watch(self) -> None:
        store = self._store
        assert store is not None
        if store.hear("freeze", 0) is None:
            return  # the end of the program, or of a peer
        with self._lock:
            self._frozen = True
            loop, step = self._passed
        store.say(f"at/{store.rank}", json.dumps([loop, step + 1]))
        if store.rank == 0:
            answers = [store.hear(f"at/{rank}", ANSWER_SECONDS) for rank in range(store.members)]
            places: List[Any] = [json.loads(answer) for answer in answers if answer is not None]
            store.say("place", json.dumps(max(places) if len(places) == store.members else None))
        place = json.loads(store.hear("place", ANSWER_SECONDS) or "null")
        self._verdict = (int(place[0]), int(place[1])) if place else None
        self._decided.set()


class Store:
    """The key-value store that the members share. Nothing of it raises: it fails when peers do."""

    def __init__(self, strategy: Any) -> None:
        resolver = strategy.cluster_resolver
        cluster = resolver.cluster_spec().as_dict()
        self.members = members(strategy)
        chiefs = len(cluster.get("chief", ()))
        self.rank = int(resolver.task_id or 0) + (0 if resolver.task_type == "chief" else chiefs)

    def say(self, key: str, value: str) -> None:
        """Set `key`, unless somebody has done so."""
        with contextlib.suppress(Exception):
            self._context().set_config_key_value(_PREFIX + key, value)

    def hear(self, key: str, seconds: float) -> Optional[str]:
        """Wait for `key`, 0 seconds: as long as the gang lives; None when it does not come."""
        with contextlib.suppress(Exception):
            return str(self._context().get_config_key_value(_PREFIX + key, int(1000 * seconds)))
        return None

    @staticmethod
    def _context() -> Any:
        from tensorflow.python.eager import context

        return context.context()


def _open(strategy: Any) -> Optional[Store]:
    return Store(strategy) if members(strategy) > 1 else None


stop = Stop(termination, _open)
