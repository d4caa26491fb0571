"""A gang that lost something: who is replaced, when, what it costs, and what the status and the events say."""

from dataclasses import replace

import pytest

from tests.unit.operator.core.builders import (
    at,
    deleting,
    ended,
    final_report,
    job,
    pending,
    platform,
    running,
    stamp,
)
from trainingjob_operator.api.contract import Assignment, Failure, Ledger, Report, Training
from trainingjob_operator.api.names import Phase
from trainingjob_operator.core.plan import decide
from trainingjob_operator.core.status import Change, compare

LEDGER = {"generation": 3, "counted": 1, "step": 412, "started": True}


def pods(**changes):
    given = {"chief": running("chief"), "w0": running(index=0), "w1": running(index=1)} | changes
    return tuple(pod for pod in given.values() if pod is not None)


def ran(phase=Phase.RUNNING, state="Running", generation=3, gang=None, training=None, **fields):
    """The status of a gang that has trained for a while, in its third generation."""
    said = {"generation": generation, "incarnation": 1, "sequence": 5, "state": state, "step": 412}
    status = {
        "phase": str(phase),
        "startTime": stamp(-600),
        "training": said | (training or {}),
        "gang": {"size": 3, "ledger": LEDGER | {"generation": generation}} | (gang or {}),
        "restarts": {"total": generation - 1, "counted": 1, "free": generation - 2},
        "members": {"items": [{"name": name, "incarnation": 1} for name in ("chief-0", "worker-0", "worker-1")]},
    }
    return status | fields


def plan(given, status=None, now=60, **spec):
    return decide(job(status=status or ran(), **spec), given, (), platform(), at(now), at(now - 10))


def made(decision):
    return [create.body["metadata"]["name"] for create in decision.creates if create.body["kind"] == "Pod"]


def event(decision, reason):
    return next((event for event in decision.events if event.reason == reason), None)


def condition(decision, kind):
    return next((c for c in decision.status["conditions"] if c["type"] == kind), None)


def assignment(create):
    env = {
        v["name"]: v["value"].replace("$$", "$") for v in create.body["spec"]["containers"][0]["env"] if "value" in v
    }
    return Assignment.from_env(env)


#: What the chief's launcher says of a trainer that died.
FAILURE = {
    "time": stamp(58), "member": "worker-1", "reason": "TrainerKilled", "message": "the trainer was ended by SIGKILL",
    "exitCode": 137, "signal": 9, "generation": 3, "lastLogLines": ["a"],
}  # fmt: skip


class TestWhoIsReplaced:
    @pytest.mark.parametrize(
        "end",
        [
            None,
            deleting(running(index=1)),
            ended(index=1, code=137),
            ended(index=1, code=137, reason="OOMKilled"),
            replace(ended(index=1, code=137), phase="Running"),
            replace(pending(index=1, reason="OutOfcpu"), phase="Failed"),
        ],
    )  # fmt: skip
    def test_a_worker_that_is_gone_going_or_dead_gets_its_next_pod_at_once(self, end):
        status = ran(members={"items": [{"name": "worker-1", "incarnation": 1}]})
        assert made(plan(pods(w1=end), status)) == ["mnist-worker-1-2"]

    def test_all_that_are_lost_are_replaced_together(self):
        assert made(plan((running(index=0),))) == ["mnist-chief-0-2", "mnist-worker-1-2"]

    def test_the_service_is_looked_at_before_the_next_chief(self):
        decision = plan(pods(chief=ended("chief", code=137)))
        assert [create.subject for create in decision.creates] == ["service", "chief-0"]

    def test_a_chief_that_was_asked_to_go_is_followed_by_the_next(self):
        gone = ended(
            "chief", code=143, message=final_report("Terminated", Failure("chief-0", "Terminated", "SIGTERM"))
        )
        decision = plan(pods(chief=gone))
        assert made(decision) == ["mnist-chief-0-2"]
        assert decision.status["restarts"]["counted"] == 1

    def test_the_number_of_a_chief_that_has_reported_is_never_given_twice(self):
        """Generations are fenced by it, also when its pod went before any status told of it."""
        assert made(plan(pods(chief=None), ran(training={"incarnation": 4}))) == ["mnist-chief-0-5"]

    def test_a_pod_out_of_sight_gets_a_successor_and_is_deleted(self):
        status = ran(state="Restarting", gang={"unreachable": [{"name": "worker-1", "since": stamp(40)}]})
        decision = plan(pods(), status)
        assert made(decision) == ["mnist-worker-1-2"]
        assert [pod.name for pod in decision.deletes] == ["mnist-worker-1"]
        both = (*pods(), pending(index=1, incarnation=2))
        assert [pod.name for pod in plan(both, status).deletes] == ["mnist-worker-1"]
        going = (*pods(w1=deleting(running(index=1))), pending(index=1, incarnation=2))
        assert plan(going, status).deletes == ()
        assert made(plan(going, status)) == []

    def test_a_worker_that_ended_by_itself_waits_for_the_chiefs_word_but_not_for_ever(self):
        dead = pods(w1=ended(index=1, code=3, when=30))
        waiting = plan(dead, now=31)
        assert made(waiting) == []
        assert plan(dead, now=44).look_again == at(45)
        assert made(plan(dead, now=45)) == ["mnist-worker-1-2"]

    def test_a_worker_that_has_done_its_part_waits_for_the_chief_to_say_so(self):
        done = pods(w1=ended(index=1, when=30))
        assert made(plan(done, now=89)) == []
        assert made(plan(done, now=90)) == ["mnist-worker-1-2"]

    def test_three_ended_pods_of_a_member_are_kept(self):
        old = [ended(index=1, code=137, incarnation=number, when=number) for number in (1, 2, 3, 4)]
        assert [pod.name for pod in plan((*pods(w1=None), *old, running(index=1, incarnation=5))).deletes] == [
            "mnist-worker-1"
        ]
        assert plan((*pods(w1=None), *old[:3], running(index=1, incarnation=4))).deletes == ()


class TestBackingOff:
    def chain(self, short_lives, **changes):
        pod = ended(index=1, code=137, incarnation=5, when=100, **changes)
        lived = replace(pod.terminated, started_at=at(95))
        return pods(w1=replace(pod, short_lives=short_lives, terminated=lived))

    @pytest.mark.parametrize(
        ("before", "wait"), [(0, 0), (1, 10), (2, 20), (3, 40), (4, 80), (5, 160), (6, 300), (60, 300)]
    )
    def test_pods_that_end_within_a_minute_are_replaced_ever_more_slowly(self, before, wait):
        """From what is in the API alone: an operator that has just started waits as long."""
        dead = self.chain(before)
        if wait:
            early = plan(dead, now=100 + wait - 1)
            assert made(early) == []
            assert early.look_again == at(100 + wait)
        (create,) = plan(dead, now=100 + wait).creates
        assert create.body["metadata"]["annotations"]["trainingjob.dev/short-lives"] == str(before + 1)

    def test_a_pod_that_lived_is_followed_at_once_and_the_count_begins_anew(self):
        (worker,) = [pod for pod in self.chain(6) if pod.member == "worker-1"]
        lived = replace(worker, terminated=replace(worker.terminated, started_at=at(40)))
        (create,) = plan(pods(w1=lived), now=100).creates
        assert "trainingjob.dev/short-lives" not in create.body["metadata"]["annotations"]

    def test_a_pod_that_never_ran_counts_from_when_it_was_made(self):
        refused = replace(pending(index=1, reason="OutOfcpu"), phase="Failed", short_lives=2, created_at=at(50))
        assert plan(pods(w1=refused), now=69).creates == ()
        assert made(plan(pods(w1=refused), now=70)) == ["mnist-worker-1-2"]

    def test_a_pod_that_was_taken_away_has_nothing_to_do_with_it(self):
        (worker,) = [pod for pod in self.chain(6) if pod.member == "worker-1"]
        assert made(plan(pods(w1=deleting(worker)), now=100)) == ["mnist-worker-1-6"]


class TestWhatCounts:
    def test_the_next_pod_carries_the_count_of_its_member_and_knows_that_of_the_job(self):
        killed = replace(ended(index=1, code=137, incarnation=2, when=50), failures=1)
        lost = replace(running(index=0, incarnation=2), failures=2)
        (create,) = plan(pods(w0=lost, w1=killed)).creates
        assert create.body["metadata"]["annotations"]["trainingjob.dev/failures"] == "2"
        assert assignment(create).pod_failures == 4
        assert assignment(create).ledger == Ledger(generation=3, counted=1, step=412, started=True)

    def test_a_newer_ledger_in_a_last_report_is_handed_on(self):
        """The intake was away when the chief counted its last failure."""
        report = Report(
            "chief-0",
            1,
            4,
            9,
            "Terminated",
            final=True,
            ledger=Ledger(generation=4, counted=2, step=500, started=True),
        )
        gone = ended("chief", code=143, message=report.encode(4096).decode())
        decision = plan(pods(chief=gone))
        assert assignment(decision.creates[1]).ledger.counted == 2
        assert decision.status["restarts"] == {"total": 3, "counted": 2, "free": 1}

    def test_the_status_remembers_what_gone_pods_cost(self):
        decision = plan(pods(w1=ended(index=1, code=137, when=50)))
        (item,) = [item for item in decision.status["members"]["items"] if item["name"] == "worker-1"]
        assert (item["failures"], decision.status["restarts"]["counted"]) == (1, 2)
        (create,) = plan(
            pods(w1=None), decision.status | {"gang": ran()["gang"], "training": ran()["training"]}
        ).creates
        assert create.body["metadata"]["annotations"]["trainingjob.dev/failures"] == "1"

    def test_what_must_outlive_a_pod_is_written_at_once(self):
        """A status that only has other counts is not news that may wait: the pod may be gone by then."""
        written = plan(pods(), ran()).status
        counted = {"name": "worker-1", "incarnation": 1, "failures": 1}
        replaced = {"name": "worker-1", "incarnation": 2}
        for item in (counted, replaced):
            items = [item if old["name"] == "worker-1" else old for old in written["members"]["items"]]
            wanted = written | {"members": written["members"] | {"items": items}}
            assert compare(written, wanted) is Change.HARD
        assert compare(written, written) is Change.NONE

    def test_one_too_many_fails_the_job_and_says_of_what(self):
        spec = {"failurePolicy": {"backoffLimit": 1}}
        decision = plan(pods(w1=ended(index=1, code=137, reason="OOMKilled", when=50)), **spec)
        assert decision.creates == ()
        assert decision.status["phase"] == Phase.FAILED
        failure = decision.status["failure"]
        assert (failure["reason"], failure["pod"], failure["exitCode"]) == (
            "BackoffLimitExceeded",
            "mnist-worker-1",
            137,
        )
        assert failure["message"].startswith("2 failures, the limit is 1: worker-1 ran out of memory")
        assert condition(decision, "Failed")["reason"] == "BackoffLimitExceeded"
        assert plan(pods(w1=None), **spec).status["phase"] == Phase.RESTARTING

    def test_what_ended_the_job_by_the_chiefs_word_is_not_counted_a_second_time_as_its_pods_end(self):
        """All launchers end when the chief has said the last word; what it was the ledger has counted."""
        last = Failure("worker-1", "BackoffLimitExceeded", "2 failures, the limit is 1", exit_code=137, generation=3)
        over = pods(
            chief=ended("chief", code=1, message=final_report("Failed", last), when=50),
            w0=ended(index=0, code=1, when=50),
            w1=ended(index=1, code=1, when=50),
        )
        decision = plan(over, ran(gang={"ledger": LEDGER | {"counted": 2}}), failurePolicy={"backoffLimit": 1})
        assert decision.status["phase"] == Phase.FAILED
        assert decision.status["restarts"] == {"total": 2, "counted": 2, "free": 1}
        assert not [item for item in decision.status["members"]["items"] if "failures" in item]

    def failed(self, counted, chief=None, state="Running", final=False, **others):
        """A job of limit 2 in its fourth generation, after a counted failure, a free restart and another counted one,
        ends: its chief's pod and the others' are these, and its launchers have counted so many.
        """
        last = Failure("worker-1", "BackoffLimitExceeded", "3 failures, the limit is 2", exit_code=137, generation=4)
        failure = {"member": "worker-1", "reason": last.reason, "message": last.message, "generation": 4}
        told = {"failure": failure} if final else {}
        status = ran(
            state=state, generation=4, training={"final": final},
            gang={"ledger": LEDGER | {"generation": 4, "counted": counted}} | told,
        ) | {"restarts": {"total": 3, "counted": 2, "free": 1}}  # fmt: skip
        chief = {"ended": ended("chief", code=1, message=final_report("Failed", last), when=50), "gone": None}.get(
            chief, running("chief")
        )
        return plan(pods(chief=chief, **others), status, now=70, failurePolicy={"backoffLimit": 2})

    def test_a_job_that_failed_shows_exactly_what_counted(self):
        """Of trainers, of pods, of both; by the chief's pod or by its word alone; with the others' pods at any point."""
        stopped = {
            "w0": ended(index=0, code=1, when=50, message=final_report("Failed", None)),
            "w1": ended(index=1, code=1, when=51),
        }
        oom = replace(ended(index=1, code=137, reason="OOMKilled", when=50), failures=1)
        for decision in (
            self.failed(3, chief="ended"),
            self.failed(3, chief="ended", **stopped),
            self.failed(3, chief="gone", state="Failed", final=True),
            self.failed(3, chief="gone", state="Failed", final=True, **stopped),
            self.failed(1, w1=oom),  # one of its pods had failed before
            self.failed(2, w1=replace(oom, failures=0)),
            self.failed(0, w0=replace(running(index=0), failures=1), w1=oom),
        ):
            assert decision.status["phase"] == Phase.FAILED
            assert decision.status["failure"]["reason"] == "BackoffLimitExceeded"
            assert decision.status["restarts"] == {"total": 3, "counted": 3, "free": 1}

    def test_free_is_never_negative_and_what_was_free_stays_so_until_the_next_generation_tells_more(self):
        two = pods(
            w0=ended(index=0, code=137, reason="OOMKilled", when=50),
            w1=ended(index=1, code=137, reason="OOMKilled", when=50),
        )
        first = ran(generation=1, gang={"ledger": {"generation": 1, "counted": 0}}, restarts={"total": 0, "free": 0})
        assert plan(two, first).status["restarts"] == {"total": 0, "counted": 2, "free": 0}
        assert plan(two, ran()).status["restarts"] == {"total": 2, "counted": 3, "free": 1}
        again = ran(generation=4, restarts={"total": 2, "counted": 2, "free": 1}, gang={
            "ledger": LEDGER | {"generation": 4, "counted": 3}, "failure": FAILURE,
        })  # fmt: skip
        assert plan(pods(), again | {"phase": "Restarting"}).status["restarts"] == {
            "total": 3,
            "counted": 3,
            "free": 0,
        }

    def test_nobody_is_replaced_whose_job_has_been_said_to_be_over(self):
        told = ran(state="Failed", training={"final": True})
        for given in (pods(w1=None), pods(w1=ended(index=1, code=137)), pods(w1=deleting(running(index=1)))):
            decision = plan(given, told)
            assert decision.creates == ()
            assert decision.status is None or decision.status["restarts"]["counted"] == 1

    def test_a_rule_fails_the_job_at_once(self):
        rules = [{"reasons": ["OOMKilled"], "action": "Fail"}]
        decision = plan(pods(w1=ended(index=1, code=137, reason="OOMKilled")), failurePolicy={"rules": rules})
        assert decision.status["failure"]["reason"] == "OOMKilled"

    def test_a_launcher_that_cannot_start_fails_the_job_at_once(self):
        message = "trainingjob: TRAININGJOB_ROLE is not set"
        decision = plan(pods(chief=ended("chief", code=2, message=message)), now=31)
        assert (decision.status["phase"], decision.status["failure"]["message"]) == (
            Phase.FAILED, "TRAININGJOB_ROLE is not set",
        )  # fmt: skip


class TestTheStory:
    def crashed(self):
        ledger = LEDGER | {"counted": 2}
        return ran(state="Restarting", gang={"failure": FAILURE, "ledger": ledger})

    def test_a_trainer_that_dies_makes_it_restarting_with_the_failure_and_its_pod(self):
        decision = plan(pods(), self.crashed())
        assert decision.creates == ()
        assert decision.status["phase"] == Phase.RESTARTING
        assert decision.status["failure"] == FAILURE | {"pod": "mnist-worker-1", "node": "node-a"}
        assert decision.status["restarts"] == {"total": 2, "counted": 2, "free": 1}
        assert decision.status["display"]["reason"] == "TrainerKilled"
        running = condition(decision, "Running")
        assert (running["status"], running["reason"]) == ("False", "GangRestarting")
        told = event(decision, "Restarting")
        assert told.note == (
            "generation 3 ended: worker-1: TrainerKilled: the trainer was ended by SIGKILL; it had reported step 412; "
            "the restart counts, 2 of 6"
        )
        assert (told.warning, told.about) == (True, "3")

    def test_it_is_running_again_when_the_chief_reports_the_next_generation(self):
        before = plan(pods(), self.crashed()).status
        formed = ran(generation=4, gang={"failure": FAILURE, "ledger": LEDGER | {"generation": 4, "counted": 2}})
        decision = plan(pods(), before | {"training": formed["training"], "gang": formed["gang"]})
        assert decision.status["phase"] == Phase.RUNNING
        assert decision.status["restarts"] == {"total": 3, "counted": 2, "free": 1}
        assert decision.status["failure"]["generation"] == 3
        assert [(e.reason, e.about) for e in decision.events] == [("Restarted", "4")]

    def test_where_it_went_on_is_told_when_it_is_known(self):
        spec = {"checkpoint": {"volume": {"emptyDir": {}}}}
        before = plan(pods(), ran(generation=4, training={}), **spec).status
        status = before | {"training": ran(generation=4, training={"resumedStep": 400})["training"]}
        decision = plan(pods(), status, **spec)
        assert decision.status["resumedFrom"] == {"step": 400, "generation": 4, "checkpoint": "/checkpoints"}
        told = event(decision, "Resumed")
        assert (told.note, told.about) == (
            "generation 4 trains with the chief and 2 workers, resumed from step 400", "4"
        )  # fmt: skip
        after = decision.status | {"training": ran(generation=5)["training"]}
        assert "resumedFrom" not in plan(pods(), after, **spec).status, "the next one has not said it yet"
        silent = decision.status | {"training": ran(generation=4, training={"incarnation": 2})["training"]}
        kept = plan(pods(chief=running("chief", incarnation=2)), silent, **spec).status or silent
        assert kept["resumedFrom"]["step"] == 400, "a new chief speaks of the same generation at first"

    def test_a_first_generation_that_goes_on_from_an_older_jobs_checkpoint_costs_no_write(self):
        first = plan(pods(), ran(generation=1, gang={"ledger": {"generation": 1, "counted": 0}})).status
        resumed = ran(generation=1, training={"resumedStep": 90})["training"]
        gang = {"size": 3, "ledger": {"generation": 1, "counted": 0}}
        assert plan(pods(), first | {"training": resumed, "gang": gang}, now=600).status is None

    def test_a_restart_that_is_over_before_it_is_seen_is_written_as_a_transition(self):
        before = plan(pods(), ran()).status
        formed = ran(generation=4, gang={"failure": FAILURE})
        status = before | {"training": formed["training"], "gang": formed["gang"]}
        first = plan(pods(), status)
        assert first.status["phase"] == Phase.RESTARTING
        assert event(first, "Restarting").note.startswith("generation 3 ended: worker-1: TrainerKilled")
        second = plan(pods(), status | first.status)
        assert second.status["phase"] == Phase.RUNNING
        assert event(second, "Restarted").about == "4"
        assert plan(pods(), status | second.status).status is None

    def test_a_lost_pod_makes_it_restarting_before_the_chief_says_so_and_until_it_says_more(self):
        taken = deleting(replace(running(index=1), disruption="EvictionByEvictionAPI"))
        decision = plan((*pods(w1=taken), pending(index=1, incarnation=2)))
        assert decision.status["phase"] == Phase.RESTARTING
        failure = decision.status["failure"]
        assert (failure["reason"], failure["pod"], failure["generation"]) == ("Evicted", "mnist-worker-1", 3)
        assert event(decision, "Restarting").note.endswith("the restart does not count")
        told = event(decision, "MemberReplaced")
        assert told.about == "mnist-worker-1-2"
        assert told.note.startswith("worker-1 has a new pod, mnist-worker-1-2: worker-1 was lost")
        # The new pod runs, the old one is gone, and the chief has not said anything yet.
        old = decision.status | {"training": ran()["training"], "gang": ran()["gang"]}
        again = plan((*pods(w1=None), running(index=1, incarnation=2)), old)
        assert again.status["phase"] == Phase.RESTARTING
        assert (again.status["failure"], again.events) == (failure, ())

    @pytest.mark.parametrize(
        ("last", "reason"),
        [(ended(index=1, code=137, reason="OOMKilled", when=57), "OOMKilled"), (None, "MemberLost")],
    )
    def test_also_when_its_next_pod_is_up_before_that_is_written(self, last, reason):
        """Nothing was written between the two: an operator with much to do, or one that was away."""
        given = (*pods(w1=last), replace(running(index=1, incarnation=2), failures=int(last is not None)))
        decision = plan(given)
        assert decision.status["phase"] == Phase.RESTARTING
        failure = decision.status["failure"]
        assert (failure["member"], failure["reason"], failure["generation"]) == ("worker-1", reason, 3)
        assert [str(event.reason) for event in decision.events] == ["Restarting", "MemberReplaced"]
        written = ran() | decision.status
        again = plan(given, written)
        assert (again.status, again.events) == (None, ()), "until the chief says more"
        formed = ran(generation=4)
        on = plan(given, written | {"training": formed["training"], "gang": formed["gang"]})
        assert (on.status["phase"], on.status["failure"]) == (Phase.RUNNING, failure)
        assert [str(event.reason) for event in on.events] == ["Restarted"]

    def test_the_chief_says_who_was_first_and_the_pod_says_of_what(self):
        """The survivor's pod ended, the chief blames another member, whose pod was out of memory."""
        oom = ended(index=1, code=137, reason="OOMKilled", when=57)
        told = FAILURE | {"reason": "MemberLost", "message": "worker-1: the connection was closed"}
        status = ran(state="Restarting", gang={"failure": told})
        decision = plan(
            (*pods(w0=ended(index=0, code=137, when=56), w1=oom), pending(index=1, incarnation=2)), status
        )
        failure = decision.status["failure"]
        assert (failure["member"], failure["reason"]) == ("worker-1", "OOMKilled")
        assert "ran out of memory" in failure["message"]

    def test_what_was_written_of_a_pod_outlives_it(self):
        taken = deleting(replace(running(index=1), disruption="PreemptionByScheduler"))
        written = plan((*pods(w1=taken), pending(index=1, incarnation=2))).status
        told = {"time": stamp(61), "member": "worker-1", "reason": "MemberLost", "message": "gone", "generation": 3}
        status = written | {
            "training": ran(state="Restarting")["training"],
            "gang": ran(gang={"failure": told})["gang"],
        }
        decision = plan((*pods(w1=None), running(index=1, incarnation=2)), status, now=90)
        shown = decision.status or status
        assert (shown["failure"]["reason"], shown["failure"]["pod"]) == ("Preempted", "mnist-worker-1")

    def test_an_older_judgement_of_the_chief_does_not_hide_a_later_loss(self):
        """The chief was lost in generation 3 and has told of generation 2 last."""
        older = ran(gang={"failure": FAILURE | {"generation": 2}})
        written = plan(pods(chief=ended("chief", code=137, when=50)), older).status
        assert (written["failure"]["member"], written["failure"]["generation"]) == ("chief-0", 3)
        again = written | {"training": older["training"], "gang": older["gang"]}
        later = plan((*pods(chief=ended("chief", code=137, when=50)), running("chief", incarnation=2)), again)
        assert (later.status or again)["failure"] == written["failure"]

    @pytest.mark.parametrize(
        ("end", "told"),
        [
            (ended("chief", code=137, when=50), "MemberFailed: the launcher of chief-0 ended with exit code 137"),
            (
                deleting(running("chief")),
                "MemberLost: chief-0 was lost while generation 4 trained: pod mnist-chief-0 is",
            ),
            (
                deleting(replace(running("chief"), disruption="EvictionByEvictionAPI")),
                "Evicted: chief-0 was lost while",
            ),
            (deleting(replace(running("chief"), disruption="DeletionByPodGC")), "NodeLost: chief-0 was lost while"),
            (replace(ended("chief", code=137), reason="Evicted", message="low on disk"), "Evicted: low on disk"),
            (None, "MemberLost: chief-0 was lost while generation 4 trained: its pod was deleted"),
        ],
    )
    def test_a_lost_chief_is_told_with_the_cause_also_when_its_trainer_had_failed_before(self, end, told):
        """Its pod is the one that the last failure was in: that was another failure, of another generation."""
        earlier = FAILURE | {"member": "chief-0"}
        status = ran(generation=4, gang={"failure": earlier}, failure=earlier | {"pod": "mnist-chief-0"})
        decision = plan(pods(chief=end), status)
        assert event(decision, "Restarting").note.startswith(f"generation 4 ended: chief-0: {told}")
        assert (decision.status["failure"]["member"], decision.status["failure"]["generation"]) == ("chief-0", 4)
        assert decision.status["failure"]["reason"] == told.partition(":")[0]

    def test_so_is_a_lost_worker_before_the_chief_says_anything(self):
        status = ran(generation=4, gang={"failure": FAILURE}, failure=FAILURE | {"pod": "mnist-worker-1"})
        decision = plan(pods(w1=deleting(running(index=1))), status)
        assert event(decision, "Restarting").note.startswith("generation 4 ended: worker-1: MemberLost: ")

    def test_but_a_member_that_an_elastic_gang_does_without_is_not_blamed_again(self):
        known = FAILURE | {"pod": "mnist-worker-1", "reason": "MemberFailed"}
        status = ran(generation=4, gang={"size": 2, "ledger": LEDGER | {"generation": 4}}, failure=known)
        dead = pods(w0=deleting(running(index=0)), w1=ended(index=1, code=137, when=20))
        failure = plan(dead, status, elastic={"minWorkers": 1}).status["failure"]
        assert (failure["member"], failure["generation"]) == ("worker-0", 4)

    def test_what_a_chief_said_last_reaches_the_intake_though_nobody_took_its_report(self):
        """The intake was away: its termination message has the progress, and the ledger for the next chief."""
        gone = Report(
            "chief-0", 1, 3, 9, "Terminated", training=Training(step=500),
            failure=Failure("chief-0", "Terminated", "SIGTERM", generation=3),
            ledger=Ledger(generation=3, counted=1, step=500, started=True),
        )  # fmt: skip
        left = ended("chief", code=143, message=gone.encode(4096).decode())
        for chief in ((left,), (deleting(left),), (left, pending("chief", incarnation=2))):
            decision = plan((*pods(chief=None), *chief))
            assert decision.final_report == gone
            assert all(assignment(c).ledger.step == 500 for c in decision.creates if c.subject == "chief-0")
        heard = ran(state="Terminated", training={"sequence": 9})
        assert plan(pods(chief=left), heard).final_report is None
        followed = ran(training={"incarnation": 2})
        assert plan((left, *pods(chief=running("chief", incarnation=2))), followed).final_report is None

    def test_the_pod_of_a_failure_is_the_one_that_the_member_had_then(self):
        new = replace(running(index=1, incarnation=2), created_at=at(59))
        status = ran(state="Restarting", gang={"failure": FAILURE}, members={
            "items": [{"name": "worker-1", "incarnation": 1, "pod": "mnist-worker-1", "node": "node-z"}],
        })  # fmt: skip
        failure = plan((*pods(w1=None), new), status).status["failure"]
        assert (failure["pod"], failure["node"]) == ("mnist-worker-1", "node-z")

    def test_a_chief_out_of_sight_is_told_before_anybody_knows_what_has_become_of_it(self):
        lost = {"incarnation": 1, "member": "worker-0", "since": stamp(55)}
        decision = plan(pods(), ran(gang={"chiefLost": lost}))
        assert decision.status["phase"] == Phase.RESTARTING
        assert event(decision, "Restarting").note.startswith(
            "generation 3 ended: the workers have lost chief-0 from sight; "
        )
        assert "failure" not in decision.status
        assert made(decision) == []

    def test_an_elastic_gang_that_trains_with_fewer_is_running(self):
        smaller = ran(generation=4, gang={"size": 2, "ledger": LEDGER | {"generation": 4}})
        decision = plan(pods(w1=pending(index=1, incarnation=2)), smaller, elastic={"minWorkers": 1})
        assert decision.status["phase"] == Phase.RUNNING
        assert "the chief and 1 of 2 workers" in condition(decision, "Running")["message"]
        less = plan(pods(w0=None, w1=pending(index=1, incarnation=2)), smaller, elastic={"minWorkers": 1})
        assert less.status["phase"] == Phase.RESTARTING

    def test_a_stall_is_a_condition_and_an_event_and_passes(self):
        spec = {"failurePolicy": {"stallSeconds": 300}}
        calm = plan(pods(), ran(), **spec)
        assert condition(calm, "Stalled") is None
        stalls = ran(gang={"stalledSeconds": 301})
        decision = plan(pods(), stalls, **spec)
        claim = condition(decision, "Stalled")
        assert (claim["status"], claim["reason"]) == ("True", "NoProgress")
        assert "(300)" in claim["message"]
        assert event(decision, "Stalled").warning
        longer = decision.status | {"training": ran()["training"], "gang": ran(gang={"stalledSeconds": 420})["gang"]}
        assert plan(pods(), longer, now=500, **spec).status is None
        over = longer | {"gang": ran()["gang"]}
        assert condition(plan(pods(), over, now=500, **spec), "Stalled")["status"] == "False"


class TestTheEnd:
    def test_a_job_whose_chief_told_the_intake_that_it_has_succeeded_needs_no_pod(self):
        told = ran(state="Succeeded", training={"final": True})
        decision = plan(pods(chief=None), told)
        assert (decision.creates, decision.status["phase"]) == ((), Phase.SUCCEEDED)

    def test_and_so_does_one_that_has_failed(self):
        failure = {"member": "worker-0", "reason": "TrainerFailed", "message": "boom", "generation": 3}
        told = ran(state="Failed", training={"final": True}, gang={"failure": failure})
        decision = plan(pods(chief=deleting(running("chief"))), told)
        assert decision.status["phase"] == Phase.FAILED
        assert decision.status["failure"]["message"] == "boom"

    def test_but_not_one_whose_last_chief_said_so_of_another_time(self):
        told = ran(state="Failed", training={"final": True, "incarnation": 1})
        decision = plan(pods(chief=deleting(running("chief", incarnation=2))), told)
        assert made(decision) == ["mnist-chief-0-3"]

    def test_a_finished_job_is_left_as_it_is_whatever_happens_to_its_pods(self):
        for phase in (Phase.SUCCEEDED, Phase.FAILED):
            done = ran(phase, completionTime=stamp(0))
            for left in ((), pods(chief=ended("chief", code=137)), pods(w1=None)):
                decision = plan(left, done, now=10)
                assert (decision.creates, decision.status, decision.events) == ((), None, ())


def test_nothing_of_it_is_done_twice():
    """Deciding again after the writes changes nothing, in each of the situations above."""
    for state, given in [
        ("Restarting", pods()),
        ("Running", (*pods(w1=ended(index=1, code=137, when=50)), pending(index=1, incarnation=2))),
        ("Running", (*pods(chief=deleting(running("chief"))), pending("chief", incarnation=2))),
        ("Restarting", (*pods(w1=ended(index=1, code=137, when=50)), running(index=1, incarnation=2))),
        ("Running", (*pods(w1=ended(index=1, code=137, when=50)), running(index=1, incarnation=2))),
    ]:
        status = ran(state=state, gang={"failure": FAILURE} if state == "Restarting" else {})
        first = plan(given, status)
        again = plan(given, status | first.status)
        assert (again.creates, again.deletes, again.status, again.events) == ((), (), None, ())


@pytest.mark.parametrize("worker", ["before", "after"])
def test_the_failure_that_ends_the_job_is_not_counted_once_more_as_that_of_its_pods(worker):
    """The chief's launcher has counted it; that all of its pods end then is no failure of theirs."""
    failure = Failure("chief-0", "BackoffLimitExceeded", "7 failures, the limit is 6: killed", 137, 9, 3)
    chief = ended("chief", 0, 137, 40, final_report("Failed", failure))
    w0 = ended("worker", 0, 1, 39 if worker == "before" else 41)
    ledger = {"gang": {"ledger": LEDGER | {"counted": 7}}}
    decision = plan(pods(chief=chief, w0=w0, w1=None), ran(**ledger), failurePolicy={"backoffLimit": 6})
    assert decision.status["phase"] == "Failed"
    assert decision.status["restarts"]["counted"] == 7
    assert not any(item.get("failures") for item in decision.status["members"]["items"])
    assert decision.status["failure"]["reason"] == "BackoffLimitExceeded"
