"""The launcher in foreign images: when it is brought, by which ConfigMap, and what the pods run."""

import ast
from base64 import b64decode

import pytest

from tests.unit.operator.core.builders import at, forbidden, job, pending, platform, running
from tests.unit.operator.core.test_document import training_job
from trainingjob_operator.api.names import Reason
from trainingjob_operator.core.desired import build_pod
from trainingjob_operator.core.launcher_source import LauncherArchive, is_injected
from trainingjob_operator.core.plan import decide
from trainingjob_operator.core.refusal import judge_refusal

ARCHIVE = LauncherArchive(b"PK-launcher")
OWN = {"image": "tensorflow:2.15"}


def program(**more):
    return {"program": {"command": ["python", "train.py"], **more}}


@pytest.mark.parametrize(
    ("spec", "injected"),
    [
        ({}, False),
        (OWN, True),
        (OWN | program(injectLauncher=False), False),
        (program(injectLauncher=True), True),
    ],
)
def test_an_image_of_ones_own_is_brought_the_launcher_unless_it_is_said_otherwise(spec, injected):
    assert is_injected(job(**spec).spec) is injected


def test_an_image_for_declarative_training_is_made_from_ours_and_has_it():
    assert is_injected(training_job(**OWN).spec) is False


def test_the_config_map_is_named_by_its_content_and_can_not_be_changed():
    made = ARCHIVE.config_map("ml")
    assert made["immutable"] is True
    assert made["metadata"]["namespace"] == "ml"
    assert made["metadata"]["name"] == f"trainingjob-launcher-{ARCHIVE.digest[:12]}"
    assert "ownerReferences" not in made["metadata"], "all jobs of the namespace share it"
    assert b64decode(made["binaryData"]["launcher.pyz"]) == ARCHIVE.data
    assert LauncherArchive(b"another").config_map_name != ARCHIVE.config_map_name


def test_its_pods_run_that_file_and_no_other():
    pod = build_pod(job(**OWN), "worker", 0, 1, platform(launcher=ARCHIVE))
    (container,) = pod["spec"]["containers"]
    assert container["command"][:2] == ["python3", "-c"]
    assert container["command"][3:] == [
        "/var/run/trainingjob/launcher/launcher.pyz", ARCHIVE.digest, ARCHIVE.config_map_name, "--",
    ]  # fmt: skip
    assert container["args"] == ["python", "train.py"]
    assert {"name": "launcher", "configMap": {"name": ARCHIVE.config_map_name}} in pod["spec"]["volumes"]
    (mount,) = [m for m in container["volumeMounts"] if m["name"] == "launcher"]
    assert mount == {
        "name": "launcher", "mountPath": "/var/run/trainingjob/launcher/launcher.pyz", "subPath": "launcher.pyz",
        "readOnly": True,
    }  # fmt: skip
    assert "initContainers" not in pod["spec"]


def test_what_checks_the_file_is_python_that_any_version_reads_and_the_kubelet_leaves_alone():
    text = ARCHIVE.command()[2]
    ast.parse(text, feature_version=(3, 4))
    assert "$" not in text


def test_the_installations_own_image_needs_nothing():
    pod = build_pod(job(), "chief", 0, 1, platform(launcher=ARCHIVE))
    assert pod["spec"]["containers"][0]["command"] == ["python3", "-m", "trainingjob_launcher", "--"]
    assert "launcher" not in [v["name"] for v in pod["spec"]["volumes"]]


# --- What is created, and when ---


def plan(*pods, refusals=(), workers=1, **spec):
    return decide(job(workers, **spec), pods, refusals, platform(launcher=ARCHIVE), at(5))


def subjects(made):
    return [create.subject for create in made.creates]


def test_the_config_map_comes_before_the_first_pod_that_mounts_it():
    made = plan(**OWN)
    assert subjects(made) == ["launcher", "service", "chief-0", "worker-0"]
    assert made.creates[0].body == ARCHIVE.config_map("ml")


def test_nobody_makes_it_for_a_job_that_has_no_use_for_it():
    assert "launcher" not in subjects(plan())
    assert subjects(plan(running("chief"), pending(), **OWN)) == []


def test_while_it_is_refused_no_pod_is_made_and_the_status_says_why():
    refusal = judge_refusal("launcher", *forbidden("may not create configmaps"), None, at(4))
    made = plan(refusals=[refusal], **OWN)
    assert subjects(made) == []
    assert made.look_again == refusal.retry_at
    (ready,) = [c for c in made.status["conditions"] if c["type"] == "MembersReady"]
    assert (ready["reason"], ready["message"]) == (Reason.LAUNCHER_REFUSED, "launcher: may not create configmaps")


def test_a_quota_of_config_maps_is_a_quota_and_its_refusal_is_nobodys_invalid_spec():
    assert judge_refusal("launcher", *forbidden("exceeded quota: q"), None, at(0)).reason is Reason.QUOTA_EXCEEDED
    assert judge_refusal("launcher", 422, "Invalid", "too long", None, at(0)).invalid is False
