"""How many records a TFRecord file holds that has to be read from its beginning: compressed, or at an address.

TensorFlow's reader could count as well, but takes a compressed file that was cut off for a shorter one.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator

from trainingjob_trainer.data.record_index import FRAME_BYTES

#: `wbits` of zlib.decompressobj.
WINDOW_BITS = {"GZIP": 16 + zlib.MAX_WBITS, "ZLIB": zlib.MAX_WBITS}
CHUNK = 1 << 20


class CutOffError(ValueError):
    """The file ends where it should not, or is not compressed as it should be; `record` is the first one not read."""

    def __init__(self, record: int, problem: str) -> None:
        super().__init__(problem)
        self.record = record


def count_records(read: Callable[[int], bytes], compression: str) -> int:
    """Return the number of records.

    Args:
        read: returns up to so many bytes of the file; none at its end.
        compression: GZIP, ZLIB, or an empty text for none.

    Raises:
        CutOffError: the file is incomplete or not compressed like this.
    """
    length_at = struct.Struct("<Q").unpack_from
    count, skip, head = 0, 0, b""  # bytes until the next record begins; the first ones of its length, if any
    try:
        for block in _blocks(read, compression):
            data = head + block if head else block
            at = skip
            while at + 8 <= len(data):
                at += length_at(data, at)[0] + FRAME_BYTES
                count += 1
            head, skip = (data[at:], 0) if at <= len(data) else (b"", at - len(data))
    except zlib.error as error:
        raise CutOffError(count, str(error)) from None
    except EOFError:
        raise CutOffError(count, "the compressed data ends too early") from None
    if skip or head:
        raise CutOffError(count - (skip > 0), "the file ends within a record")
    return count


def _blocks(read: Callable[[int], bytes], compression: str) -> Iterator[bytes]:
    """Yield the contents, decompressed. EOFError where compressed data is incomplete."""
    if not compression:
        while block := read(CHUNK):
            yield block
        return
    unpack = None
    while block := read(CHUNK):
        while block:  # a file may hold several compressed streams, one after another
            unpack = unpack or zlib.decompressobj(WINDOW_BITS[compression])
            yield unpack.decompress(block)
            block = unpack.unused_data
            if unpack.eof:
                unpack = None
    if unpack is not None:
        raise EOFError
