"""Folders of images: every format, one number for each class, any size brought to one."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.trainer.data_files import collect, everything, feed
from trainingjob_trainer.data import DataError, open_source, split

FIELD = "spec.training.dataset.images"
RED, GREY = (255, 0, 0), (90, 90, 90)


def picture(path: Path, colour: tuple[int, ...] = GREY, size: tuple[int, int] = (6, 8)) -> None:
    """Write an image of one colour, in the format of the file's name."""
    pixels = np.tile(np.array(colour, np.uint8), (*size, 1))
    path.parent.mkdir(parents=True, exist_ok=True)
    ending = path.suffix.lower()
    if ending in (".jpg", ".jpeg"):
        content = tf.io.encode_jpeg(pixels, quality=100).numpy()
    elif ending == ".png":
        content = tf.io.encode_png(pixels).numpy()
    elif ending == ".bmp":
        content = bitmap(pixels)
    else:
        content = gif(colour, size)
    path.write_bytes(content)


def bitmap(pixels: Any) -> bytes:
    """An uncompressed BMP of 24 bits, rows from below, each a multiple of four bytes."""
    height, width, _ = pixels.shape
    rows = [row[:, ::-1].tobytes().ljust(-(-width * 3 // 4) * 4, b"\0") for row in pixels[::-1]]
    number = lambda value, size=4: value.to_bytes(size, "little")  # noqa: E731
    body = b"".join(rows)
    info = number(40) + number(width) + number(height) + number(1, 2) + number(24, 2) + number(0) + number(len(body))
    return b"BM" + number(54 + len(body)) + number(0) + number(54) + info + bytes(16) + body


def gif(colour: tuple[int, ...], size: tuple[int, int]) -> bytes:
    """A GIF of one colour: every pixel a code of three bits, with a clear code before each."""
    height, width = size
    screen = width.to_bytes(2, "little") + height.to_bytes(2, "little")
    codes = [code for _ in range(height * width) for code in (4, 0)] + [5]
    bits = sum(code << (3 * place) for place, code in enumerate(codes))
    data = bits.to_bytes(-(-3 * len(codes) // 8), "little")
    blocks = b"".join(bytes([len(part)]) + part for part in (data[at : at + 255] for at in range(0, len(data), 255)))
    header = b"GIF89a" + screen + b"\x80\0\0" + bytes(colour) + bytes(3)
    return header + b"," + bytes(4) + screen + b"\0" + b"\x02" + blocks + b"\0;"


def dataset(path: Path, **options: Any) -> dict[str, Any]:
    return {"images": {"path": str(path), "size": [4, 4], **options}}


def opened(path: Path, classes: Any = (), **options: Any) -> Any:
    return open_source(dataset(path, **options), seed=1, classes=classes)


def refused(spec: dict[str, Any], field: str, *said: str, **options: Any) -> None:
    with pytest.raises(DataError) as caught:
        open_source(spec, seed=1, **options)
    assert str(caught.value).startswith(f"{FIELD}{field}: "), caught.value
    for text in said:
        assert text in str(caught.value)


def test_every_format_with_its_class(tmp_path: Path) -> None:
    for number, name in enumerate(("cat/1.jpg", "cat/2.JPEG", "ant/1.png", "bee/1.bmp", "bee/2.gif")):
        picture(tmp_path / name, RED, (3 + number, 9))
    (tmp_path / "bee" / "notes.txt").write_text("no image")
    (tmp_path / ".cache").mkdir()
    (tmp_path / "bee" / ".hidden.png").write_bytes(b"nothing")
    source = opened(tmp_path)
    assert source.classes == ("ant", "bee", "cat")
    assert (source.size, source.x_spec.shape, source.x_spec.dtype) == (5, (4, 4, 3), tf.uint8)
    x, y, _ = everything(source)
    assert y.tolist() == [0, 1, 1, 2, 2]
    np.testing.assert_allclose(x, np.tile([1, 0, 0], (5, 4, 4, 1)), atol=0.02)  # JPEG rounds


@pytest.mark.parametrize(
    ("channels", "expected"),
    [
        (1, [[0.2989], [0.353], [0.353], [0.2]]),
        (3, [[1, 0, 0], [0.353] * 3, [0.353] * 3, [0.2] * 3]),
        (4, [[1, 0, 0, 1], [0.353] * 3 + [1], [0.353] * 3 + [0.4], [0.2] * 3 + [1]]),
    ],
)
def test_channels_are_those_of_the_spec(tmp_path: Path, channels: int, expected: list[list[float]]) -> None:
    picture(tmp_path / "a" / "1.png", RED)
    picture(tmp_path / "a" / "2.bmp", GREY)
    picture(tmp_path / "a" / "3.png", (*GREY, 102))
    picture(tmp_path / "a" / "4.png", (51,))
    x, _, _ = everything(opened(tmp_path, channels=channels))
    np.testing.assert_allclose(x[:, 2, 2], expected, atol=0.003)


def test_images_of_the_right_size_are_not_changed(tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (4, 4, 3), np.uint8)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.png").write_bytes(tf.io.encode_png(pixels).numpy())
    x, _, _ = everything(opened(tmp_path))
    assert (x[0] == pixels * np.float32(1 / 255)).all()


def numbered(folder: Path, count: int = 13) -> Path:
    for number in range(count):
        picture(folder / "abc"[number % 3] / f"{number:02}.png", (number * 10,) * 3, (5, 5))
    return folder


def test_members_make_the_batches_of_one_and_resume(tmp_path: Path) -> None:
    source = opened(numbered(tmp_path))
    pipeline = {"augment": [{"flip": "both"}, {"crop": {"padding": 2}}, {"brightness": {"delta": 0.2}}]}
    alone = collect(feed(source, pipeline, global_batch=5), 0, 6)
    for start in (0, 2):
        gang = [
            collect(feed(source, pipeline, global_batch=5, parts=2, first_part=part), start, 6) for part in range(2)
        ]
        for number, whole in enumerate(alone[start:]):
            for column in (0, 1):
                joined = np.concatenate([member[number][column][member[number][2] > 0] for member in gang])
                assert joined.tobytes() == whole[column][whole[2] > 0].tobytes()


def test_cache_keeps_decoded_images(tmp_path: Path) -> None:
    source = opened(numbered(tmp_path))
    kept = feed(source, {"cache": "memory"}, global_batch=5)
    read = collect(feed(source, global_batch=5), 0, 6)
    for path in tmp_path.glob("*/*.png"):
        path.unlink()
    assert kept.in_memory
    assert not feed(source).in_memory
    for one, other in zip(read, collect(kept, 0, 6), strict=True):
        assert all(a.tobytes() == b.tobytes() for a, b in zip(one, other, strict=True))


def test_a_split_of_files(tmp_path: Path) -> None:
    train, validation = split(opened(numbered(tmp_path)), 0.25, seed=1)
    values = [np.round(everything(part)[0][:, 0, 0, 0] * 25.5).astype(int).tolist() for part in (train, validation)]
    assert len(values[1]) == 3
    assert sorted(values[0] + values[1]) == list(range(13))


def test_a_validation_folder_takes_the_classes_of_the_training(tmp_path: Path) -> None:
    picture(tmp_path / "cat" / "1.png")
    assert everything(opened(tmp_path, classes=("ape", "bee", "cat")))[1].tolist() == [2]
    refused(
        dataset(tmp_path), ".path", "'cat'", "ape, bee, cats", "Did you mean cats?", classes=("ape", "bee", "cats")
    )


def test_folders_that_are_wrong_are_refused(tmp_path: Path) -> None:
    refused(dataset(tmp_path / "none"), ".path", "none", "cannot be read")
    refused(dataset(tmp_path), ".path", "holds no folders", "a folder of its own")
    picture(tmp_path / "1.png")
    refused(dataset(tmp_path), ".path", "files but no folders")
    (tmp_path / "ant").mkdir()
    refused(dataset(tmp_path), ".path", "ant' holds no images", ".jpg", "every folder is a class")
    picture(tmp_path / "ant" / "1.png")
    refused(dataset(tmp_path, size=[4]), ".size", "[4]", "[height, width]")
    refused(dataset(tmp_path, size=[4, 0]), ".size")
    refused(dataset(tmp_path, channels=2), ".channels", "2")


@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize("damage", ["text", "cut off", "gone"])
def test_an_image_that_cannot_be_read_is_named(tmp_path: Path, damage: str, cached: bool) -> None:
    source = opened(numbered(tmp_path))
    bad = tmp_path / "b" / "07.png"
    if damage == "gone":
        bad.unlink()
    else:
        bad.write_bytes(b"This is no image at all" if damage == "text" else bad.read_bytes()[:-20])

    def read() -> Any:
        own = feed(source, {"cache": "memory"} if cached else {}, global_batch=5)
        try:
            collect(own, 0, own.steps_per_epoch)
        except tf.errors.OpError as error:
            raise own.explain(error) or error from None

    with pytest.raises(DataError) as caught:
        read()
    assert str(caught.value).startswith(f"{FIELD}.path: ")
    assert str(bad) in str(caught.value)
    assert "\n" not in str(caught.value)
