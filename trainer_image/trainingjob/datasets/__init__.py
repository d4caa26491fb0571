"""Small real data sets that come with the trainer image: no download at run time. They need numpy."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Tuple

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Images = npt.NDArray[np.uint8]
    Split = Tuple[Images, Images]
    Numbers = npt.NDArray[np.float32]

MNIST_FILE = Path(__file__).with_name("mnist.npz")
MNIST_TRAIN = 8_000
MNIST_TEST = 2_000
_SPLIT_SEED = 20_261_122


def mnist() -> Tuple[Split, Split]:
    """Return ((x_train, y_train), (x_test, y_test)): 8,000 and 2,000 of 10,000 real handwritten digits.

    `x` has the shape (n, 28, 28), grey values 0-255 as uint8, ink is bright; `y` has the shape (n,), digits 0-9 as
    uint8. The split is always the same, and both parts are in random order.

    Raises:
        FileNotFoundError: the program runs in an image of the user's own, which has no digits.
    """
    import numpy as np

    try:
        with np.load(MNIST_FILE) as data:
            images, labels = data["images"], data["labels"]
    except (FileNotFoundError, NotADirectoryError) as error:  # the launcher that images of one's own get is a zip
        raise FileNotFoundError(
            "the digits lie in the installation's trainer image, and this is another image: leave spec.image out, or "
            "read data of your own"
        ) from error
    order = np.argsort(_random(len(labels), _SPLIT_SEED), kind="stable")
    train, test = order[:MNIST_TRAIN], order[MNIST_TRAIN:]
    return (images[train], labels[train]), (images[test], labels[test])


def linear_regression(
    examples: int = 1_000, slope: float = 2.0, intercept: float = 1.0, noise: float = 0.1, seed: int = 0
) -> Tuple[Numbers, Numbers]:
    """Return (x, y) with y = slope * x + intercept + noise: both float32 of the shape (examples, 1).

    `x` is even between -1 and 1, noise is normal with the standard deviation `noise`. The same seed gives the same
    numbers with every version of numpy.

    Raises:
        ValueError: there are no examples, or the noise is negative.
    """
    import numpy as np

    if examples < 1:
        raise ValueError(f"examples is {examples}; write 1 or more")
    if not noise >= 0:
        raise ValueError(f"noise is {noise}; write 0 or more")
    # 53 bits each, in (0, 1): three for each example, one for x and two for a normal number (Box and Muller)
    uniform = ((_random(3 * examples, seed) >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53
    x, radius, angle = uniform.reshape(3, examples, 1)
    x = 2.0 * x - 1.0
    normal = np.sqrt(-2.0 * np.log(radius)) * np.cos(2.0 * np.pi * angle)
    y = slope * x + intercept + noise * normal
    return x.astype(np.float32), y.astype(np.float32)


def _random(count: int, seed: int) -> npt.NDArray[np.uint64]:
    """Return random numbers of 64 bits (SplitMix64). Not np.random: its streams may change with numpy's version."""
    import numpy as np

    keys = (np.arange(count, dtype=np.uint64) + np.uint64(seed % 2**64)) * np.uint64(0x9E3779B97F4A7C15)
    keys = (keys ^ (keys >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    keys = (keys ^ (keys >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return keys ^ (keys >> np.uint64(31))
