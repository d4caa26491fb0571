"""The best value that each metric has had, and which way better is.

A name says it by its last words, as Keras and everybody else builds names: `val_loss`, `top_k_categorical_accuracy`,
`f1_1`. Where the name is not one of the usual ones, or means the opposite, `spec.reporting.best` says it. A metric of
which nobody knows has no best: a wrong one would be worse.

Only finite numbers can be a best. NaN is none, and an infinity is what a training diverges to, either way.
"""

import functools
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from trainingjob_operator.api.contract import Extremes
from trainingjob_operator.core.history import Sample
from trainingjob_operator.core.numbers import plain_number, rounded_number

Way = Literal["min", "max"]
Json = Mapping[str, Any]

#: As many as a report may name: a program that reports ever other names does not make the status grow.
MAX_NAMES = 64

_MIN = (
    "loss", "error", "error_rate", "err", "mse", "mae", "rmse", "mape", "msle", "rmsle", "perplexity", "ppl", "nll",
    "negative_log_likelihood", "crossentropy", "cross_entropy", "kl_divergence", "kld", "hinge", "poisson", "logcosh",
    "log_cosh", "wer", "cer", "eer", "fid", "bpc", "bpb", "false_positives", "false_negatives",
)  # fmt: skip
_MAX = (
    "accuracy", "acc", "precision", "recall", "sensitivity", "specificity", "auc", "auroc", "auprc", "auc_roc",
    "auc_pr", "f1", "f1_score", "fbeta", "fbeta_score", "f_score", "r2", "r2_score", "iou", "io_u", "miou", "dice",
    "dice_coefficient", "bleu", "rouge", "rouge_l", "meteor", "psnr", "ssim", "kappa", "mcc", "ndcg", "mrr",
    "hit_rate", "cosine_similarity", "log_likelihood", "true_positives", "true_negatives", "reward",
)  # fmt: skip
#: What may follow: accuracy_top5, auc_1, f1_macro, precision_at_10, iou_class_3.
_TAIL = r"(?:_?\d+|_(?:top|at|class)_?\d+|_(?:macro|micro|weighted|samples))*"
_PATTERN = re.compile(rf"(?:^|_)(?:(?P<min>{'|'.join(_MIN)})|(?P<max>{'|'.join(_MAX)})){_TAIL}$")


@functools.lru_cache(maxsize=4096)
def usual_way(name: str) -> Way | None:
    """Return which way a metric of this name gets better: `min`, `max`, or None where the name does not tell."""
    words = re.sub(r"[^a-z0-9]+", "_", re.split(r"[/.]", name)[-1].lower())
    found = _PATTERN.search(words)
    if found is None:
        return None
    return "min" if found["min"] else "max"


def way_of(name: str, said: Mapping[str, Way]) -> Way | None:
    """Return which way a metric gets better; what `spec.reporting.best` says goes before what its name says."""
    return said.get(name) or usual_way(name)


def merge_best(
    best: Json, samples: Iterable[Sample], extremes: Mapping[str, Extremes], said: Mapping[str, Way]
) -> dict[str, dict[str, Any]]:
    """Return `status.training.best`: the old one, with what the samples and the extremes improve on.

    Extremes are over every value of the program's that counts. Samples are what reports happened to carry: they count
    where no extremes were told with them. The first step that reached a value, to six digits, keeps it. At most
    `MAX_NAMES` metrics, the oldest first.
    """
    found: dict[str, tuple[float, int | None]] = {}
    for name, entry in best.items():
        value = entry.get("value")
        if isinstance(value, (int, float)) and math.isfinite(value):
            found[name] = (float(value), entry.get("step"))
    ways = {name: way for name in found if (way := way_of(name, said)) is not None}
    found = {name: found[name] for name in ways}

    def offer(name: str, low: tuple[float, int | None], high: tuple[float, int | None]) -> None:
        way = ways.get(name)
        if way is None:
            way = way_of(name, said)
            if way is None or len(ways) >= MAX_NAMES:
                return
        value, step = low if way == "min" else high
        if not math.isfinite(value):
            return
        value = rounded_number(value)
        known = found.get(name)
        if known is None or (value < known[0] if way == "min" else value > known[0]):
            ways[name] = way
            found[name] = (value, step)

    for name, e in extremes.items():
        offer(name, (e.low, e.low_step), (e.high, e.high_step))
    for sample in samples:
        if sample.training.extremes is not None:
            continue  # what of its metrics counts is in there
        for name, value in sample.training.metrics.items():
            offer(name, (value, sample.training.step), (value, sample.training.step))
    return {
        name: {"value": plain_number(value)} | ({} if step is None else {"step": step})
        for name, (value, step) in found.items()
    }


def merge_extremes(older: Mapping[str, Extremes], newer: Mapping[str, Extremes]) -> dict[str, Extremes]:
    """Return the extremes of two lives of a launcher together, each with its first step."""
    return {**older, **{name: older[name].wider(new) if name in older else new for name, new in newer.items()}}
