"""What follows from what the trainer tells: percent, speed, time to go. And garbage never hurts."""

from __future__ import annotations

import asyncio
import json
import math
import os
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainingjob_launcher.contract import MAX_METRICS, Extremes, Report, Training
from trainingjob_launcher.progress import Progress, ProgressSocket


def test_nothing_said_is_nothing_known() -> None:
    assert Progress().training() == Training(extremes={})


def test_the_latest_wins_and_the_rest_stays() -> None:
    p = Progress()
    p.take({"step": 1, "epoch": 1, "metrics": {"loss": 2.0, "accuracy": 0.1}}, 0.0)
    p.take({"step": 2, "metrics": {"loss": 1.5, "val_accuracy": 0.5}}, 1.0)
    t = p.training()
    assert (t.step, t.epoch) == (2, 1)
    assert t.metrics == {"loss": 1.5, "accuracy": 0.1, "val_accuracy": 0.5}


def test_percent_speed_and_time_to_go_follow_from_steps() -> None:
    p = Progress()
    for second in range(31):  # 10 steps a second of 32 examples, 1000 steps in all
        p.take({"step": 100 + 10 * second, "totalSteps": 1000, "batchSize": 32}, float(second))
    t = p.training()
    assert t.percent == pytest.approx(40.0)
    assert t.examples_per_second == pytest.approx(320.0)
    assert t.eta_seconds == pytest.approx(60.0)


def test_speed_follows_a_change_but_not_each_jerk() -> None:
    p = Progress()
    step, now = 0, 0.0
    for _ in range(100):
        step, now = step + 1, now + 0.1
        p.take({"step": step, "batchSize": 1}, now)
    p.take({"step": step + 1, "batchSize": 1}, now + 0.2)  # one slow step
    assert 9.0 < (p.training().examples_per_second or 0) < 10.1
    for _ in range(100):
        step, now = step + 1, now + 0.5
        p.take({"step": step, "batchSize": 1}, now)
    assert p.training().examples_per_second == pytest.approx(2.0, rel=0.05)


def test_without_steps_epochs_count() -> None:
    p = Progress()
    p.take({"epoch": 2, "totalEpochs": 10}, 0.0)
    p.take({"epoch": 4, "totalEpochs": 10}, 20.0)
    assert p.training().percent == pytest.approx(40.0)
    assert p.training().eta_seconds == pytest.approx(60.0)
    assert p.training().examples_per_second is None


def test_what_the_program_says_about_its_speed_wins() -> None:
    p = Progress()
    p.take({"step": 1, "batchSize": 32, "examplesPerSecond": 99.0}, 0.0)
    p.take({"step": 2, "batchSize": 32}, 1.0)
    assert p.training().examples_per_second == pytest.approx(99.0)


def test_a_position_that_goes_back_is_no_negative_speed_and_percent_stays() -> None:
    p = Progress()
    for now, step in enumerate([80, 90, 100, 110, 50]):
        p.take({"step": step, "totalSteps": 200, "batchSize": 1}, float(now))
    t = p.training()
    assert (t.step, t.percent, t.examples_per_second) == (50, 55.0, pytest.approx(10.0))
    assert t.eta_seconds == pytest.approx(15.0)


def test_the_end_is_a_hundred_percent_and_no_time_to_go() -> None:
    p = Progress()
    p.take({"step": 250, "totalSteps": 200}, 0.0)
    assert (p.training().percent, p.training().eta_seconds) == (100.0, 0.0)


def test_percent_never_goes_back_but_for_a_later_end() -> None:
    p = Progress()
    shown = []
    for step, total in [(0, 100), (40, 100), (10, 100), (50, 100), (50, 200), (60, 200), (200, 200)]:
        p.take({"step": step, "totalSteps": total}, float(len(shown)))
        shown.append(p.training().percent)
    assert shown == [0.0, 40.0, 40.0, 50.0, 25.0, 30.0, 100.0]  # a second `fit` makes the way longer


def test_steps_without_an_end_have_a_speed_and_epochs_tell_how_far_it_is() -> None:
    p = Progress()
    for second in range(20):
        p.take({"step": 10 * second, "batchSize": 8, "epoch": 1 + second // 5, "totalEpochs": 8}, float(second))
    t = p.training()
    assert t.examples_per_second == pytest.approx(80.0)
    assert t.percent == pytest.approx(50.0)
    assert t.eta_seconds == pytest.approx(20.0)


def test_what_says_nothing_of_steps_has_no_speed_and_no_end() -> None:
    p = Progress()
    for second in range(9):
        assert p.take({"metrics": {"loss": 1.0 / (1 + second)}}, float(second))
    assert p.training() == Training(
        metrics={"loss": pytest.approx(1 / 9)}, extremes={"loss": Extremes(pytest.approx(1 / 9), 1.0)}
    )


def test_extremes_are_those_that_the_trainer_tells_not_only_of_the_values_that_came() -> None:
    p = Progress()
    p.take({"step": 90, "metrics": {"loss": 0.5}, "extremes": {"loss": [0.1, 40, 3.0, None]}}, 0.0)
    assert p.training().extremes == {"loss": Extremes(0.1, 3.0, 40, None)}
    p.take({"step": 95, "metrics": {"loss": 4.0}}, 1.0)  # a trainer of an older release
    assert p.training().extremes == {"loss": Extremes(0.1, 4.0, 40, 95)}


def test_what_the_trainer_tells_without_extremes_is_passing_and_what_the_chief_notes_counts() -> None:
    p = Progress()
    p.take({"step": 3, "metrics": {"accuracy": 1.0}, "extremes": {}}, 0.0)
    assert p.training().metrics == {"accuracy": 1.0}
    assert p.training().extremes == {}
    p.note({"val_loss": 0.5, "val_auc": float("nan")})
    assert p.training().extremes == {"val_loss": Extremes(0.5, 0.5, 3, 3)}


def test_extremes_outlive_the_trainer_and_of_equal_values_the_first_counts() -> None:
    first = Progress()
    first.take({"extremes": {"loss": [0.2, 10, 0.9, 1]}}, 0.0)
    second = Progress(first.training().extremes)
    second.take({"extremes": {"loss": [0.2, 70, 0.95, 60], "accuracy": [0.5, 60, 0.5, 60]}}, 0.0)
    assert second.training().extremes == {
        "loss": Extremes(0.2, 0.95, 10, 60),
        "accuracy": Extremes(0.5, 0.5, 60, 60),
    }
    assert second.training().metrics == {}  # what is latest is this trainer's affair


@pytest.mark.parametrize(
    "nonsense",
    [None, 1, [1, 2], [1, 2, 3], [2.0, None, 1.0, None], [math.nan, 1, math.nan, 1], ["1", 1, "2", 1], {"low": 1}],
)
def test_extremes_that_make_no_sense_are_left_out(nonsense: object) -> None:
    p = Progress()
    p.take({"extremes": {"loss": nonsense, "bad name": [1, 1, 1, 1], "good": [1, True, 2, -4]}}, 0.0)
    assert p.training().extremes == {"good": Extremes(1.0, 2.0, None, None)}


numbers = st.floats(allow_nan=False)
extremes = st.builds(
    lambda a, b, s, t: Extremes(min(a, b), max(a, b), s, t), numbers, numbers, st.integers(0), st.integers(0)
)


@given(extremes, extremes, extremes)
def test_the_order_in_which_extremes_are_merged_does_not_matter(a: Extremes, b: Extremes, c: Extremes) -> None:
    assert a.wider(b).wider(c) == a.wider(b.wider(c))
    merged = a.wider(b)
    assert (merged.low, merged.high) == (min(a.low, b.low), max(a.high, b.high))
    assert a.wider(a) == a


def test_the_trainers_own_time_counts() -> None:
    p = Progress()
    p.take({"step": 0, "batchSize": 1, "time": 0.0}, 0.0)
    p.take({"step": 10, "batchSize": 1, "time": 1.0}, 4.0)  # came late
    p.take({"step": 20, "batchSize": 1, "time": 2.0}, 4.5)
    assert p.training().examples_per_second == pytest.approx(10.0)


def test_more_metrics_than_a_report_holds_are_left_out() -> None:
    p = Progress()
    p.take({"metrics": {f"m{number}": 1 for number in range(MAX_METRICS + 9)} | {"bad name": 1}}, 0.0)
    assert len(p.training().metrics) == MAX_METRICS


def test_metrics_may_be_infinite_or_no_number_but_counts_may_not() -> None:
    p = Progress()
    p.take({"step": math.nan, "examplesPerSecond": math.inf, "metrics": {"loss": math.nan, "x": math.inf}}, 0.0)
    t = p.training()
    assert (t.step, t.examples_per_second, t.metrics["x"]) == (None, None, math.inf)
    assert math.isnan(t.metrics["loss"])


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
keys = ["step", "totalSteps", "epoch", "totalEpochs", "batchSize", "examplesPerSecond", "metrics", "extremes", "time"]
named = st.dictionaries(st.sampled_from(["loss", "a/b", "bad name"]), json_values | st.lists(st.floats(), max_size=5))
said = st.one_of(
    json_values,
    st.dictionaries(st.sampled_from(keys), json_values | named),
    st.dictionaries(st.sampled_from(keys[:6]), st.integers(0, 2**60) | st.floats(0, 1e300)),
)


@given(st.lists(st.tuples(said, st.floats(0, 1e6)), max_size=8))
def test_whatever_is_said_the_report_is_valid(talk: list[tuple[object, float]]) -> None:
    p = Progress()
    now = 0.0
    for document, pause in talk:
        now += pause
        p.take(document, now)
        report = Report("chief-0", 1, 1, 1, "Running", training=p.training())
        assert Report.decode(report.encode()).training is not None


@pytest.mark.parametrize("where", ["a folder", "no folder"])
async def test_the_socket_takes_what_makes_sense_and_drops_the_rest(
    where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if where == "no folder":
        monkeypatch.setattr("tempfile.tempdir", "/nowhere")
    progress = Progress()
    seen = asyncio.Event()
    receiver = ProgressSocket(progress, seen.set)
    assert receiver.address.startswith("@") == (where == "no folder")
    address = "\0" + receiver.address[1:] if receiver.address.startswith("@") else receiver.address
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        for data in (b"", b"\xff\x00garbage", b"[" * 60_000, b'{"step": "x"}', b"[1]", b"9" * 6000):
            sender.sendto(data, address)
        sender.sendto(json.dumps({"step": 7}).encode(), address)
    async with asyncio.timeout(5):
        while progress.training().step != 7:
            await seen.wait()
            seen.clear()
    receiver.close()
    assert not os.path.exists(receiver.address)  # noqa: ASYNC240
