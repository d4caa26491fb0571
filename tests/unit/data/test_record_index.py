"""Where TFRecord files' records begin and how many there are, without TensorFlow."""

import gzip
import io
import itertools
import struct
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainingjob_trainer.data.errors import DataError
from trainingjob_trainer.data.record_count import CutOffError, count_records
from trainingjob_trainer.data.record_index import index_file, index_files

PACK = {"": bytes, "GZIP": gzip.compress, "ZLIB": zlib.compress}


def framed(lengths: list[int]) -> bytes:
    """Records of these lengths; checksums are not looked at here."""
    return b"".join(struct.pack("<QI", length, 0) + b"\xff" * (length + 4) for length in lengths)


def bounds(lengths: list[int]) -> list[int]:
    return [0, *itertools.accumulate(length + 16 for length in lengths)]


@pytest.mark.parametrize(
    "lengths", [[], [0], [5], [100] * 20_000, [70_000] * 9, [0, 300_000, 1, 2, 262_000, 3, 20_000, 20_000, 5] * 4]
)
def test_records_begin_where_the_lengths_say(tmp_path: Path, lengths: list[int]) -> None:
    path = tmp_path / "a"
    path.write_bytes(framed(lengths))
    assert index_file(str(path), "d").tolist() == bounds(lengths)


def test_files_are_indexed_in_their_order(tmp_path: Path) -> None:
    for name in range(20):
        (tmp_path / f"{name:02}").write_bytes(framed([name] * name))
    found = index_files([str(tmp_path / f"{name:02}") for name in range(20)], "d")
    assert [offsets.tolist() for offsets in found] == [bounds([name] * name) for name in range(20)]


@pytest.mark.parametrize("cut", [1, 4, 13, 21])
def test_a_file_that_was_cut_off_is_refused_with_its_record(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "a"
    path.write_bytes(framed([10, 10, 10])[:-cut])
    with pytest.raises(DataError, match=r"^d\.path: '.*/a', record 2 at byte 52 is damaged or cut off: .*again$"):
        index_file(str(path), "d")


def test_a_damaged_length_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a"
    content = bytearray(framed([10, 10, 10]))
    content[26 + 5] = 1
    path.write_bytes(bytes(content))
    with pytest.raises(DataError, match="record 1 at byte 26"):
        index_file(str(path), "d")


@pytest.mark.parametrize("pack", ["GZIP", "ZLIB"])
def test_a_compressed_file_is_recognised(tmp_path: Path, pack: str) -> None:
    path = tmp_path / "a"
    path.write_bytes(PACK[pack](framed([10] * 9)))
    with pytest.raises(DataError, match=r"^d\.compression: is none, but .*looks compressed; write gzip or zlib$"):
        index_file(str(path), "d")


def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^d\.path: '.*/none' cannot be read: No such file"):
        index_file(str(tmp_path / "none"), "d")
    with pytest.raises(DataError, match="cannot be read: Is a directory"):
        index_file(str(tmp_path), "d")


def reader(content: bytes, step: int = 1 << 20) -> "io.BytesIO":
    class Slow(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            return super().read(step)

    return Slow(content)


@settings(deadline=None)
@given(st.lists(st.integers(0, 60), max_size=30), st.integers(1, 40), st.sampled_from(sorted(PACK)))
def test_records_are_counted_however_reads_cut_them(lengths: list[int], step: int, pack: str) -> None:
    assert count_records(reader(PACK[pack](framed(lengths)), step).read, pack) == len(lengths)


@pytest.mark.parametrize("pack", sorted(PACK))
def test_a_file_of_several_compressed_streams_is_counted(pack: str) -> None:
    content = PACK[pack](framed([5] * 7)) + PACK[pack](framed([6] * 4))
    assert count_records(reader(content).read, pack) == 11


@pytest.mark.parametrize("pack", ["GZIP", "ZLIB"])
@pytest.mark.parametrize("left", [1, 4, 9, 20, 40])
def test_compressed_data_that_was_cut_off_is_never_taken_for_a_shorter_file(pack: str, left: int) -> None:
    content = PACK[pack](framed(list(range(50))))
    with pytest.raises(CutOffError):
        count_records(reader(content[:left]).read, pack)
    with pytest.raises(CutOffError):
        count_records(reader(content[:-1]).read, pack)


def test_the_record_that_is_not_whole_is_counted_from_zero() -> None:
    with pytest.raises(CutOffError) as caught:
        count_records(reader(framed([10, 10, 10])[:-1]).read, "")
    assert caught.value.record == 2
    with pytest.raises(CutOffError) as caught:
        count_records(reader(framed([10, 10]) + b"\x01\x02").read, "")
    assert caught.value.record == 2


def test_another_compression_is_refused() -> None:
    for content, pack in ((framed([5]), "GZIP"), (gzip.compress(framed([5])), "ZLIB")):
        with pytest.raises(CutOffError, match="incorrect header check"):
            count_records(reader(content).read, pack)
