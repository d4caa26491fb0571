"""Small agreements between members, outside of steps: each a single collective that every member must come to."""

from __future__ import annotations

import weakref
import zlib
from typing import Any, List, Sequence, Tuple

from trainingjob_hooks.keras3 import share
from trainingjob_hooks.log import say

_functions: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()


def rows(strategy: Any, row: Sequence[float]) -> Any:
    """Return the `row` of every member as an array (members, len(row)), float64; the same on all members."""
    import numpy as np

    members, rank = _members(strategy)
    table = np.zeros((members, len(row)))
    table[rank] = row
    return _sum(strategy, table)


def total(strategy: Any, arrays: Sequence[Any]) -> List[Any]:
    """Return the element-wise sums of the members' `arrays`, dense numbers of the same shapes on all of them."""
    import numpy as np

    sums = []
    for array in arrays:
        array = np.asarray(array)
        if array.dtype.kind in "iub":
            wide = array.astype(np.int64)
        elif array.dtype in (np.float32, np.float64):
            wide = array
        else:  # float16, bfloat16
            wide = array.astype(np.float32)
        sums.append(_sum(strategy, wide).astype(array.dtype))
    return sums


def _members(strategy: Any) -> Tuple[int, int]:
    """Return the number of members, and this one's rank."""
    local = len(strategy.extended.worker_devices)
    members = int(strategy.num_replicas_in_sync) // local
    return members, int(strategy.extended._id_in_cluster) if members > 1 else 0


def _sum(strategy: Any, array: Any) -> Any:
    import numpy as np
    import tensorflow as tf

    function = _functions.get(strategy)
    if function is None:
        local = len(strategy.extended.worker_devices)

        def add(mine: Any) -> Any:
            # One replica of a member speaks for it. The identity has a device, which an argument has not.
            mine = tf.identity(mine) if share.replica_id() % local == 0 else tf.zeros_like(mine)
            return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, mine)

        def run(mine: Any) -> Any:
            return strategy.run(tf.autograph.experimental.do_not_convert(add), args=(mine,))

        function = tf.function(tf.autograph.experimental.do_not_convert(run), reduce_retracing=True)
        _functions[strategy] = function
    return np.asarray(strategy.experimental_local_results(function(tf.constant(array)))[0])


def checksum(arrays: Sequence[Any]) -> float:
    """Return a number that differs, as good as surely, when `arrays` do."""
    import numpy as np

    value = 0
    for array in arrays:
        value = zlib.crc32(np.ascontiguousarray(np.asarray(array)).tobytes(), value)
    return float(value)


def share_values(strategy: Any, variables: Sequence[Any], *, mean: bool = False) -> bool:
    """Give all members the first one's values, or with `mean` the mean, where they differ; return whether they did.

    `variables` are Keras variables with values that are numbers.
    """
    import numpy as np

    numbers = [v for v in variables if str(v.dtype) not in ("string", "resource", "variant")]
    if not numbers:
        return False
    values = [np.asarray(v.numpy()) for v in numbers]
    sums = rows(strategy, [checksum(values)])
    if (sums == sums[0]).all():
        return False
    members, rank = _members(strategy)
    mine = [value if rank == 0 or mean else np.zeros_like(value) for value in values]
    for variable, value in zip(numbers, total(strategy, mine)):
        variable.assign(value / members if mean else value)
    return True


def check_inputs(strategy: Any, input_: Any) -> None:
    """Refuse inputs of different lengths, and warn of arrays that differ: members must see the same data.

    Raises:
        ValueError: the members' inputs have different numbers of batches; a step would wait for ever.
    """
    owner = input_._owner
    length = owner.data_adapter.num_batches
    steps = owner.steps_per_epoch
    row = [-1 if length is None else length, -1 if steps is None else steps, input_.fingerprint()]
    seen = rows(strategy, row)
    if (seen[:, :2] != seen[0, :2]).any():
        lengths = ", ".join("unknown" if n < 0 else f"{int(n)}" for n in seen[:, 0])
        asked = ", ".join("all" if n < 0 else f"{int(n)}" for n in seen[:, 1])
        raise ValueError(
            f"the members have different inputs: batches {lengths}; steps asked for {asked} (chief first). Every "
            "member must read the same data, each then trains on its share of every batch; a program that shards "
            "its own tf.data says so with AutoShardPolicy.OFF."
        )
    if (seen[:, 2] != seen[0, 2]).any():
        say(
            "the members' arrays differ, so they do not train on the same data: make the data from a seed "
            "(numpy.random.default_rng(SEED)), or read them from a file"
        )
