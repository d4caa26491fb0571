"""What the pipeline makes of examples: augmentation, normalisation, labels and weights; what it refuses."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.trainer.data_files import collect, everything, feed
from trainingjob_trainer.data import DataError, explain
from trainingjob_trainer.data.source import Arrays

PIPELINE = "spec.training.pipeline"
RNG = np.random.default_rng(5)
IMAGES = RNG.integers(1, 256, (64, 6, 8, 3), np.uint8)


def source(x: Any = None, y: Any = None, weights: Any = None, classes: tuple[str, ...] = ()) -> Arrays:
    x = IMAGES if x is None else np.asarray(x)
    return Arrays("data", x, np.arange(len(x)) if y is None else np.asarray(y), weights, classes)


def augmented(*augment: dict[str, Any], images: Any = IMAGES, epoch: int = 0, **pipeline: Any) -> Any:
    """All images after augmentation, in their stored order, as stored values (0-255)."""
    own = feed(
        source(images),
        {"shuffle": False, "normalize": {"scale": 1}, "augment": list(augment), **pipeline},
        global_batch=64,
    )
    (batch,) = collect(own, epoch, epoch + 1)
    return batch[0]


def refused(field: str, *said: str, data: Any = None, pipeline: Any = None, **options: Any) -> None:
    with pytest.raises(DataError) as caught:
        feed(source() if data is None else data, pipeline, **options)
    assert str(caught.value).startswith(f"{field}: "), caught.value
    for text in said:
        assert text in str(caught.value)


# augmentation


@pytest.mark.parametrize(
    ("flip", "variants"),
    [
        ("horizontal", {(1, 1), (1, -1)}),
        ("vertical", {(1, 1), (-1, 1)}),
        ("both", {(1, 1), (1, -1), (-1, 1), (-1, -1)}),
    ],
)
def test_flips_mirror_half_of_the_images(flip: str, variants: set[tuple[int, int]]) -> None:
    seen = []
    for image, result in zip(IMAGES, augmented({"flip": flip}), strict=True):
        seen += [(a, b) for a, b in variants if (result == image[::a, ::b]).all()]
    assert len(seen) == 64  # each image is exactly one of the variants
    assert set(seen) == variants
    if flip != "both":
        assert 16 < seen.count((1, 1)) < 48


def test_crops_shift_with_a_border_of_zeros() -> None:
    padded = np.pad(IMAGES, [(0, 0), (2, 2), (2, 2), (0, 0)])
    shifts = []
    for image, result in zip(padded, augmented({"crop": {"padding": 2}}), strict=True):
        found = [(dy, dx) for dy in range(5) for dx in range(5) if (result == image[dy : dy + 6, dx : dx + 8]).all()]
        assert len(found) == 1
        shifts += found
    assert {dy for dy, _ in shifts} == {dx for _, dx in shifts} == set(range(5))
    assert len(set(shifts)) > 15


def test_changes_are_made_in_their_order() -> None:
    """With the same random numbers a shift and then a flip is the shifted image or its mirror image."""
    shifted = augmented({"crop": {"padding": 2}})
    both = augmented({"crop": {"padding": 2}}, {"flip": "horizontal"})
    mirrored = [(result == image[:, ::-1]).all() for image, result in zip(shifted, both, strict=True)]
    same = [(result == image).all() for image, result in zip(shifted, both, strict=True)]
    assert all(one or other for one, other in zip(mirrored, same, strict=True))
    assert 16 < sum(mirrored) < 48


def test_rotation_turns_around_the_centre() -> None:
    image = np.zeros((64, 21, 21, 1), np.float32)
    image[:, 10, 16] = image[:, 10, 10] = 1  # the centre, and six pixels to its right
    turned = augmented({"rotate": {"degrees": 90}}, images=image)
    np.testing.assert_allclose(turned[:, 10, 10, 0], 1, atol=1e-4)  # stays
    rows, columns = np.mgrid[-10:11, -10:11]
    outer = turned[..., 0] * (rows**2 + columns**2 > 9)
    total = outer.sum((1, 2))
    angles = np.degrees(np.arctan2((outer * rows).sum((1, 2)) / total, (outer * columns).sum((1, 2)) / total))
    np.testing.assert_allclose(total, 1, atol=0.3)  # interpolation spreads it, little is lost
    assert angles.min() < -60
    assert angles.max() > 60
    assert abs(angles).max() <= 91
    assert 20 < (angles > 0).sum() < 44


def test_a_small_rotation_is_nearly_the_image() -> None:
    smooth = np.tile(np.linspace(0, 1, 30)[:, None, None], (64, 1, 30, 1)).astype(np.float32)
    turned = augmented({"rotate": {"degrees": 5}}, images=smooth)
    np.testing.assert_allclose(turned[:, 5:25, 5:25], smooth[:, 5:25, 5:25], atol=0.05)
    assert abs(turned[:, 10:20, 10:20] - smooth[:, 10:20, 10:20]).max() > 0.002


def test_brightness_adds_one_number_to_an_image_and_stays_in_range() -> None:
    half = np.full((64, 4, 4, 3), 128, np.uint8)
    own = feed(source(half), {"shuffle": False, "augment": [{"brightness": {"delta": 0.25}}]}, global_batch=64)
    x = collect(own, 0, 1)[0][0]
    change = x[:, 0, 0, 0] - np.float32(128 / 255)
    assert (x == x[:, :1, :1, :1]).all()
    assert -0.25 <= change.min() < -0.15
    assert 0.15 < change.max() <= 0.25
    white = augmented({"brightness": {"delta": 0.9}}, images=np.full((64, 4, 4, 1), 250, np.uint8))
    assert white.min() < 100
    assert white.max() == 255
    floats = augmented({"brightness": {"delta": 0.5}}, images=np.ones((64, 4, 4, 1), np.float32))
    assert floats.max() > 1.2  # no range is known


def test_the_next_epoch_changes_images_in_another_way() -> None:
    changes = ({"flip": "both"}, {"crop": {"padding": 2}}, {"brightness": {"delta": 0.1}})
    first, again, second = (augmented(*changes, epoch=epoch) for epoch in (0, 0, 1))
    assert (first == again).all()
    assert (first != second).any(axis=(1, 2, 3)).sum() > 55


def test_images_without_channels_are_augmented_too() -> None:
    flat = IMAGES[..., 0]
    changes = ({"crop": {"padding": 1}}, {"rotate": {"degrees": 10}})
    with_channel = augmented(*changes, images=flat[..., None])
    assert (augmented(*changes, images=flat) == with_channel[..., 0]).all()


@pytest.mark.parametrize(
    ("augment", "field", "said"),
    [
        ([{"flip": "diagonal"}], "augment[0].flip", "horizontal, vertical or both"),
        ([{"flip": "both"}, {"zoom": {}}], "augment[1]", "exactly one of flip, crop, rotate, brightness"),
        ([{"flip": "both", "crop": {"padding": 1}}], "augment[0]", "exactly one"),
        ([{}], "augment[0]", "exactly one"),
        ([{"crop": {"padding": 1.5}}], "augment[0].crop", "whole number"),
        ([{"crop": {}}], "augment[0].crop", "padding"),
        ([{"rotate": {"degrees": -3}}], "augment[0].rotate", "above 0"),
        ([{"brightness": 0.2}], "augment[0].brightness", "delta"),
    ],
)
def test_a_wrong_change_is_refused(augment: Any, field: str, said: str) -> None:
    refused(f"{PIPELINE}.{field}", said, pipeline={"augment": augment})


def test_only_images_can_be_augmented() -> None:
    pipeline = {"augment": [{"flip": "both"}]}
    refused(f"{PIPELINE}.augment", "(5,)", data=source(np.zeros((4, 5), np.float32)), pipeline=pipeline)
    feed(source(np.zeros((4, 5), np.float32)), pipeline, training=False)  # validation does not augment


# normalisation


def first(data: Any, pipeline: Any) -> Any:
    return everything_with(data, pipeline)[0]


def everything_with(data: Any, pipeline: Any) -> Any:
    own = feed(data, {"shuffle": False, **pipeline}, global_batch=data.size)
    return collect(own, 0, 1)[0]


def test_bytes_are_divided_by_255_and_other_numbers_stay() -> None:
    assert (first(source(), {}) == IMAGES * np.float32(1 / 255)).all()
    np.testing.assert_allclose(first(source(), {}), IMAGES / 255, rtol=2e-7)
    for kind in (np.int32, np.float32, np.bool_, np.uint16):
        x = np.array([[0, 1], [200, 3]]).astype(kind)
        got = first(source(x), {})
        assert got.dtype == np.float32
        assert (got == x).all()


def test_scale_mean_and_std_in_this_order() -> None:
    normalize = {"scale": 0.5, "mean": [1.0, 2.0, 3.0], "std": [2.0, 4.0, 8.0]}
    expected = (IMAGES * 0.5 - [1, 2, 3]) / [2, 4, 8]
    np.testing.assert_allclose(first(source(), {"normalize": normalize}), expected, rtol=1e-6)
    np.testing.assert_allclose(first(source(), {"normalize": {"mean": [100.0]}}), IMAGES - 100.0)
    np.testing.assert_allclose(first(source([1.0, 2.0]), {"normalize": {"std": [2]}}), [[0.5], [1]])


def test_a_wrong_normalisation_is_refused() -> None:
    where = f"{PIPELINE}.normalize"
    refused(f"{where}.mean", "has 2 numbers", "3 for the last axis", pipeline={"normalize": {"mean": [1, 2]}})
    refused(f"{where}.std", "above 0", pipeline={"normalize": {"std": [1, 0, 1]}})
    refused(f"{where}.scale", "'half'", pipeline={"normalize": {"scale": "half"}})


# labels


@pytest.mark.parametrize("kind", [np.uint8, np.int32, np.int64, np.bool_])
def test_whole_labels_are_int64(kind: Any) -> None:
    y = everything_with(source(y=np.arange(64).astype(kind)), {})[1]
    assert y.dtype == np.int64
    assert (y == np.arange(64).astype(kind)).all()


def test_other_labels_are_float32() -> None:
    y = everything_with(source(y=RNG.normal(size=(64, 2))), {})[1]
    assert (y.dtype, y.shape) == (np.float32, (64, 2))


@pytest.mark.parametrize("shape", [(64,), (64, 1)])
def test_one_hot_labels(shape: tuple[int, ...]) -> None:
    own = feed(source(y=(np.arange(64) % 5).reshape(shape)), {"oneHot": 5, "shuffle": False}, global_batch=64)
    assert (own.y_spec.shape, own.y_spec.dtype) == ((5,), tf.float32)
    assert (collect(own, 0, 1)[0][1] == np.eye(5)[np.arange(64) % 5]).all()


def test_one_hot_needs_whole_numbers() -> None:
    refused(f"{PIPELINE}.oneHot", "float32", data=source(y=np.zeros(64, np.float32)), pipeline={"oneHot": 3})
    refused(f"{PIPELINE}.oneHot", "(2,)", data=source(y=np.zeros((64, 2), int)), pipeline={"oneHot": 3})


@pytest.mark.parametrize("label", [5, -1])
def test_a_label_beyond_one_hot_is_told(label: int) -> None:
    own = feed(source(y=[0] * 63 + [label]), {"oneHot": 5})
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        collect(own, 0, 8)
    told = own.explain(caught.value)
    assert told is not None
    assert str(told).startswith(f"{PIPELINE}.oneHot: is 5, so labels are 0 to 4, but there are labels from ")
    assert str(label) in str(told)
    assert str(explain(caught.value)) == str(told)


# weights


def test_weight_is_mask_times_sample_weight_times_class_weight() -> None:
    data = source(y=np.arange(64) % 3, weights=np.arange(64) / 10)
    own = feed(data, {"shuffle": False}, global_batch=48, class_weights={1: 5.0, "2": 0.0})
    batches = collect(own, 0, 2)
    expected = np.arange(64) / 10 * np.array([1, 5, 0])[np.arange(64) % 3]
    np.testing.assert_allclose(batches[0][3], expected[:48], rtol=1e-6)
    np.testing.assert_allclose(batches[1][3], np.concatenate([expected[48:], np.zeros(32)]), rtol=1e-6)
    assert batches[1][2].tolist() == [1] * 16 + [0] * 32
    assert [batch[4] for batch in batches] == [48, 16]


@pytest.mark.parametrize(
    ("y", "pipeline"),
    [
        (np.arange(64) % 3, {"oneHot": 3}),
        ((np.arange(64) % 3)[:, None], {}),
        ((np.arange(64) % 3).astype(np.float32), {}),
        (np.eye(3, dtype=np.float32)[np.arange(64) % 3], {}),
        (np.arange(64) % 3 + (np.arange(64) % 3 == 2) * 1000, {}),
    ],
    ids=["oneHot", "column", "floats", "stored one-hot", "beyond the table"],
)
def test_class_weights_of_all_kinds_of_labels(y: Any, pipeline: Any) -> None:
    own = feed(source(y=y), {"shuffle": False, **pipeline}, global_batch=64, class_weights={"0": 2.0, 1: 0.5})
    assert collect(own, 0, 1)[0][3].tolist() == [(2.0, 0.5, 1.0)[number % 3] for number in range(64)]


def test_class_weights_by_name() -> None:
    data = source(y=np.arange(64) % 2, classes=("cat", "dog"))
    own = feed(data, {"shuffle": False}, global_batch=64, class_weights={"dog": 3.0})
    assert collect(own, 0, 1)[0][3].tolist() == [1.0, 3.0] * 32
    weights = "spec.training.classWeights"
    refused(f"{weights}.dig", "no class 'dig'", "cat, dog", data=data, class_weights={"dig": 1.0})
    refused(f"{weights}.2", "no class", data=data, class_weights={"2": 1.0})


def test_class_weights_that_fit_no_label_are_refused() -> None:
    weights = "spec.training.classWeights"
    refused(f"{weights}.-1", "0 or more", class_weights={"-1": 2.0})
    refused(
        weights,
        "class 3",
        "3 classes",
        data=source(y=np.arange(64) % 3),
        pipeline={"oneHot": 3},
        class_weights={3: 1.0},
    )
    refused(weights, "(2, 2)", data=source(y=np.zeros((64, 2, 2))), class_weights={0: 1.0})


def test_shapes_are_static_and_known_before_the_first_batch() -> None:
    own = feed(source(), {"oneHot": 64}, global_batch=5, parts=3, first_part=1, local_parts=2)
    spec = own.batches(0, 3).element_spec
    assert [part.shape.as_list() for part in spec] == [[4, 6, 8, 3], [4, 64], [4], [4], []]
    assert (own.x_spec, own.y_spec) == (tf.TensorSpec([6, 8, 3], tf.float32), tf.TensorSpec([64], tf.float32))


@pytest.mark.parametrize("prefetch", [0, 1, 5])
def test_prefetch_changes_nothing_but_time(prefetch: int) -> None:
    expected = collect(feed(source()), 0, 10)
    for one, other in zip(expected, collect(feed(source(), {"prefetch": prefetch}), 0, 10), strict=True):
        assert all(a.tobytes() == b.tobytes() for a, b in zip(one, other, strict=True))


def test_an_error_that_is_not_about_data_is_left_alone() -> None:
    own = feed(source())
    for error in (
        tf.errors.UnavailableError(None, None, "peer"),
        RuntimeError("x"),
        tf.errors.InternalError(None, None, "y"),
    ):
        assert own.explain(error) is None


def test_everything_reads_all_examples() -> None:
    x, y, _ = everything(source(), 7)
    assert (len(x), y.tolist()) == (64, list(range(64)))
