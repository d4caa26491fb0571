"""Leader election in fake time: two candidates, an API that delays, fails and loses answers, never two leaders."""

import asyncio
import copy
import datetime
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import looptime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainingjob_operator.kube.errors import ApiError, UnreachableError
from trainingjob_operator.kube.lease import LeaderElector, LeaseTimes
from trainingjob_operator.kube.resources import LEASES, Resource

pytestmark = pytest.mark.looptime


class Leases:
    """An API server that knows one Lease, with its optimistic lock.

    `before` and `after` are awaited around the moment at which a request takes effect: they delay, and what they
    raise is a request that was lost, or an answer that was.
    """

    def __init__(self) -> None:
        self.lease: dict[str, Any] | None = None
        self.version = 0
        self.writes = 0
        self.before: Callable[[], Any] | None = None
        self.after: Callable[[], Any] | None = None

    async def _around(self, effect: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        if self.before:
            await self.before()
        result = copy.deepcopy(effect())
        if self.after:
            await self.after()
        return result

    async def get(self, resource: Resource, name: str, namespace: str | None = None, /) -> dict[str, Any]:
        assert resource is LEASES
        return await self._around(self._get)

    async def create(
        self, resource: Resource, body: Mapping[str, Any], namespace: str | None = None, /
    ) -> dict[str, Any]:
        return await self._around(lambda: self._create(body))

    async def replace(
        self, resource: Resource, name: str, body: Mapping[str, Any], namespace: str | None = None, /
    ) -> dict[str, Any]:
        return await self._around(lambda: self._replace(body))

    def _get(self) -> dict[str, Any]:
        if self.lease is None:
            raise ApiError(404, "NotFound")
        return self.lease

    def _create(self, body: Mapping[str, Any]) -> dict[str, Any]:
        if self.lease is not None:
            raise ApiError(409, "AlreadyExists")
        return self._store(body)

    def _replace(self, body: Mapping[str, Any]) -> dict[str, Any]:
        if self.lease is None:
            raise ApiError(404, "NotFound")
        if body["metadata"]["resourceVersion"] != self.lease["metadata"]["resourceVersion"]:
            raise ApiError(409, "Conflict")
        return self._store(body)

    def _store(self, body: Mapping[str, Any]) -> dict[str, Any]:
        self.version += 1
        self.writes += 1
        self.lease = copy.deepcopy(dict(body))
        self.lease["metadata"]["resourceVersion"] = str(self.version)
        return self.lease

    @property
    def spec(self) -> dict[str, Any]:
        assert self.lease is not None
        spec: dict[str, Any] = self.lease["spec"]
        return spec


class Candidate:
    """An elector whose wall clock is wrong by `skew` seconds, and when it led."""

    def __init__(self, api: Leases, name: str, skew: float = 0.0, rand: float = 0.5) -> None:
        self.lost_at: float | None = None
        self.led_from: float | None = None
        self.elector = LeaderElector(
            api,
            "system",
            "operator",
            name,
            on_lost=self.lost,
            wall=lambda: (
                datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC) + datetime.timedelta(seconds=now() + skew)
            ),
            rand=lambda: rand,
        )

    def lost(self) -> None:
        self.lost_at = now()


def now() -> float:
    return asyncio.get_running_loop().time()


@asynccontextmanager
async def running(*candidates: Candidate) -> AsyncIterator[list[asyncio.Task[None]]]:
    tasks = [asyncio.create_task(candidate.elector.run()) for candidate in candidates]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def test_the_first_candidate_leads_at_once_and_the_second_waits() -> None:
    api = Leases()
    one, two = Candidate(api, "one"), Candidate(api, "two")
    async with running(one, two):
        await asyncio.sleep(120)
        assert one.elector.leading.is_set()
        assert not two.elector.leading.is_set()
        assert api.spec["holderIdentity"] == "one"
        assert api.spec["leaseDurationSeconds"] == 12
        assert api.spec["leaseTransitions"] == 0
        assert 55 <= api.writes <= 65, "one write each two seconds"
        assert 8 <= one.elector.valid_for() <= 10
        assert two.elector.valid_for() == 0


@pytest.mark.parametrize("rand", [0.0, 0.3, 0.5, 1.0])
@pytest.mark.parametrize("late", [0.0, 0.1, 0.7, 1.3, 1.9, 2.5])
async def test_a_leader_that_dies_is_followed_when_its_silence_ends(late: float, rand: float) -> None:
    """Between 10 and 14.4 seconds later, at whatever moment of its renewals it dies, and a little for the spread."""
    api = Leases()
    one, two = Candidate(api, "one"), Candidate(api, "two", skew=-3600, rand=rand)
    async with running(one, two) as tasks:
        await asyncio.sleep(60 + late)
        tasks[0].cancel()
        died = now()
        await two.elector.leading.wait()
        assert 10 <= now() - died <= 14.5
        assert api.spec["leaseTransitions"] == 1


async def test_a_released_lease_is_taken_at_the_next_look() -> None:
    api = Leases()
    one, two = Candidate(api, "one"), Candidate(api, "two")
    async with running(one, two) as tasks:
        await asyncio.sleep(30)
        tasks[0].cancel()
        await asyncio.wait([tasks[0]])
        await one.elector.release()
        assert api.spec["holderIdentity"] == ""
        released = now()
        await two.elector.leading.wait()
        assert now() - released <= 2.4


async def test_who_does_not_lead_releases_nothing() -> None:
    api = Leases()
    one, two = Candidate(api, "one"), Candidate(api, "two")
    async with running(one, two):
        await asyncio.sleep(30)
        await two.elector.release()
        assert api.spec["holderIdentity"] == "one"


async def test_a_leader_without_api_server_gives_up_at_its_deadline() -> None:
    api = Leases()
    one = Candidate(api, "one")
    async with running(one) as tasks:
        await asyncio.sleep(30)

        async def gone() -> None:
            raise UnreachableError("nobody there")

        api.before = gone
        cut = now()
        await asyncio.wait_for(tasks[0], 60)
        assert one.lost_at is not None
        assert 8 <= one.lost_at - cut <= 10
        assert not one.elector.leading.is_set()


async def test_a_request_that_hangs_does_not_hold_the_deadline_up() -> None:
    api = Leases()
    one = Candidate(api, "one")
    async with running(one) as tasks:
        await asyncio.sleep(30)
        api.before = asyncio.Event().wait
        cut = now()
        await asyncio.wait_for(tasks[0], 60)
        assert one.lost_at is not None
        assert one.lost_at - cut <= 10


async def test_the_deadline_counts_from_when_the_write_was_sent_not_from_its_answer() -> None:
    api = Leases()
    one = Candidate(api, "one")
    sent: list[float] = []

    async def note() -> None:
        sent.append(now())

    async def answer_late_and_then_never() -> None:
        await asyncio.sleep(7)
        api.before = asyncio.Event().wait

    async with running(one) as tasks:
        await asyncio.sleep(30)
        api.before, api.after = note, answer_late_and_then_never
        await asyncio.wait_for(tasks[0], 60)
        assert len(sent) == 1
        assert one.lost_at == pytest.approx(sent[0] + 10)


async def test_a_usurper_in_the_record_ends_the_lead_at_once() -> None:
    api = Leases()
    one = Candidate(api, "one")
    async with running(one) as tasks:
        await asyncio.sleep(30)
        api.spec["holderIdentity"] = "usurper"
        api.version += 1
        assert api.lease is not None
        api.lease["metadata"]["resourceVersion"] = str(api.version)
        cut = now()
        await asyncio.wait_for(tasks[0], 60)
        assert now() - cut <= 2.1
        assert one.lost_at is not None


async def test_a_label_that_somebody_sets_does_not_end_the_lead() -> None:
    api = Leases()
    one = Candidate(api, "one")
    async with running(one):
        for _ in range(5):
            await asyncio.sleep(7)
            api.version += 1
            assert api.lease is not None
            api.lease["metadata"]["resourceVersion"] = str(api.version)
        await asyncio.sleep(20)
        assert one.elector.leading.is_set()
        assert one.lost_at is None


async def test_answers_that_are_lost_do_not_end_the_lead() -> None:
    api = Leases()
    one = Candidate(api, "one")
    count = 0

    async def lose_every_second() -> None:
        nonlocal count
        count += 1
        if count % 2:
            raise UnreachableError("the answer was lost")

    async with running(one):
        await one.elector.leading.wait()
        api.after = lose_every_second
        await asyncio.sleep(120)
        assert one.elector.leading.is_set()


async def test_a_lease_that_is_deleted_ends_the_lead_in_time() -> None:
    api = Leases()
    one, two = Candidate(api, "one"), Candidate(api, "two")
    async with running(one, two):
        await asyncio.sleep(30)
        api.lease = None
        await two.elector.leading.wait()
        # Deleting the record breaks the lock itself; the old leader must at least find out.
        await asyncio.sleep(11)
        assert one.lost_at is not None


@pytest.mark.parametrize("times", [(10, 10, 2), (15, 10, 10), (15, 10, 0)])
def test_times_that_are_not_safe_are_refused(times: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match="duration > renew_deadline > retry > 0"):
        LeaseTimes(*times)


# --- Never two leaders ---

DELAYS = st.one_of(st.just(0.0), st.floats(0, 1), st.floats(0, 40))
FAULTS = st.lists(st.tuples(DELAYS, st.booleans(), DELAYS, st.booleans()), min_size=5, max_size=40)


@settings(max_examples=60, deadline=None)
@given(faults=FAULTS, skew=st.floats(-1e5, 1e5), rands=st.tuples(st.floats(0, 1), st.floats(0, 1)), start=DELAYS)
def test_no_two_leaders_whatever_the_network_does(
    faults: list[tuple[float, bool, float, bool]], skew: float, rands: tuple[float, float], start: float
) -> None:
    loop = looptime.new_event_loop()
    try:
        loop.run_until_complete(check_no_overlap(faults, skew, rands, start))
    finally:
        loop.close()


async def check_no_overlap(
    faults: list[tuple[float, bool, float, bool]], skew: float, rands: tuple[float, float], start: float
) -> None:
    api = Leases()
    before = [(delay, lost) for delay, lost, _, _ in faults]
    after = [(delay, lost) for _, _, delay, lost in faults]

    def trouble(script: list[tuple[float, bool]]) -> Callable[[], Any]:
        async def strike() -> None:
            if not script:
                return
            delay, lost = script.pop()
            await asyncio.sleep(delay)
            if lost:
                raise UnreachableError("lost")

        return strike

    api.before, api.after = trouble(before), trouble(after)
    leaders: set[str] = set()
    led = 0

    async def live(name: str, skew: float, rand: float, late: float) -> None:
        """A process: started anew with another identity whenever it lost the lead."""
        nonlocal led
        await asyncio.sleep(late)
        for life in range(1000):
            candidate = Candidate(api, f"{name}-{life}", skew, rand)
            run = asyncio.create_task(candidate.elector.run())
            lead = asyncio.create_task(candidate.elector.leading.wait())
            try:
                await asyncio.wait([run, lead], return_when=asyncio.FIRST_COMPLETED)
                leaders.add(name)
                led += 1
                assert len(leaders) == 1, f"two leaders at {now()}"
                await run
                assert candidate.lost_at == now()
                leaders.discard(name)
            finally:
                run.cancel()
                lead.cancel()
                await asyncio.wait([run, lead])

    lives = [
        asyncio.create_task(live("one", skew, rands[0], 0)),
        asyncio.create_task(live("two", 0, rands[1], start)),
    ]
    done, pending = await asyncio.wait(lives, timeout=300)
    for task in pending:
        task.cancel()
    await asyncio.wait(lives)
    for task in done:
        task.result()
    assert led, "in quiet times somebody must lead"
