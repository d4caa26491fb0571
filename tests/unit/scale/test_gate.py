"""The gate: what is worse by a fifth fails, and so does what was not measured."""

from __future__ import annotations

from typing import Any

import pytest

from tests.scale.gate import CONTROLLERS, CPU, FIGURES, MEMORY, RATE, REQUESTS, Figure, compare, figures

STORED = {RATE.name: 0.6, REQUESTS.name: 12.0, CONTROLLERS.name: 4.0, CPU.name: 0.5, MEMORY.name: 110.0}


def worse(figure: Figure, share: float) -> dict[str, float]:
    factor = 1 - share if figure.higher else 1 + share
    return {**STORED, figure.name: STORED[figure.name] * factor}


def run(who: str, pair: int, rate: float, cpu: float, **more: Any) -> dict[str, Any]:
    process = "operator" if who == "operator" else "kube-apiserver"
    return {
        "who": who,
        "pair": pair,
        "complete": True,
        "reached": {"pods created": {"seconds": 1.0, "per_second": rate}},
        "processes": {process: {"cpu_seconds": cpu, "peak_mb": 100.0}},
        "requests per job": {"operator": 12.5, "controller-manager": 4.0} if who == "operator" else {},
        **more,
    }


def test_all_figures_are_stored_here() -> None:
    assert set(STORED) == {figure.name for figure in FIGURES}


@pytest.mark.parametrize("figure", FIGURES, ids=lambda figure: figure.name)
def test_worse_by_21_percent_fails_and_says_what(figure: Figure) -> None:
    (sentence,) = compare(STORED, worse(figure, 0.21))
    assert sentence.startswith(f"{figure.name}: ")
    assert f"stored {STORED[figure.name]:g}" in sentence


@pytest.mark.parametrize("share", [0.19, 0.2, 0.0, -0.5])
@pytest.mark.parametrize("figure", FIGURES, ids=lambda figure: figure.name)
def test_worse_by_19_percent_or_by_just_20_or_better_passes(figure: Figure, share: float) -> None:
    assert compare(STORED, worse(figure, share)) == []


@pytest.mark.parametrize("figure", FIGURES, ids=lambda figure: figure.name)
def test_a_figure_that_is_missing_fails_on_either_side(figure: Figure) -> None:
    without = {name: value for name, value in STORED.items() if name != figure.name}
    assert compare(STORED, without) == [f"{figure.name}: not measured, a run was not completed"]
    (sentence,) = compare(without, STORED)
    assert "nothing is stored" in sentence


def test_a_figure_is_the_median_of_its_pairs() -> None:
    found = figures(
        [
            run("operator", 0, 50.0, 2.0), run("bare client", 0, 100.0, 4.0),
            run("bare client", 1, 100.0, 5.0), run("operator", 1, 60.0, 5.0),
            run("operator", 2, 90.0, 3.0), run("bare client", 2, 100.0, 5.0),
        ]
    )  # fmt: skip
    assert found == {RATE.name: 0.6, REQUESTS.name: 12.5, CONTROLLERS.name: 4.0, CPU.name: 0.6, MEMORY.name: 100.0}


def test_a_pair_with_a_run_that_was_not_completed_gives_no_figures() -> None:
    assert figures([run("operator", 0, 50.0, 2.0), run("bare client", 0, 100.0, 4.0, complete=False)]) == {}


def test_pods_that_were_not_all_made_have_no_rate() -> None:
    found = figures(
        [run("operator", 0, 50.0, 2.0, reached={"pods created": None}), run("bare client", 0, 100.0, 4.0)]
    )
    assert RATE.name not in found
    assert found[REQUESTS.name] == 12.5
