"""Data sets and pipelines: fields that contradict each other, and what the shipped data sets make certain."""

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from trainingjob_operator.api.data import CsvDataset, Dataset, TFRecordDataset, TFRecordFeature
from trainingjob_operator.api.training import Training
from trainingjob_operator.api.validation import Problem

DATASET = "spec.training.dataset"
VALIDATION = "spec.training.validation"
PIPELINE = "spec.training.pipeline"
MNIST_CLASSES = 10


@dataclass(frozen=True)
class Labels:
    """What is known of the labels of a data set before it is read; None is unknown."""

    single: bool | None = None
    """Whether an example has one number as its label."""
    whole: bool | None = None
    """Whether labels are class numbers."""
    classes: int | None = None
    """How many classes there are."""


def labels_of(dataset: Dataset) -> Labels:
    """Return what a data set's kind says of its labels, before the pipeline."""
    if dataset.builtin is not None:
        mnist = dataset.builtin.name == "mnist"
        return Labels(True, mnist, MNIST_CLASSES if mnist else None)
    if dataset.images is not None:
        return Labels(True, True)
    if dataset.csv is not None:
        return Labels(True)
    if dataset.tfrecord is not None:
        feature = dataset.tfrecord.features.get(dataset.tfrecord.label)
        if feature is not None and feature.type != "bytes":
            return Labels(feature.shape in (None, [], [1]) or None, feature.type == "int" or None)
    return Labels()


def judge_data(training: Training) -> Iterator[Problem]:
    """Yield what is wrong with the data sets of a training and with its pipeline."""
    yield from _dataset(training.dataset, DATASET)
    held_out = training.validation.dataset if training.validation else None
    if held_out is not None:
        yield from _dataset(held_out, f"{VALIDATION}.dataset")
        ours, theirs = training.dataset.builtin, held_out.builtin
        if ours is not None and theirs is not None and ours.name != theirs.name:
            yield Problem(
                f"{VALIDATION}.dataset.builtin.name",
                theirs.name,
                f"is another data set than that of training, {ours.name}",
            )
    yield from _normalize(training)
    yield from _augment(training)
    yield from _one_hot(training)


def _dataset(dataset: Dataset, field: str) -> Iterator[Problem]:
    if dataset.npz is not None and dataset.npz.input == dataset.npz.label:
        yield Problem(f"{field}.npz.label", dataset.npz.label, "is the array of inputs too: name the array of labels")
    if dataset.csv is not None:
        yield from _csv(dataset.csv, f"{field}.csv")
    if dataset.tfrecord is not None:
        yield from _tfrecord(dataset.tfrecord, f"{field}.tfrecord")


def _csv(csv: CsvDataset, field: str) -> Iterator[Problem]:
    features = csv.features or []
    for index, name in enumerate(features):
        if name == csv.label:
            yield Problem(f"{field}.features[{index}]", name, "is the label too: remove it here")
        elif name == csv.sample_weight:
            yield Problem(f"{field}.features[{index}]", name, "holds the sample weights: remove it here")
        elif name in features[:index]:
            yield Problem(f"{field}.features[{index}]", name, "is named twice")
    if csv.sample_weight == csv.label:
        yield Problem(f"{field}.sampleWeight", csv.label, "is the label: name another column")
    if not csv.header:
        named = [("label", csv.label), *((f"features[{index}]", name) for index, name in enumerate(features))]
        if csv.sample_weight is not None:
            named.append(("sampleWeight", csv.sample_weight))
        for where, name in named:
            if not (name.isascii() and name.isdecimal()):
                yield Problem(
                    f"{field}.{where}", name, "without a header columns are called 0, 1, 2: write its number"
                )


def _tfrecord(records: TFRecordDataset, field: str) -> Iterator[Problem]:
    known = records.features
    named = (("input", records.input), ("label", records.label), ("sampleWeight", records.sample_weight))
    for where, name in named:
        if name is not None and name not in known:
            yield Problem(f"{field}.{where}", name, f"is not one of features{_hint(name, known)}")
    if records.input == records.label and records.input in known:
        yield Problem(f"{field}.label", records.label, "is the input too: name the feature of the labels")
    for name, feature in known.items():
        yield from _feature(feature, f"{field}.features.{name}", used=name in (records.input, records.label))


def _feature(feature: TFRecordFeature, field: str, *, used: bool) -> Iterator[Problem]:
    if feature.type != "bytes":
        for name, value in (("decode", feature.decode), ("dtype", feature.dtype), ("channels", feature.channels)):
            if value is not None:
                yield Problem(
                    f"{field}.{name}", str(value), f"is for type bytes, and the type is {feature.type}: remove it"
                )
        return
    if feature.decode is None and used:
        yield Problem(
            f"{field}.decode", "", "is needed: bytes are raw numbers or an encoded image, write raw or image"
        )
    if feature.dtype is not None and feature.decode == "image":
        yield Problem(f"{field}.dtype", feature.dtype, "is for decode raw: images are always uint8, remove it")
    if feature.channels is not None and feature.decode == "raw":
        yield Problem(f"{field}.channels", str(feature.channels), "is for decode image: write shape instead")
    if (
        feature.channels is not None
        and feature.shape
        and len(feature.shape) == 3
        and feature.shape[2] != feature.channels
    ):
        yield Problem(
            f"{field}.channels", str(feature.channels), f"is not the last number of shape, {feature.shape[2]}"
        )


def _width(dataset: Dataset) -> int | None:
    """Return the size of the inputs' last axis, where the spec says it."""
    if dataset.builtin is not None:
        return 1
    if dataset.images is not None:
        return dataset.images.channels
    if dataset.csv is not None and dataset.csv.features:
        return len(dataset.csv.features)
    if dataset.tfrecord is not None and dataset.tfrecord.input in dataset.tfrecord.features:
        feature = dataset.tfrecord.features[dataset.tfrecord.input]
        if feature.decode == "image":
            return feature.channels or 3
        return feature.shape[-1] if feature.shape else None
    return None


def _normalize(training: Training) -> Iterator[Problem]:
    normalize = training.pipeline.normalize
    width = _width(training.dataset)
    for name, values in (("mean", normalize.mean), ("std", normalize.std)) if normalize else ():
        if values is not None and width is not None and len(values) not in (1, width):
            allowed = "one number" if width == 1 else f"one number, or {width}: one for each channel or feature"
            yield Problem(f"{PIPELINE}.normalize.{name}", f"{len(values)} numbers", f"must have {allowed}")


def _augment(training: Training) -> Iterator[Problem]:
    dataset = training.dataset
    numbers = dataset.csv is not None or (dataset.builtin is not None and dataset.builtin.name == "linear-regression")
    if training.pipeline.augment and numbers:
        yield Problem(f"{PIPELINE}.augment", "", "changes images, and this data set has none: remove it")


def _one_hot(training: Training) -> Iterator[Problem]:
    labels, classes = labels_of(training.dataset), training.pipeline.one_hot
    if classes is None:
        return
    if labels.whole is False:
        yield Problem(
            f"{PIPELINE}.oneHot", str(classes), "is for class numbers, and these labels are measured: remove it"
        )
    elif labels.classes is not None and classes < labels.classes:
        yield Problem(
            f"{PIPELINE}.oneHot", str(classes), f"the labels have {labels.classes} classes: write {labels.classes}"
        )


def _hint(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]}?" if near else f"; there are: {', '.join(known)}"
