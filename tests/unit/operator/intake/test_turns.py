"""Who is written next: urgent ones first, and yet everybody in the end."""

from hypothesis import given
from hypothesis import strategies as st

from trainingjob_operator.api.contract import Report, Training
from trainingjob_operator.intake.store import ReportStore, order_of
from trainingjob_operator.intake.turns import Turns

items = st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=60)


@given(waiting=items)
def test_each_comes_once_and_in_its_order(waiting: list[tuple[str, bool]]) -> None:
    turns: Turns[tuple[str, bool, int]] = Turns()
    for number, (namespace, urgent) in enumerate(waiting):
        turns.push(namespace, urgent, (namespace, urgent, number))
    out = []
    while (item := turns.pop()) is not None:
        out.append(item)
    assert sorted(out) == sorted((ns, urgent, number) for number, (ns, urgent) in enumerate(waiting))
    for key in {(ns, urgent) for ns, urgent, _ in out}:
        numbers = [number for ns, urgent, number in out if (ns, urgent) == key]
        assert numbers == sorted(numbers)


def test_urgent_ones_go_first_and_a_namespace_without_any_has_each_fourth_turn() -> None:
    turns: Turns[str] = Turns()
    for number in range(5):
        turns.push("loud", True, f"loud!{number}")
        turns.push("loud", False, f"loud{number}")
        turns.push("quiet", False, f"quiet{number}")
    turns.push("other", True, "other!")
    order = [turns.pop() for _ in range(10)]
    assert order[:4] == ["loud!0", "other!", "loud!1", "quiet0"]
    assert order[4:] == ["loud!2", "loud!3", "loud!4", "loud0", "quiet1", "loud1"]


def test_jobs_that_are_always_urgent_do_not_keep_another_out_of_its_status() -> None:
    """Thirty jobs change their state twice a second, as their rate allows, and 20 writes a second are made."""
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
        uid = store.take()
        if uid is not None:
            entry = store.get(uid)
            assert entry is not None
            if uid == "u":
                written.append(now)
            store.settle(uid, order_of(entry.report))
    assert len(written) == 12, "one every five seconds"
    assert all(at % 5 < 2 for at in written)
