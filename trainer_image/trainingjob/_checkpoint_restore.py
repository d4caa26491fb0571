"""From the chief's checkpoint folder into the variables of every member.

The chief reads; the others get the same bytes by an all-reduce in which they give zeros. Integers add up exactly, so
every type and every bit arrives as it was saved. What is wrong on the chief is raised on every member: a member that
waited in a collective for a chief that has stopped would tell its user nothing.
"""

from __future__ import annotations

import json
import logging

from trainingjob._checkpoint_fence import FencedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List, Mapping, Optional, Tuple

    from trainingjob._checkpoint import Checkpoints

CHUNK = 4 * 2**20  # int64 numbers of one all-reduce, that is 32 MiB: bounds the memory it takes beside the values
NOTHING, FOUND, FAILED, FENCED = 0, 1, 2, 3
log = logging.getLogger("trainingjob")


class ChiefError(ValueError):
    """On the others, what is wrong on the chief. By this name the launcher knows that it is not their fault."""


def broadcast_restore(
    checkpoints: Checkpoints, variables: Mapping[str, Any], strategy: Any
) -> Optional[Dict[str, Any]]:
    """Assign the newest whole checkpoint to the variables of all members. All members must call it.

    Args:
        checkpoints: the folder; only the chief's is looked into.
        variables: name → variable; the same names and shapes on every member.
        strategy: the `tf.distribute.Strategy` that trains, or None.

    Returns:
        The position that was saved, the same on all members; None when there is nothing to resume.

    Raises:
        ValueError: the checkpoint is that of another model.
    """
    found = broadcast_read(checkpoints, strategy)
    if found is None:
        return None
    arrays, position = found
    assign_all(variables, arrays, checkpoints.path)
    return position


def broadcast_read(checkpoints: Checkpoints, strategy: Any) -> Optional[Tuple[Dict[str, Any], Dict[str, Any]]]:
    """Return on all members what `Checkpoints.read` returns on the chief. All members must call it.

    Raises:
        FencedError: a later generation has the folder.
        OSError: nothing can be written there.
        ValueError: what is there can't be read; `ChiefError` on members that have only heard of it.
    """
    if members(strategy) == 1:
        checkpoints.claim()
        return checkpoints.read()
    found, text = None, ""
    kind = NOTHING
    if checkpoints.is_chief:
        try:
            checkpoints.claim()
            found = checkpoints.read()
            if found is not None:
                kind, text = FOUND, json.dumps([_layout(found[0]), found[1]])
        except FencedError as error:
            kind, text = FENCED, str(error)
        except Exception as error:  # any: all members must hear of it, whatever it is
            kind, text = FAILED, f"{type(error).__name__}: {error}"
    kind, length = (int(number) for number in _sum(strategy, _integers([kind, len(text.encode())])))
    if kind == NOTHING:
        return None
    text = _broadcast(strategy, text.encode(), length).decode()
    if kind == FENCED:
        raise FencedError(text)
    if kind == FAILED:
        failed = ValueError if checkpoints.is_chief else ChiefError
        raise failed(f"checkpoint: the chief cannot use {checkpoints.path}: {text}")
    layout, position = json.loads(text)
    arrays = {}
    for name, kind_name, shape in layout:  # one at a time: nowhere are there two copies of the whole
        array = found[0][name] if found is not None else None
        arrays[name] = _broadcast_array(strategy, array, kind_name, shape)
    return arrays, position


def assign_all(variables: Mapping[str, Any], arrays: Mapping[str, Any], path: str) -> None:
    """Give every variable its value; first see that they all fit.

    Raises:
        ValueError: names or shapes differ.
    """
    problems: List[str] = []
    for name in sorted(set(variables) | set(arrays)):
        if name not in arrays:
            problems.append(f"{name} {_shape(variables[name])} is not in the checkpoint")
        elif name not in variables:
            problems.append(f"{name} {tuple(arrays[name].shape)} is not in the program")
        elif _shape(variables[name]) != tuple(arrays[name].shape):
            problems.append(f"{name} is {_shape(variables[name])}, in the checkpoint {tuple(arrays[name].shape)}")
    if problems:
        more = f" and {len(problems) - 5} more" if len(problems) > 5 else ""
        raise ValueError(
            f"checkpoint: the folder {path} belongs to another model: {'; '.join(problems[:5])}{more}. Give "
            "spec.checkpoint an empty folder, or go back to the model and optimizer that wrote it."
        )
    for name, variable in variables.items():
        assign(variable, arrays[name])


def assign(variable: Any, value: Any) -> None:
    """Set every replica's copy of `variable` that this process has; no collective."""
    for part in parts(variable):
        part.assign(value)


def parts(variable: Any) -> Tuple[Any, ...]:
    """Copies of a variable in this process, one a replica; a variable without a strategy is its own only one."""
    inner = getattr(variable, "value", None)
    if inner is not None and not callable(inner):
        variable = inner  # a Keras 3 variable holds that of TensorFlow
    values = getattr(variable, "values", None)
    return values if isinstance(values, tuple) and values else (variable,)


def members(strategy: Any) -> int:
    """Processes that train together under `strategy`."""
    resolver = getattr(strategy, "cluster_resolver", None)
    if resolver is None:
        return 1
    cluster = resolver.cluster_spec().as_dict()
    return max(1, sum(len(cluster.get(role, ())) for role in ("chief", "worker")))


def sum_over_members(strategy: Any, vector: Any) -> Any:
    """The sum of all members' `vector` (a numpy array of one shape and type). All members must call it."""
    return vector if members(strategy) == 1 else _sum(strategy, vector)


def _shape(variable: Any) -> Tuple[int, ...]:
    return tuple(int(size) for size in variable.shape)


def _layout(arrays: Mapping[str, Any]) -> List[List[Any]]:
    return [[name, array.dtype.name, list(array.shape)] for name, array in arrays.items()]


def _integers(values: List[int]) -> Any:
    import numpy

    return numpy.array(values, numpy.int64)


def _sum(strategy: Any, vector: Any) -> Any:
    import numpy
    import tensorflow

    pending = [vector]  # a member with several replicas gives its vector once

    def part(_: Any) -> Any:
        return tensorflow.constant(pending.pop() if pending else numpy.zeros_like(vector))

    values = strategy.experimental_distribute_values_from_function(part)
    return strategy.reduce(tensorflow.distribute.ReduceOp.SUM, values, axis=None).numpy()


def _broadcast_array(strategy: Any, array: Any, kind: str, shape: List[int]) -> Any:
    import numpy

    from trainingjob._checkpoint_file import dtype

    element = dtype(kind)
    size = element.itemsize * int(numpy.prod(shape, dtype=numpy.int64))
    data = b"" if array is None else numpy.ascontiguousarray(array).tobytes()
    return numpy.frombuffer(_broadcast(strategy, data, size), element).reshape(shape)


def _broadcast(strategy: Any, data: bytes, size: int) -> bytes:
    """The chief's `data`, of `size` bytes, on every member; what the others give is empty."""
    import numpy

    words = numpy.zeros((size + 7) // 8, numpy.int64)
    if data:
        words.view(numpy.uint8)[:size] = numpy.frombuffer(data, numpy.uint8)
    sums = [_sum(strategy, words[start : start + CHUNK]) for start in range(0, len(words), CHUNK)]
    return b"".join(part.tobytes() for part in sums)[:size]
