"""Reading single records by their places, and decoding them under their names."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from typing import Any

import numpy as np
import tensorflow as tf

from trainingjob_trainer.data.checksum import masked_crc32c
from trainingjob_trainer.data.errors import DataError, explain, marked
from trainingjob_trainer.data.example import Decoder
from trainingjob_trainer.data.files import reason
from trainingjob_trainer.data.recent import Recent

#: Files that are open at a time.
OPEN_FILES = 256
_HEAD, _TAIL = 12, 4


class RandomReader:
    """Reads records of uncompressed TFRecord files by number, and verifies each one's checksum the first time.

    TensorFlow's own reader at an offset reads a megabyte for each record that does not follow the last one.
    """

    def __init__(self, paths: list[str], index: list[Any], field: str) -> None:
        """Take the files and, for each, the offsets of its records and its end (`record_index`)."""
        self._paths, self._field = paths, field
        self._open: OrderedDict[int, _File] = OrderedDict()
        self._lock = threading.Lock()
        counts = [len(offsets) - 1 for offsets in index]
        self.size = sum(counts)
        self.files = np.repeat(np.arange(len(paths)), counts)
        self.numbers = np.concatenate([np.arange(count) for count in counts])
        self._starts = np.concatenate([offsets[:-1] for offsets in index])
        self._ends = np.concatenate([offsets[1:] for offsets in index])
        self._verified = np.zeros(self.size, bool)

    def read(self, indices: Any) -> Any:
        """Return the records with these numbers (0 to size - 1) as an object array (b,) of bytes.

        Raises:
            ValueError: with a DataError's text: a record is damaged, or the file has changed.
        """
        records = np.empty(len(indices), object)
        for place, index in enumerate(indices.tolist()):
            start, end = int(self._starts[index]), int(self._ends[index])
            try:
                file = self._file(int(self.files[index]))
                framed = os.pread(file.number, end - start, start)
            except OSError as error:
                raise self._damaged(index, str(error.strerror)) from None
            records[place] = record = framed[_HEAD : end - start - _TAIL]
            if not self._verified[index]:
                if framed[:8] != (end - start - _HEAD - _TAIL).to_bytes(8, "little"):
                    raise self._damaged(index, "the file has changed since the start")
                if framed[end - start - _TAIL :] != masked_crc32c(record).to_bytes(4, "little"):
                    raise self._damaged(index, "its checksum is wrong")
                self._verified[index] = True
        return records

    def _damaged(self, index: int, problem: str) -> ValueError:
        name = record_name(self._paths, int(self.files[index]), int(self.numbers[index]))
        return ValueError(marked(f"{self._field}.path", f"{name} cannot be read: {problem}; write the file again"))

    def _file(self, number: int) -> _File:
        with self._lock:
            file = self._open.get(number)
            if file is None:
                file = self._open[number] = _File(self._paths[number])
                if len(self._open) > OPEN_FILES:
                    self._open.popitem(last=False)
            self._open.move_to_end(number)
            return file


class _File:
    """An open file; closed when nobody holds it any more, so that none is closed under a thread that reads it."""

    def __init__(self, path: str) -> None:
        self.number = os.open(path, os.O_RDONLY)

    def __del__(self) -> None:
        number = getattr(self, "number", None)
        if number is not None:
            os.close(number)


def record_name(paths: list[str], file: int, number: int) -> str:
    """Return how errors call a record: its file and its number, from 0."""
    return f"{paths[file]!r}, record {number}"


class NamedDecoder:
    """Decodes records, and finds the one among the last that could not be decoded."""

    def __init__(self, field: str, paths: list[str], decoder: Decoder, first: bytes) -> None:
        """Decode the first record to learn the shapes.

        Raises:
            DataError: it does not hold what the spec says.
        """
        self._field, self._paths, self._recent = field, paths, Recent()
        try:
            x, y, _ = decoder(tf.constant([first]))
        except (tf.errors.OpError, ValueError) as error:
            told = explain(error) or DataError(f"{field}.features", reason(error))
            raise DataError(told.field, f"{record_name(paths, 0, 0)}: {told.problem}") from None
        self._decoder = decoder.with_shapes(x, y)
        self.x_spec, self.y_spec = (tf.TensorSpec(values.shape[1:], values.dtype) for values in (x, y))
        self.weighted = decoder.weight is not None

    def __call__(self, records: Any, files: Any, numbers: Any) -> tuple[Any, Any, Any | None]:
        """Return (x, y, weights or None) of records (string), with the numbers of their files and in their files."""
        records, _, _ = self._recent.note(records, files, numbers)
        return self._decoder(records)

    def blame(self) -> DataError | None:
        """Return what is wrong with the first of the last records that cannot be decoded."""
        return self._recent.blame(
            f"{self._field}.features",
            lambda record, _file, _number: self._decoder(tf.constant([record])),
            lambda _record, file, number: record_name(self._paths, file, number),
        )
