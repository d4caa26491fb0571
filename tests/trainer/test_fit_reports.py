"""What `fit` reports to its launcher, an early end by spec.stopWhen, and the evaluator: unmodified scripts."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.trainer.gang import free_ports, run_gang, run_members, run_plain
from tests.trainer.launcher_socket import listening

PROGRAM = "resume_fit.py"


@pytest.mark.parametrize("legacy", [{}, {"TF_USE_LEGACY_KERAS": "1"}], ids=["keras3", "tf-keras"])
def test_progress_and_metrics_of_a_script_without_a_line_of_code(tmp_path: Path, legacy: dict[str, str]) -> None:
    with listening(tmp_path / "s") as launcher:
        [result] = run_gang(PROGRAM, members=1, env={**launcher.env, **legacy})
        last = launcher.reports()[-1]
    assert (last["step"], last["totalSteps"], last["epoch"], last["totalEpochs"], last["batchSize"]) == (
        36,
        36,
        4,
        4,
        24,
    )
    history = result["histories"][0]
    for name in ("loss", "accuracy", "val_loss", "val_accuracy", "val_auc"):
        assert last["metrics"][name] == pytest.approx(history[name][-1], rel=1e-6)
    assert last["metrics"]["test_loss"] == pytest.approx(result["evaluated"]["loss"], rel=1e-6)
    for name in ("loss", "accuracy", "val_loss"):  # of epochs, not of the running means of their first batches
        low, _, high, _ = last["extremes"][name]
        assert (low, high) == pytest.approx((min(history[name]), max(history[name])), rel=1e-6)


def test_a_dataset_tells_its_batch_and_a_resumed_run_its_step(tmp_path: Path) -> None:
    spec = {"checkpoint": {"path": str(tmp_path / "c"), "everySteps": 4}}
    run_members(PROGRAM, "dataset", "--die-at", "14", members=1, spec=spec)
    with listening(tmp_path / "s") as launcher:
        run_gang(PROGRAM, "dataset", members=1, spec=spec, env=launcher.env)
        reports = [report for report in launcher.reports() if "step" in report]
    assert reports[0]["resumedStep"] == reports[0]["step"]
    assert reports[0]["batchSize"] == 24
    assert reports[0]["step"] >= 8
    assert reports[-1]["step"] == 36


@pytest.mark.parametrize("legacy", [{}, {"TF_USE_LEGACY_KERAS": "1"}], ids=["keras3", "tf-keras"])
def test_data_of_unknown_length_have_one_from_the_end_of_the_first_epoch_on(
    tmp_path: Path, legacy: dict[str, str]
) -> None:
    with listening(tmp_path / "s") as launcher:
        run_gang(PROGRAM, "unknown", members=1, env={**launcher.env, **legacy})
        reports = launcher.reports()
    assert "totalSteps" not in reports[0]
    assert (reports[-1]["step"], reports[-1]["totalSteps"]) == (36, 36)
    assert all(report["totalSteps"] == 36 for report in reports if report.get("epoch", 0) >= 2)


@pytest.mark.gang
@pytest.mark.parametrize("legacy", [{}, {"TF_USE_LEGACY_KERAS": "1"}], ids=["keras3", "tf-keras"])
def test_reports_of_two_members_have_the_values_of_one(tmp_path: Path, legacy: dict[str, str]) -> None:
    """Values are per global batch: Keras 2's logs of a batch are sums over the members (twice the loss here)."""
    [alone] = run_plain("fit_two_keras.py", "--record", env=legacy)
    with listening(tmp_path / "s") as launcher:
        [chief, _] = run_gang("fit_two_keras.py", members=2, env={**launcher.env, **legacy})
        reports = [report for report in launcher.reports() if "step" in report]
    assert chief["replicas"] == 2
    assert {report["batchSize"] for report in reports} == {16}  # of the gang, not of a member
    steps = {report["step"] for report in reports}
    assert max(steps) == 48
    assert len(steps) > 8  # one each second, of 12 s at least
    for report in reports:
        if report["metrics"]:
            # What Keras 3 shows of a gang may be some steps old: it is the loss of one of the steps of the epoch.
            near = range(max(1, report["step"] - 10), report["step"] + 1) if not legacy else [report["step"]]
            for name in ("loss", "accuracy", "auc"):
                right = [alone["recorded"][str(step)][name] for step in near]
                assert any(report["metrics"][name] == pytest.approx(value, rel=1e-4) for value in right), report
    last = reports[-1]["metrics"]
    for name in ("loss", "accuracy", "auc", "val_loss", "val_accuracy", "val_auc"):
        assert last[name] == pytest.approx(alone["history"][name][-1], rel=1e-4)


def test_fit_ends_when_the_metric_is_reached(tmp_path: Path) -> None:
    rule = {"metric": "val_loss", "reaches": 0.3, "mode": "auto"}
    [member] = run_members(PROGRAM, "--epochs", "30", members=1, spec={"stopWhen": rule})
    assert member.code == 0
    losses = member.result["histories"][0]["val_loss"]
    assert losses[-1] <= 0.3 < min(losses[:-1])
    assert "reached 0.3" in member.output


def test_fit_ends_when_nothing_improves_and_takes_the_best_weights(tmp_path: Path) -> None:
    rule = {"metric": "val_accuracy", "patience": 2, "minDelta": 0.5, "restoreBest": True}
    [member] = run_members(PROGRAM, "--epochs", "30", members=1, spec={"stopWhen": rule})
    assert len(member.result["epochs"]) == 3  # the first is the best, two are no better
    assert "val_accuracy did not improve 2 times in a row" in member.output
    [one] = run_gang(PROGRAM, "--epochs", "1", members=1)
    assert member.result["weights"] == one["weights"]


@pytest.mark.parametrize("legacy", [{}, {"TF_USE_LEGACY_KERAS": "1"}], ids=["keras3", "tf-keras"])
def test_the_evaluator_evaluates_each_checkpoint_and_ends_with_the_training(
    tmp_path: Path, legacy: dict[str, str]
) -> None:
    """The same script, started beside the trainer; it trains nothing."""
    spec = {"checkpoint": {"path": str(tmp_path / "c"), "everySteps": 9, "keep": 10}, "evaluator": True}
    cluster = {"chief": [f"127.0.0.1:{free_ports(1)[0]}"]}
    role = {
        "TRAININGJOB_MEMBER": "evaluator-0",
        "TF_CONFIG": json.dumps({"cluster": cluster, "task": {"type": "evaluator", "index": 0}}),
    }
    with listening(tmp_path / "s") as launcher, ThreadPoolExecutor() as pool:
        beside = pool.submit(run_members, PROGRAM, members=1, spec=spec, env={**role, **launcher.env, **legacy})
        [trained] = run_gang(PROGRAM, members=1, spec=spec, env=legacy)
        [evaluator] = beside.result()
        reports = launcher.reports()
    assert evaluator.code == 0, evaluator.output
    assert evaluator.result["steps"] == 0
    assert [line.split(":")[1] for line in evaluator.output.splitlines() if "evaluated step" in line] == [
        f" evaluated step {step}" for step in (9, 18, 27, 36)
    ]
    assert reports[-1]["step"] == 36
    assert evaluator.result["histories"] == trained["histories"]
    assert evaluator.result["weights"] == trained["weights"]
