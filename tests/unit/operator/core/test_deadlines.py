"""startupDeadlineSeconds and activeDeadlineSeconds, at their very second."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.operator.core.builders import at, forbidden, job, pending, platform, running, stamp
from tests.unit.operator.core.test_plan import condition, gang, reasons, trained
from tests.unit.operator.core.world import World
from trainingjob_operator.api.names import Phase
from trainingjob_operator.core.plan import decide
from trainingjob_operator.core.refusal import judge_refusal

WAITING = {"phase": "Pending", "startTime": stamp(0)}
HALF = gang(w1=pending(index=1, conditions=[
    {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes have room"}
]))  # fmt: skip


def look(status, pods, seconds, met_at=None, refusals=(), **policy):
    return decide(job(status=status, runPolicy=policy), pods, refusals, platform(), at(seconds), at(seconds), met_at)


def failed(plan):
    return None if plan.status is None else plan.status.get("failure", {}).get("reason")


class TestStartup:
    def test_it_fires_at_its_second_without_any_other_event(self):
        early = look(WAITING, HALF, 99.999, startupDeadlineSeconds=100)
        assert (failed(early), early.look_again <= at(100)) == (None, True)
        late = look(WAITING, HALF, 100, startupDeadlineSeconds=100)
        assert late.status["phase"] == Phase.FAILED
        assert failed(late) == "StartupDeadlineExceeded"
        assert condition(late, "Failed")["reason"] == "StartupDeadlineExceeded"
        assert late.status["display"]["reason"] == "StartupDeadlineExceeded"
        assert late.status["completionTime"] == stamp(100)
        assert reasons(late) == ["Failed"]

    def test_it_says_what_the_job_was_waiting_for(self):
        scheduling = look(WAITING, HALF, 100, startupDeadlineSeconds=100).status["failure"]["message"]
        assert scheduling == (
            "training did not begin within 100 s (spec.runPolicy.startupDeadlineSeconds): "
            "worker-1: 0/3 nodes have room"
        )
        quota = judge_refusal("worker-1", *forbidden("exceeded quota: q"), None, at(50))
        plan = look(WAITING, gang(w1=None), 100, refusals=(quota,), startupDeadlineSeconds=100)
        assert plan.status["failure"]["message"].endswith("worker-1: exceeded quota: q")
        evaluator = judge_refusal("evaluator-0", *forbidden("exceeded quota: q"), None, at(50))
        plan = look(WAITING, HALF, 100, refusals=(evaluator,), startupDeadlineSeconds=100)
        assert "quota" not in plan.status["failure"]["message"], "nobody waits for the evaluator"

    def test_a_new_job_is_looked_at_again_in_time(self):
        assert look({}, HALF, 7, startupDeadlineSeconds=100).look_again <= at(107)

    @pytest.mark.parametrize("phase", [Phase.RUNNING, Phase.RESTARTING])
    def test_a_job_that_ran_has_met_it_also_when_nobody_reported(self, phase):
        assert failed(look(WAITING | {"phase": phase}, HALF, 10_000, startupDeadlineSeconds=100)) is None

    def test_a_gang_that_formed_once_has_met_it_also_when_it_starts_again(self):
        resumed = WAITING | {"gang": {"ledger": {"generation": 3, "counted": 0}}, "activeSeconds": 50}
        assert failed(look(resumed, HALF, 10_000, startupDeadlineSeconds=100)) is None

    def test_the_time_before_a_suspension_does_not_count(self):
        """The job starts anew: so does its deadline, as startTime does."""
        resumed = WAITING | {"activeSeconds": 99.0}
        assert failed(look(resumed, HALF, 99.999, startupDeadlineSeconds=100)) is None
        assert failed(look(resumed, HALF, 100, startupDeadlineSeconds=100)) == "StartupDeadlineExceeded"


class TestAGangThatIsUpButHasNotFormed:
    def forming(self, heard):
        return WAITING | {"phase": "Starting", "training": {"state": "Forming", "lastReportTime": stamp(heard)}}

    def test_a_chief_that_says_so_is_believed(self):
        plan = look(self.forming(98), gang(), 100, met_at=at(0), startupDeadlineSeconds=100)
        assert failed(plan) == "StartupDeadlineExceeded"
        assert plan.status["failure"]["message"].endswith("all members' pods run, but the gang has not formed")

    def test_an_operator_that_was_away_hears_the_chief_first(self):
        """Long before the deadline, while nobody listened, the gang may have begun to train."""
        late = 10_000
        early = look(self.forming(20), gang(), late, met_at=at(late), startupDeadlineSeconds=100)
        assert (failed(early), early.look_again <= at(late + 60)) == (None, True)
        silent = look(self.forming(20), gang(), late + 60, met_at=at(late), startupDeadlineSeconds=100)
        assert failed(silent) == "StartupDeadlineExceeded"
        heard = look(self.forming(late + 1), gang(), late + 2, met_at=at(late), startupDeadlineSeconds=100)
        assert failed(heard) == "StartupDeadlineExceeded"

    def test_one_that_was_never_heard_is_taken_to_train_before_it_is_late(self):
        """All pods ran in time, and the intake is out of reach."""
        world = World(2, spec={"runPolicy": {"startupDeadlineSeconds": 30}})
        world.settle()
        world.tick(20)
        world.start_all()
        world.settle()
        world.tick(3600)
        world.settle()
        assert [status["phase"] for status in world.written] == ["Pending", "Starting", "Running"]

    def test_an_operator_that_was_away_finds_such_a_gang_running(self):
        world = World(2, spec={"runPolicy": {"startupDeadlineSeconds": 30}})
        world.settle()
        world.start_all()
        world.tick(3600)
        world.forget()
        world.settle()
        assert world.status["phase"] == Phase.RUNNING


class TestActive:
    @pytest.mark.parametrize("phase", [Phase.PENDING, Phase.STARTING, Phase.RUNNING])
    def test_it_fires_at_its_second_in_any_phase_without_any_other_event(self, phase):
        status = (trained() if phase is Phase.RUNNING else {}) | WAITING | {"phase": phase}
        pods = HALF if phase is Phase.PENDING else gang()
        early = look(status, pods, 99.999, activeDeadlineSeconds=100)
        assert (failed(early), early.look_again <= at(100)) == (None, True)
        late = look(status, pods, 100, activeDeadlineSeconds=100)
        assert (late.status["phase"], failed(late)) == (Phase.FAILED, "DeadlineExceeded")
        text = "the job was active for 100 s (spec.runPolicy.activeDeadlineSeconds)"
        assert late.status["failure"]["message"] == text

    def test_a_running_job_is_looked_at_then_and_not_before(self):
        assert look(trained() | {"startTime": stamp(0)}, gang(), 20, activeDeadlineSeconds=100).look_again == at(100)

    def test_it_fires_right_after_the_operator_was_away(self):
        assert failed(look(trained(), gang(), 10_000_000, at(10_000_000), activeDeadlineSeconds=100)) == (
            "DeadlineExceeded"
        )

    def test_time_before_a_suspension_counts_and_suspended_time_does_not(self):
        """60.5 s active, then suspended for an hour: the clock goes on where it stood."""
        resumed = trained() | {"startTime": stamp(3660), "activeSeconds": 60.5}
        early = look(resumed, gang(), 3660 + 39.499, activeDeadlineSeconds=100)
        assert (failed(early), early.look_again) == (None, at(3660 + 39.5))
        assert failed(look(resumed, gang(), 3660 + 39.5, activeDeadlineSeconds=100)) == "DeadlineExceeded"

    def test_it_may_be_changed_while_the_job_runs(self):
        assert failed(look(trained(), gang(), 500, activeDeadlineSeconds=100)) == "DeadlineExceeded"
        assert failed(look(trained(), gang(), 500, activeDeadlineSeconds=1000)) is None
        assert failed(look(trained(), gang(), 500)) is None

    def test_a_job_that_has_ended_well_is_not_failed_for_being_seen_late(self):
        world = World(1, spec={"runPolicy": {"activeDeadlineSeconds": 100}})
        world.settle()
        world.start_all()
        world.settle()
        world.form()
        world.settle()
        world.succeed()
        world.tick(1000)
        world.settle()
        assert world.status["phase"] == Phase.SUCCEEDED

    def test_the_one_that_came_first_is_told(self):
        both = {"startupDeadlineSeconds": 100, "activeDeadlineSeconds": 200}
        assert failed(look(WAITING, HALF, 1000, **both)) == "StartupDeadlineExceeded"
        both = {"startupDeadlineSeconds": 200, "activeDeadlineSeconds": 100}
        assert failed(look(WAITING, HALF, 1000, **both)) == "DeadlineExceeded"

    def test_the_pods_are_stopped_with_the_next_look_by_any_policy(self):
        spec = {"runPolicy": {"activeDeadlineSeconds": 100, "cleanPodPolicy": "None"}}
        world = World(2, spec=spec)
        world.settle()
        world.start_all()
        world.settle()
        world.form()
        world.settle()
        world.tick(100)
        plan = world.reconcile()
        assert (plan.status["phase"], plan.deletes, plan.look_again) == (Phase.FAILED, (), world.now)
        assert {pod.member for pod in world.reconcile().deletes} == {"chief-0", "worker-0", "worker-1"}

    def test_the_facts_of_an_earlier_failure_give_way_and_the_generation_is_told(self):
        status = trained() | {"failure": {"reason": "OOMKilled", "member": "worker-1", "generation": 1}}
        failure = look(status, gang(), 100, activeDeadlineSeconds=100).status["failure"]
        assert set(failure) == {"time", "reason", "message", "generation"}


@given(
    startup=st.none() | st.integers(1, 300),
    active=st.none() | st.integers(1, 300),
    before=st.none() | st.floats(0, 250),
    seconds=st.floats(0, 400),
    up=st.booleans(),
)
def test_looking_again_when_told_is_enough(startup, active, before, seconds, up):
    """From any moment: whoever comes back at `look_again` only, finds the job failed at the deadline's second."""
    policy = {"startupDeadlineSeconds": startup, "activeDeadlineSeconds": active}
    policy = {name: value for name, value in policy.items() if value is not None}
    status = (trained() if up else {}) | WAITING | {"phase": "Running" if up else "Pending"}
    status |= {} if before is None else {"activeSeconds": before}
    ends = [active - (before or 0.0)] if active else []
    ends += [startup] if startup and not up else []
    now = at(seconds)
    for _ in range(200):
        plan = decide(job(status=status, runPolicy=policy), gang() if up else HALF, (), platform(), now, now)
        reason = failed(plan)
        if reason in ("StartupDeadlineExceeded", "DeadlineExceeded"):
            assert ends
            # to a microsecond, which is as fine as a time of Python's
            assert abs((now - at(max(seconds, min(ends)))).total_seconds()) < 2e-6
            return
        assert all(now < at(end) for end in ends)
        if plan.look_again is None or not ends:
            assert not ends
            return
        assert plan.look_again > now or plan.status is not None
        now = max(now, plan.look_again)
        status |= plan.status or {}
    raise AssertionError("it is looked at for ever")


def test_a_pod_alone_needs_no_gang_to_be_late():
    chief = pending("chief")
    assert failed(decide(job(0, WAITING, runPolicy={"startupDeadlineSeconds": 5}), [chief], (), platform(), at(5)))
    assert not failed(
        decide(job(0, WAITING, runPolicy={"startupDeadlineSeconds": 5}), [running("chief")], (), platform(), at(5))
    )
