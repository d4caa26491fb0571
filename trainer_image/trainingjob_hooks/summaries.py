"""Reports what a program writes with `tf.summary.scalar`: a custom loop that TensorBoard can follow says enough.

The hook is at the operation that every scalar ends in, `WriteSummary`, and not at `tf.summary.scalar`: so it sees
what is really written, however the function was imported, with its final tag and step. Where there is no writer, or
`record_if` says no, TensorFlow writes nothing, and nothing is reported.

Outside of a `tf.function` the value is at hand. Inside it is not: there the operation gets a neighbour that puts step
and value into a hash table, and a thread looks into the table once a second (`summary_table.py`).
"""

from __future__ import annotations

import os
import re
from typing import Any, Callable, Dict, Optional, Tuple

from trainingjob import _progress
from trainingjob_hooks import gang
from trainingjob_hooks.fit import wrap

#: How the serialized metadata of tf.summary.scalar begin: plugin_data { plugin_name: "scalars" }.
_SCALARS = b"\n\x07scalars"
#: Folders whose scalars are those of a data set: train/loss is the loss, test/loss is the test_loss.
_PREFIXES = {
    **dict.fromkeys(("train", "training"), ""),
    **dict.fromkeys(("val", "valid", "validation", "dev", "eval", "evaluation"), "val_"),
    "test": "test_",
}
#: What TensorFlow puts before a tag that is written in a `for` or an `if` of a tf.function.
_CONTROL_FLOW = re.compile(r"^((while|cond)(_[0-9]+)?/)+")
_LONGEST = 63
#: What Keras's TensorBoard callback writes, with epochs for steps, `fit` and `evaluate` report themselves.
_KERAS_FIT = ("epoch_", "batch_")
_KERAS_EVALUATE = "_vs_iterations"
_FOLDER = "_trainingjob_folder"


def install(when_imported: Callable[[str, Callable[[Any], None]], None]) -> None:
    """Register the hook, where reports count: in the chief and the evaluator."""
    who = gang.read(os.environ)
    if os.environ.get(_progress.SOCKET_VARIABLE) and (who.is_chief or who.role == "evaluator"):
        when_imported("tensorflow.python.ops.gen_summary_ops", wrap_operations)


def wrap_operations(module: Any) -> None:
    """Wrap the operations that open a writer and that write to one."""
    create, write = module.create_summary_file_writer, module.write_summary
    names = Names()

    def create_summary_file_writer(writer: Any, logdir: Any, *args: Any, **kwargs: Any) -> Any:
        _note_folder(writer, logdir)
        return create(writer, logdir, *args, **kwargs)

    def write_summary(
        writer: Any, step: Any, tensor: Any, tag: Any, summary_metadata: Any, *args: Any, **kwargs: Any
    ) -> Any:
        result = write(writer, step, tensor, tag, summary_metadata, *args, **kwargs)
        if isinstance(summary_metadata, bytes) and _SCALARS in summary_metadata[:16]:
            try:
                name = names.metric(tag, getattr(writer, _FOLDER, ""))
                if name is not None:
                    _report(name, step, tensor)
            except Exception as error:  # any kind of tensor may come here, and training must go on
                _give_up(module, error)
        return result

    def _give_up(module: Any, error: Exception) -> None:
        from trainingjob_hooks.log import say

        module.write_summary = write
        say(f"tf.summary.scalar can't be reported in this program, which goes on without: {error!r}")

    module.create_summary_file_writer, module.write_summary = create_summary_file_writer, write_summary


class Names:
    """Metrics' names for TensorBoard's tags."""

    def __init__(self) -> None:
        self._known: Dict[Tuple[str, str], str] = {}
        self._owners: Dict[str, str] = {}

    def metric(self, tag: Any, folder: str) -> Optional[str]:
        """Return the name that `tag`, written to `folder`, has in reports; None when it is not reported.

        Tags of a folder such as test get its prefix. Of several folders with the same name, the first has it, and the
        others get their folder before it.
        """
        if not isinstance(tag, str) or tag.endswith(_KERAS_EVALUATE):
            return None
        if wrap.is_running() and tag.startswith(_KERAS_FIT):
            return None
        name = self._known.get((tag, folder))
        if name is None:
            name = self._known[tag, folder] = self._find(tag, folder)
        return name

    def _find(self, tag: str, folder: str) -> str:
        base = folder.replace("\\", "/").rstrip("/").rpartition("/")[2]
        name = _PREFIXES.get(base.lower(), "") + _CONTROL_FLOW.sub("", tag)
        return fit_name(name if self._owners.setdefault(name, folder) == folder else f"{base}/{name}")


def fit_name(text: str) -> str:
    """Return `text` with what a metric's name can't have replaced: `learning rate` is learning_rate."""
    name = re.sub(r"[^A-Za-z0-9_./-]", "_", text)
    return (name if re.match(r"[A-Za-z_]", name) else f"_{name}")[:_LONGEST]


def _note_folder(writer: Any, logdir: Any) -> None:
    try:
        folder = logdir.numpy().decode() if hasattr(logdir, "numpy") else str(logdir)
        setattr(writer, _FOLDER, folder)
    except Exception:  # made inside of a graph: then all its tags have their bare names
        return


def _report(name: str, step: Any, tensor: Any) -> None:
    if hasattr(tensor, "numpy"):
        if not tensor.shape.rank:
            _progress.observe(step, name, tensor)
        return
    from trainingjob_hooks import summary_table

    summary_table.put(name, step, tensor)
