"""What a person sees of a training while it runs, of programs that were written without us in mind.

The four programs run beside each other: a Keras script, a loop with `tf.summary`, a plain one that reports, and one
that says nothing. Each test looks at one of them. What the numbers are once it is over is in test_mnist and others.
"""

import re
import time

import pytest

from tests.e2e.installation import Installation
from tests.e2e.kube import CommandError, Json
from tests.e2e.notes import note
from tests.e2e.programs import job
from tests.e2e.table import columns
from tests.e2e.world import World, condition

EPOCHS, STEPS, BATCH = 32, 12, 32
#: As a tutorial has it; the pause makes it last.
FIT = f"""\
import time
import numpy as np
import keras

keras.utils.set_random_seed(3)
x = np.random.default_rng(1).normal(size=({STEPS * BATCH + 96}, 4)).astype("float32")
y = (x.sum(axis=1) > 0).astype("int32")
model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(2, "softmax")])
model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
pause = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: time.sleep(0.5))
model.fit(x, y, batch_size={BATCH}, validation_split=0.2, epochs={EPOCHS}, verbose=2, callbacks=[pause])
"""
SUMMARY = """\
import os, time
import tensorflow as tf

writer, step = tf.summary.create_file_writer("/tmp/logs"), 0
while not os.path.exists("/tmp/go"):
    step += 1
    with writer.as_default(step=step):
        tf.summary.scalar("loss", tf.constant(1.0) / step)
        tf.summary.scalar("learning_rate", 0.125)
    time.sleep(0.1)
"""
#: Without TensorFlow, with a letter that is not ASCII, a line without an end, a very long one, and both streams.
PLAIN = """\
import os, sys, time
import trainingjob
assert "tensorflow" not in sys.modules
print("läuft: 100 %\\tof", "x" * 20_000)
print("to the other stream", file=sys.stderr)
sys.stdout.flush()
step = 0
while not os.path.exists("/tmp/go"):
    step += 1
    trainingjob.report(step=step, total_steps=100_000, epoch=1, epochs=3, batch_size=64, loss=2.5, f1=0.75)
    time.sleep(0.05)
print("no end", end="")
"""
SILENT = """\
import os, time
while not os.path.exists("/tmp/go"):
    time.sleep(0.05)
"""
SCRAPE = """\
import sys, urllib.request
for url in sys.argv[1:]:
    print(urllib.request.urlopen(url, timeout=10).read().decode())
"""
EMPTY = ("PROGRESS", "EPOCH", "LOSS", "METRIC", "SPEED", "ETA")
GO = ("summary-chief-0", "plain-chief-0", "plain-worker-0", "silent-chief-0")


@pytest.fixture(scope="module")
def four(shared_world: World) -> World:
    """The four jobs, under way."""
    world = shared_world
    world.apply(job("fit", FIT), job("summary", SUMMARY), job("plain", PLAIN, workers=1), job("silent", SILENT))
    return world


def shown(world: World, name: str) -> dict[str, str]:
    return columns(world.kubectl("get", "tj", name, "-o", "wide"))


def matches(cells: dict[str, str], **patterns: str) -> None:
    for name, pattern in patterns.items():
        assert re.fullmatch(pattern, cells[name.upper()]), (
            f"{name}: {cells[name.upper()]!r} is not {pattern}: {cells}"
        )


def test_a_program_that_reports(four: World) -> None:
    four.until("plain", lambda s: "eta" in s.get("display", {}) and "speed" in s["display"], "a speed and an ETA")
    cells = shown(four, "plain")
    matches(cells, phase="Running", members="2/2", progress=r"\d%", epoch="1/3", loss=r"2\.5", metric=r"f1=0\.75")
    # 20 steps of 64 examples a second, on a machine that is busy
    matches(cells, speed=r"(\d{3}|[01]\.\dk) ex/s", eta=r"\d{1,2}h\d\dm|\d+m\d\ds", restarts="0?")
    node = four.pods.objects["plain-chief-0"]["spec"]["nodeName"]
    for kind in ("Valid", "MembersReady", "Running"):
        four.kubectl("wait", f"--for=condition={kind}", "tj/plain", "--timeout=5s")
    matches(cells, generation="1", goodput=r"\d{1,3}%", node=re.escape(node) + r"( \(\+\d+\))?")
    training = four.status("plain")["training"]
    assert training["metrics"] == {"loss": 2.5, "f1": 0.75}
    assert training["totalSteps"] == 100_000


def test_what_each_member_uses(four: World) -> None:
    telemetry = four.until("plain", _of_both, "telemetry of both members")
    for member in telemetry["members"]:
        assert 5e6 < member["memoryBytes"] < 2e9, member
        assert 0 <= member["cpuCores"] < 4, member
        assert "gpus" not in member, "there is none here: absent, not zero"
    assert telemetry["memoryBytes"] == sum(member["memoryBytes"] for member in telemetry["members"])
    assert telemetry["cpuCores"] == pytest.approx(sum(m["cpuCores"] for m in telemetry["members"]), abs=0.02)
    assert not telemetry.get("gpus")
    assert "gpuUtilizationPercent" not in telemetry


def _of_both(status: Json) -> Json | None:
    telemetry: Json = status.get("telemetry") or {}
    names = [member["name"] for member in telemetry.get("members", ()) if "cpuCores" in member]
    return telemetry if names == ["chief-0", "worker-0"] else None


def test_a_keras_script_as_it_is(four: World) -> None:
    four.until("fit", lambda s: "val_accuracy" in s.get("training", {}).get("metrics", {}), "validation", 120)
    four.until("fit", lambda s: "eta" in s["display"] and s["training"]["epoch"] > 3, "an ETA")
    cells = shown(four, "fit")
    matches(cells, phase="Running", members="1/1", progress=r"\d{1,2}%", epoch=rf"\d{{1,2}}/{EPOCHS}")
    matches(
        cells, loss=r"0\.\d+|1\.\d+", metric=r"val_accuracy=[01](\.\d+)?", speed=r"[\d.]+k? ex/s", eta=r"\d{1,2}s"
    )
    training = four.status("fit")["training"]
    assert set(training["metrics"]) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert (training["totalSteps"], training["totalEpochs"]) == (EPOCHS * STEPS, EPOCHS)


def test_a_loop_that_only_writes_summaries(four: World) -> None:
    status = four.until_reported("summary")
    cells = shown(four, "summary")
    matches(cells, phase="Running", progress="", epoch="", loss=r"[\d.e-]+", metric=r"learning_rate=0\.125", eta="")
    assert set(status["training"]["metrics"]) == {"loss", "learning_rate"}
    assert status["training"]["step"] >= 1
    assert "percent" not in status["training"]


def test_a_program_that_says_nothing(four: World) -> None:
    """Running, and the rest is unknown: nothing is made up, and nothing is zero."""
    status = four.until_phase("silent", "Running")
    cells = shown(four, "silent")
    assert {name: cells[name] for name in EMPTY} == dict.fromkeys(EMPTY, "")
    training = status.get("training") or {}
    unknown = {"step", "epoch", "percent", "examplesPerSecond", "etaSeconds", "metrics", "best"}
    assert not unknown & set(training), training


def test_how_soon_a_report_is_seen(four: World) -> None:
    """Beside three other jobs: from the program to a watch, by the clock that pods and we have in common."""
    moment = (
        "import time, trainingjob\nwhile True:\n    trainingjob.report(said=time.time() % 1000)\n    time.sleep(0.1)"
    )
    four.apply(job("moment", moment, reporting={"intervalSeconds": 5}))
    offset = time.time() - time.monotonic()
    ages = four.until("moment", lambda _: _ages(four, offset), "three numbers that became visible")
    four.kubectl("delete", "tj", "moment", "--wait=false")
    note(f"from trainingjob.report to a watch: {', '.join(f'{age:.2f}' for age in ages)} s")
    assert sorted(ages)[len(ages) // 2] <= 2.0


def _ages(world: World, offset: float) -> list[float] | None:
    ages: dict[float, float] = {}
    for seen in world.jobs.of("moment"):
        said = (seen.body.get("status", {}).get("training") or {}).get("metrics", {}).get("said")
        if said is not None:
            ages.setdefault(said, (seen.at + offset - said) % 1000)
    return list(ages.values()) if len(ages) >= 3 else None


def test_prometheus_shows_jobs_while_they_are_there(four: World, operator: Installation) -> None:
    """Scraped from a pod at each endpoint of the Service, as Prometheus does it; one of them is the leader's."""
    four.until_reported("plain")
    text = _scrape(four, operator)
    labels = f'namespace="{four.namespace}",job_name="plain"'
    (step,) = re.findall(rf"^trainingjob_step{{{labels}}} (\S+)$", text, re.MULTILINE)
    assert 0 < float(step) <= four.status("plain")["training"]["step"] + 1000
    assert f'trainingjob_metric{{{labels},metric="f1"}} 0.75' in text
    leaders = re.findall(r"^trainingjob_operator_leader (\d)", text, re.MULTILINE)
    assert sorted(leaders) == [*("0" * (len(operator.pods()) - 1)), "1"]
    silent = f'{{namespace="{four.namespace}",job_name="silent"'
    assert f"trainingjob_phase{silent}" in text
    assert f"trainingjob_step{silent}" not in text, "unknown is absent, not zero"
    four.kubectl("delete", "tj", "silent", "--wait=true")
    four.jobs.until(lambda: "silent" not in four.jobs.objects, "it is gone", 10)
    assert silent not in _scrape(four, operator)


def _scrape(world: World, operator: Installation) -> str:
    return world.python("plain-worker-0", SCRAPE, *operator.metrics_urls())


def test_the_end_of_all(four: World) -> None:
    """History, best values, the story in events, every condition, and the log as the program wrote it."""
    four.go(*GO[:3])
    for name in ("fit", "summary", "plain"):
        four.until_phase(name, "Succeeded", 120)
    _check_history(four.status("fit")["training"])
    _check_best(four.status("fit")["training"])
    _check_story(four)
    _check_log(four.kubectl("logs", "plain-chief-0"))


def _check_history(training: Json) -> None:
    history = training["history"]
    steps = [point["step"] for point in history]
    assert steps == sorted(steps)
    assert (steps[-1], history[-1]["epoch"]) == (EPOCHS * STEPS, EPOCHS)
    assert steps[0] < EPOCHS * STEPS / 4, "it reaches back to the beginning"
    assert 5 <= len(history) <= 100
    assert history[-1]["metrics"] == training["metrics"]
    assert {point["generation"] for point in history} == {1}


def _check_best(training: Json) -> None:
    best, points = training["best"], training["history"]
    assert set(best) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    # inside of an epoch `fit` shows running means, which may look better than any epoch was
    points = [point for point in points if point["step"] % STEPS == 0]
    for name, choose in (("loss", min), ("accuracy", max), ("val_loss", min), ("val_accuracy", max)):
        seen = choose(point["metrics"][name] for point in points if name in point.get("metrics", {}))
        assert choose(best[name]["value"], seen) == best[name]["value"], (name, best[name], seen)
        assert 0 < best[name]["step"] <= EPOCHS * STEPS


def _check_story(world: World) -> None:
    world.check_reasons("plain", "PodsCreated", "Running", "Succeeded")
    text = world.kubectl("describe", "tj", "plain")
    told = re.findall(r"^ +(?:Normal|Warning) +(\w+) ", text.partition("Events:")[2], re.MULTILINE)
    assert told == ["PodsCreated", "Running", "Succeeded"], text
    for kind in ("Valid", "Succeeded"):
        world.kubectl("wait", f"--for=condition={kind}", "tj/plain", "--timeout=5s")
    for kind in ("Running", "Failed"):
        world.kubectl("wait", f"--for=condition={kind}=False", "tj/plain", "--timeout=5s")
    with pytest.raises(CommandError, match="timed out"):
        world.kubectl("wait", "--for=condition=Failed", "tj/plain", "--timeout=1s")
    assert condition(world.status("plain"), "Succeeded")["reason"] == "ChiefSucceeded"


def _check_log(log: str) -> None:
    lines = log.split("\n")
    assert f"läuft: 100 %\tof {'x' * 20_000}" in lines
    assert "to the other stream" in lines
    assert any(line.startswith("no end") for line in lines), lines[-3:]
