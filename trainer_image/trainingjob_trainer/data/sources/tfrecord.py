"""TFRecord files of Example messages.

Uncompressed files on a volume are read by record number: an index of where records begin is made at the start, and
any order costs the same. Compressed files have no such places, and a read at an address like gs:// takes tens of
milliseconds however small it is: those are streams, which every member reads, but of which it decodes only its own
examples.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from trainingjob_trainer.data.errors import DataError, explain
from trainingjob_trainer.data.example import Decoder, decoder
from trainingjob_trainer.data.files import find_files, is_local, path_of, reading, reason
from trainingjob_trainer.data.record_count import CutOffError, count_records
from trainingjob_trainer.data.record_index import index_files
from trainingjob_trainer.data.records import NamedDecoder, RandomReader, record_name
from trainingjob_trainer.data.source import Source, Stream, plain, window_of

COMPRESSIONS = {"none": "", "gzip": "GZIP", "zlib": "ZLIB"}
#: How long to look for a damaged record after a stream has failed.
SEARCH_SECONDS = 60.0


def open_source(options: Mapping[str, Any], *, seed: int, field: str, **_: Any) -> Source | Stream:  # noqa: ARG001 - all kinds alike
    """Open all files; the order of examples is that of the files' names and records."""
    compression = options.get("compression") or "none"
    if compression not in COMPRESSIONS:
        raise DataError(f"{field}.compression", f"is {compression!r}; write one of {', '.join(COMPRESSIONS)}")
    decode = decoder(options, field)
    paths = find_files(path_of(options, field), f"{field}.path")
    if compression == "none" and is_local(path_of(options, field)):
        return Records(field, paths, decode, options.get("examples"))
    return RecordStream(field, paths, COMPRESSIONS[compression], decode, options.get("examples"))


def _no_records(field: str, paths: list[str]) -> DataError:
    return DataError(f"{field}.path", f"{paths[0]!r}{' and the others hold' if paths[1:] else ' holds'} no records")


class Records(Source):
    """Records by number."""

    def __init__(self, field: str, paths: list[str], decode: Decoder, examples: int | None) -> None:
        self._reader = RandomReader(paths, index_files(paths, field), field)
        self.field, self.size = field, self._reader.size
        if not self.size:
            raise _no_records(field, paths)
        if examples not in (None, self.size):
            raise DataError(f"{field}.examples", f"is {examples}, but the files hold {self.size}; mend or remove it")
        first = self._first()
        self._decode = NamedDecoder(field, paths, decode, first)
        self.x_spec, self.y_spec, self.weighted = self._decode.x_spec, self._decode.y_spec, self._decode.weighted

    def _first(self) -> bytes:
        try:
            record: bytes = self._read(np.array([0]))[0][0]
        except ValueError as error:
            raise explain(error) or error from None
        return record

    def _read(self, indices: Any) -> tuple[Any, Any, Any]:
        return self._reader.read(indices), self._reader.files[indices], self._reader.numbers[indices]

    def gather(self, indices: Any) -> tuple[Any, Any, Any | None]:
        """Return examples by number (see Source)."""
        rows = tf.numpy_function(self._read, [indices], [tf.string, tf.int64, tf.int64])
        for row in rows:
            row.set_shape(indices.shape)
        return self._decode(*rows)

    def blame(self) -> DataError | None:
        """Return which example cannot be read (see Source)."""
        return self._decode.blame()


class RecordStream(Stream):
    """Records one after another."""

    def __init__(self, field: str, paths: list[str], compression: str, decode: Decoder, examples: int | None) -> None:
        self.field, self._paths, self._compression = field, paths, compression
        try:
            first = next(iter(self._records(paths).take(1).as_numpy_iterator()), None)
        except tf.errors.OpError as error:
            raise self._damage() or DataError(f"{field}.path", reason(error)) from None
        if first is None:
            raise _no_records(field, paths)
        self.window = window_of(len(first))
        self._decode = NamedDecoder(field, paths, decode, first)
        self.x_spec, self.y_spec, self.weighted = self._decode.x_spec, self._decode.y_spec, self._decode.weighted
        self.size = examples or self._count()

    def _records(self, paths: Any) -> Any:
        return tf.data.TFRecordDataset(paths, self._compression, buffer_size=1 << 20)

    def _count(self) -> int:
        count = 0
        for file, path in enumerate(self._paths):
            with reading(path, f"{self.field}.path"), tf.io.gfile.GFile(path, "rb") as content:
                try:
                    count += count_records(content.read, self._compression)
                except CutOffError as error:
                    name = record_name(self._paths, file, error.record)
                    problem = f"{name}: {error}; is compression right? Else write the file again"
                    raise DataError(f"{self.field}.path", problem) from None
        return count

    def elements(self) -> Any:
        """Return undecoded examples, one after another (see Stream)."""
        paths = tf.data.Dataset.from_tensor_slices(self._paths).enumerate()

        def named(file: Any, path: Any) -> Any:
            records = self._records(path).enumerate()
            return records.map(plain(lambda number, record: {"record": record, "file": file, "number": number}))

        return paths.flat_map(plain(named))

    def decode(self, elements: Any) -> tuple[Any, Any, Any | None]:
        """Return decoded examples (see Stream)."""
        return self._decode(elements["record"], elements["file"], elements["number"])

    def blame(self) -> DataError | None:
        """Return which example cannot be read (see Source)."""
        return self._decode.blame() or self._damage()

    def miscounted(self) -> DataError:
        """Return what to say when the files hold another number of records (see Stream)."""
        return DataError(
            f"{self.field}.examples", f"is {self.size}, but the files hold more or fewer; mend or remove it"
        )

    def _damage(self) -> DataError | None:
        """Read until something cannot be read, for a while."""
        until = time.monotonic() + SEARCH_SECONDS
        for file, path in enumerate(self._paths):
            number = 0
            try:
                for _record in self._records([path]):
                    number += 1
                    if time.monotonic() > until:
                        return None
            except tf.errors.OpError as error:
                name, hint = record_name(self._paths, file, number), "is compression right? Else write the file again"
                return DataError(f"{self.field}.path", f"{name}: {reason(error)}; {hint}")
        return None
