"""Both machines take any event in any state, and keep their promises whatever comes. Whole jobs: test_simulation."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.unit.launcher.machines import BUG, KILLED, NOISE, OK, SAVED, hello
from trainingjob_launcher import gang, member
from trainingjob_launcher.contract import Ledger, Policy, Rule
from trainingjob_launcher.gang import EVALUATOR
from trainingjob_launcher.messages import End
from trainingjob_launcher.settings import Timings

TIMINGS = Timings()
NAMES = ["worker-0", "worker-1", "worker-7", "chief-0", EVALUATOR]
ENDS = st.sampled_from([OK, BUG, NOISE, KILLED, SAVED])
LEDGERS = st.builds(Ledger, generation=st.integers(0, 4), counted=st.integers(0, 3))

CHIEF_EVENTS = st.one_of(
    st.builds(
        gang.MemberJoined,
        st.builds(hello, st.sampled_from(NAMES), st.integers(1, 3), LEDGERS, st.integers(0, 2)),
        st.integers(1, 9),
    ),
    st.builds(gang.MemberLost, st.sampled_from(NAMES), st.integers(0, 9), st.just("x")),
    st.builds(gang.MemberTerminating, st.sampled_from(NAMES), st.integers(0, 9)),
    st.builds(gang.TrainerExited, st.sampled_from(NAMES), st.integers(0, 6), ENDS, st.integers(0, 9)),
    st.builds(
        gang.Progressed,
        st.integers(0, 6),
        st.one_of(st.none(), st.integers(0, 50)),
        st.one_of(st.none(), st.integers(0, 50)),
        st.one_of(st.none(), st.integers(0, 9)),
        st.sampled_from(["", "evaluation"]),
    ),
    st.builds(gang.Inspected, st.integers(0, 6), st.just({"chief-0": "?"})),
    st.builds(gang.Confirmed, st.integers(0, 6)),
    st.sampled_from([gang.Tick(), gang.Tick(), gang.Terminate(), gang.Replaced("x")]),
)
MEMBER_EVENTS = st.one_of(
    st.builds(member.Connected, st.integers(1, 3)),
    st.sampled_from([member.Disconnected("x"), member.Refused("x"), member.Tick(), member.Terminate()]),
    st.builds(member.Announced, st.integers(0, 3), st.integers(0, 4), st.just((("chief-0", "a:1"),)), LEDGERS),
    st.builds(member.GenerationStopped, st.integers(0, 4), st.booleans(), LEDGERS),
    st.builds(member.Ended, st.builds(End, st.sampled_from(["Succeeded", "Failed", "Terminated"]))),
    st.builds(member.TrainerExited, st.integers(0, 4), ENDS),
)
POLICIES = st.builds(
    Policy,
    backoff_limit=st.integers(0, 4),
    rules=st.sampled_from([(), (Rule("Ignore", reasons=("Stalled",)),), (Rule("Fail", exit_codes=(137,)),)]),
    stall=st.sampled_from([None, 10.0]),
    min_workers=st.sampled_from([None, 0, 1]),
    elastic_wait=st.just(10.0),
    checkpoints=st.booleans(),
)


@settings(max_examples=400)
@given(
    st.lists(st.tuples(CHIEF_EVENTS, st.floats(0, 30)), max_size=40),
    st.integers(0, 2),
    st.booleans(),
    POLICIES,
)
@example(
    [(gang.Confirmed(2), 0.0), (gang.MemberTerminating("chief-0", 0), 0.0), (gang.Replaced("x"), 0.0)],
    0,
    False,
    Policy(backoff_limit=0, elastic_wait=10.0),
)
def test_the_chief_takes_any_event_in_any_state(
    events: list[tuple[gang.Event, float]], workers: int, evaluator: bool, policy: Policy
) -> None:
    members = gang.expected_members(workers)
    state, actions = gang.begin(gang.Settings(members, TIMINGS, evaluator, policy), hello("chief-0"), 0.0)
    now, runs, number, ends, replaced = 0.0, False, 0, 0, False

    def check(actions: tuple[gang.Action, ...]) -> None:
        nonlocal runs, number, ends
        for action in actions:
            if isinstance(action, gang.Announce):
                assert not runs, "the chief's own trainer is gone before the next starts"
                assert action.generation > number
                assert not replaced
                assert len(action.addresses) > min(
                    workers, workers if policy.min_workers is None else policy.min_workers
                )
                runs, number = True, action.generation
            ends += isinstance(action, gang.Finish)
        ledger = gang.ledger_of(state)
        assert ledger.counted <= max(policy.backoff_limit, 3) + 1  # 3: what hellos of this test bring

    check(actions)
    for event, pause in events:
        now += pause
        own = isinstance(event, gang.TrainerExited) and event.member == "chief-0" and event.connection == 0
        runs = runs and not (own and isinstance(event, gang.TrainerExited) and event.generation == number)
        replaced = replaced or (isinstance(event, gang.Replaced) and not isinstance(state, gang.Ending))
        state, actions = gang.step(state, event, now)
        check(actions)
    for _ in range(12):  # with time alone it comes to an end, unless a member is missing or trainers run
        now += 1000.0
        state, actions = gang.step(state, gang.Tick(), now)
        check(actions)
    assert ends <= 1
    if isinstance(state, gang.Waiting):
        assert gang.missing(state)
    elif isinstance(state, gang.Running):
        assert gang.deadline(state) is None or state.settings.policy.stall or gang.missing(state) == ()
    else:
        assert isinstance(state, (gang.Done, gang.Failed)), "nothing waits for ever for somebody to stop"


@settings(max_examples=400)
@given(st.lists(st.tuples(MEMBER_EVENTS, st.floats(0, 30)), max_size=40), st.booleans())
def test_a_member_takes_any_event_in_any_state(events: list[tuple[member.Event, float]], guest: bool) -> None:
    state, _ = member.begin("evaluator-0" if guest else "worker-0", TIMINGS, guest)
    now, alive, fence, finished = 0.0, 0, (0, 0), 0
    for event, pause in events:
        now += pause
        if isinstance(event, member.TrainerExited) and isinstance(state, member.Done):
            continue
        before = state
        state, actions = member.step(state, event, now)
        if isinstance(event, member.TrainerExited) and not isinstance(before, member.Done):
            alive -= before.common.alive == event.generation
        for action in actions:
            if isinstance(action, member.Start):
                assert alive == 0, "a trainer starts only when the last one is gone"
                alive += 1
                assert not isinstance(state, member.Done)
                new = state.common.fence
                assert (new[0] >= fence[0] and new[1] > fence[1]) or (guest and new == fence), "only upwards"
                fence = new
            finished += isinstance(action, member.Finish)
    assert finished <= 1
    stopping = isinstance(state, (member.Stopping, member.Leaving, member.Ending))
    for _ in range(4):
        now += 1000.0
        state, actions = member.step(state, member.Tick(), now)
        finished += sum(isinstance(action, member.Finish) for action in actions)
    if stopping:
        assert isinstance(state, member.Done), "nobody waits for ever for a trainer to go"
        assert finished == 1
