"""Folders of image files, one folder for each class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from trainingjob_trainer.data import pictures
from trainingjob_trainer.data.errors import DataError
from trainingjob_trainer.data.files import path_of, reading
from trainingjob_trainer.data.recent import Recent
from trainingjob_trainer.data.source import Source
from trainingjob_trainer.errors import nearest

ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".gif")


def open_source(options: Mapping[str, Any], *, seed: int, field: str, classes: Sequence[str] = ()) -> Source:  # noqa: ARG001 - all kinds alike
    """List the files; images are read when they are needed. The order is that of the names."""
    folder, size, channels = path_of(options, field), options.get("size"), options.get("channels") or 3
    if not isinstance(size, (list, tuple)) or len(size) != 2 or not all(isinstance(n, int) and n > 0 for n in size):
        raise DataError(f"{field}.size", f"is {size!r}; write [height, width] in pixels")
    if channels not in (1, 3, 4):
        raise DataError(f"{field}.channels", f"is {channels!r}; write 1 for grey, 3 for colour or 4 with opacity")
    names = _classes(folder, f"{field}.path")
    known = tuple(classes) or tuple(names)
    paths: list[str] = []
    labels: list[int] = []
    for name in names:
        if name not in known:
            problem = f"{folder!r} has a folder {name!r}, which is no class of the training data: {', '.join(known)}"
            raise DataError(f"{field}.path", f"{problem}.{nearest(name, known)}")
        found = _images(tf.io.gfile.join(folder, name), f"{field}.path")
        paths += found
        labels += [known.index(name)] * len(found)
    return Images(field, paths, labels, (size[0], size[1]), channels, known)


def _names(folder: str, field: str) -> list[str]:
    with reading(folder, field):
        # on object storage folders are listed with a slash
        names = [name.rstrip("/") for name in tf.io.gfile.listdir(folder)]
    return sorted(name for name in names if name and not name.startswith("."))


def _classes(folder: str, field: str) -> list[str]:
    names = _names(folder, field)
    classes = [name for name in names if tf.io.gfile.isdir(tf.io.gfile.join(folder, name))]
    if not classes:
        remedy = "put the images of each class into a folder of its own there"
        raise DataError(field, f"is {folder!r}, which holds {'files but ' * bool(names)}no folders; {remedy}")
    return classes


def _images(folder: str, field: str) -> list[str]:
    found = [name for name in _names(folder, field) if name.lower().endswith(ENDINGS)]
    if not found:
        problem = f"{folder!r} holds no images ({', '.join(ENDINGS)})"
        raise DataError(field, f"{problem}; add some, or remove the folder: every folder is a class")
    return [tf.io.gfile.join(folder, name) for name in found]


class Images(Source):
    """Image files by number: uint8 (height, width, channels), and the class's number."""

    def __init__(
        self, field: str, paths: list[str], labels: list[int], size: tuple[int, int], channels: int, classes: Any
    ) -> None:
        self.field, self.size, self.classes = field, len(paths), classes
        self._image_size, self._channels, self._recent = size, channels, Recent()
        with tf.device("CPU:0"):
            self._paths, self._labels = tf.constant(paths), tf.constant(np.array(labels, np.int64))
        self.x_spec, self.y_spec = tf.TensorSpec([*size, channels], tf.uint8), tf.TensorSpec([], tf.int64)

    def _image(self, path: Any) -> Any:
        image = pictures.decoded(tf.io.read_file(path), self._channels)
        return pictures.resized(image, self._image_size)

    def gather(self, indices: Any) -> tuple[Any, Any, Any | None]:
        """Return examples by number (see Source)."""
        (paths,) = self._recent.note(tf.gather(self._paths, indices))
        images = tf.map_fn(self._image, paths, fn_output_signature=self.x_spec, parallel_iterations=8)
        return images, tf.gather(self._labels, indices), None

    def blame(self) -> DataError | None:
        """Return which example cannot be read (see Source)."""
        return self._recent.blame(
            f"{self.field}.path", self._image, lambda path: repr(path.decode() if isinstance(path, bytes) else path)
        )
