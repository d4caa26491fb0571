"""The gate: what is worse by more than it may be fails, and so does what was not measured."""

from __future__ import annotations

from typing import Any

import pytest

from tests.scale.gate import CONTROLLERS, CPU, FIGURES, MEMORY, RATE, REQUESTS, Figure, compare, figures

STORED = {RATE.name: 0.6, REQUESTS.name: 12.0, CONTROLLERS.name: 4.0, CPU.name: 0.5, MEMORY.name: 110.0}


def worse(figure: Figure, by: float) -> dict[str, float]:
    """All figures as they are stored, but for one that is worse by this part of what it may be."""
    stored = STORED[figure.name]
    return {**STORED, figure.name: stored + (figure.limit(stored) - stored) * by}


def run(who: str, pair: int, rate: float, cpu: float = 0.0, **more: Any) -> dict[str, Any]:
    processes = {"kube-apiserver": {"cpu_seconds": 10.0, "peak_mb": 500.0}}
    if who == "operator":
        processes["operator"] = {"cpu_seconds": cpu, "peak_mb": 100.0}
    return {
        "who": who,
        "pair": pair,
        "complete": True,
        "reached": {"pods created": {"seconds": 1.0, "per_second": rate}},
        "processes": processes,
        "requests per job": {"operator": 12.5, "controller-manager": 4.0} if who == "operator" else {},
        **more,
    }


def test_all_figures_are_stored_here() -> None:
    assert set(STORED) == {figure.name for figure in FIGURES}


@pytest.mark.parametrize("figure", FIGURES, ids=lambda figure: figure.name)
def test_worse_than_it_may_be_fails_and_says_what(figure: Figure) -> None:
    (sentence,) = compare(STORED, worse(figure, 1.01))
    assert sentence.startswith(f"{figure.name}: ")
    assert f"stored {STORED[figure.name]:g}" in sentence


@pytest.mark.parametrize("by", [0.99, 1.0, 0.0, -0.5])
@pytest.mark.parametrize("figure", FIGURES, ids=lambda figure: figure.name)
def test_just_as_bad_as_it_may_be_or_better_passes(figure: Figure, by: float) -> None:
    assert compare(STORED, worse(figure, by)) == []


@pytest.mark.parametrize(
    ("figure", "stored", "worst"),
    [(CPU, 0.5, 0.6), (MEMORY, 100.0, 120.0), (REQUESTS, 10.0, 12.0), (RATE, 0.6, 0.3), (CONTROLLERS, 0.05, 0.56)],
    ids=lambda value: value.name if isinstance(value, Figure) else str(value),
)
def test_a_fifth_worse_is_allowed_half_of_the_rate_and_half_a_request(
    figure: Figure, stored: float, worst: float
) -> None:
    assert figure.limit(stored) == pytest.approx(worst)


@pytest.mark.parametrize("figure", FIGURES, ids=lambda figure: figure.name)
def test_a_figure_that_is_missing_fails_on_either_side(figure: Figure) -> None:
    without = {name: value for name, value in STORED.items() if name != figure.name}
    assert compare(STORED, without) == [f"{figure.name}: not measured, a run was not completed"]
    (sentence,) = compare(without, STORED)
    assert "nothing is stored" in sentence


def test_a_figure_is_the_median_of_its_pairs() -> None:
    found = figures(
        [
            run("operator", 0, 50.0, 2.0), run("bare client", 0, 100.0),
            run("bare client", 1, 100.0), run("operator", 1, 60.0, 5.0),
            run("operator", 2, 90.0, 3.0), run("bare client", 2, 100.0),
        ]
    )  # fmt: skip
    assert found == {RATE.name: 0.6, REQUESTS.name: 12.5, CONTROLLERS.name: 4.0, CPU.name: 0.3, MEMORY.name: 100.0}


def test_a_pair_with_a_run_that_was_not_completed_gives_no_figures() -> None:
    assert figures([run("operator", 0, 50.0, 2.0), run("bare client", 0, 100.0, complete=False)]) == {}


def test_pods_that_were_not_all_made_have_no_rate() -> None:
    found = figures([run("operator", 0, 50.0, 2.0, reached={"pods created": None}), run("bare client", 0, 100.0)])
    assert RATE.name not in found
    assert found[REQUESTS.name] == 12.5


def test_a_controller_manager_that_asked_nothing_is_measured() -> None:
    asked = {"operator": 12.5, "kwok": 8.0}
    found = figures([run("operator", 0, 50.0, 2.0, **{"requests per job": asked}), run("bare client", 0, 100.0)])
    assert found[CONTROLLERS.name] == 0.0
    assert compare({**STORED, RATE.name: 0.5}, {**STORED, **found}) == []


def test_an_audit_log_without_the_operator_says_nothing_of_anybody() -> None:
    found = figures([run("operator", 0, 50.0, 2.0, **{"requests per job": {}}), run("bare client", 0, 100.0)])
    assert not {REQUESTS.name, CONTROLLERS.name} & set(found)
