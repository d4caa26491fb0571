"""The store: latest wins by order, urgent first, the rest seldom, bounded, and nothing is ever left unwritten."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.operator.intake.lines import next_due, take
from trainingjob_operator.api.contract import Extremes, Failure, Ledger, Report, Training
from trainingjob_operator.intake.pending import MAX_SAMPLES, Pending
from trainingjob_operator.intake.store import Put, ReportStore, order_of


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def report(sequence: int, generation: int = 1, incarnation: int = 1, **kwargs: Any) -> Report:
    fields: dict[str, Any] = {"state": "Running", "training": Training(step=sequence)} | kwargs
    return Report("chief-0", incarnation, generation, sequence, **fields)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(clock: Clock) -> ReportStore:
    return ReportStore(clock, lambda: clock.now + 1e9, min_interval=5)


def put(store: ReportStore, uid: str, *args: Any, **kwargs: Any) -> Put:
    return store.put(uid, "ns", f"job-{uid}", report(*args, **kwargs))


def latest(store: ReportStore, uid: str) -> Report:
    entry = store.get(uid)
    assert entry is not None
    assert entry.report is not None
    return entry.report


def pending(store: ReportStore, uid: str) -> Pending:
    entry = store.get(uid)
    assert entry is not None
    return entry.pending


def write(store: ReportStore) -> str | None:
    """Write what is due next, successfully."""
    uid = take(store)
    if uid is not None:
        entry = store.get(uid)
        assert entry is not None
        store.settle(uid, entry.order, lost=entry.lost)
    return uid


@pytest.mark.parametrize(
    ("first", "second", "fate"),
    [
        ((5, 1, 1), (6, 1, 1), Put.TAKEN),
        ((5, 1, 1), (5, 1, 1), Put.STALE),
        ((5, 1, 1), (4, 1, 1), Put.STALE),
        ((5, 2, 1), (9, 1, 1), Put.STALE),
        ((5, 2, 1), (0, 3, 1), Put.TAKEN),
        ((5, 7, 1), (0, 1, 2), Put.TAKEN),  # a new chief wins, whatever it counts
        ((5, 1, 2), (9, 9, 1), Put.STALE),
    ],
)
def test_the_later_report_wins(
    store: ReportStore, first: tuple[int, ...], second: tuple[int, ...], fate: Put
) -> None:
    put(store, "u", *first)
    assert put(store, "u", *second) is fate
    kept = second if fate is Put.TAKEN else first
    assert order_of(latest(store, "u")) == (kept[2], kept[1], kept[0])


def test_nothing_follows_the_last_report_of_a_generation(store: ReportStore) -> None:
    put(store, "u", 5, final=True, state="Failed")
    assert put(store, "u", 6) is Put.STALE
    assert put(store, "u", 0, generation=2) is Put.TAKEN


def test_many_reports_cost_one_write_with_the_latest(store: ReportStore, clock: Clock) -> None:
    for sequence in range(10):
        put(store, "u", sequence)
        clock.now += 0.1
    entry = store.get("u")
    assert entry is not None
    assert (entry.report.sequence, entry.dirty_since, entry.received_at) == (9, 100.0, pytest.approx(1e9 + 100.9))
    assert write(store) == "u"
    assert not store.dirty("u")
    assert write(store) is None


def test_the_first_report_is_urgent_and_the_next_ones_wait_for_the_interval(store: ReportStore, clock: Clock) -> None:
    put(store, "u", 0)
    assert write(store) == "u"
    clock.now += 1
    put(store, "u", 1)
    assert (take(store), next_due(store)) == (None, pytest.approx(4))
    clock.now += 4
    assert next_due(store) == 0
    assert write(store) == "u"
    clock.now += 60
    put(store, "u", 2)
    assert write(store) == "u", "after a long silence there is nothing to wait for"


@pytest.mark.parametrize(
    "change",
    [
        {"state": "Failed"},
        {"final": True},
        {"generation": 2},
        {"incarnation": 2},
        {"size": 2},
        {"unreachable": ("worker-0",)},
        {"stalled": 61.0},
        {"failure": Failure("worker-0", "TrainerKilled", "m", generation=1)},
    ],
)
def test_what_people_wait_for_is_due_at_once(store: ReportStore, change: dict[str, Any]) -> None:
    put(store, "u", 0)
    write(store)
    put(store, "u", 1)
    assert take(store) is None
    put(store, "u", 2, **change)
    entry = store.get("u")
    assert entry is not None
    assert entry.urgent
    assert write(store) == "u"


def test_numbers_are_not_urgent(store: ReportStore, clock: Clock) -> None:
    told: dict[str, Any] = {
        "failure": Failure("worker-0", "TrainerKilled", "m", generation=1),
        "unreachable": ("worker-1", "worker-0"),
    }
    put(store, "u", 0, stalled=61.0, ledger=Ledger(1, step=5), **told)
    write(store)
    told["unreachable"] = ("worker-0", "worker-1")
    put(store, "u", 1, stalled=66.0, ledger=Ledger(1, step=9), **told)
    assert (take(store), next_due(store)) == (None, pytest.approx(5))
    put(store, "u", 2, **told)
    assert write(store) == "u", "the stall is over"
    put(store, "u", 3)
    assert write(store) == "u", "nobody is missed any more"


# --- Workers that lost their chief ---


def miss(store: ReportStore, member: str = "worker-0", heard_at: float | None = None, incarnation: int = 1) -> bool:
    return store.miss("u", "ns", "u", incarnation, member, heard_at, 3.0)


def lost(store: ReportStore) -> Any:
    entry = store.get("u")
    return None if entry is None or entry.lost is None else (entry.lost.member, entry.lost.since - 1e9)


def test_workers_are_believed_only_when_the_chief_is_silent(store: ReportStore, clock: Clock) -> None:
    put(store, "u", 0)
    write(store)
    clock.now += 2
    assert not miss(store)
    assert (take(store), lost(store), store.dirty("u")) == (None, None, False)
    clock.now += 2
    assert miss(store)
    assert lost(store) == ("worker-0", 104.0), "since it is shown, so that the chief may still be heard"
    assert take(store) == "u", "at once"
    entry = store.get("u")
    assert entry is not None
    assert (entry.report, entry.received_at) == (report(0), 1e9 + 100), "nothing that the chief said has changed"


def test_what_others_say_of_the_same_chief_costs_no_write(store: ReportStore, clock: Clock) -> None:
    put(store, "u", 0)
    write(store)
    clock.now += 4
    assert miss(store)
    write(store)
    for member in ("worker-1", "worker-0", "worker-2"):
        clock.now += 2
        assert miss(store, member)
        assert take(store) is None
    assert lost(store) == ("worker-0", 104.0)


def test_one_that_lies_beside_a_chief_that_reports_is_never_believed(store: ReportStore, clock: Clock) -> None:
    for sequence in range(100):
        put(store, "u", sequence)
        for _ in range(2):
            clock.now += 1
            assert not miss(store)


def test_a_chief_that_is_heard_again_is_found_at_once(store: ReportStore, clock: Clock) -> None:
    put(store, "u", 0)
    write(store)
    clock.now += 4
    miss(store)
    write(store)
    put(store, "u", 1)
    assert lost(store) is None
    assert write(store) == "u", "however soon after the last write"
    clock.now += 2
    assert not miss(store)


def test_a_chief_that_another_replica_hears_is_found_too(store: ReportStore, clock: Clock) -> None:
    """The status says when it was heard: here nobody ever heard it."""
    assert not miss(store, heard_at=1e9 + 98)
    clock.now += 2
    assert miss(store, heard_at=1e9 + 98)
    write(store)
    clock.now += 2
    assert not miss(store, heard_at=1e9 + 103)
    assert take(store) is None
    clock.now += 5
    assert not miss(store, heard_at=1e9 + 103), "the status may lag behind: it just did"
    clock.now += 15
    assert miss(store, heard_at=1e9 + 103)
    assert lost(store) == ("worker-0", 124.0)
    assert take(store) == "u"


def test_the_replica_that_hears_it_says_so_at_once(store: ReportStore, clock: Clock) -> None:
    put(store, "u", 0)
    write(store)
    store.put("u", "ns", "u", report(1), refutes=True)
    assert write(store) == "u"


def test_workers_may_come_first(store: ReportStore, clock: Clock) -> None:
    """The operator has just started, and the chief is gone."""
    assert miss(store)
    assert take(store) == "u"
    entry = store.get("u")
    assert entry is not None
    assert (entry.report, entry.order) == (None, None)
    store.settle("u", None, entry.pending, entry.lost)
    assert not store.dirty("u")
    assert put(store, "u", 0, incarnation=2) is Put.TAKEN
    assert write(store) == "u"


def test_what_workers_say_during_a_write_is_written_after_it(store: ReportStore, clock: Clock) -> None:
    put(store, "u", 0)
    assert take(store) == "u"
    clock.now += 4
    assert miss(store)
    store.settle("u", (1, 1, 0))
    assert store.dirty("u")
    assert take(store) == "u"


def test_reports_each_interval_are_written_each_interval_however_long_a_write_takes(
    store: ReportStore, clock: Clock
) -> None:
    delays = []
    for sequence in range(20):
        put(store, "u", sequence)
        began = clock.now
        assert take(store) == "u"
        delays.append(clock.now - began)
        clock.now += 0.5
        store.settle("u", (1, 1, sequence))
        clock.now += 4.5
    assert max(delays) == 0


def test_a_sign_of_life_waits_longer_so_that_news_need_not_wait_for_it(store: ReportStore, clock: Clock) -> None:
    put(store, "u", 0, training=Training(step=1))
    write(store)
    put(store, "u", 1, training=Training(step=1))
    assert next_due(store) == 15
    clock.now += 7
    assert take(store) is None
    put(store, "u", 2, training=Training(step=2))
    assert write(store) == "u", "five seconds are over"
    for sequence in (3, 4):
        put(store, "u", sequence, training=None)
    assert next_due(store) == 15
    clock.now += 15
    assert write(store) == "u"
    put(store, "u", 5, training=Training(step=3))
    put(store, "u", 6, training=None)
    assert next_due(store) == 5, "what follows news does not put it off"


def test_what_a_write_carried_is_not_kept_and_what_came_meanwhile_is(store: ReportStore, clock: Clock) -> None:
    put(store, "u", 0, training=Training(step=0, extremes={"loss": Extremes(1, 2)}))
    clock.now += 1
    put(store, "u", 1, training=Training(step=1, extremes={"loss": Extremes(1, 3)}))
    carried = pending(store, "u")
    assert [sample.training.step for sample in carried.samples] == [0, 1]
    assert carried.extremes == {"loss": Extremes(1, 3)}
    assert take(store) == "u"
    clock.now += 1
    put(store, "u", 2, training=Training(step=2, extremes={"loss": Extremes(0, 3)}))
    store.settle("u", (1, 1, 1), carried)
    left = pending(store, "u")
    assert [sample.training.step for sample in left.samples] == [2]
    assert [beat.order for beat in left.beats] == [(1, 1, 2)]
    assert left.extremes == {"loss": Extremes(0, 3)}
    assert left.told is carried.beats[-1]
    store.settle("u", (1, 1, 2), left)
    assert pending(store, "u").extremes == {}


def test_what_waits_to_be_written_is_bounded(store: ReportStore, clock: Clock) -> None:
    for sequence in range(1000):
        put(store, "u", sequence, training=Training(step=sequence), state=("Forming", "Running")[sequence % 2])
        clock.now += 1
    kept = pending(store, "u")
    assert len(kept.samples) == MAX_SAMPLES
    assert (kept.samples[0].training.step, kept.samples[-1].training.step) == (0, 999)
    assert len(kept.beats) == 32


def test_a_report_that_was_found_late_has_the_time_at_which_it_was_left(store: ReportStore, clock: Clock) -> None:
    store.put("u", "ns", "job-u", report(0, training=Training(step=1)), said_at=clock.now + 1e9 - 60)
    entry = store.get("u")
    assert entry is not None
    assert entry.received_at == clock.now + 1e9
    assert entry.pending.samples[0].at == entry.pending.beats[0].at == clock.now + 1e9 - 60


def test_urgency_is_not_lost_when_a_plain_report_follows(store: ReportStore) -> None:
    put(store, "u", 0, state="Forming")
    write(store)
    put(store, "u", 1, state="Running")
    put(store, "u", 2, state="Running")
    assert take(store) == "u"
    assert latest(store, "u").sequence == 2


def test_urgent_jobs_go_before_others_that_waited_longer(store: ReportStore, clock: Clock) -> None:
    for uid in "abc":
        put(store, uid, 0)
        write(store)
    clock.now += 60
    put(store, "a", 1)
    put(store, "b", 1)
    put(store, "c", 1, state="Succeeded", final=True)
    assert [write(store) for _ in range(4)] == ["c", "a", "b", None]


def test_a_report_that_comes_during_the_write_is_written_afterwards(store: ReportStore, clock: Clock) -> None:
    put(store, "u", 0)
    uid = take(store)
    assert uid == "u"
    put(store, "u", 1)
    assert take(store) is None, "one write of a job at a time"
    store.settle("u", (1, 1, 0))
    assert store.dirty("u")
    assert take(store) is None
    clock.now += 5
    assert write(store) == "u"
    assert not store.dirty("u")


def test_a_later_report_in_the_status_settles_an_older_one(store: ReportStore) -> None:
    put(store, "u", 3)
    take(store)
    store.settle("u", (1, 1, 8))  # another replica wrote it
    assert not store.dirty("u")


def test_a_failed_write_comes_again(store: ReportStore, clock: Clock) -> None:
    put(store, "u", 0)
    write(store)
    put(store, "u", 1, training=None)
    assert store.claim("u")
    store.defer("u", 7)
    assert (store.failures("u"), take(store), next_due(store)) == (1, None, 7)
    put(store, "u", 2)
    clock.now += 6
    assert take(store) is None, "a plain report does not shorten the back-off"
    clock.now += 1
    assert write(store) == "u"
    assert store.failures("u") == 0


def test_claim_takes_a_job_before_its_time(store: ReportStore) -> None:
    put(store, "u", 0)
    write(store)
    put(store, "u", 1)
    assert store.claim("u")
    assert not store.claim("u")
    store.settle("u", (1, 1, 1))
    assert not store.claim("u")
    assert not store.claim("nobody")


def test_a_dropped_job_is_forgotten(store: ReportStore) -> None:
    put(store, "u", 0)
    store.drop("u")
    assert (take(store), next_due(store), len(store), store.get("u")) == (None, None, 0, None)
    store.settle("u", (1, 1, 0))
    store.defer("u", 1)
    assert len(store) == 0


def test_memory_is_bounded_and_unwritten_reports_are_the_last_to_go(clock: Clock) -> None:
    store = ReportStore(clock, clock, limit=3)
    for uid in "abc":
        put(store, uid, 0)
    assert write(store) == "a"
    put(store, "d", 0)
    assert (len(store), store.get("a")) == (3, None)
    put(store, "e", 0)
    assert (len(store), store.get("b")) == (3, None), "all are dirty: the longest silent one goes"
    assert {write(store), write(store), write(store), write(store)} == {"c", "d", "e", None}


def test_on_dirty_tells_when_there_may_be_something_to_do(clock: Clock) -> None:
    told: list[float] = []
    store = ReportStore(clock, clock, on_dirty=lambda: told.append(clock.now))
    put(store, "u", 0)
    put(store, "u", 0)
    assert len(told) == 1


STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("put"),
            st.integers(0, 2),
            st.integers(0, 12),
            st.integers(1, 2),
            st.sampled_from(["Forming", "Running", "Failed"]),
            st.booleans(),
        ),
        st.tuples(st.just("pass"), st.floats(0, 8)),
        st.tuples(st.just("take")),
        st.tuples(st.just("write"), st.integers(0, 2)),
        st.tuples(st.just("fail"), st.integers(0, 2), st.floats(0, 10)),
    ),
    max_size=60,
)


@settings(max_examples=300)
@given(steps=STEPS)
def test_every_latest_report_is_written_in_the_end_and_no_older_one_after_it(steps: list[tuple[Any, ...]]) -> None:
    clock = Clock()
    store = ReportStore(clock, clock, min_interval=5)
    best: dict[str, tuple[int, int, int]] = {}
    shown: dict[str, tuple[int, int, int]] = {}
    writing: dict[str, tuple[int, int, int]] = {}

    def take_one() -> bool:
        uid = take(store)
        if uid is None:
            return False
        assert uid not in writing, "one write of a job at a time"
        writing[uid] = order_of(latest(store, uid))
        return True

    def finish(uid: str) -> None:
        order = writing.pop(uid)
        assert order > shown.get(uid, (0, 0, -1)), "written again or out of order"
        shown[uid] = order
        store.settle(uid, order)

    for step in steps:
        if step[0] == "put":
            _, number, sequence, generation, state, final = step
            uid = str(number)
            if put(store, uid, sequence, generation, state=state, final=final) is Put.TAKEN:
                assert (1, generation, sequence) > best.get(uid, (0, 0, -1))
                best[uid] = (1, generation, sequence)
        elif step[0] == "pass":
            clock.now += step[1]
        elif step[0] == "take":
            take_one()
        elif step[0] == "write" and str(step[1]) in writing:
            finish(str(step[1]))
        elif step[0] == "fail" and writing.pop(str(step[1]), None) is not None:
            store.defer(str(step[1]), step[2])
    for uid in list(writing):
        finish(uid)
    for _ in range(20):
        clock.now += 5
        while take_one():
            for uid in list(writing):
                finish(uid)
    assert shown == best
    assert store.dirty_count == 0
    assert next_due(store) is None
