"""`trainingjob run` with TensorFlow: what the examples (test_examples.py) do not show."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
import yaml

from tests.unit.local.runs import Desk, job

#: Declarative, with checkpoints on a claim: long enough to be stopped in the middle.
LONG = {
    "apiVersion": "trainingjob.dev/v1alpha1",
    "kind": "TrainingJob",
    "metadata": {"name": "long-run"},
    "spec": {
        "workers": {"replicas": 1},
        "checkpoint": {"volume": {"persistentVolumeClaim": {"claimName": "runs"}}, "everySteps": 1_000_000},
        "training": {
            "dataset": {"builtin": {"name": "linear-regression"}},
            "model": {"preset": "Linear"},
            "optimizer": {"SGD": {"learning_rate": 0.01}},
            "loss": "mse",
            "epochs": 100_000,
            "globalBatchSize": 32,
        },
    },
}
READS = """
import sys
import numpy as np
import tensorflow as tf
print("read", float(tf.reduce_sum(np.load(sys.argv[1])["x"])))
"""


@pytest.mark.gang
def test_ctrl_c_saves_and_the_next_run_goes_on(desk: Desk) -> None:
    run = desk.start(LONG)
    run.line("epoch 2/")
    run.interrupt()
    assert run.wait() == 130, run.out + run.err
    assert run.err.splitlines()[-1] == "stopped; run again, it goes on from its last checkpoint"
    [saved] = (desk.folder / "trainingjob-data" / "runs").glob("checkpoint-*.npz")
    step = int(re.findall(r"\d+", saved.name)[-1])
    assert step > 0

    shorter = json.loads(json.dumps(LONG))
    epochs = step // 32 + 2
    shorter["spec"]["training"]["epochs"] = epochs
    again = desk.run(shorter, "-w", "0", "-o", "yaml")
    training = again.object()["status"]["training"]
    assert (training["epoch"], training["percent"]) == (epochs, 100)
    first = int(re.findall(r"^epoch (\d+)/", again.err, re.MULTILINE)[0])
    assert first >= epochs - 2, "what was trained is not trained again"


def test_a_program_reads_what_volume_says(desk: Desk) -> None:
    np = pytest.importorskip("numpy")
    (desk.folder / "numbers").mkdir()
    np.savez(desk.folder / "numbers" / "train.npz", x=np.arange(5))
    given = job(
        READS,
        volumes=[{"mountPath": "/data", "nfs": {"server": "files", "path": "/x"}}],
        program={"args": ["/data/train.npz"]},
    )
    run = desk.run(given, "--volume", "/data=numbers")
    assert "read 10.0" in run.out.splitlines()


def test_declarative_data_lies_on_a_volume(desk: Desk) -> None:
    """The path in spec.training is translated too, and the model is left where the run says."""
    np = pytest.importorskip("numpy")
    (desk.folder / "numbers").mkdir()
    x = np.linspace(-1, 1, 64, dtype="float32").reshape(-1, 1)
    np.savez(desk.folder / "numbers" / "line.npz", x=x, y=3 * x)
    given = {**LONG, "spec": {**LONG["spec"], "workers": {"replicas": 0}, "training": {
        **LONG["spec"]["training"], "dataset": {"npz": {"path": "/data/line.npz"}}, "epochs": 3,
    }}}  # fmt: skip
    given["spec"]["volumes"] = [{"mountPath": "/data", "hostPath": {"path": str(desk.folder / "numbers")}}]
    given["spec"]["output"] = {"volume": {"persistentVolumeClaim": {"claimName": "models"}}}
    run = desk.run(given)
    models = desk.folder / "trainingjob-data" / "models"
    assert list(models.iterdir())
    assert f"kept: {models}" in run.err.splitlines()


def test_an_error_of_tensorflow_is_told_with_the_programs_own_line(desk: Desk) -> None:
    program = "import tensorflow as tf\ntf.reshape(tf.range(5), (2, 3))\n"
    run = desk.run(job(program), "-o", "yaml", code=1)
    failure = run.object()["status"]["failure"]
    assert (failure["member"], failure["exitCode"]) == ("chief-0", 1)
    assert "reshape" in failure["message"].lower()
    assert any("tf.reshape(tf.range(5), (2, 3))" in line for line in failure["lastLogLines"])


def test_a_python_without_tensorflow_is_refused_before_anything_starts(desk: Desk, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    bare.write_text(f'#!/bin/sh\nexec {sys.base_prefix}/bin/python3 -S "$@"\n')
    bare.chmod(0o755)
    run = desk.run(yaml.safe_dump(LONG), "--python", str(bare), code=2)
    assert f"spec.training needs TensorFlow, and {bare} has none" in run.err
    assert "--python PATH" in run.err
