"""Where images come from."""

import re

import pytest
import yaml

from tests.chart import helm


def test_every_image_comes_from_the_values() -> None:
    images = {
        "image": {"repository": "registry.example:5000/a/operator", "tag": "1", "pullPolicy": "Always"},
        "trainer": {
            "cpu": {"repository": "registry.example:5000/a/trainer", "tag": "2"},
            "gpu": {"repository": "registry.example:5000/a/trainer-gpu", "tag": "3"},
        },
    }
    manifests = helm.render(images)
    operator = helm.container(manifests)
    assert (operator["image"], operator["imagePullPolicy"]) == ("registry.example:5000/a/operator:1", "Always")
    env = helm.environment(manifests)
    assert env["TRAININGJOB_OPERATOR_TRAINER_IMAGE_CPU"] == "registry.example:5000/a/trainer:2"
    assert env["TRAININGJOB_OPERATOR_TRAINER_IMAGE_GPU"] == "registry.example:5000/a/trainer-gpu:3"
    assert "localhost/" not in helm.template(images), "a default image is left"


def test_default_tag_is_the_charts_app_version(default: list[helm.Manifest]) -> None:
    version = yaml.safe_load(helm.run("show", "chart", str(helm.CHART)))["appVersion"]
    assert helm.container(default)["image"] == f"localhost/trainingjob/operator:{version}"
    assert helm.environment(default)["TRAININGJOB_OPERATOR_TRAINER_IMAGE_CPU"] == (
        f"localhost/trainingjob/trainer:{version}"
    )


def test_no_gpu_image_by_default(default: list[helm.Manifest]) -> None:
    assert helm.environment(default)["TRAININGJOB_OPERATOR_TRAINER_IMAGE_GPU"] == ""


def test_pull_secrets_reach_the_pod() -> None:
    pod = helm.pick(helm.render({"imagePullSecrets": [{"name": "registry"}]}), "Deployment")["spec"]["template"]
    assert pod["spec"]["imagePullSecrets"] == [{"name": "registry"}]


# A host in front of an image is `name.tld/` or `name:port/`; `localhost/` is no registry to pull from.
HOST = re.compile(r"^([a-z0-9-]+\.[a-z0-9.-]+(:\d+)?|[a-z0-9-]+:\d+)/")


@pytest.mark.parametrize("setting", ["image", "trainer.cpu", "trainer.gpu"])
def test_no_default_image_names_a_registry(setting: str, default: list[helm.Manifest]) -> None:
    env = helm.environment(default)
    image = {
        "image": helm.container(default)["image"],
        "trainer.cpu": env["TRAININGJOB_OPERATOR_TRAINER_IMAGE_CPU"],
        "trainer.gpu": env["TRAININGJOB_OPERATOR_TRAINER_IMAGE_GPU"],
    }[setting]
    assert not HOST.match(image)
    assert image == "" or image.startswith("localhost/")


def test_no_file_of_the_chart_names_a_registry() -> None:
    # Put together here, so that this file doesn't name one either.
    names = ["docker" + ".io", "ghcr" + ".io", "quay" + ".io", "gcr" + ".io", "registry" + ".k8s.io", "pkg" + ".dev"]
    for path in helm.CHART.rglob("*"):
        if path.is_file() and path.suffix != ".pyc":
            text = path.read_text()
            assert [name for name in names if name in text] == [], path
