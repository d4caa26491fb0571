"""TFRecord files: by record number where that can be, as streams where it can't, the same examples either way."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.trainer.data_files import collect, everything, example, feed, write_records
from trainingjob_trainer.data import DataError, Source, Stream, open_source, split

FIELD = "spec.training.dataset.tfrecord"
COMPRESSIONS = {"none": "", "gzip": "GZIP", "zlib": "ZLIB"}
VECTORS = {"x": {"type": "float", "shape": [3]}, "y": {"type": "int"}}
IMAGES = {"x": {"type": "bytes", "decode": "raw", "shape": [4, 4, 1]}, "y": {"type": "int"}}
AUGMENT = [{"flip": "both"}, {"crop": {"padding": 1}}, {"rotate": {"degrees": 30}}]


def vectors(numbers: Any) -> list[bytes]:
    return [example(x=[n + 0.5, n, 0.0], y=n, w=float(n) / 2) for n in numbers]


def pictures(numbers: Any) -> list[bytes]:
    return [example(x=bytes([n] * 8 + [255 - n] * 8), y=n) for n in numbers]


def dataset(path: Any, features: dict[str, Any] = VECTORS, **options: Any) -> dict[str, Any]:
    return {"tfrecord": {"path": str(path), "features": features, **options}}


def opened(path: Any, features: dict[str, Any] = VECTORS, **options: Any) -> Any:
    return open_source(dataset(path, features, **options), seed=1)


def refused(spec: dict[str, Any], field: str, *said: str) -> None:
    with pytest.raises(DataError) as caught:
        open_source(spec, seed=1)
    assert str(caught.value).startswith(f"{FIELD}{field}: "), caught.value
    for text in said:
        assert text in str(caught.value)


@pytest.fixture(params=COMPRESSIONS)
def compression(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def shards(tmp_path: Path, compression: str) -> dict[str, Any]:
    """23 examples in three files, one of them empty."""
    for name, numbers in (("part-2", range(15, 23)), ("part-0", range(15)), ("part-1", [])):
        write_records(tmp_path / name, vectors(numbers), COMPRESSIONS[compression])
    return dataset(tmp_path / "part-*", compression=compression)


def test_records_come_in_the_order_of_files_and_records(shards: dict[str, Any], compression: str) -> None:
    source = open_source(shards, seed=1)
    assert isinstance(source, Source if compression == "none" else Stream)
    assert source.size == 23
    x, y, weight = everything(source)
    assert y.tolist() == list(range(23))
    assert x.tolist() == [[n + 0.5, n, 0] for n in range(23)]
    assert (weight == 1).all()


def test_every_example_once_an_epoch_over_all_members(shards: dict[str, Any]) -> None:
    source = open_source(shards, seed=1)
    orders = []
    for epoch in range(2):
        own = [feed(source, global_batch=5, parts=3, first_part=part) for part in range(3)]
        steps = (epoch * 5, epoch * 5 + 5)
        batches = [collect(member, *steps) for member in own]
        labels = [
            int(label)
            for step in zip(*batches, strict=True)
            for batch in step
            for label, mask in zip(batch[1], batch[2], strict=True)
            if mask
        ]
        assert sorted(labels) == list(range(23))
        assert [int(batch[4]) for batch in batches[0]] == [5, 5, 5, 5, 3]
        orders.append(labels)
    assert orders[0] != orders[1]
    assert orders[0] != sorted(orders[0])


@pytest.mark.parametrize("parts", [2, 3])
def test_members_make_the_batches_of_one_with_augmentation(tmp_path: Path, compression: str, parts: int) -> None:
    path = write_records(tmp_path / "a", pictures(range(20)), COMPRESSIONS[compression])
    source = opened(path, IMAGES, compression=compression)
    alone = collect(feed(source, {"augment": AUGMENT}, global_batch=7), 1, 8)
    gang = [
        collect(feed(source, {"augment": AUGMENT}, global_batch=7, parts=parts, first_part=part), 1, 8)
        for part in range(parts)
    ]
    for step, whole in enumerate(alone):
        for column in (0, 1, 3):
            joined = np.concatenate([member[step][column][member[step][2] > 0] for member in gang])
            assert joined.tobytes() == whole[column][whole[2] > 0].tobytes()


def test_resume_at_any_step(shards: dict[str, Any]) -> None:
    own = feed(open_source(shards, seed=1), global_batch=4)
    unbroken = collect(own, 0, 14)
    for start in (1, 5, 6, 7, 13):
        for before, after in zip(unbroken[start:], collect(own, start, 14), strict=True):
            assert all(a.tobytes() == b.tobytes() for a, b in zip(before, after, strict=True))


def test_a_split_holds_back_the_same_examples_compressed_or_not(tmp_path: Path) -> None:
    held_out = []
    for name, kind in COMPRESSIONS.items():
        source = opened(write_records(tmp_path / name, vectors(range(23)), kind), compression=name)
        train, validation = split(source, 0.3, seed=5)
        sides = [everything(part)[1].tolist() for part in (train, validation)]
        assert sorted(sides[0] + sides[1]) == list(range(23))
        assert len(sides[1]) == validation.size == 7
        held_out.append(sorted(sides[1]))
    assert held_out[0] == held_out[1] == held_out[2]


def test_cache_in_memory_gives_random_access_and_the_order_of_an_array(tmp_path: Path) -> None:
    records = vectors(range(23))
    plain = opened(write_records(tmp_path / "a", records))
    packed = opened(write_records(tmp_path / "b", records, "GZIP"), compression="gzip")
    kept = feed(packed, {"cache": "memory"})
    assert kept.in_memory
    for one, other in zip(collect(feed(plain), 2, 7), collect(kept, 2, 7), strict=True):
        assert all(a.tobytes() == b.tobytes() for a, b in zip(one, other, strict=True))


def test_the_number_of_examples_need_not_be_counted(tmp_path: Path) -> None:
    path = write_records(tmp_path / "a", vectors(range(10)), "GZIP")
    source = opened(path, compression="gzip", examples=10)
    assert everything(source)[1].tolist() == list(range(10))
    for wrong in (9, 11):
        own = feed(opened(path, compression="gzip", examples=wrong), global_batch=4)
        with pytest.raises(tf.errors.OpError) as caught:
            collect(own, 0, 2 * own.steps_per_epoch)
        told = own.explain(caught.value)
        assert told is not None
        assert f"is {wrong}, but the files hold" in str(told)
        assert told.field == f"{FIELD}.examples"
    refused(dataset(write_records(tmp_path / "b", vectors(range(10))), examples=9), ".examples", "is 9", "hold 10")


def test_kinds_of_features(tmp_path: Path) -> None:
    png = [tf.io.encode_png(np.full((2, 3, 3), n, np.uint8)).numpy() for n in range(4)]
    records = [
        example(image=png[n], raw=np.arange(n, n + 6, dtype="<i2").tobytes(), y=[n, 2.5], weight=n + 1)
        for n in range(4)
    ]
    path = write_records(tmp_path / "a", records)
    features = {
        "image": {"type": "bytes", "decode": "image"},
        "grey": {"type": "bytes", "decode": "image", "channels": 1},
        "raw": {"type": "bytes", "decode": "raw", "dtype": "int16", "shape": [2, 3]},
        "y": {"type": "float", "shape": [2]},
        "weight": {"type": "int"},
    }
    source = opened(path, features, input="image", sampleWeight="weight")
    assert (source.x_spec.shape, source.x_spec.dtype) == ((2, 3, 3), tf.uint8)
    x, y, weight = everything(source)
    assert x[3].tolist() == np.full((2, 3, 3), np.float32(3) * np.float32(1 / 255)).tolist()
    assert y.tolist() == [[n, 2.5] for n in range(4)]
    assert weight.tolist() == [1, 2, 3, 4]
    x, _, _ = everything(opened(path, features, input="raw"))
    assert x[1].tolist() == [[1, 2, 3], [4, 5, 6]]


def test_a_wrong_spec_is_refused(tmp_path: Path) -> None:
    path = write_records(tmp_path / "a", vectors(range(3)))
    refused(dataset(tmp_path / "none"), ".path", "no file has that name")
    refused(dataset(path, input="image"), ".input", "'image'", "features names x, y")
    refused(dataset(path, {"x": {"type": "double"}, "y": {"type": "int"}}), ".features.x.type", "'double'")
    refused(dataset(path, {"x": {"type": "bytes"}, "y": {"type": "int"}}), ".features.x.decode", "raw or image")
    refused(dataset(path, {"x": {"type": "int", "decode": "raw"}, "y": {"type": "int"}}), ".features.x.decode")
    refused(dataset(path, compression="zip"), ".compression", "'zip'")
    refused(dataset(path, sampleWeight="weight"), ".sampleWeight", "'weight'")
    shaped = {**VECTORS, "w": {"type": "float", "shape": [2]}}
    refused(dataset(path, shaped, sampleWeight="w"), ".features.w.shape", "one number")
    bad_shape = {"x": {"type": "bytes", "decode": "image", "shape": [4, 4, 1]}, "y": {"type": "int"}}
    refused(dataset(path, bad_shape), ".features.x.shape", "[4, 4, 1]")


def test_what_the_files_do_not_hold_is_told_at_the_start(tmp_path: Path, compression: str) -> None:
    path = write_records(tmp_path / "a", vectors(range(3)), COMPRESSIONS[compression])

    def features(**changed: Any) -> dict[str, Any]:
        return dataset(path, {**VECTORS, **changed}, compression=compression)

    refused({"tfrecord": {**features(z={"type": "float"})["tfrecord"], "input": "z"}}, ".features", "record 0", "z")
    refused(features(x={"type": "float", "shape": [4]}), ".features", "record 0", "x")
    refused(features(x={"type": "int", "shape": [3]}), ".features", "record 0", "x")
    empty = write_records(tmp_path / "empty", [], COMPRESSIONS[compression])
    refused(dataset(empty, compression=compression), ".path", "holds no records")


@pytest.mark.parametrize(
    ("bad", "features", "said"),
    [
        (example(y=1), VECTORS, ["x"]),
        (example(x=[1.0, 2.0], y=1), VECTORS, ["x"]),
        (b"no example", VECTORS, ["record 11"]),
        (example(x=b"123", y=1), IMAGES, ["16 bytes of uint8 of shape [4, 4, 1]", "there are 3"]),
        (example(x=[0.0] * 3, y=float("nan")), {**VECTORS, "y": {"type": "float"}}, ["label", "no finite number"]),
        (example(x=b"no image", y=1), {**IMAGES, "x": {"type": "bytes", "decode": "image"}}, ["image"]),
        (
            example(x=tf.io.encode_png(np.zeros((4, 5, 3), np.uint8)).numpy(), y=1),
            {**IMAGES, "x": {"type": "bytes", "decode": "image"}},
            ["should have the shape [4, 4, 3]", "[4 5 3]"],
        ),
    ],
    ids=["missing", "too short", "no Example", "raw bytes", "NaN", "no image", "other image"],
)
def test_a_bad_record_is_named(
    tmp_path: Path, compression: str, bad: bytes, features: dict[str, Any], said: list[str]
) -> None:
    good = {"float": [0.0] * 3, "raw": bytes(16), "image": tf.io.encode_png(np.zeros((4, 4, 3), np.uint8)).numpy()}
    x = good[features["x"].get("decode", "float")]
    y = 1 if features["y"]["type"] == "int" else 1.0
    for name, length in (("a", 9), ("b", 20)):
        records = [example(x=x, y=y)] * length
        if name == "b":
            records[11] = bad
        write_records(tmp_path / name, records, COMPRESSIONS[compression])
    own = feed(opened(tmp_path / "[ab]", features, compression=compression), global_batch=4)
    with pytest.raises(tf.errors.OpError) as caught:
        collect(own, 0, own.steps_per_epoch)
    told = own.explain(caught.value)
    assert isinstance(told, DataError)
    assert str(told).startswith(f"{FIELD}.features")
    for text in [str(tmp_path / "b"), "record 11", *said]:
        assert text in str(told)
    assert "\n" not in str(told)


def test_a_damaged_record_is_named(tmp_path: Path, compression: str) -> None:
    path = Path(write_records(tmp_path / "a", vectors(range(3000)), COMPRESSIONS[compression]))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x10
    path.write_bytes(bytes(content))

    def told() -> DataError:
        try:
            own = feed(opened(path, compression=compression), global_batch=100)
        except DataError as error:
            return error  # what is compressed is counted
        with pytest.raises(tf.errors.OpError) as caught:
            collect(own, 0, own.steps_per_epoch)
        error = own.explain(caught.value)
        assert error is not None
        return error

    error = told()
    assert error.field == f"{FIELD}.path"
    assert str(path) in str(error)
    assert "record " in str(error)


def test_a_file_that_was_cut_off_is_named(tmp_path: Path, compression: str) -> None:
    path = Path(write_records(tmp_path / "a", vectors(range(50)), COMPRESSIONS[compression]))
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2 + 3])
    refused(dataset(path, compression=compression), ".path", str(path), "record ")


def test_the_wrong_compression_is_told(tmp_path: Path) -> None:
    for name, kind in itertools.islice(COMPRESSIONS.items(), 1, None):
        path = write_records(tmp_path / name, vectors(range(50)), kind)
        refused(dataset(path), ".compression", "is none", "looks compressed")
    refused(dataset(write_records(tmp_path / "plain", vectors(range(5))), compression="gzip"), ".path", "compression")


def test_a_file_that_is_gone_or_rewritten_is_named(tmp_path: Path) -> None:
    for number, said in enumerate(["No such file", "has changed"]):
        path = Path(write_records(tmp_path / f"{number}-1", vectors(range(5))))
        write_records(tmp_path / f"{number}-0", vectors(range(5)))
        own = feed(opened(tmp_path / f"{number}-*"), {"shuffle": False}, global_batch=5)
        if number:
            path.write_bytes(b"\xff" * path.stat().st_size)
        else:
            path.unlink()
        assert len(collect(own, 0, 1)) == 1
        with pytest.raises(tf.errors.OpError) as caught:
            collect(own, 0, 2)
        told = own.explain(caught.value)
        assert told is not None
        assert str(told).startswith(f"{FIELD}.path: '{path}', record 0 cannot be read: ")
        assert said in str(told)


def test_more_files_than_are_kept_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainingjob_trainer.data.records.OPEN_FILES", 3)
    for number in range(10):
        write_records(tmp_path / f"{number}", vectors([number]))
    own = feed(opened(tmp_path / "*"), global_batch=10)
    for epoch in range(3):
        (batch,) = collect(own, epoch, epoch + 1)
        assert sorted(batch[1].tolist()) == list(range(10))
    held = [file for file in Path("/proc/self/fd").iterdir() if file.resolve().is_relative_to(tmp_path)]
    assert len(held) <= 3
