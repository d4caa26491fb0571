"""The document of what to train: the spec's words, with defaults, and nothing that was not asked for."""

import json

from tests.unit.operator.core.builders import job, job_body, platform
from trainingjob_launcher.contract import MAX_SPEC_BYTES, Assignment
from trainingjob_operator.core.desired import build_pod
from trainingjob_operator.core.document import build_document, encode_document
from trainingjob_operator.core.observe import observe_job

TRAINING = {
    "dataset": {"builtin": {"name": "mnist"}},
    "model": {"layers": [{"Dense": {"units": 10, "activation": None}}]},
    "loss": "mse",
    "epochs": 3,
    "source": {"inline": {"files": {"my_data.py": "pass"}}},
}


def training_job(workers=1, **spec):
    body = job_body(workers, training=TRAINING, **spec)
    del body["spec"]["program"]
    fact = observe_job(body)
    assert fact.spec is not None, fact.problems
    return fact


def test_a_program_that_asks_for_nothing():
    assert build_document(job().spec) == {"version": 1, "keras": {"patchFit": True}, "communication": "auto"}


def test_declarative_training_has_its_defaults_and_not_its_source():
    document = build_document(training_job().spec)
    assert "keras" not in document
    training = document["training"]
    assert training["epochs"] == 3
    assert (training["optimizer"], training["globalBatchSize"], training["seed"]) == ({"Adam": {}}, 32, 0)
    assert training["pipeline"]["shuffle"] is True
    assert "steps" not in training
    assert "source" not in training


def test_a_null_within_a_keras_object_is_an_argument():
    layers = build_document(training_job().spec)["training"]["model"]["layers"]
    assert layers == [{"Dense": {"units": 10, "activation": None}}]


def test_checkpoints_and_output_are_paths_wherever_they_lie():
    spec = job(
        checkpoint={"path": "gs://bucket/run", "everySteps": 500, "keep": 5},
        output={"volume": {"persistentVolumeClaim": {"claimName": "models"}}, "format": "savedModel"},
    ).spec
    document = build_document(spec)
    assert document["checkpoint"] == {"path": "gs://bucket/run", "everySteps": 500, "keep": 5}
    assert document["output"] == {"path": "/output", "format": "savedModel"}


def test_checkpoints_of_a_volume_are_saved_every_minute_by_default():
    spec = job(checkpoint={"volume": {"emptyDir": {}}}).spec
    assert build_document(spec)["checkpoint"] == {"path": "/checkpoints", "everySeconds": 60, "keep": 3}


def test_the_rest_is_as_it_is_written():
    spec = job(
        checkpoint={"path": "/data/c"},
        stopWhen={"metric": "val_loss", "patience": 3},
        communication="nccl",
        evaluator={"resources": {"limits": {"cpu": 1}}},
        program={"command": ["x"], "keras": {"patchFit": False}},
    ).spec
    document = build_document(spec)
    assert document["stopWhen"] == {
        "metric": "val_loss", "patience": 3, "mode": "auto", "minDelta": 0.0, "restoreBest": False,
    }  # fmt: skip
    assert document["communication"] == "nccl"
    assert document["keras"] == {"patchFit": False}
    assert document["evaluator"] is True


def test_the_launcher_reads_the_same_document_from_every_members_pod():
    fact = training_job(checkpoint={"path": "/c"}, evaluator={})
    texts = set()
    for role in ("chief", "worker", "evaluator"):
        pod = build_pod(fact, role, 0, 1, platform())
        env = {v["name"]: v["value"] for v in pod["spec"]["containers"][0]["env"] if "value" in v}
        read = Assignment.from_env({name: value.replace("$$", "$") for name, value in env.items()})
        texts.add(read.spec)
        assert read.member == f"{role}-0"
        assert read.document == build_document(fact.spec)
    assert texts == {encode_document(fact.spec)}


def test_the_text_is_short_and_says_non_ascii_plainly():
    text = encode_document(job(stopWhen={"metric": "val_loss", "patience": 1}).spec)
    assert ": " not in text
    assert json.loads(text)["version"] == 1
    assert len(text) < MAX_SPEC_BYTES
