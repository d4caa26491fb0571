"""Names of metrics for TensorBoard's tags, and where the hook is put."""

from __future__ import annotations

import json
import types
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainingjob_hooks import summaries
from trainingjob_hooks.summaries import Names, fit_name
from trainingjob_launcher.contract import METRIC_NAME


@pytest.mark.parametrize(
    ("tag", "folder", "name"),
    [
        ("loss", "", "loss"),
        ("loss", "/logs/20261122", "loss"),
        ("loss", "/logs/train", "loss"),
        ("loss", "/logs/Test/", "test_loss"),
        ("loss", "gs://bucket/logs/validation", "val_loss"),
        ("learning rate", "", "learning_rate"),
        ("1st", "", "_1st"),
        ("while/cond_1/loss", "", "loss"),
        ("awhile/loss", "", "awhile/loss"),
        ("batch_size_now", "", "batch_size_now"),
        ("evaluation_loss_vs_iterations", "/logs/validation", None),
        (b"loss", "", None),
    ],
)
def test_the_name_of_a_tag(tag: Any, folder: str, name: str | None) -> None:
    assert Names().metric(tag, folder) == name


def test_of_two_folders_with_one_tag_the_second_has_its_name_before_it() -> None:
    names = Names()
    asked = [
        ("loss", "/logs/generator"),
        ("loss", "/logs/critic"),
        ("loss", "/logs/generator"),
        ("loss", "/logs/test"),
    ]
    assert [names.metric(tag, folder) for tag, folder in asked] == ["loss", "critic/loss", "loss", "test_loss"]


@given(st.text())
def test_every_tag_has_a_name_that_a_report_can_carry(tag: str) -> None:
    assert METRIC_NAME.fullmatch(fit_name(tag))


@pytest.mark.parametrize(
    ("member", "hooked"), [("chief-0", True), ("worker-0", False), ("worker-3", False), ("evaluator-0", True)]
)
def test_only_where_reports_count(member: str, hooked: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    role, index = member.split("-")
    cluster = {"chief": ["a:1"], "worker": ["b:1", "c:1", "d:1", "e:1"]}
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": {"type": role, "index": int(index)}}))
    monkeypatch.setenv("TRAININGJOB_MEMBER", member)
    monkeypatch.setenv("TRAININGJOB_SOCKET", "/tmp/s")
    asked: list[str] = []
    summaries.install(lambda name, function: asked.append(name))
    assert asked == (["tensorflow.python.ops.gen_summary_ops"] if hooked else [])


def test_a_value_that_can_not_be_looked_at_is_written_all_the_same_and_said_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    written = []
    module = types.SimpleNamespace(
        create_summary_file_writer=lambda writer, logdir: None,
        write_summary=lambda *values, name=None: written.append(values) or "operation",
    )
    plain = module.write_summary
    summaries.wrap_operations(module)
    strange = object()  # neither a value nor of a graph that we know
    for step in range(3):
        assert module.write_summary(None, step, strange, "loss", b"\n\t\n\x07scalars", name="x") == "operation"
    assert [values[1] for values in written] == [0, 1, 2]
    assert capsys.readouterr().err.count("tf.summary.scalar can't be reported in this program") == 1
    assert module.write_summary is plain
