"""Where the records of a TFRecord file begin. Reads lengths, not records; the standard library and numpy only.

A record is its length (8 bytes), a checksum of the length (4), the data, a checksum of the data (4). Checksums are
verified where records are read (by TensorFlow); here a length that leads out of the file is the sign of damage.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from trainingjob_trainer.data.errors import DataError

FRAME_BYTES = 16
GZIP, ZLIB = b"\x1f\x8b", b"\x78"
#: Files whose lengths are read at the same time: on network volumes most of the time is waiting.
THREADS = 8
_SMALL_RECORD = 16 << 10
_WINDOW = 256 << 10


def index_files(paths: Sequence[str], field: str) -> list[Any]:
    """Return for each file the byte offsets of its records, and the file's end: int64 arrays of n + 1.

    Raises:
        DataError: a file cannot be read, is compressed, damaged or cut off.
    """
    if len(paths) == 1:
        return [index_file(paths[0], field)]
    with ThreadPoolExecutor(min(THREADS, len(paths))) as pool:
        return list(pool.map(lambda path: index_file(path, field), paths))


def index_file(path: str, field: str) -> Any:
    """Return the byte offsets of one file's records, and the file's end: int64 (n + 1,)."""
    try:
        file = os.open(path, os.O_RDONLY)
    except OSError as error:
        raise DataError(f"{field}.path", f"{path!r} cannot be read: {error.strerror}") from None
    try:
        return _offsets(file, path, field)
    except OSError as error:
        raise DataError(f"{field}.path", f"{path!r} cannot be read: {error.strerror}") from None
    finally:
        os.close(file)


def _offsets(file: int, path: str, field: str) -> Any:
    size, length_at = os.fstat(file).st_size, struct.Struct("<Q").unpack_from
    offsets: list[int] = []
    position, begin, window, wanted = 0, 0, b"", _WINDOW
    while position < size:
        at = position - begin
        if at + 8 > len(window):
            window, begin, at = os.pread(file, wanted, position), position, 0
            if len(window) < 8:
                raise _damaged(path, field, len(offsets), position, "the file ends within it")
        (length,) = length_at(window, at)
        end = position + length + FRAME_BYTES
        if end > size:
            if not offsets and window.startswith((GZIP, ZLIB)):
                raise DataError(f"{field}.compression", f"is none, but {path!r} looks compressed; write gzip or zlib")
            problem = f"it should have {length} bytes, and the file has {size - position} more"
            raise _damaged(path, field, len(offsets), position, problem)
        offsets.append(position)
        position = end
        # many small records lie in one window; of large ones only the length is read
        wanted = _WINDOW if length < _SMALL_RECORD else FRAME_BYTES
    return np.array([*offsets, size], np.int64)


def _damaged(path: str, field: str, record: int, position: int, problem: str) -> DataError:
    place = f"{path!r}, record {record} at byte {position}"
    return DataError(f"{field}.path", f"{place} is damaged or cut off: {problem}; write the file again")
