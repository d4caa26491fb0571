"""CRC-32C: the values of its definition (RFC 3720), and of the definition done slowly."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainingjob_trainer.data.checksum import crc32c, masked_crc32c


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", 0),
        (b"123456789", 0xE3069283),
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
    ],
)
def test_known_values(data: bytes, expected: int) -> None:
    assert crc32c(data) == expected


def slow(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


@settings(deadline=None)
@given(st.one_of(st.binary(max_size=9), st.integers(1000, 3100).flatmap(lambda n: st.binary(min_size=n, max_size=n))))
def test_it_is_the_definition(data: bytes) -> None:
    assert crc32c(data) == slow(data)


def test_the_stored_form_is_rotated_and_shifted() -> None:
    crc = crc32c(b"123456789")
    assert masked_crc32c(b"123456789") == ((crc >> 15 | crc << 17 & 0xFFFFFFFF) + 0xA282EAD8) % 2**32
