"""What conditions and events say of a gang, in words."""

import pytest

from tests.unit.operator.core.builders import at, deleting, ended, job, pending, running, stamp
from trainingjob_operator.api.names import Phase
from trainingjob_operator.core.gang import assemble
from trainingjob_operator.core.review import review
from trainingjob_operator.core.situation import Situation
from trainingjob_operator.core.story import describe_end, describe_gang, describe_running, stalled, tell

UP = (running("chief"), running(index=0), running(index=1))
FAILURE = {"generation": 3, "member": "worker-1", "reason": "TrainerKilled", "message": "SIGKILL"}


def status(phase="Running", generation=3, gang=None, training=None, **fields):
    said = {"generation": generation, "incarnation": 1, "state": "Running", "step": 412}
    return {"phase": phase, "training": said | (training or {}), "gang": gang or {}} | fields


def seen(pods=UP, workers=2, **fields):
    """A job, and what follows from it and its pods."""
    fact = job(workers, status(**fields), failurePolicy={"stallSeconds": 60, "backoffLimit": 4})
    gang = assemble(fact.spec, pods, {})
    return fact, review(Situation(fact, tuple(pods), (), at(60)), gang)


@pytest.mark.parametrize(
    ("workers", "size", "text"),
    [
        (0, None, "the chief"),
        (0, 1, "the chief"),
        (1, None, "the chief and 1 worker"),
        (2, None, "the chief and 2 workers"),
        (2, 3, "the chief and 2 workers"),
        (2, 2, "the chief and 1 of 2 workers"),
        (2, 1, "the chief and 0 of 2 workers"),
        (1, 1, "the chief and 0 of 1 worker"),
    ],
)
def test_a_gang_in_words(workers, size, text):
    assert describe_gang(assemble(job(workers).spec, (), {}), size) == text


class TestRunning:
    def say(self, pods=UP, **fields):
        fact = job(status=status(**fields))
        return describe_running(fact, assemble(fact.spec, pods, {}))

    def test_a_generation_and_where_it_began(self):
        assert self.say() == "generation 3 trains with the chief and 2 workers"
        resumed = self.say(training={"resumedStep": 400})
        assert resumed == "generation 3 trains with the chief and 2 workers, resumed from step 400"
        assert self.say(gang={"size": 2}) == "generation 3 trains with the chief and 1 of 2 workers"

    def test_the_step_at_which_the_first_one_began_is_not_worth_a_write(self):
        assert "resumed" not in self.say(generation=1, training={"resumedStep": 400})

    def test_one_that_nobody_has_reported(self):
        assert self.say(generation=0) == "the chief and 2 workers run; no report has arrived"


class TestAnEnd:
    def test_it_has_a_member_and_a_cause(self):
        text = describe_end(*seen(gang={"failure": FAILURE}))
        assert text == "generation 3 ended: worker-1: TrainerKilled: SIGKILL"

    def test_a_pod_that_is_going(self):
        text = describe_end(*seen((*UP[:2], deleting(running(index=1)))))
        assert text.startswith(
            "generation 3 ended: worker-1: MemberLost: worker-1 was lost while generation 3 trained"
        )

    def test_one_without_a_failure_is_just_over(self):
        assert describe_end(*seen(training={"state": "Restarting"})) == "generation 3 ended"

    def test_a_chief_that_its_workers_miss_is_not_yet_blamed(self):
        lost = {"chiefLost": {"incarnation": 1, "member": "worker-0", "since": stamp(59)}}
        text = describe_end(*seen(gang=lost, training={"lastReportTime": stamp(50)}))
        assert text == "generation 3 ended: the workers have lost chief-0 from sight"

    def test_before_any_generation(self):
        assert describe_end(*seen(UP[:2], generation=0)) == "a member is lost"


class TestStalls:
    def claims(self, over=False, conditions=(), **gang):
        fact = job(status=status(gang=gang, conditions=list(conditions)), failurePolicy={"stallSeconds": 60})
        return [(claim.holds, claim.message) for claim in stalled(fact, over=over)]

    def test_the_condition_is_there_once_it_was_true(self):
        was = [{"type": "Stalled", "status": "True"}]
        assert self.claims() == []
        assert self.claims(stalledSeconds=0) == []
        (claim,) = self.claims(stalledSeconds=61)
        assert claim == (True, "no step for longer than spec.failurePolicy.stallSeconds (60)")
        assert self.claims(conditions=was) == [(False, "there is no stall")]

    def test_a_job_that_is_over_is_not_stalled(self):
        was = [{"type": "Stalled", "status": "True"}]
        assert self.claims(over=True, conditions=was, stalledSeconds=61) == [(False, "there is no stall")]


class TestEvents:
    def events(self, phase, after, pods=UP, **fields):
        fact, found = seen(pods, **fields)
        return [
            (str(event.reason), event.note, event.about, event.warning) for event in tell(fact, found, phase, after)
        ]

    def test_a_restart_says_what_failed_and_what_it_costs(self):
        gang = {"failure": FAILURE}
        after = {"failure": FAILURE, "restarts": {"counted": 2}}
        told = self.events(Phase.RESTARTING, after, gang=gang, restarts={"counted": 1})
        assert told == [(
            "Restarting",
            "generation 3 ended: worker-1: TrainerKilled: SIGKILL; it had reported step 412; "
            "the restart counts, 2 of 4",
            "3", True,
        )]  # fmt: skip
        (free,) = self.events(Phase.RESTARTING, after, gang=gang, restarts={"counted": 2})
        assert free[1].endswith("; the restart does not count")

    def test_another_cause_while_it_restarts_is_told_and_the_same_is_not(self):
        after = {"failure": FAILURE, "restarts": {"counted": 1}}
        gang = {"failure": FAILURE}
        fields = {"gang": gang, "training": {"state": "Restarting"}, "restarts": {"counted": 1}}
        fact, found = seen(UP, **fields)
        again = job(status=dict(fact.status) | {"phase": "Restarting", "failure": FAILURE})
        assert tell(again, found, Phase.RESTARTING, after) == []
        earlier = job(status=dict(fact.status) | {"phase": "Restarting", "failure": FAILURE | {"generation": 2}})
        assert [str(event.reason) for event in tell(earlier, found, Phase.RESTARTING, after)] == ["Restarting"]

    def test_the_next_generation(self):
        fact, found = seen(generation=4)
        before = job(status=dict(fact.status) | {"phase": "Restarting"})
        (event,) = tell(before, found, Phase.RUNNING, {})
        assert (event.reason, event.about, event.warning) == ("Restarted", "4", False)
        assert event.note == "generation 4 trains with the chief and 2 workers"

    def test_a_new_pod_and_why(self):
        before = ended(index=1, code=137, reason="OOMKilled")
        items = [{"name": "worker-1", "incarnation": 1}]
        pods = (*UP[:2], before, pending(index=1, incarnation=2))
        (told,) = self.events(Phase.RUNNING, {}, pods, members={"items": items})
        assert told[:1] + told[2:] == ("MemberReplaced", "mnist-worker-1-2", False)
        assert told[1].startswith("worker-1 has a new pod, mnist-worker-1-2: OOMKilled: worker-1 ran out of memory")
        items = [{"name": "worker-1", "incarnation": 2}]
        assert self.events(Phase.RUNNING, {}, pods, members={"items": items}) == []

    def test_a_stall_is_told_when_the_condition_turns_true(self):
        after = {"conditions": [{"type": "Stalled", "status": "True", "message": "no step"}]}
        assert self.events(Phase.RUNNING, after) == [("Stalled", "no step", "3", True)]
        assert self.events(Phase.RUNNING, after, conditions=[{"type": "Stalled", "status": "True"}]) == []
