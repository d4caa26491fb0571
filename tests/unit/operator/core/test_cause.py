"""What `status.failure` shows: the chief's word, the pods' before that, and both together."""

from dataclasses import replace

from tests.unit.operator.core.builders import at, deleting, ended, job, pending, running, stamp
from trainingjob_operator.api.policy import FailurePolicy
from trainingjob_operator.core.cause import latest_failure, predecessor
from trainingjob_operator.core.gang import assemble
from trainingjob_operator.core.replacement import Known, fates

CHIEF, FIRST, SECOND = running("chief"), running(index=0), running(index=1)


def told(generation=3, member="worker-1", reason="TrainerFailed", **fields):
    """A failure as the chief's report brings it into the status."""
    return {
        "time": stamp(50), "member": member, "reason": reason, "message": "ValueError: x", "exitCode": 1,
        "generation": generation,
    } | fields  # fmt: skip


def shown(pods, generation, *, judged=None, written=None, unseen=(), items=(), size=3):
    """`status.failure`; `generation` is the one that lost members have ended, 0 for none."""
    status = {
        "phase": "Running", "training": {"generation": 3, "incarnation": 1}, "gang": {"failure": judged, "size": size},
        "members": {"items": list(items)}, "failure": written,
    }  # fmt: skip
    fact = job(status={name: value for name, value in status.items() if value is not None})
    gang = assemble(fact.spec, pods, {"chief-0": 1, "worker-0": 1, "worker-1": 1})
    found = fates(gang, FailurePolicy(), Known(3, unseen=frozenset(unseen)), at(60))
    return latest_failure(fact, gang, found, generation, at(60))


class TestTheChiefsWord:
    def test_it_is_shown_with_the_pod_and_the_node_of_its_member(self):
        found = shown((CHIEF, FIRST, SECOND), 0, judged=told())
        assert (found["reason"], found["pod"], found["node"]) == ("TrainerFailed", "mnist-worker-1", "node-a")
        assert found["time"] == stamp(50)

    def test_the_pod_is_the_one_that_was_there_then(self):
        before = replace(ended(index=1, code=1), created_at=at(0), node="node-b")
        after = replace(running(index=1, incarnation=2), created_at=at(55))
        assert shown((CHIEF, FIRST, before, after), 0, judged=told())["pod"] == "mnist-worker-1"

    def test_of_a_pod_that_is_gone_the_status_knows_name_and_node(self):
        items = [{"name": "worker-1", "pod": "mnist-worker-1", "node": "node-c"}]
        found = shown((CHIEF, FIRST), 0, judged=told(), items=items)
        assert (found["pod"], found["node"]) == ("mnist-worker-1", "node-c")

    def test_what_is_written_of_a_later_generation_stays(self):
        written = told(generation=4, reason="MemberLost")
        assert shown((CHIEF, FIRST, SECOND), 0, judged=told(generation=3), written=written) == written

    def test_a_later_failure_takes_its_place(self):
        written = told(generation=2, reason="MemberLost")
        assert shown((CHIEF, FIRST, SECOND), 0, judged=told(), written=written)["reason"] == "TrainerFailed"

    def test_of_the_same_failure_it_adds_what_was_missing_and_changes_nothing(self):
        written = told(reason="OOMKilled", message="ran out of memory", pod="mnist-worker-1")
        found = shown((CHIEF, FIRST, SECOND), 0, judged=told(lastLogLines=["a"]), written=written)
        assert (found["reason"], found["message"]) == ("OOMKilled", "ran out of memory")
        assert found["lastLogLines"] == ["a"]


class TestThePods:
    def test_they_speak_until_the_chief_is_heard(self):
        found = shown((CHIEF, FIRST, ended(index=1, code=137, when=40)), 3)
        assert (found["member"], found["reason"], found["generation"]) == ("worker-1", "MemberFailed", 3)
        assert (found["exitCode"], found["signal"], found["time"]) == (137, 9, stamp(40))

    def test_who_ended_first_is_named(self):
        dead = (ended("chief", code=1, when=45), ended(index=0, code=137, when=41), ended(index=1, code=1, when=44))
        assert shown(dead, 3)["member"] == "worker-0"

    def test_who_ended_is_named_before_one_that_nobody_knows_the_end_of(self):
        assert shown((CHIEF, ended(index=1, code=137, when=59)), 3)["member"] == "worker-1"

    def test_they_say_how_a_launcher_ended_of_which_the_chief_saw_only_its_connection(self):
        closed = told(reason="MemberLost", message="the connection was closed", exitCode=None)
        found = shown((CHIEF, FIRST, ended(index=1, code=137, when=40)), 3, judged=closed)
        assert (found["member"], found["reason"], found["exitCode"]) == ("worker-1", "MemberFailed", 137)
        assert (found["signal"], found["generation"], found["time"]) == (9, 3, stamp(50))

    def test_of_the_member_that_the_chief_names_its_pod_knows_more(self):
        killed = told(reason="TrainerKilled", message="the trainer was ended by SIGKILL", exitCode=137, signal=9)
        dead = ended(index=1, code=137, reason="OOMKilled")
        found = shown((CHIEF, FIRST, dead), 3, judged=killed)
        assert found["reason"] == "OOMKilled"
        assert "raise spec.resources.limits.memory" in found["message"]
        assert found["pod"] == "mnist-worker-1"

    def test_a_member_that_only_went_along_is_not_named_in_its_place(self):
        found = shown((CHIEF, ended(index=0, code=137, reason="OOMKilled"), SECOND), 3, judged=told())
        assert (found["member"], found["reason"]) == ("worker-1", "TrainerFailed")

    def test_one_that_has_been_replaced_already_is_told_of_by_the_pod_before(self):
        before = ended(index=1, code=137, reason="OOMKilled", when=40)
        found = shown((CHIEF, FIRST, before, pending(index=1, incarnation=2)), 3)
        assert (found["member"], found["reason"], found["pod"]) == ("worker-1", "OOMKilled", "mnist-worker-1")

    def test_one_that_is_out_of_sight(self):
        found = shown((CHIEF, FIRST, SECOND), 3, unseen=["worker-1"])
        assert (found["reason"], found["node"]) == ("MemberLost", "node-a")
        assert found["message"].endswith("pod mnist-worker-1 on node node-a is out of reach")

    def test_an_end_that_an_earlier_generation_failed_of_is_not_told_again(self):
        """An elastic gang goes on without that member: its dead pod says nothing of the next generation's end."""
        dead = ended(index=1, code=137, when=20)
        written = told(generation=2, reason="MemberFailed", pod="mnist-worker-1")
        assert shown((CHIEF, FIRST, dead), 3, written=written, size=2) == written

    def test_nothing_is_said_where_no_generation_has_ended(self):
        assert shown((CHIEF, FIRST, ended(index=1, code=137)), 0) is None


def test_a_predecessor_is_the_newest_of_the_older_pods():
    fact = job()
    chain = [ended(index=1, code=1, incarnation=number) for number in (1, 2)]
    gang = assemble(fact.spec, (CHIEF, FIRST, *chain, running(index=1, incarnation=3)), {})
    assert predecessor(gang.members[2], gang).name == "mnist-worker-1-2"
    assert predecessor(gang.members[1], gang) is None
    gone = assemble(fact.spec, (CHIEF, FIRST, deleting(running(index=1))), {"worker-1": 1})
    assert predecessor(gone.members[2], gone) is None
