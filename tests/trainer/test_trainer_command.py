"""`python3 -m trainingjob_trainer` from the outside: what it prints, reports and writes, and how it ends."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tests.trainer.trainers import TEST_DIGITS, Trainers, document, line, trained, training

VALIDATED = {"validation": {"dataset": TEST_DIGITS}}


def test_linear_regression_ends_with_slope_and_intercept() -> None:
    with trained(document(line(epochs=20, metrics=["mse"]))) as trainers:
        rows = trainers.output().splitlines()
    assert rows[0] == "training: 1000 examples, 640 steps, 32 an epoch; 2 weights; 1 member"
    assert [row.split(":")[0] for row in rows[1:21]] == [f"epoch {epoch}/20" for epoch in range(1, 21)]
    _, slope, _, intercept = rows[21].replace(",", "").split()
    assert float(slope) == pytest.approx(2, abs=0.1)
    assert float(intercept) == pytest.approx(1, abs=0.1)
    assert rows[22].startswith("done: 640 steps, loss ")


def test_progress_is_reported_with_losses_metrics_and_validation() -> None:
    with trained(document(training(**VALIDATED))) as trainers:
        last = trainers.reports[-1]
    assert {name: last[name] for name in ("step", "totalSteps", "epoch", "totalEpochs", "batchSize")} == {
        "step": 168,
        "totalSteps": 168,
        "epoch": 2,
        "totalEpochs": 2,
        "batchSize": 96,
    }
    assert set(last["metrics"]) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert last["metrics"]["val_accuracy"] > 0.7


def test_every_steps_validates_within_epochs_and_a_number_of_steps_may_end_within_one() -> None:
    spec = training(epochs=None, steps=100, validation={"split": 0.1, "everySteps": 40})
    with trained(document(spec)) as trainers:
        rows = [row.split(":")[0] for row in trainers.output().splitlines()]
    assert rows == ["training", "step 40/100", "epoch 1/2", "step 80/100", "epoch 2/2", "done"]


@pytest.mark.gang
def test_stop_when_ends_all_members_and_gives_the_best_weights_back(tmp_path: Path) -> None:
    """A rate at which the loss soon only jumps about: the model that comes out is that of the best epoch."""
    others = {
        "stopWhen": {"metric": "val_loss", "patience": 2, "restoreBest": True},
        "output": {"path": str(tmp_path / "out"), "format": "keras"},
    }
    spec = training(epochs=40, optimizer={"Adam": {"learning_rate": 0.03}}, **VALIDATED)
    with trained(document(spec, **others), members=2) as trainers:
        output = trainers.output()
    [said] = [row for row in output.splitlines() if row.startswith("stopWhen: ")]
    measured = [
        float(row.split("val_loss ")[1].split(",")[0]) for row in output.splitlines() if row.startswith("epoch")
    ]
    assert "val_loss did not improve 2 times in a row" in said
    assert len(measured) < 40
    assert min(measured) == measured[-3]
    import trainingjob

    model = keras.models.load_model(tmp_path / "out" / "model.keras")
    _, (x, y) = trainingjob.datasets.mnist()
    found = keras.losses.sparse_categorical_crossentropy(y, model.predict(x[..., None] / np.float32(255), verbose=0))
    assert float(np.mean(found)) == pytest.approx(min(measured), abs=2e-4)


def test_a_saved_model_serves_without_keras(tmp_path: Path) -> None:
    others = {"output": {"path": str(tmp_path), "format": "savedModel"}}
    with trained(document(line(), **others)) as trainers:
        said = trainers.output()
    assert f"model: {tmp_path}/saved_model" in said
    program = (
        "import sys, tensorflow as tf\n"
        "model = tf.saved_model.load(sys.argv[1])\n"
        "served = model.serve(tf.constant([[3.0]]))\n"
        "print('served', float(served[0][0]))"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "saved_model")]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert run.returncode == 0, run.stderr[-2000:]
    assert float(run.stdout.split()[-1]) == pytest.approx(7, abs=0.3)


@pytest.mark.gang
@pytest.mark.parametrize("asked", ["chief-0", "worker-0"])
def test_sigterm_to_any_member_saves_and_ends_all_with_77(tmp_path: Path, asked: str) -> None:
    checkpoint = {"path": str(tmp_path / "checkpoints")}
    with Trainers(document(training(epochs=100000), checkpoint=checkpoint), 2) as trainers:
        trainers.wait_for_report(lambda report: report.get("step", 0) > 5)
        trainers.processes[trainers.names.index(asked)].send_signal(signal.SIGTERM)
        assert trainers.wait() == [77, 77]
        last = trainers.output().splitlines()[-1]
    step = int(last.split("after step ")[1].split(";")[0])
    assert last == f"stopped by SIGTERM after step {step}; saved in {tmp_path}/checkpoints"
    assert [file.name for file in (tmp_path / "checkpoints").iterdir()] == [f"checkpoint-{step}.npz"]


@pytest.mark.gang
def test_a_lost_peer_ends_the_others_with_75() -> None:
    with Trainers(document(training(epochs=100000)), 2) as trainers:
        trainers.wait_for_report(lambda report: report.get("step", 0) > 5)
        trainers.processes[1].kill()
        assert trainers.wait()[0] == 75
        assert "a peer was lost: " in trainers.output()
        assert "Traceback" not in trainers.output()


WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("optimizer", {"optimizer": "adamm"}, "spec.training.optimizer: 'adamm' is no optimizer of Keras. Did you mean Adam?"),
    ("parameter", {"optimizer": {"Adam": {"learning_rte": 1}}},
     "spec.training.optimizer.Adam.learning_rte: is no parameter of Adam. Did you mean learning_rate?"),
    ("nested", {"optimizer": {"SGD": {"learning_rate": {"CosineDecy": {}}}}},
     "spec.training.optimizer.SGD.learning_rate: 'CosineDecy' is no schedule of Keras. Did you mean CosineDecay?"),
    ("value", {"optimizer": {"Adam": {"beta_1": 2.0, "use_ema": True, "ema_momentum": 7}}},
     "spec.training.optimizer.Adam: `ema_momentum` must be in the range [0, 1]."),
    ("layer", {"model": {"layers": ["Flatten", {"Dense": {"units": -1}}]}}, "spec.training.model.layers[1].Dense: "),
    ("shape", {"model": {"layers": ["Flatten", {"Conv2D": {"filters": 1, "kernel_size": 3}}]}},
     "spec.training.model.layers[1]: does not fit here: "),
    ("labels", {"loss": "categorical_crossentropy"},
     "spec.training.loss: CategoricalCrossentropy compares outputs [10] with labels [] of another shape; write "
     "pipeline.oneHot: 10, or SparseCategoricalCrossentropy"),
    ("metric", {"metrics": ["accuracy", "recal"]},
     "spec.training.metrics[1]: 'recal' is no metric of Keras. Did you mean Recall?"),
    ("precision", {"precision": "float16"}, "spec.training.precision: is 'float16', which CPUs calculate 15 to 20"),
    ("preset", {"model": {"preset": {"ResNet50": {"weights": "imagenet"}}}},
     "spec.training.model.preset.ResNet50.weights: is 'imagenet'; presets start with random weights"),
    ("clipping", {"gradientClipping": {"norm": 1}, "optimizer": {"SGD": {"clipvalue": 1.0}}},
     "spec.training.gradientClipping.norm: is 1, and the optimizer has clipvalue as well; leave out one of them"),
    ("dataset", {"dataset": {"npz": {"path": "/nowhere.npz", "input": "x", "label": "y"}}}, "spec.training.dataset.npz"),
    ("builder", {"model": {"builder": {"function": "nowhere:make"}}},
     "spec.training.model.builder.function: there is no module 'nowhere'"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "said"), [pytest.param(c, s, id=name) for name, c, s in WRONG])
def test_what_a_user_can_mend_is_one_line(changes: dict[str, Any], said: str) -> None:
    with Trainers(document(training(**changes))) as trainers:
        assert trainers.wait() == [1]
        output = trainers.output()
    assert output.startswith(f"error: {said}")
    assert len(output.splitlines()) == 1


def test_a_builders_own_fault_shows_its_traceback(tmp_path: Path) -> None:
    (tmp_path / "models.py").write_text("def make(units):\n    return units / 0\n")
    spec = training(model={"builder": {"function": "models:make", "arguments": {"units": 3}}})
    with Trainers(document(spec), cwd=tmp_path) as trainers:
        assert trainers.wait() == [1]
        output = trainers.output()
    assert 'models.py", line 2, in make' in output
    assert output.splitlines()[-1] == (
        "error: spec.training.model.builder: models:make raised ZeroDivisionError: division by zero"
    )


def test_models_come_from_builders_and_json(tmp_path: Path) -> None:
    (tmp_path / "models.py").write_text(
        "import keras\n\n\ndef make(units):\n"
        "    return keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(units, activation='softmax')])\n"
    )
    built = training(epochs=1, model={"builder": {"function": "models:make", "arguments": {"units": 10}}})
    with trained(document(built), cwd=tmp_path) as trainers:
        assert "done: 84 steps" in trainers.output()
    dense = keras.layers.Dense(10, activation="softmax")
    text = keras.Sequential([keras.Input((28, 28, 1)), keras.layers.Flatten(), dense]).to_json()
    with trained(document(training(epochs=1, model={"json": text}))) as trainers:
        assert "done: 84 steps" in trainers.output()


@pytest.mark.gang
def test_the_evaluator_evaluates_every_checkpoint_and_ends_with_the_training(tmp_path: Path) -> None:
    others = {"checkpoint": {"path": str(tmp_path), "everySteps": 60, "keep": 9}}
    spec = document(training(**VALIDATED), **others)
    with Trainers(spec, env={"TRAININGJOB_MEMBER": "evaluator-0"}) as evaluator:
        with trained(spec, members=2) as trainers:
            said = trainers.output().splitlines()[-1]
        assert evaluator.wait() == [0]
        reports = [report for report in evaluator.reports if report["metrics"]]
        steps = [row.split(":")[0] for row in evaluator.output().splitlines()]
    assert steps == ["step 60", "step 120", "step 168"]
    assert json.dumps(reports[-1]["metrics"]).count("val_") == 2
    assert f"val_loss {reports[-1]['metrics']['val_loss']:.4f}" in said
