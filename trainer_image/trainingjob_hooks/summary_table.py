"""Values out of a running graph: a hash table in TensorFlow, metric -> (step, value), and a thread that reads it.

A Python function in the graph would see each value, for 30 to 60 microseconds at every step and the interpreter's
lock; an insert is one, and like the write beside it can't be compiled by XLA, so nothing becomes impossible by it.
What is overwritten between two looks is not seen.
"""

from __future__ import annotations

import atexit
import threading
from typing import Any, Dict, Optional, Tuple

from trainingjob import _progress

INTERVAL_SECONDS = 1.0


class Table:
    """The table and its thread."""

    def __init__(self) -> None:
        """Call it outside of any graph."""
        import tensorflow as tf

        with tf.device("CPU:0"):
            self._table = tf.lookup.experimental.MutableHashTable(
                tf.string, tf.float64, tf.constant([0.0, 0.0], tf.float64)
            )
        self._seen: Dict[bytes, Tuple[float, float]] = {}
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="trainingjob-summaries", daemon=True)
        self._thread.start()
        # A thread inside of TensorFlow while the interpreter goes away takes the process with it.
        atexit.register(self.close)

    def insert(self, name: str, step: Any, value: Any) -> None:
        """Add the operation to the graph that is being built."""
        import tensorflow as tf

        with tf.device("CPU:0"):
            row = tf.stack([tf.cast(step, tf.float64), tf.cast(value, tf.float64)])
            self._table.insert(tf.constant(name), row)

    def close(self) -> None:
        """Look a last time, and end the thread."""
        self._end.set()
        self._thread.join(5.0)
        _progress.flush()

    def _run(self) -> None:
        last = False
        while not last:
            last = self._end.wait(INTERVAL_SECONDS)
            self._look()

    def _look(self) -> None:
        try:
            keys, rows = self._table.export()
            found = {key: (float(row[0]), float(row[1])) for key, row in zip(keys.numpy(), rows.numpy())}
        except Exception:  # the runtime is being reset or shut down
            return
        for key, (step, value) in found.items():
            known = self._seen.get(key)
            if known is None or repr(known) != repr((step, value)):  # NaN is not equal to itself
                self._seen[key] = (step, value)
                _progress.observe(step, key.decode(), value)


_table: Optional[Table] = None


def put(name: str, step: Any, value: Any) -> None:
    """Let the graph that is being built report `value`, a scalar tensor, as the metric `name`."""
    global _table
    import tensorflow as tf

    if value.shape.rank != 0 or not _is_function_of_eager_program():
        return
    if _table is None:
        with tf.init_scope():
            _table = Table()
    _table.insert(name, step, value)


def _is_function_of_eager_program() -> bool:
    """Whether the graph is one of a tf.function that can't be saved as it is, in a program that runs eagerly.

    A function that writes to a trackable writer can be exported. With our table in it it could not.
    """
    import tensorflow as tf
    from tensorflow.python.ops import summary_ops_v2
    from tensorflow.python.trackable import resource

    if not tf.compat.v1.executing_eagerly_outside_functions():
        return False
    writer = getattr(getattr(summary_ops_v2, "_summary_state", None), "writer", None)
    return not isinstance(writer, resource.TrackableResource)
