"""How often jobs and namespaces may report, and which connections make room for which."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainingjob_operator.intake.connections import ConnectionLimits, Roster
from trainingjob_operator.intake.limits import Buckets, ReportRates


def test_buckets_are_bounded_in_memory() -> None:
    buckets = Buckets(rate=1, burst=1, clock=lambda: 0.0, size=100)
    for number in range(1000):
        assert buckets.try_take(str(number)) == 0
    assert len(buckets) == 100
    assert buckets.try_take("999") > 0


@given(
    asks=st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 9), st.floats(0, 0.5)), max_size=400),
    job_rate=st.floats(0.5, 5),
    namespace_rate=st.floats(1, 20),
)
def test_neither_a_job_nor_a_namespace_gets_more_than_its_rate(
    asks: list[tuple[str, int, float]], job_rate: float, namespace_rate: float
) -> None:
    now = 0.0
    rates = ReportRates(job=job_rate, namespace=namespace_rate, job_burst=3, namespace_burst=10, clock=lambda: now)
    taken: dict[str, int] = {}
    for namespace, job, pause in asks:
        now += pause
        if rates.try_take(namespace, f"{namespace}{job}") is None:
            for key in (namespace, f"{namespace}{job}"):
                taken[key] = taken.get(key, 0) + 1
    for key, count in taken.items():
        rate, burst = (namespace_rate, 10) if len(key) == 1 else (job_rate, 3)
        assert count <= burst + rate * now + 1e-6


@given(floods=st.lists(st.integers(0, 200), min_size=1, max_size=50))
def test_a_flood_in_one_namespace_takes_nothing_from_another(floods: list[int]) -> None:
    now = 0.0
    rates = ReportRates(job=2, namespace=10, clock=lambda: now)
    for second, flood in enumerate(floods):
        now = 5.0 * second
        for number in range(flood):
            rates.try_take("loud", f"loud{number}")
        assert rates.try_take("quiet", "quiet") is None


def test_after_the_time_that_was_named_it_passes() -> None:
    now = 0.0
    rates = ReportRates(job=0.5, namespace=100, job_burst=1, clock=lambda: now)
    assert rates.try_take("ns", "u") is None
    wait = rates.try_take("ns", "u")
    assert wait is not None
    assert wait.seconds == pytest.approx(2)
    now += wait.seconds
    assert rates.try_take("ns", "u") is None


# --- Connections ---

LIMITS = ConnectionLimits(total=4, per_address=3, rate=1, burst=1000)


class Connections:
    """A roster and the connections that it has closed."""

    def __init__(self, limits: ConnectionLimits = LIMITS) -> None:
        self.now = 0.0
        self.closed: list[str] = []
        self.roster = Roster(limits, lambda: self.now)

    def open(self, name: str, address: str = "") -> bool:
        return self.roster.admit(name, address or name, self.closer(name))

    def closer(self, name: str) -> Callable[[], None]:
        return lambda: self.closed.append(name)


def test_the_oldest_stranger_makes_room() -> None:
    world = Connections()
    assert all(world.open(name) for name in "abcd")
    world.roster.trust("a")
    assert world.open("e")
    assert world.closed == ["b"]
    assert len(world.roster) == 4


def test_an_address_with_too_many_makes_room_among_its_own() -> None:
    world = Connections()
    assert world.open("old")
    assert all(world.open(name, "flood") for name in "abc")
    assert world.open("d", "flood")
    assert world.closed == ["a"]


def test_chiefs_behind_one_address_are_not_closed_for_each_other() -> None:
    world = Connections()
    for name in "abc":
        assert world.open(name, "node")
        world.roster.trust(name)
    assert not world.open("d", "node")
    assert world.open("e", "another")
    assert world.closed == []


def test_an_address_that_opens_too_fast_is_turned_away_before_it_costs_a_handshake() -> None:
    world = Connections(replace(LIMITS, burst=5))
    assert [world.open(f"a{number}", "flood") for number in range(7)] == [True] * 5 + [False] * 2
    assert world.open("chief")
    world.now += 1
    assert world.open("a9", "flood")


@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["open", "trust", "lost"]), st.integers(0, 15), st.sampled_from("xyz")),
        max_size=200,
    )
)
def test_the_roster_never_holds_more_than_its_limits_nor_closes_a_chief(steps: list[tuple[str, int, str]]) -> None:
    world = Connections()
    opened: dict[str, str] = {}
    trusted: set[str] = set()
    for step, (what, number, address) in enumerate(steps):
        name = f"{step}"
        if what == "open":
            if world.open(name, address):
                opened[name] = address
        elif opened:
            name = sorted(opened)[number % len(opened)]
            if what == "trust":
                world.roster.trust(name)
                trusted.add(name)
            else:
                world.roster.lost(name)
                world.roster.lost(name)
                del opened[name]
        for name in world.closed:
            opened.pop(name, None)
        assert not trusted & set(world.closed)
        assert len(world.roster) == len(opened) <= 4
        assert all(list(opened.values()).count(address) <= 3 for address in "xyz")
