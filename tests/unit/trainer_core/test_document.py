"""TRAININGJOB_SPEC: what it means, and what is said when it is wrong."""

import json
from typing import Any

import pytest

from trainingjob_trainer.cluster import Member, member_of
from trainingjob_trainer.control import SIZE, Control
from trainingjob_trainer.document import StopWhen, parse
from trainingjob_trainer.errors import SpecError, nearest, one_line

TRAINING: dict[str, Any] = {
    "dataset": {"builtin": {"name": "mnist"}},
    "model": {"preset": "CNN"},
    "optimizer": "adam",
    "loss": "mse",
    "epochs": 3,
    "globalBatchSize": 32,
}


def text(training: dict[str, Any] | None = None, **others: Any) -> str:
    return json.dumps({"version": 1, "training": {**TRAINING, **(training or {})}, **others})


def test_a_small_document_has_the_defaults() -> None:
    document = parse(text())
    assert document.training.epochs == 3
    assert (document.training.accumulation, document.training.precision, document.training.seed) == (1, "float32", 0)
    assert document.checkpoint is document.output is document.stop_when is None


def test_everything_is_read() -> None:
    document = parse(
        text(
            {
                "epochs": None,
                "steps": 70,
                "classWeights": {"1": 5, "cat": 0.5},
                "gradientClipping": {"globalNorm": 1},
                "gradientAccumulation": 4,
                "precision": "bfloat16",
                "seed": 9,
            },
            checkpoint={"path": "/c", "everySeconds": 60, "keep": 2},
            output={"path": "/o", "format": "savedModel"},
            stopWhen={"metric": "val_loss", "patience": 3, "restoreBest": True},
            communication="ring",
        )
    )
    training, checkpoint = document.training, document.checkpoint
    assert (training.steps, training.class_weights) == (70, {1: 5.0, "cat": 0.5})
    assert (training.clipping, training.accumulation, training.precision) == (("globalNorm", 1.0), 4, "bfloat16")
    assert checkpoint is not None
    assert (checkpoint.path, checkpoint.every_steps, checkpoint.every_seconds, checkpoint.keep) == (
        "/c",
        None,
        60.0,
        2,
    )
    assert document.stop_when == StopWhen("val_loss", patience=3, restore_best=True)
    assert document.communication == "ring"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("", "TRAININGJOB_SPEC: is no JSON"),
        ("{}", "TRAININGJOB_SPEC: has no object `training`"),
        (json.dumps({"version": 2, "training": {}}), "version: is 2; this trainer reads version 1"),
        (text({"steps": 3}), r"spec\.training\.epochs: write exactly one of epochs and steps"),
        (text({"globalBatchSize": 0}), r"spec\.training\.globalBatchSize: is 0; write a whole number"),
        (text({"loss": None}), r"spec\.training\.loss: is missing"),
        (text({"precision": "half"}), r"spec\.training\.precision: is 'half'; write one of float32, bfloat16"),
        (text({"gradientClipping": {"norm": 1, "value": 1}}), r"gradientClipping: .* exactly one of value, norm"),
        (text({"gradientClipping": {"norm": -1}}), r"gradientClipping\.norm: is -1; write a number above 0"),
        (text({"classWeights": {"1": "x"}}), r"classWeights\.1: is 'x'; write a number"),
        (text(stopWhen={"metric": "loss"}), r"spec\.stopWhen: write reaches, patience, or both"),
        (text(checkpoint={"keep": 1}), r"spec\.checkpoint\.path: is missing"),
        (
            text(output={"path": "/o", "format": "onnx"}),
            r"spec\.output\.format: is 'onnx'; write one of keras, savedModel",
        ),
    ],
)
def test_what_is_wrong_is_named_with_value_and_remedy(wrong: str, said: str) -> None:
    with pytest.raises(SpecError, match=said):
        parse(wrong)


def env(kind: str, index: int) -> dict[str, str]:
    cluster = {"chief": ["a:1"], "worker": ["b:1", "c:1"]}
    return {"TF_CONFIG": json.dumps({"cluster": cluster, "task": {"type": kind, "index": index}})}


def test_the_chief_is_rank_0_and_workers_follow() -> None:
    assert member_of({}) == Member(0, 1)
    assert [member_of(env(*task)) for task in (("chief", 0), ("worker", 0), ("worker", 1))] == [
        Member(0, 3),
        Member(1, 3),
        Member(2, 3),
    ]
    assert member_of({}).is_chief
    assert not member_of(env("worker", 0)).is_chief


def test_the_evaluator_is_no_member() -> None:
    assert member_of(env("evaluator", 0)) == Member(evaluator=True)
    assert member_of({"TRAININGJOB_MEMBER": "evaluator-0"}).evaluator
    assert not member_of(env("evaluator", 0)).is_chief


def test_a_member_that_is_not_in_its_cluster_is_refused() -> None:
    with pytest.raises(SpecError, match="TF_CONFIG: has no worker 2 in its cluster of 3"):
        member_of(env("worker", 2))


def test_wishes_are_the_chiefs_and_a_stop_is_anybodys() -> None:
    chief = Control(0, 17).vector(is_chief=True)
    worker = Control(1, 99).vector(is_chief=False)
    assert len(chief) == SIZE
    assert Control.of([a + b for a, b in zip(chief, worker, strict=True)]) == Control(1, 17)


def test_errors_fit_on_a_line_and_names_have_their_nearest() -> None:
    assert one_line("a\n  b" + "x" * 900).startswith("a b")
    assert len(one_line("x" * 900)) == 300
    assert nearest("adamm", ["Adam", "SGD"]) == " Did you mean Adam?"
    assert nearest("zzz", ["Adam"]) == ""
