"""CRC-32C, the checksum of TFRecord files, with numpy: Python has another CRC, TensorFlow keeps its own to itself.

A CRC is linear: every byte contributes a value that depends on the byte and on how far from the end it is. So the
contributions of a block are looked up at once and XORed. 7 µs for a small
record, 3 ns a byte for large ones.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

BLOCK = 1024
_POLYNOMIAL = 0x82F63B78
_MASK_DELTA = 0xA282EAD8
_ALL = 0xFFFFFFFF


def masked_crc32c(data: bytes) -> int:
    """Return the checksum as TFRecord files store it."""
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + _MASK_DELTA) & _ALL


def crc32c(data: bytes) -> int:
    """Return the CRC-32C of the data."""
    table, heads = _tables()
    length = len(data)
    if length < 4:
        crc = _ALL
        for byte in data:
            crc = heads[3][(crc ^ byte) & 0xFF] ^ crc >> 8
        return crc ^ _ALL
    # zeros in front of the data contribute nothing; the CRC's first state is that of inverted first four bytes
    padded = np.zeros(-(-length // BLOCK) * BLOCK, np.uint8)
    padded[len(padded) - length :] = np.frombuffer(data, np.uint8)
    padded[len(padded) - length : len(padded) - length + 4] ^= 0xFF
    at = padded.reshape(-1, BLOCK) + _offsets()
    crc = 0
    for block in np.bitwise_xor.reduce(table.take(at), axis=1).tolist():
        first, second, third, fourth = heads[:3] + heads[4:]
        crc = block ^ first[crc & 0xFF] ^ second[crc >> 8 & 0xFF] ^ third[crc >> 16 & 0xFF] ^ fourth[crc >> 24]
    return crc ^ _ALL


@cache
def _offsets() -> Any:
    return np.arange(BLOCK, dtype=np.int64) * 256


@cache
def _tables() -> tuple[Any, tuple[list[int], ...]]:
    """Return the contributions by place in a block and by byte, flat, and some of them as lists of int.

    Lists: places 0, 1 and 2 of a block, the last place, and place 3: the CRC so far is XORed into the first four.
    """
    last = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        last = np.where(last & 1, last >> np.uint32(1) ^ np.uint32(_POLYNOMIAL), last >> np.uint32(1)).astype(
            np.uint32
        )
    table = np.empty((BLOCK, 256), np.uint32)
    table[-1] = last
    for place in range(BLOCK - 2, -1, -1):  # one byte further from the end
        table[place] = last[table[place + 1] & 0xFF] ^ table[place + 1] >> np.uint32(8)
    return table.ravel(), tuple(table[place].tolist() for place in (0, 1, 2, BLOCK - 1, 3))
