"""One step: what Keras's own train_step does, one collective, no new trace; and every optimizer over two replicas."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import trainingjob
from tests.trainer.gang import PROGRAMS
from tests.trainer.models import LAYERS, job_of
from tests.trainer.trainers import SMALL_CNN, Trainers, document, training
from trainingjob_trainer.cluster import Cluster, Member
from trainingjob_trainer.document import parse
from trainingjob_trainer.job import Job, build_job
from trainingjob_trainer.keras_objects import names_of

BATCH = 33  # no two replicas can share it evenly


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """Each test's models have the names of a first model, and the precision is the usual one afterwards."""
    keras.utils.clear_session()
    yield
    keras.config.set_dtype_policy("float32")


def on_replicas(tmp_path: Path, jobs: Mapping[str, tuple[dict[str, Any], int]]) -> Any:
    """Take steps of these jobs (spec.training, number of steps) on one replica, and on two of one member."""
    file = tmp_path / "jobs.json"
    file.write_text(json.dumps({name: [document(spec), steps] for name, (spec, steps) in jobs.items()}))
    with Trainers({}, program=[str(PROGRAMS / "trainer_replicas.py"), str(file)]) as trainers:
        return trainers.results()[0]


def losses(job: Job, steps: int) -> list[float]:
    caller = job.caller("train", job.feed)
    caller.begin(0, steps)
    found = []
    for step in range(steps):
        sums, _ = caller.call(step, 1, stop=False)
        found.append(float(sums[-2] / sums[-1]))
    return found


def test_a_step_is_that_of_keras_fit() -> None:
    """The same batches through `fit`: the same loss of the epoch, the same weights after it."""
    spec = training(
        model={"layers": LAYERS},
        pipeline={"shuffle": False},
        optimizer={"SGD": {"learning_rate": 0.05, "clipnorm": 0.3}},
    )
    job = job_of(spec)
    first = [weight.numpy() for weight in job.model.weights]
    caller = job.caller("train", job.feed)
    caller.begin(0, job.plan.steps_per_epoch)
    sums, _ = caller.call(0, job.plan.steps_per_epoch, stop=False)
    (x, y), _ = trainingjob.datasets.mnist()
    theirs = keras.models.clone_model(job.model)
    theirs.set_weights(first)
    theirs.compile(keras.optimizers.SGD(0.05, clipnorm=0.3), "sparse_categorical_crossentropy")
    history = theirs.fit(x[..., None] / np.float32(255), y, batch_size=96, shuffle=False, verbose=0)
    assert sums[-2] / sums[-1] == pytest.approx(history.history["loss"][0], rel=1e-5)
    for ours, other in zip(job.model.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(ours, other, rtol=1e-4, atol=1e-5)


@pytest.mark.gang
def test_every_optimizer_gives_on_two_replicas_what_it_gives_on_one(tmp_path: Path) -> None:
    specs = {
        name: training(
            optimizer={name: {"learning_rate": 0.002}}, gradientClipping={"norm": 0.5}, globalBatchSize=BATCH
        )
        for name in names_of("optimizer")
    }
    found = on_replicas(tmp_path, {name: (spec, 6) for name, spec in specs.items()})
    for name, each in found.items():
        assert each["one"][0] != each["one"][-1], name
        assert each["two"] == pytest.approx(each["one"], rel=1e-5), name
        assert not each["optimizer sums"], name  # guards the private name: without it gradients would be summed twice


CASES: dict[str, dict[str, Any]] = {
    "accumulated": {"gradientAccumulation": 3},
    "clipped": {"gradientClipping": {"globalNorm": 0.1}},
    "clipped by value": {"gradientClipping": {"value": 0.001}},
    "augmented": {"pipeline": {"augment": [{"flip": "horizontal"}, {"rotate": {"degrees": 9}}]}},
    "regularised and weighted": {"model": {"layers": LAYERS}, "classWeights": {"1": 3.0}},
    "averaged": {"optimizer": {"SGD": {"use_ema": True, "weight_decay": 0.01, "learning_rate": 0.01}}},
}


@pytest.mark.gang
def test_several_accelerators_in_one_member_give_the_result_of_one(tmp_path: Path) -> None:
    jobs = {name: (training(globalBatchSize=BATCH, **changes), 8) for name, changes in CASES.items()}
    for name, each in on_replicas(tmp_path, jobs).items():
        assert each["two"] == pytest.approx(each["one"], rel=1e-5), name


@pytest.mark.gang
def test_replicas_have_one_moving_average_and_seeds_of_their_own(tmp_path: Path) -> None:
    layers = [SMALL_CNN[0], "BatchNormalization", {"Dropout": {"rate": 0.1}}, *SMALL_CNN[1:]]
    found = on_replicas(tmp_path, {"job": (training(model={"layers": layers}), 30)})["job"]
    assert found["two"][-1] < found["two"][0]
    [[first, second]] = found["means"]
    assert first == second
    assert any(first)
    [[seed, other]] = found["seeds"]
    assert seed[0] != other[0]
    assert seed[1] == other[1] == 30


def test_a_step_is_traced_once_whatever_the_number_of_steps_and_the_last_batch() -> None:
    job = job_of(training(globalBatchSize=3000))  # 2,000 examples in the last batch of an epoch
    caller = job.caller("train", job.feed)
    caller.begin(0, 12)
    for step, steps in ((0, 1), (1, 4), (5, 2), (7, 5)):
        caller.call(step, steps, stop=False)
    assert caller._function.experimental_get_tracing_count() == 1


@pytest.mark.gang
def test_a_step_of_two_members_has_one_collective_and_each_call_one_more() -> None:
    """Counted in the graph: with momenta, clipping, batch normalisation and metrics it stays one."""
    layers = [SMALL_CNN[0], "BatchNormalization", {"Dropout": {"rate": 0.1}}, *SMALL_CNN[1:]]
    spec = training(model={"layers": layers}, metrics=["accuracy", "auc"], gradientClipping={"globalNorm": 1.0})
    with Trainers(document(spec), 2, program=[str(PROGRAMS / "trainer_collectives.py")]) as trainers:
        assert trainers.results() == [{"step": 1, "call": 1}] * 2


def test_bfloat16_trains_and_keeps_float32_weights() -> None:
    job = job_of(training(precision="bfloat16"))
    found = losses(job, 30)
    assert found[-1] < found[0]
    assert {weight.dtype for weight in job.model.trainable_variables} == {"float32"}
    assert job.model.layers[0].compute_dtype == "bfloat16"


def test_float16_scales_the_loss() -> None:
    """Not to be had on a CPU through the spec; the arithmetic is the same there, only slow."""
    cluster = Cluster(Member(), tf.distribute.get_strategy(), 1, on_gpu=True)
    spec = training(precision="float16", gradientClipping={"norm": 1.0}, globalBatchSize=16, metrics=[])
    job = build_job(parse(json.dumps(document(spec))), cluster)
    found = losses(job, 25)
    assert np.mean(found[-5:]) < np.mean(found[:5])
    assert isinstance(job.optimizer, keras.optimizers.LossScaleOptimizer)
