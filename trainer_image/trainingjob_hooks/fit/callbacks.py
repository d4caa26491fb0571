"""What callbacks remember: EarlyStopping's best and wait, ReduceLROnPlateau's, History's lists, and those of others.

Nothing of a callback is known but its attributes. Saved are those that changed since training began, as far as they
are plain: numbers, strings, None, numpy arrays, and lists and dicts of these. What did not change is configuration,
which the program sets anew: a patience that was edited before the restart holds.
"""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Sequence

ARRAY = "__array__"
#: Keras's own links, and those whose memory is of no use to another process.
SKIPPED_ATTRIBUTES = (
    "model", "_model", "params", "validation_data", "_chief_worker_only", "_supports_tf_logs",
    "min_delta",  # Keras 3 gives it a sign when it first looks at the metric, so it changes, but is configuration
)  # fmt: skip
SKIPPED_CLASSES = ("ProgbarLogger", "BackupAndRestore", "BaseLogger", "ModelToDotCallback")
LONGEST_TEXT = 65536


class Memory:
    """The callbacks of one `fit`, as they were when training began."""

    def __init__(self, callbacks: Sequence[Any]) -> None:
        self._callbacks = [c for c in callbacks if type(c).__name__ not in SKIPPED_CLASSES]
        self._before = [_plain(callback) for callback in self._callbacks]

    def capture(self) -> Any:
        """Return (JSON, name → array) of what has changed since."""
        arrays: Dict[str, Any] = {}
        saved: List[Dict[str, Any]] = []
        for number, (callback, before) in enumerate(zip(self._callbacks, self._before)):
            now = _plain(callback)
            changed = {name: value for name, value in now.items() if not _equal(value, before.get(name, _ABSENT))}
            encoded = {name: _encode(value, f"callback/{number}/{name}", arrays) for name, value in changed.items()}
            saved.append({"class": type(callback).__name__, "attributes": encoded})
        return saved, arrays

    def restore(self, saved: Sequence[Mapping[str, Any]], arrays: Mapping[str, Any]) -> List[str]:
        """Set what `capture` returned; return the classes of callbacks that are not there any more."""
        lost = []
        rest = list(self._callbacks)
        for entry in saved:
            match = next((callback for callback in rest if type(callback).__name__ == entry["class"]), None)
            if match is None:
                if entry["attributes"]:
                    lost.append(str(entry["class"]))
                continue
            rest.remove(match)
            for name, value in entry["attributes"].items():
                setattr(match, name, _decode(value, arrays))
        return lost


_ABSENT = object()


def _plain(callback: Any) -> Dict[str, Any]:
    found = {}
    for name, value in vars(callback).items():
        if name not in SKIPPED_ATTRIBUTES and not name.startswith("__") and _is_plain(value, 0):
            found[name] = _copy(value)
    return found


def _is_plain(value: Any, depth: int) -> bool:
    import numpy

    if value is None or isinstance(value, (bool, int, float, numpy.number, numpy.bool_)):
        return True
    if isinstance(value, str):
        return len(value) <= LONGEST_TEXT
    if isinstance(value, numpy.ndarray):
        return bool(value.dtype.kind != "O")
    if type(value) in (list, tuple):
        return depth < 8 and all(_is_plain(item, depth + 1) for item in value)
    if isinstance(value, dict):
        return depth < 8 and all(type(key) is str and _is_plain(item, depth + 1) for key, item in value.items())
    return False


def _copy(value: Any) -> Any:
    # Arrays are not copied: callbacks replace them (best_weights), and a copy of the weights at every save is dear.
    if isinstance(value, (list, tuple)):
        return type(value)(_copy(item) for item in value)
    return {key: _copy(item) for key, item in value.items()} if isinstance(value, dict) else value


def _equal(a: Any, b: Any) -> bool:
    import numpy

    if a is b:
        return True
    if type(a) is not type(b):
        return False
    if isinstance(a, numpy.ndarray):
        return bool(a.dtype == b.dtype and numpy.array_equal(a, b))
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(_equal(x, y) for x, y in zip(a, b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(_equal(a[key], b[key]) for key in a)
    return bool(a == b)


def _encode(value: Any, name: str, arrays: Dict[str, Any]) -> Any:
    import numpy

    if isinstance(value, numpy.ndarray) or (isinstance(value, numpy.generic) and value.dtype.kind != "b"):
        arrays[name] = numpy.asarray(value)
        return {ARRAY: name, "scalar": True} if isinstance(value, numpy.generic) else {ARRAY: name}
    if isinstance(value, numpy.generic):
        return bool(value)
    if isinstance(value, (list, tuple)):
        items = [_encode(item, f"{name}/{number}", arrays) for number, item in enumerate(value)]
        return {"tuple": items} if isinstance(value, tuple) else {"list": items}
    if isinstance(value, dict):
        return {"dict": {key: _encode(item, f"{name}/{key}", arrays) for key, item in value.items()}}
    return value


def _decode(value: Any, arrays: Mapping[str, Any]) -> Any:
    if not isinstance(value, dict):
        return value
    if ARRAY in value:
        array = arrays[value[ARRAY]]
        return array[()] if value.get("scalar") else array
    if "dict" in value:
        return {key: _decode(item, arrays) for key, item in value["dict"].items()}
    if "tuple" in value:
        return tuple(_decode(item, arrays) for item in value["tuple"])
    return [_decode(item, arrays) for item in value["list"]]
