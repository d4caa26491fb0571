"""The same job gives the same numbers on 1, 2 and 3 members: losses within 1e-5 relative over 200 steps."""

from __future__ import annotations

from typing import Any

import pytest

from tests.trainer.trainers import SMALL_CNN, document, steps_of, training

pytestmark = pytest.mark.gang
AUGMENT = [
    {"flip": "horizontal"},
    {"crop": {"padding": 2}},
    {"rotate": {"degrees": 10}},
    {"brightness": {"delta": 0.1}},
]
STEPS = 200
EVERYTHING = training(
    pipeline={"shuffle": True, "augment": AUGMENT},
    classWeights={"3": 4.0},
    gradientClipping={"globalNorm": 0.5},
    metrics=["accuracy", {"F1Score": {"average": "macro"}}, "auc"],
    model={
        "layers": [
            *SMALL_CNN[:-1],
            {"Dense": {"units": 10, "activation": "softmax", "kernel_regularizer": {"L2": {"l2": 0.01}}}},
        ]
    },
)


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param(training(optimizer={"Adam": {"learning_rate": 0.001}}), id="adam"),
        pytest.param(
            training(
                optimizer={
                    "SGD": {
                        "learning_rate": {"CosineDecay": {"initial_learning_rate": 0.02, "decay_steps": 200}},
                        "momentum": 0.9,
                    }
                },
                pipeline={"shuffle": True, "augment": AUGMENT},
            ),
            id="sgd-augmented",
        ),
        pytest.param(
            training(optimizer={"Adam": {"learning_rate": 0.001}}, pipeline={"shuffle": True, "augment": AUGMENT}),
            id="adam-augmented",
        ),
    ],
)
def test_losses_do_not_depend_on_the_number_of_members(spec: dict[str, Any]) -> None:
    one, two, three = (steps_of(document(spec), members, STEPS) for members in (1, 2, 3))
    assert len(one["losses"]) == STEPS
    assert min(one["losses"]) < 0.8 * one["losses"][0]  # numbers of a training that stands still are equal, too
    assert two["losses"] == pytest.approx(one["losses"], rel=1e-5)
    assert three["losses"] == pytest.approx(one["losses"], rel=1e-5)


def test_everything_at_once_on_members_that_cannot_share_evenly() -> None:
    """32 examples on 3 members, a last batch of the epoch that is not full, clipping, weights, metrics, regularisation."""
    spec = document({**EVERYTHING, "globalBatchSize": 100})
    one, three = (steps_of(spec, members, 162, every=81) for members in (1, 3))
    assert three["last"] == pytest.approx(one["last"], rel=1e-5)
    assert three["weights"] == pytest.approx(one["weights"], rel=1e-5)


def test_accumulation_gives_the_result_of_a_whole_batch() -> None:
    """Each member takes its part of a batch in so many pieces; sums and clipping see the whole of it."""
    whole = steps_of(document(EVERYTHING), 1, 60)
    pieces = steps_of(document({**EVERYTHING, "gradientAccumulation": 5}), 2, 60)
    assert pieces["losses"] == pytest.approx(whole["losses"], rel=1e-5)
    assert pieces["weights"] == pytest.approx(whole["weights"], rel=1e-5)


def test_steps_per_call_change_nothing() -> None:
    one_by_one = steps_of(document(training()), 1, 40)
    at_once = steps_of(document(training()), 2, 40, every=20)
    assert at_once["weights"] == pytest.approx(one_by_one["weights"], rel=1e-6)


def test_batch_normalization_stays_the_same_on_all_members() -> None:
    """Its statistics are those of each replica's examples; the moving averages are the members' mean, equal everywhere."""
    layers = [SMALL_CNN[0], "BatchNormalization", *SMALL_CNN[1:]]
    found = steps_of(document(training(model={"layers": layers})), 2, 20)  # steps_of compares the members
    assert all(value > 0 for value in found["states"])


def test_dropout_draws_differently_on_each_member() -> None:
    """With one mask for all, two members would give the loss of one whose batch holds everything twice."""
    layers = [{"Flatten": {}}, {"Dropout": {"rate": 0.5}}, {"Dense": {"units": 10, "activation": "softmax"}}]
    spec = training(model={"layers": layers}, pipeline={"shuffle": False})
    one, two = (steps_of(document(spec), members, 5) for members in (1, 2))
    assert one["losses"] != pytest.approx(two["losses"], rel=1e-6)
    assert one["losses"] == pytest.approx(two["losses"], rel=0.3)
