"""The Keras versions whose insides `keras3` was tested with: `tests/trainer/test_fit_*.py`, the same for each."""

from __future__ import annotations

#: Minor releases: what is mended has not changed within one.
TESTED = ("3.15",)


def is_tested(version: str) -> bool:
    """Whether Keras `version`, like 3.15.1, is one of the tested releases."""
    return ".".join(version.split(".")[:2]) in TESTED


def refusal(version: str, members: int) -> str:
    """Return what a person must know when `fit` can't be spread with this version of Keras."""
    return (
        f"Keras {version} is not among the versions whose fit, evaluate and predict were tested on several workers "
        f"({', '.join(TESTED)}), and this job has {members} members. Either install one of these (pip install "
        f"'keras=={TESTED[-1]}.*'), or write the loop yourself under tf.distribute.MultiWorkerMirroredStrategy, or "
        "use tf-keras (TF_USE_LEGACY_KERAS=1), or set program.keras.patchFit: false and take Keras as it is."
    )
