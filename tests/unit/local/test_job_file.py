"""Which TrainingJob of a file runs, and what the file's other objects are for."""

from __future__ import annotations

import random

import pytest

from trainingjob_local.errors import LocalError
from trainingjob_local.job_file import as_created, read_job

JOB = (
    "apiVersion: trainingjob.dev/v1alpha1\nkind: TrainingJob\nmetadata: {name: one}\nspec: {workers: {replicas: 2}}\n"
)


def refused(text: str, **options: object) -> str:
    with pytest.raises(LocalError) as caught:
        read_job(text, "job.yaml", **options)  # type: ignore[arg-type]
    [problem] = caught.value.problems
    return problem


def test_the_one_job_of_a_file() -> None:
    assert read_job(JOB, "job.yaml").body["metadata"]["name"] == "one"
    assert (
        read_job('{"apiVersion": "trainingjob.dev/v1alpha1", "kind": "TrainingJob", "spec": {}}', "x").body["spec"]
        == {}
    )


def test_several_jobs_are_told_apart_by_name() -> None:
    two = JOB + "---\n" + JOB.replace("name: one", "name: two")
    assert refused(two) == "job.yaml has 2 TrainingJobs: one, two; say which with --name NAME"
    assert read_job(two, "job.yaml", name="two").body["metadata"]["name"] == "two"
    assert refused(two, name="three") == "job.yaml has 0 TrainingJobs called three; there are: one, two"


def test_a_list_is_its_items() -> None:
    text = "kind: List\napiVersion: v1\nitems:\n- " + JOB.replace("\n", "\n  ")
    assert read_job(text, "job.yaml").body["metadata"]["name"] == "one"


def test_workers_are_overridden_and_all_else_stays() -> None:
    assert read_job(JOB, "job.yaml", workers=0).body["spec"] == {"workers": {"replicas": 0}}
    assert read_job(JOB.replace("{workers: {replicas: 2}}", "{}"), "x", workers=3).body["spec"] == {
        "workers": {"replicas": 3}
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "job.yaml has no TrainingJob (trainingjob.dev/v1alpha1)"),
        ("kind: Pod\napiVersion: v1\n", "there is: Pod"),
        ("kind: TFJob\napiVersion: kubeflow.org/v1\n", "kubectl trainingjob convert"),
        (JOB.replace("v1alpha1", "v2"), "apiVersion is 'trainingjob.dev/v2', this program runs trainingjob.dev/v1alpha1"),
        (JOB.replace("spec: {workers: {replicas: 2}}", "spec: 7"), "job.yaml: spec: is required, and must be an object"),
        ("a: [", "job.yaml is not YAML"),
        ("- 1\n- 2\n", "job.yaml has no TrainingJob"),
    ],
)  # fmt: skip
def test_what_is_no_job_is_said(text: str, said: str) -> None:
    assert said in refused(text)


def test_config_maps_and_secrets_come_along_and_the_rest_is_named() -> None:
    text = (
        JOB
        + "---\nkind: ConfigMap\napiVersion: v1\nmetadata: {name: c}\ndata: {a: text}\nbinaryData: {b: AAE=}\n"
        + "---\nkind: Secret\napiVersion: v1\nmetadata: {name: s}\ndata: {k: aGk=}\nstringData: {p: plain}\n"
        + "---\nkind: Service\napiVersion: v1\nmetadata: {name: web}\n"
    )
    file = read_job(text, "job.yaml")
    assert file.companions.get("ConfigMap", "c") == {"a": b"text", "b": b"\x00\x01"}
    assert file.companions.get("Secret", "s") == {"k": b"hi", "p": b"plain"}
    assert file.companions.get("Secret", "c") is None
    assert file.passed_over == ("Service web",)
    assert "Secret s: data.k is not base64" in refused(text.replace("aGk=", "a!"))


def test_the_object_is_completed_as_by_an_api_server() -> None:
    body = {
        "kind": "TrainingJob",
        "metadata": {"generateName": "run-", "labels": {"a": "b"}, "uid": "old"},
        "spec": {},
    }
    made = as_created(body, "new", "2026-01-01T00:00:00Z", random.Random(1))
    metadata = made["metadata"]
    assert metadata["name"].startswith("run-")
    assert len(metadata["name"]) == 9
    assert (metadata["uid"], metadata["namespace"], metadata["generation"]) == ("new", "default", 1)
    assert metadata["labels"] == {"a": "b"}
    assert "name" not in as_created({"spec": {}}, "u", "t", random.Random(1))["metadata"], "for the judge to refuse"
