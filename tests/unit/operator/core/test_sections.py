"""The two parts of a status: whoever writes takes the other's part along."""

from hypothesis import given
from hypothesis import strategies as st

from trainingjob_operator.core.sections import COLUMNS, METRICS, with_metrics, with_metrics_of

STATUS = {
    "phase": "Running",
    "conditions": [{"type": "Running"}],
    "training": {"step": 1},
    "goodput": {"ratio": 1.0},
    "display": {"members": "2/2", "loss": "0.5", "eta": "4s"},
}
parts = st.dictionaries(st.sampled_from((*METRICS, "phase", "members", "restarts")), st.integers())
columns = st.dictionaries(st.sampled_from((*COLUMNS, "members", "node", "reason")), st.text(max_size=3))


def test_new_metrics_replace_the_old_ones_and_leave_the_rest() -> None:
    new = {"training": {"step": 2}, "display": {"loss": "0.4"}}
    rest = {"phase": "Running", "conditions": [{"type": "Running"}]}
    assert with_metrics(STATUS, new) == rest | {
        "training": {"step": 2},
        "display": {"members": "2/2", "loss": "0.4"},
    }


def test_a_new_phase_keeps_the_metrics_and_nothing_else_that_it_does_not_name() -> None:
    assert with_metrics_of(STATUS, {"phase": "Failed", "display": {"reason": "OOMKilled"}}) == {
        "phase": "Failed",
        "training": {"step": 1},
        "goodput": {"ratio": 1.0},
        "display": {"reason": "OOMKilled", "loss": "0.5", "eta": "4s"},
    }


@given(parts, columns, parts, columns)
def test_each_part_has_one_writer(old: dict, shown: dict, new: dict, show: dict) -> None:
    before, after = old | {"display": shown}, new | {"display": show}
    for whole, rest, metrics in (
        (with_metrics(before, after), before, after),
        (with_metrics_of(before, after), after, before),
    ):
        for name in set(whole) - {"display"}:
            assert whole[name] == (metrics if name in METRICS else rest)[name]
        for name, text in whole.get("display", {}).items():
            assert text == (metrics if name in COLUMNS else rest)["display"][name]
    assert with_metrics(before, before) == with_metrics_of(before, before)
