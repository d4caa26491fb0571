"""Who is looked at next: lanes by need, turns by namespace, and nobody for ever in the queue."""

from hypothesis import given
from hypothesis import strategies as st

from trainingjob_operator.runtime.lanes import IN_A_ROW, PATIENCE, Lane, Lanes


class World:
    def __init__(self) -> None:
        self.now = 0.0
        self.lanes: Lanes[str] = Lanes(lambda: self.now)

    def push(self, key: str, lane: Lane, namespace: str = "a") -> None:
        self.lanes.push(key, lane, namespace)

    def order(self) -> list[str]:
        out = []
        while (key := self.lanes.pop()) is not None:
            out.append(key)
        return out


def test_deletes_go_first_then_pods_then_the_rest() -> None:
    world = World()
    world.push("status", Lane.OTHER)
    world.push("create", Lane.CREATE)
    world.push("suspend", Lane.URGENT)
    assert world.order() == ["suspend", "create", "status"]


def test_a_job_beside_a_thousand_of_another_team_is_next_but_one() -> None:
    world = World()
    for number in range(1000):
        world.push(f"loud{number}", Lane.CREATE, "loud")
    assert world.lanes.pop() == "loud0"
    world.push("quiet", Lane.CREATE, "quiet")
    assert [world.lanes.pop() for _ in range(3)] == ["loud1", "quiet", "loud2"]


def test_what_runs_is_heard_while_new_jobs_keep_coming() -> None:
    world = World()
    for number in range(20):
        world.push(f"status{number}", Lane.OTHER)
        world.push(f"new{number}", Lane.CREATE)
    assert [world.lanes.pop() for _ in range(3)] == ["new0", "new1", "new2"]
    world.now = PATIENCE + 0.1
    assert [world.lanes.pop() for _ in range(4)] == ["status0", "new3", "status1", "new4"]


def test_the_first_lane_lets_others_pass_now_and_then() -> None:
    world = World()
    for number in range(20):
        world.push(f"delete{number}", Lane.URGENT)
    world.push("new", Lane.CREATE)
    world.push("status", Lane.OTHER)
    order = world.order()
    assert order.index("new") == IN_A_ROW
    assert order.index("status") == 2 * IN_A_ROW + 1


def test_a_key_that_becomes_more_urgent_moves_up_and_comes_once() -> None:
    world = World()
    for key in ("a", "b", "c"):
        world.push(key, Lane.OTHER)
    world.push("b", Lane.URGENT)
    world.push("b", Lane.OTHER)
    assert len(world.lanes) == 3
    assert world.order() == ["b", "a", "c"]


def test_how_long_they_wait() -> None:
    world = World()
    assert world.lanes.oldest() is None
    world.push("a", Lane.OTHER)
    world.now = 5.0
    world.push("b", Lane.CREATE)
    world.push("a", Lane.URGENT)
    assert world.lanes.oldest() == 0.0, "moving up is no new beginning"
    world.lanes.pop()
    assert (world.lanes.oldest(), world.lanes.count(Lane.CREATE)) == (5.0, 1)


KEYS = st.tuples(st.sampled_from("abcdefgh"), st.sampled_from(Lane), st.sampled_from("xyz"))


@given(st.lists(KEYS | st.none(), max_size=80))
def test_each_that_waits_comes_once(steps: list[tuple[str, Lane, str] | None]) -> None:
    world = World()
    waiting: dict[str, Lane] = {}
    for step in steps:
        world.now += 0.5
        if step is None:
            key = world.lanes.pop()
            assert (key is None) == (not waiting)
            if key is not None:
                del waiting[key]
        else:
            key, lane, namespace = step
            world.push(key, lane, namespace)
            waiting[key] = min(lane, waiting.get(key, lane))
        assert len(world.lanes) == len(waiting)
        assert all(world.lanes.count(lane) == list(waiting.values()).count(lane) for lane in Lane)
    assert sorted(world.order()) == sorted(waiting)


@given(st.sampled_from(Lane), st.lists(st.sampled_from((Lane.URGENT, Lane.CREATE)), min_size=150, max_size=200))
def test_nobody_waits_for_ever(lane: Lane, others: list[Lane]) -> None:
    """However many of the lanes before it keep coming, faster than they are served."""
    world = World()
    world.push("mine", lane, "mine")
    picks = []
    for number, other in enumerate(others):
        world.push(f"u{number}", other, "loud")
        world.push(f"v{number}", other, "loud")
        world.now += 0.1
        picks.append(world.lanes.pop())
    # two seconds, and then every second turn of the lanes after the first, which are every ninth of all
    assert "mine" in picks[: int(PATIENCE / 0.1) + 3 * (IN_A_ROW + 1)]
