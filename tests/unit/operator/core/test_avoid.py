"""A lost member's next pod prefers other nodes than the silent one, and does not wait there for ever."""

from dataclasses import replace

from tests.unit.operator.core.builders import at, deleting, job, pending, platform, running, stamp
from trainingjob_operator.core.avoid import away_from
from trainingjob_operator.core.gang import assemble
from trainingjob_operator.core.plan import decide
from trainingjob_operator.core.reachable import out_of_sight

MISSED = {"unreachable": [{"name": "worker-0", "since": stamp(100)}]}
TRAINING = {"generation": 3, "state": "Restarting", "incarnation": 1, "lastReportTime": stamp(104)}


def test_the_pod_after_a_lost_one_prefers_another_node():
    lost = replace(running(index=0), node="dead")
    fact = job(workers=1, status={"phase": "Running", "startTime": stamp(0), "training": TRAINING, "gang": MISSED})
    plan = decide(fact, (running("chief"), lost), (), platform(), at(115))
    [create] = [create for create in plan.creates if create.subject == "worker-0"]
    preferred = create.body["spec"]["affinity"]["nodeAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
    assert [term["preference"]["matchFields"] for term in preferred] == [
        [{"key": "metadata.name", "operator": "NotIn", "values": ["dead"]}]
    ]


def test_what_the_user_prefers_stays():
    own = {"weight": 1, "preference": {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a"]}]}}
    name = "preferredDuringSchedulingIgnoredDuringExecution"
    pod = {"spec": {"affinity": {"podAffinity": {"x": 1}, "nodeAffinity": {name: [own], "required": "r"}}}}
    affinity = away_from(pod, ["dead"])["spec"]["affinity"]
    assert affinity["podAffinity"] == {"x": 1}
    assert affinity["nodeAffinity"]["required"] == "r"
    assert affinity["nodeAffinity"][name][0] == own
    assert len(affinity["nodeAffinity"][name]) == 2
    assert away_from(pod, []) == pod


def test_a_new_pod_on_a_node_that_turns_out_to_be_silent_is_replaced():
    """Bound before the node controller knew, it never starts: only the old pod's condition tells of the node."""
    fact = job(workers=1, status={"phase": "Restarting", "training": TRAINING, "gang": MISSED})
    old = deleting(replace(running(index=0), node="dead", out_of_sight_since=at(150)))
    new = replace(pending(index=0, incarnation=2), node="dead", created_at=at(112))

    def lost(*pods):
        return out_of_sight(fact, assemble(fact.spec, (running("chief"), *pods), {}), at(151))[0]

    assert lost(old, new) == {"worker-0"}
    assert lost(old, replace(new, node="alive")) == set()
    assert lost(replace(old, out_of_sight_since=None), new) == set()
    assert lost(old, replace(new, created_at=at(145))) == set()  # the grace
