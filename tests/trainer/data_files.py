"""Small real data sets, written by the tests that read them."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from trainingjob_trainer.data import Feed


def feed(source: Any, pipeline: Any = None, **options: Any) -> Feed:
    """A feed of one member, with what the test does not care about filled in."""
    given = {"global_batch": 8, "parts": 1, "first_part": 0, "local_parts": 1, "seed": 7, "training": True, **options}
    return Feed(source, pipeline or {}, **given)


def collect(a_feed: Feed, start: int, stop: int) -> list[tuple[Any, ...]]:
    """The batches as numpy arrays."""
    return list(a_feed.batches(start, stop).as_numpy_iterator())


def everything(source: Any, global_batch: int = 8) -> tuple[Any, Any, Any]:
    """(x, y, weight) of all examples in their stored order, as the trainer gets them."""
    plain = feed(source, {"shuffle": False}, global_batch=global_batch, training=False)
    x, y, mask, weight, _ = (np.concatenate(part) for part in _columns(collect(plain, 0, plain.steps_per_epoch)))
    real = mask > 0
    return x[real], y[real], weight[real]


def _columns(batches: list[tuple[Any, ...]]) -> list[list[Any]]:
    return [[np.atleast_1d(batch[number]) for batch in batches] for number in range(5)]


def write_text(path: Path, *lines: str) -> str:
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def example(**features: Any) -> bytes:
    """A serialized Example: bytes, floats and ints by the types of the values."""
    lists = {}
    for name, value in features.items():
        if isinstance(value, bytes):
            lists[name] = tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
        elif np.asarray(value).dtype.kind == "f":
            lists[name] = tf.train.Feature(float_list=tf.train.FloatList(value=np.ravel(value)))
        else:
            lists[name] = tf.train.Feature(int64_list=tf.train.Int64List(value=np.ravel(value)))
    message = tf.train.Example(features=tf.train.Features(feature=lists))
    return bytes(message.SerializeToString())


def write_records(path: Path, records: Iterable[bytes], compression: str = "") -> str:
    with tf.io.TFRecordWriter(str(path), compression) as writer:
        for record in records:
            writer.write(record)
    return str(path)


def write_module(folder: Path, name: str, text: str, monkeypatch: Any) -> None:
    """A Python module that can be imported for the length of a test."""
    (folder / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setattr("sys.dont_write_bytecode", True)
