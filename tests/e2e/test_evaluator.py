"""A pod beside the gang evaluates each checkpoint, and training neither waits for it nor fails with it."""

import pytest

from tests.e2e.folders import node_folder
from tests.e2e.installation import Installation
from tests.e2e.kube import Json
from tests.e2e.world import World

TRAINING = 240.0


def _job(name: str, folder: Json, **training: object) -> Json:
    return {
        "apiVersion": "trainingjob.dev/v1alpha1",
        "kind": "TrainingJob",
        "metadata": {"name": name},
        "spec": {
            "workers": {"replicas": 1},
            "evaluator": {},
            "checkpoint": {"volume": folder, "everySteps": 100},
            "reporting": {"intervalSeconds": 1},
            "training": {
                "dataset": {"builtin": {"name": "mnist"}},
                "validation": {"dataset": {"builtin": {"name": "mnist", "part": "test"}}},
                "model": {"layers": ["Flatten", {"Dense": {"units": 10, "activation": "softmax"}}]},
                "optimizer": "adam",
                "loss": "sparse_categorical_crossentropy",
                "metrics": ["accuracy"],
                "epochs": 4,
                "globalBatchSize": 64,
                **training,
            },
        },
    }


@pytest.mark.timeout(420, func_only=True)
def test_it_reports_val_metrics_and_is_no_member(world: World, operator: Installation) -> None:
    with node_folder(world, operator) as folder:
        world.apply(_job("watched", folder))
        status = world.until_phase("watched", "Succeeded", TRAINING)
        pods = {pod["metadata"]["name"] for pod in world.pods.objects.values()}
        assert {"watched-chief-0", "watched-worker-0", "watched-evaluator-0"} <= pods
        assert status["members"]["desired"] == 2
        assert status["display"]["members"] == "2/2"
        assert status["training"]["metrics"]["val_accuracy"] > 0.85
        assert status["training"]["step"] == status["training"]["totalSteps"] == 500
        log = world.kubectl("logs", "watched-evaluator-0")
        assert "500" in log, "the last checkpoint was evaluated too"
