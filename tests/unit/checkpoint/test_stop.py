"""After SIGTERM all members stop at the end of the same step, whenever the signal comes to whom."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainingjob import _stop
from trainingjob._checkpoint_job import Termination
from trainingjob._stop import ALONE, GO, TOGETHER, Stop, Store


class Shared(Store):
    """A member's hand on a key-value store of this process, with the words of TensorFlow's."""

    def __init__(self, values: dict[str, str], changed: threading.Condition, rank: int, members: int) -> None:
        self._values, self._changed, self.rank, self.members = values, changed, rank, members

    def say(self, key: str, value: str) -> None:
        with self._changed:
            self._values.setdefault(key, value)
            self._changed.notify_all()

    def hear(self, key: str, seconds: float) -> str | None:
        with self._changed:
            self._changed.wait_for(lambda: key in self._values, seconds or None)
            return self._values.get(key)


class Gang:
    """Members that step together: nobody begins a step's collective before all have come to it."""

    def __init__(self, members: int, steps: int, every: int = 1) -> None:
        self.values: dict[str, str] = {}
        changed = threading.Condition()
        self.told = [Termination() for _ in range(members)]
        self.ends: list[tuple[str, int]] = [("", -1)] * members
        self._steps, self._every = steps, every
        self._barrier = threading.Barrier(members, timeout=20)
        self._stops = [
            Stop(told, lambda _, rank=rank: Shared(self.values, changed, rank, members))  # type: ignore[misc]
            for rank, told in enumerate(self.told)
        ]

    def run(self, signals: dict[int, tuple[int, bool]]) -> None:
        """Train; the member `rank` is told to end in the step signals[rank][0], before or after its collective."""
        threads = [
            threading.Thread(target=self._train, args=(rank, signals.get(rank))) for rank in range(len(self.told))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _train(self, rank: int, signal: tuple[int, bool] | None) -> None:
        stop = self._stops[rank]
        stop.begin(0, None)
        for step in range(self._steps):
            if signal == (step, False):
                self.told[rank].requested = True
            self._barrier.wait()
            if signal == (step, True):
                self.told[rank].requested = True
            if (step + 1) % self._every == 0 and (verdict := stop.at(step + 1)) != GO:
                self.ends[rank] = (verdict, step + 1)
                return
        self.ends[rank] = ("done", self._steps)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_all_stop_at_one_step_soon_after_the_first_signal(data: st.DataObject) -> None:
    members, steps, every = data.draw(st.integers(2, 5)), 12, data.draw(st.sampled_from([1, 3]))
    moment = st.tuples(st.integers(0, steps - 1), st.booleans())
    signals = data.draw(st.dictionaries(st.integers(0, members - 1), moment, max_size=members))
    gang = Gang(members, steps, every)
    gang.run(signals)
    assert len(set(gang.ends)) == 1, gang.ends
    verdict, step = gang.ends[0]
    first = min((at for at, _ in signals.values()), default=None)
    if first is None:
        assert verdict == "done"
    else:
        next_end = -(-(first + 1) // every) * every
        assert verdict == TOGETHER or next_end >= steps  # one who is past the last end can't be held any more
        assert next_end <= step <= next_end + every


def test_without_answers_the_chief_stops_alone_and_the_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_stop, "ANSWER_SECONDS", 0.05)
    values: dict[str, str] = {}
    changed, told = threading.Condition(), Termination()
    chief = Stop(told, lambda _: Shared(values, changed, 0, 2))
    chief.begin(0, None)
    assert chief.at(1) == GO
    told.requested = True
    assert chief.at(2) == ALONE
    assert chief.at(3) == ALONE
    worker = Stop(Termination(), lambda _: Shared({"freeze": ""}, changed, 1, 2))
    worker.begin(0, None)
    assert worker.at(1) == GO
    assert worker.at(2) == GO


def test_one_member_stops_by_itself() -> None:
    told = Termination()
    alone = Stop(told, lambda _: None)
    alone.begin(5, None)
    assert alone.at(6) == GO
    told.requested = True
    assert alone.at(7) == TOGETHER
    alone.saved(is_chief=True)


def test_a_second_loop_counts_from_its_own_beginning() -> None:
    values: dict[str, str] = {}
    changed = threading.Condition()
    told = [Termination(), Termination()]
    gang = [Stop(told[rank], lambda _, rank=rank: Shared(values, changed, rank, 2)) for rank in range(2)]  # type: ignore[misc]
    for stop in gang:
        stop.begin(0, None)
        assert [stop.at(step) for step in (1, 2, 1000)] == [GO, GO, GO]
        stop.begin(0, None)
        assert stop.at(1) == GO
    told[1].requested = True
    assert [gang[1].at(2), gang[0].at(2)] == [TOGETHER, TOGETHER]
