"""Where checkpoint files lie: a folder of this machine, or whatever `tf.io.gfile` reaches (gs://, s3://, …).

Folders of this machine are handled with the standard library: nothing needs TensorFlow for them, and a file is on the
disk, not only in the page cache, before it gets its name.
"""

from __future__ import annotations

import contextlib
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import IO, Any, Callable, List, Union

TEMPORARY = ".writing"


def storage(path: str) -> Union[Local, Remote]:
    """What handles `path`."""
    return Remote(path) if "://" in path else Local(path)


class Local:
    """A folder that the operating system knows."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def path(self, name: str) -> str:
        """The whole path of a file of the folder."""
        return os.path.join(self.folder, name)

    def names(self) -> List[str]:
        """Names of the files; none when there is no folder."""
        try:
            return os.listdir(self.folder)
        except FileNotFoundError:
            return []

    def open(self, name: str) -> IO[bytes]:
        """Open a file for reading."""
        return open(self.path(name), "rb")

    def write(self, name: str, fill: Callable[[IO[bytes]], None]) -> None:
        """Let `fill` write a file that appears under its name only when it is whole."""
        os.makedirs(self.folder, exist_ok=True)
        temporary = self.path(name + TEMPORARY)
        with open(temporary, "wb") as stream:
            fill(stream)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, self.path(name))

    def remove(self, name: str) -> None:
        """Remove a file; it may be gone already."""
        with contextlib.suppress(FileNotFoundError):
            os.remove(self.path(name))


class Remote:
    """A folder that only TensorFlow's file systems reach."""

    def __init__(self, folder: str) -> None:
        import tensorflow

        self.folder = folder.rstrip("/")
        self._gfile: Any = tensorflow.io.gfile
        self._missing: Any = tensorflow.errors.NotFoundError

    def path(self, name: str) -> str:
        """The whole address of a file of the folder."""
        return f"{self.folder}/{name}"

    def names(self) -> List[str]:
        """Names of the files; none when there is no folder."""
        try:
            return [str(name).rstrip("/") for name in self._gfile.listdir(self.folder)]
        except self._missing:
            return []

    def open(self, name: str) -> IO[bytes]:
        """Fetch a file in one go: an archive is read in jumps, and each would be a request."""
        import io

        try:
            with self._gfile.GFile(self.path(name), "rb") as stream:
                return io.BytesIO(stream.read())
        except self._missing as error:
            raise FileNotFoundError(str(error)) from error

    def write(self, name: str, fill: Callable[[IO[bytes]], None]) -> None:
        """Let `fill` write a file that appears under its name only when it is whole."""
        self._gfile.makedirs(self.folder)
        temporary = self.path(name + TEMPORARY)
        with self._gfile.GFile(temporary, "wb") as stream:
            fill(_Stream(stream))  # type: ignore[arg-type]
        self._gfile.rename(temporary, self.path(name), overwrite=True)

    def remove(self, name: str) -> None:
        """Remove a file; it may be gone already."""
        with contextlib.suppress(self._missing):
            self._gfile.remove(self.path(name))


class _Stream:
    """A file that can only be written on and on: what object stores have."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, data: Any) -> int:
        self._stream.write(bytes(data))
        return len(data)

    def flush(self) -> None:
        pass  # every flush of an object store sends what there is as a part of its own
