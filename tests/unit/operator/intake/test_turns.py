"""Who is written next: namespaces take turns, and what is urgent has a line of its own."""

from hypothesis import given
from hypothesis import strategies as st

from trainingjob_operator.api.contract import Report, Training
from trainingjob_operator.intake.store import ReportStore, order_of
from trainingjob_operator.intake.turns import Turns


@given(waiting=st.lists(st.sampled_from("abc"), max_size=60))
def test_each_comes_once_and_in_its_order(waiting: list[str]) -> None:
    turns: Turns[tuple[str, int]] = Turns()
    for number, namespace in enumerate(waiting):
        turns.push(namespace, (namespace, number))
    assert sorted(turns) == sorted((namespace, number) for number, namespace in enumerate(waiting))
    out = []
    while (item := turns.pop()) is not None:
        out.append(item)
    assert sorted(out) == sorted((namespace, number) for number, namespace in enumerate(waiting))
    for namespace in set(waiting):
        numbers = [number for other, number in out if other == namespace]
        assert numbers == sorted(numbers)
    # as long as a namespace has any it comes once among as many as there are namespaces
    for begin in range(len(out)):
        left = {namespace for namespace, _ in out[begin:]}
        assert {namespace for namespace, _ in out[begin : begin + len(left)]} == left


def test_a_namespace_with_many_does_not_keep_another_waiting() -> None:
    turns: Turns[str] = Turns()
    for number in range(100):
        turns.push("loud", f"loud{number}")
    assert turns.pop() == "loud0"
    turns.push("quiet", "quiet0")
    assert [turns.pop() for _ in range(3)] == ["loud1", "quiet0", "loud2"]


def test_jobs_that_are_always_urgent_do_not_keep_another_out_of_its_status() -> None:
    """Thirty jobs change their state twice a second, as their rate allows, and 20 writes a second of each are made."""
    now = 0.0
    store = ReportStore(lambda: now, lambda: now)
    written: list[float] = []
    for tick in range(20 * 60):
        now = tick / 20
        if tick % 10 == 0:
            state = "Running" if tick // 10 % 2 else "Forming"
            for number in range(30):
                store.put(f"u{number}", "loud", f"j{number}", Report("chief-0", 1, 1, tick, state))
        if tick % 100 == 0:
            store.put("u", "quiet", "job", Report("chief-0", 1, 1, tick, "Running", training=Training(step=tick)))
        for urgent in (True, False):
            uid = store.take(urgent=urgent)
            if uid is not None:
                entry = store.get(uid)
                assert entry is not None
                if uid == "u":
                    written.append(now)
                store.settle(uid, order_of(entry.report))
    assert len(written) == 12, "one every five seconds"
    assert all(at % 5 < 0.2 for at in written)
