"""An image that somebody brings: TensorFlow 2.15 with its Keras 2, and nothing of ours in it."""

import os
import re

import pytest

from tests.e2e.kube import Json
from tests.e2e.programs import job
from tests.e2e.world import World

TRAINING = 240.0

#: Keras 2 trains on many workers by itself; the per-batch logs are sums over the workers, which are told divided.
SCRIPT = """\
import numpy as np
import tensorflow as tf

strategy = tf.distribute.MultiWorkerMirroredStrategy()
tf.keras.utils.set_random_seed(5)
x = np.random.default_rng(1).normal(size=(512, 3)).astype("float32")
y = (x @ np.array([[2.0], [-1.0], [0.5]], "float32") + 1).astype("float32")
with strategy.scope():
    model = tf.keras.Sequential([tf.keras.layers.Dense(1, input_shape=(3,))])
    model.compile(optimizer=tf.keras.optimizers.SGD(0.1), loss="mse")
model.fit(x, y, batch_size=64, epochs=4, verbose=0, shuffle=False)
print("replicas", strategy.num_replicas_in_sync, "tensorflow", tf.__version__)
print("evaluated", repr(float(model.evaluate(x, y, batch_size=64, verbose=0))))
"""


@pytest.fixture(scope="module")
def image() -> str:
    found = os.environ.get("TRAININGJOB_TEST_OWN_IMAGE", "")
    assert found, "run `make test-e2e`, or set TRAININGJOB_TEST_OWN_IMAGE to what deploy/images/own.sh prints"
    return found


def _job(name: str, image: str, workers: int) -> Json:
    return job(name, SCRIPT, workers=workers, image=image, imagePullPolicy="IfNotPresent")


@pytest.mark.timeout(420, func_only=True)
def test_it_trains_with_the_launcher_that_the_operator_brings(world: World, image: str) -> None:
    results = {}
    for name, workers in (("alone", 0), ("two", 1)):
        world.apply(_job(name, image, workers))
        status = world.until_phase(name, "Succeeded", TRAINING)
        log = world.kubectl("logs", f"{name}-chief-0")
        assert f"replicas {workers + 1} tensorflow 2.15" in log
        evaluated = re.search(r"^evaluated (\S+)$", log, re.MULTILINE)
        assert evaluated, log
        results[name] = float(evaluated[1]), status["training"]

    assert results["two"][0] == pytest.approx(results["alone"][0], rel=1e-5)
    for _, training in results.values():
        assert (training["step"], training["totalSteps"], training["epoch"]) == (32, 32, 4)
    # per batch as per epoch: not twice as much with two workers
    assert results["two"][1]["metrics"]["loss"] == pytest.approx(results["alone"][1]["metrics"]["loss"], rel=1e-4)


def test_one_immutable_config_map_carries_the_launcher(world: World, image: str) -> None:
    script = "import sys, trainingjob\ntrainingjob.report(step=1, total_steps=1)\nprint(trainingjob.__file__)\n"
    for name in ("first", "second"):
        world.apply(job(name, script, image=image, imagePullPolicy="IfNotPresent"))
        world.until_phase(name, "Succeeded")
        assert "launcher.pyz" in world.kubectl("logs", f"{name}-chief-0")
    maps = [
        m
        for m in world.kube.get("-n", world.namespace, "configmaps")["items"]
        if m["metadata"]["name"].startswith("trainingjob-launcher-")
    ]
    assert len(maps) == 1
    assert maps[0]["immutable"] is True
    pod = world.pods.objects["second-chief-0"]
    assert "initContainers" not in pod["spec"]


def test_an_image_without_python_says_so(world: World, image: str) -> None:
    """Here: an image whose python3 is hidden."""
    body = job("none", image=image, imagePullPolicy="IfNotPresent")
    body["spec"]["podTemplate"] = {
        "spec": {"containers": [{"name": "trainer", "env": [{"name": "PATH", "value": "/none"}]}]}
    }
    world.apply(body)
    status = world.until("none", lambda s: s if s.get("phase") == "Failed" else None, "failed")
    assert "python3" in status["failure"]["message"]
