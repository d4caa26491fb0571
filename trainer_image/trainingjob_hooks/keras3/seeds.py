"""One seed for all members, where the program sets none.

Every member draws its own shuffles, splits and synthetic data. Were they to draw differently, examples would be
trained on twice or never. So Python's, NumPy's and TensorFlow's global generators start from the job's seed; a
program that seeds them itself (keras.utils.set_random_seed, tf.random.set_seed, …) overrides that, as it always does.
Generators that a program makes without a seed (numpy.random.default_rng()) stay as they are.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping


def seed(module: Any, environ: Mapping[str, str], spec: Mapping[str, Any]) -> None:
    """Seed `random` or `numpy.random`, the module itself, unless the job wants Keras and all that left as it is."""
    from trainingjob_hooks import gang, keras3

    if keras3.is_wanted(environ, spec):
        module.seed(gang.read(environ).seed)


def global_seed() -> int:
    """Return TensorFlow's global seed: the program's own, else the job's."""
    from tensorflow.python.eager import context

    return int(context.global_seed() or 0) & 0x7FFFFFFF
