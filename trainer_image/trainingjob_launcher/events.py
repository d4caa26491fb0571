"""The format of TensorBoard's event files, as far as it is needed for scalars: bytes, and nothing else.

A file is a row of records (TFRecord): length, CRC of the length, data, CRC of the data. The data is an `Event` in
protobuf's encoding, written by hand: the launcher has the standard library alone.
"""

from __future__ import annotations

import math
import struct
from typing import Mapping, Tuple

# Fields of tensorflow.Event, Summary, Summary.Value and SessionLog, each as field number * 8 + wire type.
_WALL_TIME, _STEP, _FILE_VERSION, _SUMMARY, _SESSION_LOG = 0x09, 0x10, 0x1A, 0x2A, 0x3A
_VALUE, _TAG, _SIMPLE_VALUE = 0x0A, 0x0A, 0x15
_STATUS, _START = 0x08, 1
_LARGEST = struct.unpack("<f", b"\xff\xff\x7f\x7f")[0]


def version_record(when: float) -> bytes:
    """Return the record that every file begins with; `when` is in seconds since 1970."""
    return record(_event(when, 0) + _bytes(_FILE_VERSION, b"brain.Event:2"))


def start_record(when: float, step: int) -> bytes:
    """Return the record that says: what comes begins at `step`; what was there from it on is no longer true."""
    return record(_event(when, step) + _bytes(_SESSION_LOG, bytes([_STATUS, _START])))


def scalars_record(when: float, step: int, values: Mapping[str, float]) -> bytes:
    """Return the record of scalars, tag -> value, at `step`."""
    summary = b"".join(
        _bytes(_VALUE, _bytes(_TAG, tag.encode()) + bytes([_SIMPLE_VALUE]) + struct.pack("<f", _single(value)))
        for tag, value in values.items()
    )
    return record(_event(when, step) + _bytes(_SUMMARY, summary))


def record(data: bytes) -> bytes:
    """Return `data` as one record of a TFRecord file."""
    length = struct.pack("<Q", len(data))
    return length + struct.pack("<I", masked(crc32c(length))) + data + struct.pack("<I", masked(crc32c(data)))


def crc32c(data: bytes) -> int:
    """Return the CRC-32C (Castagnoli) of `data`."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def masked(crc: int) -> int:
    """Return a CRC as TFRecord stores it, so that the CRC of data with CRCs in it means something."""
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def _table() -> Tuple[int, ...]:
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
        table.append(crc)
    return tuple(table)


_TABLE = _table()


def _event(when: float, step: int) -> bytes:
    time = bytes([_WALL_TIME]) + struct.pack("<d", when)
    return time + bytes([_STEP]) + _varint(step) if step else time  # protobuf leaves zeros out


def _bytes(key: int, data: bytes) -> bytes:
    return bytes([key]) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _single(value: float) -> float:
    """Return what a single-precision number can hold of `value`: the very large are infinite there."""
    return math.copysign(math.inf, value) if abs(value) > _LARGEST else value
