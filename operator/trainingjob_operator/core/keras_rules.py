"""What Keras asks of several parameters together. Each rule names the parameter to change."""

from collections.abc import Callable, Iterator
from typing import Any

Together = Iterator[tuple[str, str]]
_CLIPPING = ("clipnorm", "clipvalue", "global_clipnorm")
_RECURRENT = ("ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D", "GRU", "LSTM", "RNN", "SimpleRNN", "Bidirectional")


def judge_together(kind: str, name: str, given: dict[str, Any]) -> Together:
    """Yield (parameter, what is wrong) for parameters that are right one by one, and not together."""
    for rule in (*_BY_KIND.get(kind, ()), *_BY_NAME.get(name, ())):
        yield from rule(given)


def _one_clipping(given: dict[str, Any]) -> Together:
    set_ = [key for key in _CLIPPING if given.get(key) is not None]
    if len(set_) > 1:
        yield set_[1], f"an optimizer clips in one way, and {set_[0]} is set too: remove one of them"


def _boundaries(given: dict[str, Any]) -> Together:
    boundaries, values = given["boundaries"], given["values"]
    if len(values) != len(boundaries) + 1:
        yield "values", f"must have one value more than boundaries: {len(boundaries) + 1}, and has {len(values)}"


def _target_classes(given: dict[str, Any]) -> Together:
    classes = given.get("num_classes", 2)
    if max(given.get("target_class_ids", [0])) >= classes:
        yield "target_class_ids", f"classes are numbered from 0: with {classes} of them the last one is {classes - 1}"


def _groups(given: dict[str, Any]) -> Together:
    groups = given.get("groups", 1)
    if given["filters"] % groups:
        yield "groups", f"must divide filters, {given['filters']}"


def _stride_or_dilation(given: dict[str, Any]) -> Together:
    def largest(key: str) -> int:
        value = given.get(key, 1)
        return int(max(value) if isinstance(value, list) else value)

    if largest("strides") > 1 and largest("dilation_rate") > 1:
        yield "dilation_rate", "can't be more than 1 together with strides of more than 1: keep one of them"


def _one_unknown_size(given: dict[str, Any]) -> Together:
    if given["target_shape"].count(-1) > 1:
        yield "target_shape", "may hold -1, the size that follows from the others, once"


def _recurrent(given: dict[str, Any]) -> Together:
    for key in ("layer", "backward_layer"):
        layer = given.get(key)
        if layer is not None:
            name = layer if isinstance(layer, str) else next(iter(layer))
            if name not in _RECURRENT:
                yield key, f"must be a recurrent layer, like {{LSTM: {{units: 32}}}}: {name} is none"


def _output_padding(given: dict[str, Any]) -> Together:
    padding, strides = given.get("output_padding"), given.get("strides", 1)
    if padding is not None:
        paddings = padding if isinstance(padding, list) else [padding]
        steps = strides if isinstance(strides, list) else [strides] * len(paddings)
        paddings = paddings * (len(steps) // len(paddings))
        if any(pad >= step for pad, step in zip(paddings, steps, strict=True)):
            yield "output_padding", "must be less than strides"


def _labels(given: dict[str, Any]) -> Together:
    for key in ("num_labels", "label_weights"):
        if given.get(key) is not None and not given.get("multi_label"):
            yield key, "is for several labels: write multi_label: true too"
    weights, labels = given.get("label_weights"), given.get("num_labels")
    if weights is not None and labels is not None and len(weights) != labels:
        yield "label_weights", f"must have one weight for each of num_labels, {labels}"


def _odd(given: dict[str, Any]) -> Together:
    size = given.get("kernel_size", 3)
    if any(length % 2 == 0 for length in (size if isinstance(size, list) else [size])):
        yield "kernel_size", "must be odd"


def _frames(given: dict[str, Any]) -> Together:
    length, frame = given.get("fft_length", 2048), given.get("sequence_length")
    if frame is not None and frame > length:
        yield "sequence_length", f"must be at most fft_length, {length}"


def _same_shape(given: dict[str, Any]) -> Together:
    mean, variance = given["mean"], given["variance"]
    if isinstance(mean, list) != isinstance(variance, list) or (
        isinstance(mean, list) and len(mean) != len(variance)
    ):
        yield "variance", "must have as many numbers as mean"


def _axis_of_values(given: dict[str, Any]) -> Together:
    axis = given.get("axis", -1)
    if isinstance(given["mean"], list) and (axis is None or (isinstance(axis, list) and len(axis) != 1)):
        yield "axis", "must be one axis where mean and variance are lists"


def _all_dimensions(given: dict[str, Any]) -> Together:
    count = len(given["dims"])
    if sorted(given["dims"]) != list(range(1, count + 1)):
        yield "dims", f"must hold each number from 1 to {count} once"


def _vocabulary(unknown: Any) -> Callable[[dict[str, Any]], Together]:
    def rule(given: dict[str, Any]) -> Together:
        words, token, mask = given["vocabulary"], given.get("oov_token", unknown), given.get("mask_token")
        if len(set(words)) != len(words):
            yield "vocabulary", "must hold each entry once"
        for reserved in (token, mask):
            if reserved in words:
                yield "vocabulary", f"can't hold {reserved!r}, which stands for what is unknown or masked: remove it"
        if mask == token:
            yield "mask_token", "must be another one than oov_token"

    return rule


Rules = dict[str, tuple[Callable[[dict[str, Any]], Together], ...]]
_BY_KIND: Rules = {"optimizer": (_one_clipping,)}
_BY_NAME: Rules = {
    "AUC": (_labels,),
    "Bidirectional": (_recurrent,),
    "BinaryIoU": (_target_classes,),
    "IntegerLookup": (_vocabulary(-1),),
    "IoU": (_target_classes,),
    "MelSpectrogram": (_frames,),
    "Normalization": (_same_shape, _axis_of_values),
    "OneHotIoU": (_target_classes,),
    "Permute": (_all_dimensions,),
    "PiecewiseConstantDecay": (_boundaries,),
    "RandomGaussianBlur": (_odd,),
    "Reshape": (_one_unknown_size,),
    "StringLookup": (_vocabulary("[UNK]"),),
    "TextVectorization": (_vocabulary("[UNK]"),),
    **{f"Conv{rank}D": (_groups, _stride_or_dilation) for rank in (1, 2, 3)},
    **{f"Conv{rank}DTranspose": (_output_padding,) for rank in (1, 2, 3)},
}
