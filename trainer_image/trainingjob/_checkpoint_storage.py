"""Where checkpoint files lie: a folder of this machine, or whatever `tf.io.gfile` reaches (gs://, s3://, …).

Folders of this machine are handled with the standard library: nothing needs TensorFlow for them, and a file is on the
disk, not only in the page cache, before it gets its name.
"""

from __future__ import annotations

import contextlib
import errno
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import IO, Any, Callable, List, Optional, Tuple, Type, Union

TEMPORARY = ".writing"


def storage(path: str) -> Union[Local, Remote]:
    """What handles `path`."""
    return Remote(path) if "://" in path else Local(path)


def is_full(error: BaseException) -> bool:
    """Whether a write failed for lack of space, which may be there again later."""
    if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
        return True
    return type(error).__name__ == "ResourceExhaustedError"  # TensorFlow's word for it


class Local:
    """A folder that the operating system knows."""

    #: What is raised when the folder is in trouble, rather than the program.
    errors: Tuple[Type[BaseException], ...] = (OSError,)

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

    def write(self, name: str, fill: Callable[[IO[bytes]], None], before: Optional[Callable[[], Any]] = None) -> None:
        """Let `fill` write a file that appears under its name only when it is whole, and `before` has not raised.

        Of a write that fails nothing stays: neither does it take space from others, nor the name from what was there.
        """
        os.makedirs(self.folder, exist_ok=True)
        temporary = self.path(name + TEMPORARY)
        try:
            with open(temporary, "wb") as stream:
                fill(stream)
                stream.flush()
                os.fsync(stream.fileno())
            if before is not None:
                before()
            os.replace(temporary, self.path(name))
        except BaseException:
            with contextlib.suppress(OSError):
                os.remove(temporary)
            raise
        self._keep_names()

    def _keep_names(self) -> None:
        """Have the new name on the disk before older files go; not every file system knows how."""
        with contextlib.suppress(OSError):
            folder = os.open(self.folder, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)

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
        #: What is raised when the folder is in trouble, rather than the program.
        self.errors: Tuple[Type[BaseException], ...] = (OSError, tensorflow.errors.OpError)

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

    def write(self, name: str, fill: Callable[[IO[bytes]], None], before: Optional[Callable[[], Any]] = None) -> None:
        """Let `fill` write a file that appears under its name only when it is whole, and `before` has not raised."""
        self._gfile.makedirs(self.folder)
        temporary = self.path(name + TEMPORARY)
        try:
            with self._gfile.GFile(temporary, "wb") as stream:
                fill(_Stream(stream))  # type: ignore[arg-type]
            if before is not None:
                before()
            self._gfile.rename(temporary, self.path(name), overwrite=True)
        except BaseException:
            with contextlib.suppress(*self.errors):
                self._gfile.remove(temporary)
            raise

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
