"""Small real data sets that come with the trainer image: no download at run time. They need numpy."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Tuple

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Images = npt.NDArray[np.uint8]
    Split = Tuple[Images, Images]

MNIST_FILE = Path(__file__).with_name("mnist.npz")
MNIST_TRAIN = 8_000
MNIST_TEST = 2_000
_SPLIT_SEED = 20_261_122


def mnist() -> Tuple[Split, Split]:
    """Return ((x_train, y_train), (x_test, y_test)): 8,000 and 2,000 of 10,000 real handwritten digits.

    `x` has the shape (n, 28, 28), grey values 0-255 as uint8, ink is bright; `y` has the shape (n,), digits 0-9 as
    uint8. The split is always the same, and both parts are in random order.
    """
    import numpy as np

    with np.load(MNIST_FILE) as data:
        images, labels = data["images"], data["labels"]
    # Not np.random: its streams may change with numpy's version, and the split must not.
    keys = (np.arange(len(labels), dtype=np.uint64) + np.uint64(_SPLIT_SEED)) * np.uint64(0x9E3779B97F4A7C15)
    keys = (keys ^ (keys >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    keys = (keys ^ (keys >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    order = np.argsort(keys ^ (keys >> np.uint64(31)), kind="stable")
    train, test = order[:MNIST_TRAIN], order[MNIST_TRAIN:]
    return (images[train], labels[train]), (images[test], labels[test])
