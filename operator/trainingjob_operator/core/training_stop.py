"""Whether what `spec.stopWhen` waits for will ever be reported."""

import difflib
from collections.abc import Iterator

from trainingjob_operator.api.training import StopWhen
from trainingjob_operator.api.validation import Problem

FIELD = "spec.stopWhen.metric"


def judge_stop(rule: StopWhen | None, metrics: dict[str, bool], *, validated: bool) -> Iterator[Problem]:
    """Yield a problem when no metric has the rule's name.

    `metrics` are those of the job: name, and whether it gives one number for each class, NAME_0, NAME_1, and so on.
    """
    if rule is None:
        return
    plain = rule.metric.removeprefix("val_")
    one = ["loss", *(name for name, several in metrics.items() if not several)]
    several = [name for name, is_several in metrics.items() if is_several]
    known = plain in one or any(
        plain.startswith(f"{name}_") and plain.rpartition("_")[2].isdecimal() for name in several
    )
    if plain in several:
        yield Problem(
            FIELD,
            rule.metric,
            f"gives one number for each class: write average: macro into the metric, or {rule.metric}_0 for class 0",
        )
    elif not known:
        near = difflib.get_close_matches(plain, one, n=1)
        prefix = "val_" if validated else ""
        names = ", ".join([*one, *(f"{name}_0" for name in several)])
        hint = f"did you mean {prefix if plain != rule.metric else ''}{near[0]}?" if near else f"there are: {names}"
        also = ", and each with val_ before it" if validated and not near else ""
        yield Problem(FIELD, rule.metric, f"is not reported by this job; {hint}{also}")
    elif plain != rule.metric and not validated:
        yield Problem(
            FIELD,
            rule.metric,
            f"needs validation: add spec.training.validation, as in {{split: 0.2}}, or write {plain}",
        )
