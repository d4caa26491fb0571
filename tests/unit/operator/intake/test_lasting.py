"""What lasts of a run, whatever happens to it: history, best values, goodput; two replicas, restarts, new chiefs."""

import asyncio
import contextlib
from datetime import datetime
from itertools import pairwise
from typing import Any

import looptime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.operator.intake.jobs_api import Jobs, Replica, now, running
from trainingjob_operator.api.contract import Extremes, Training
from trainingjob_operator.api.status import TrainingJobStatus
from trainingjob_operator.intake.pending import MAX_SAMPLES
from trainingjob_operator.intake.store import Order
from trainingjob_operator.kube.errors import ApiError

pytestmark = pytest.mark.looptime
START = 1e9
PARTS = ("productiveSeconds", "startingSeconds", "restartingSeconds", "stalledSeconds")


def training(api: Jobs, name: str = "a") -> Any:
    return api.jobs[name]["status"]["training"]


def arrived(point: Any) -> float:
    return datetime.fromisoformat(point["time"]).timestamp() - START


class Chief:
    """What sends reports: chief after chief, generation after generation, each report with a step of its own."""

    def __init__(self) -> None:
        self.incarnation, self.generation, self.sequence, self.step = 1, 1, 0, 0
        self.sent: list[Order] = []
        self.losses: list[float] = []

    def report(self, *replicas: Replica, loss: float = 1.0, **kwargs: Any) -> Order:
        self.sequence, self.step = self.sequence + 1, self.step + 1
        order = (self.incarnation, self.generation, self.sequence)
        fields = {"training": Training(step=self.step, metrics={"loss": loss, "accuracy": -loss})} | kwargs
        for replica in replicas:
            replica.put("a", self.sequence, generation=self.generation, incarnation=self.incarnation, **fields)
        self.sent.append(order)
        self.losses.append(loss)
        return order

    def again(self) -> None:
        """The next generation."""
        self.generation += 1

    def another(self) -> None:
        """The next chief, which counts anew."""
        self.incarnation, self.generation, self.sequence = self.incarnation + 1, 1, 0


async def test_every_report_between_two_writes_is_in_the_history() -> None:
    api = Jobs()
    api.make("a", intervalSeconds=1)
    replica, chief = Replica(api), Chief()
    async with running(replica):
        for _ in range(30):
            chief.report(replica)
            await asyncio.sleep(1)
        await asyncio.sleep(5)
    assert [point["step"] for point in training(api)["history"]] == list(range(1, 31))
    assert [arrived(point) for point in training(api)["history"]] == list(range(30))
    assert len(api.log) == 7, "one write each five seconds"


async def test_what_an_api_server_that_was_away_missed_is_spread_over_the_whole_time() -> None:
    api = Jobs()
    api.make("a", intervalSeconds=1)
    replica, chief = Replica(api), Chief()
    api.fail = [ApiError(503, "ServiceUnavailable") for _ in range(64)]
    async with running(replica):
        for _ in range(1800):
            chief.report(replica, loss=1 / (chief.step + 1))
            await asyncio.sleep(1)
        api.fail.clear()
        await asyncio.sleep(120)
    history = training(api)["history"]
    assert len(history) == MAX_SAMPLES
    assert max(b["step"] - a["step"] for a, b in pairwise(history)) <= 2 * 1800 / (MAX_SAMPLES - 1)
    assert (history[0]["step"], history[-1]["step"]) == (1, 1800)
    assert training(api)["best"]["loss"]["step"] == 1800


async def test_extremes_of_a_chief_that_was_replaced_before_a_write_are_not_lost() -> None:
    api = Jobs("a")
    api.delay = 3
    replica, chief = Replica(api), Chief()
    async with running(replica):
        chief.report(replica)
        await asyncio.sleep(1)
        first = Training(step=50, metrics={"loss": 0.5}, extremes={"loss": Extremes(0.1, 9.0, 33, 1)})
        chief.report(replica, training=first)
        chief.another()
        chief.report(replica, training=Training(step=40, extremes={"loss": Extremes(0.4, 9.0, 39, 34)}))
        await asyncio.sleep(30)
    assert training(api)["best"]["loss"] == {"value": 0.1, "step": 33}


async def test_an_operator_that_starts_anew_goes_on_where_the_status_ends() -> None:
    api = Jobs("a")
    chief = Chief()
    for life in range(4):
        replica = Replica(api)
        async with running(replica):
            for _ in range(10):
                chief.report(replica, loss=10 - life)
                await asyncio.sleep(5)
        assert await replica.flusher.drain(3) == 0
    status = api.jobs["a"]["status"]
    assert [point["step"] for point in training(api)["history"]] == list(range(1, 41))
    assert training(api)["best"]["loss"] == {"value": 7, "step": 31}
    # one restart of the operator costs at most the time to the next report, which counted as training all the same
    assert status["goodput"] == {"productiveSeconds": 195, "ratio": 1}


async def test_the_spec_may_change_while_the_job_runs() -> None:
    api = Jobs("a")
    replica, chief = Replica(api), Chief()
    async with running(replica):
        for _ in range(20):
            chief.report(replica)
            await asyncio.sleep(5)
        assert len(training(api)["history"]) == 20
        api.jobs["a"]["spec"]["reporting"] = {"history": 5, "metric": "loss", "best": {"accuracy": "min"}}
        api.touch("a")
        chief.report(replica, loss=0.5)
        await asyncio.sleep(5)
    assert len(training(api)["history"]) == 5
    assert api.jobs["a"]["status"]["display"]["metric"] == "loss=0.5"
    assert training(api)["best"]["accuracy"] == {"value": -1, "step": 1}


async def test_a_spec_of_another_release_does_not_stop_the_reports() -> None:
    api = Jobs("a")
    api.jobs["a"]["spec"]["reporting"] = {"history": "all", "unheardOf": 1}
    replica = Replica(api)
    async with running(replica):
        Chief().report(replica)
        await asyncio.sleep(1)
    assert len(training(api)["history"]) == 1


# --- Two replicas, any order of reports ---

STEP = st.tuples(
    st.floats(0.0, 8.0),  # pause
    st.sampled_from([(0,), (1,), (0, 1), ()]),  # who takes the report; nobody, if both are away
    st.floats(0.01, 100.0),  # loss
    st.sampled_from(["report"] * 8 + ["quiet", "generation", "chief", "zombie", "restart", "kill", "fail", "touch"]),
)


@settings(max_examples=150, deadline=None)
@given(steps=st.lists(STEP, max_size=30), limit=st.integers(0, 20), delay=st.floats(0, 2), ahead=st.floats(-3, 3))
def test_what_lasts_only_ever_gets_better(steps: list[Any], limit: int, delay: float, ahead: float) -> None:
    loop = looptime.new_event_loop()
    try:
        loop.run_until_complete(chaos(steps, limit, delay, ahead))
    finally:
        loop.close()


async def chaos(steps: list[Any], limit: int, delay: float, ahead: float) -> None:
    api = Judge(limit, abs(ahead))
    api.delay = delay
    replicas = [Replica(api), Replica(api, ahead=ahead)]
    chief = Chief()
    stopped: list[Replica] = []
    async with contextlib.AsyncExitStack() as stack:
        lives = [await stack.enter_async_context(_life(replica)) for replica in replicas]
        for pause, takers, loss, what in steps:
            await asyncio.sleep(pause)
            takes = [replicas[number] for number in takers]
            if what in ("restart", "kill"):
                number = takers[0] if takers else 0
                lives[number].cancel()
                await asyncio.wait([lives[number]])
                if what == "restart":
                    await replicas[number].flusher.drain(3)
                stopped.append(replicas[number])
                replicas[number] = Replica(api, ahead=ahead if number else 0)
                lives[number] = await stack.enter_async_context(_life(replicas[number]))
            elif what == "zombie":
                old = Chief()
                old.step = 10_000
                old.report(*takes, loss=loss)
            elif what == "fail":
                api.fail.append(ApiError(503, "ServiceUnavailable"))
            elif what == "touch":
                api.touch("a")
            else:
                if what == "generation":
                    chief.again()
                elif what == "chief":
                    chief.another()
                quiet = {"state": "Forming", "training": None} if what in ("generation", "quiet") else {}
                chief.report(*takes, loss=loss, **quiet)
        await asyncio.sleep(60 * (len(steps) + 5))
        assert all(replica.store.dirty_count == 0 for replica in replicas)


@contextlib.asynccontextmanager
async def _life(replica: Replica) -> Any:
    task = asyncio.create_task(replica.flusher.run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled(), "a flusher ended by itself"


class Judge(Jobs):
    """An API server that looks at every status that it is given."""

    def __init__(self, limit: int, skew: float) -> None:
        super().__init__()
        self.limit, self.skew = limit, skew
        self.make("a", history=limit)

    async def replace_status(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        before = self.jobs["a"]["status"]
        order = self.order("a")
        answer = await super().replace_status(*args, **kwargs)
        after = self.jobs["a"]["status"]
        TrainingJobStatus.model_validate(after)
        self._judge(before, after)
        assert order is None or (self.order("a") or order) >= order, "order went back"
        return answer

    def _judge(self, before: Any, after: Any) -> None:
        old, new = before.get("training") or {}, after["training"]
        assert arrived({"time": new["lastReportTime"]}) <= now() + self.skew
        history = new.get("history", [])
        assert len(history) <= self.limit
        times = [arrived(point) for point in history]
        assert times == sorted(times)
        assert all(time <= now() + self.skew for time in times)
        if old.get("history") and self.limit >= 2:
            assert history[-1] == old["history"][-1] or times[-1] >= arrived(old["history"][-1])
            assert old["history"][0] in history or times[0] <= arrived(old["history"][0])
        for name, best in (old.get("best") or {}).items():
            value = new["best"][name]["value"]
            assert value <= best["value"] if name == "loss" else value >= best["value"]
        was, now_ = before.get("goodput") or {}, after.get("goodput") or {}
        assert all(now_.get(part, 0) >= was.get(part, 0) for part in PARTS)
        assert sum(now_.get(part, 0) for part in PARTS) <= now() + self.skew + 0.3


@settings(max_examples=80, deadline=None)
@given(
    reports=st.lists(
        st.tuples(st.integers(0, 8), st.integers(0, 1), st.floats(0.01, 100.0), st.sampled_from("....gc")),
        min_size=1,
        max_size=40,
    )
)
def test_nothing_is_lost_whichever_replica_takes_a_report(reports: list[Any]) -> None:
    loop = looptime.new_event_loop()
    try:
        loop.run_until_complete(alternating(reports))
    finally:
        loop.close()


async def alternating(reports: list[Any]) -> None:
    api = Jobs()
    api.make("a", history=500)
    replicas, chief = [Replica(api), Replica(api)], Chief()
    async with running(*replicas):
        for pause, which, loss, what in reports:
            if what != ".":
                await asyncio.sleep(12)  # a gang takes longer to form than a write may be late
                if what == "g":
                    chief.again()
                else:
                    chief.another()
            await asyncio.sleep(pause)
            chief.report(replicas[which], loss=loss)
        await asyncio.sleep(60)
    history = training(api)["history"]
    assert sorted(point["step"] for point in history) == list(range(1, len(reports) + 1))
    assert history[-1]["step"] == len(reports)
    best = min(chief.losses)
    assert training(api)["best"]["loss"]["value"] == pytest.approx(best, rel=1e-5)
    assert api.order("a") == chief.sent[-1]
