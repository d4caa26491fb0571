"""Where the chief's name leads."""

from dataclasses import replace

import pytest
from hypothesis import given, settings

from tests.unit.operator.core.builders import at, deleting, ended, forbidden, job, pending, platform, running
from tests.unit.operator.core.test_plan_properties import events, play, worlds
from trainingjob_operator.api.names import Reason
from trainingjob_operator.core.address import BY_KUBERNETES, HANDOVER, build_address
from trainingjob_operator.core.plan import decide
from trainingjob_operator.core.refusal import judge_refusal

IP = "10.1.2.3"
NOW = at(10)


def chief(ip=IP, **changes):
    return replace(running("chief", **changes), ip=ip)


def plan(chiefs=None, *, workers=2, refusals=(), published=None, status=None):
    pods = [chiefs or chief(), *(running(index=index) for index in range(workers))]
    return decide(job(workers=workers, status=status), pods, refusals, platform(), NOW, published=published)


def subjects(*arguments, **changes):
    return [create.subject for create in plan(*arguments, **changes).creates]


def status(state="Running", size=3, incarnation=1):
    return {
        "phase": "Running",
        "startTime": "2026-11-22T12:00:00Z",
        "training": {"incarnation": incarnation, "generation": 1, "sequence": 1, "state": state},
        "gang": {"size": size},
    }


class TestWhen:
    def test_it_is_published_as_soon_as_the_chiefs_pod_has_one(self):
        assert subjects(replace(pending("chief"), ip=""), published="") == []
        assert subjects(replace(pending("chief"), ip=IP), published="") == ["address"]

    def test_once(self):
        assert subjects(published=IP) == []
        assert subjects(published="10.9.9.9") == ["address"]
        assert subjects(published="") == ["address"]

    def test_not_of_a_pod_that_goes_or_has_ended(self):
        assert "address" not in subjects(deleting(chief()), published="")
        assert "address" not in subjects(replace(ended("chief", code=1), ip=IP), published="")

    def test_a_process_that_does_not_know_of_the_service_makes_it_first_and_lets_one_that_is_there_be(self):
        service, address = plan(published=None).creates
        assert (service.subject, service.first, service.incarnation) == ("service", True, 0)
        assert address.subject == "address"

    def test_a_chief_alone_is_looked_for_by_nobody(self):
        assert subjects(workers=0) == []

    @pytest.mark.parametrize(
        ("found", "told"),
        [
            (True, status()),
            (False, status(state="Forming")),  # the size may be that of the last generation, with another chief's pod
            (False, status(size=1)),  # elastic, and nobody has come yet
            (False, status(incarnation=0)),
            (False, None),
        ],
    )
    def test_a_new_process_takes_it_for_published_where_others_have_found_the_chief(self, found, told):
        assert ("address" not in subjects(published=None, status=told)) is found

    def test_a_process_that_knows_it_is_not_publishes_it_all_the_same(self):
        assert subjects(published="", status=status()) == ["address"]

    def test_a_new_chief_makes_the_last_one_unfindable_first(self):
        creates = plan(deleting(chief()), published=IP, status=status()).creates
        assert [(create.subject, create.first) for create in creates] == [("service", True), ("chief-0", False)]


class TestTheService:
    REFUSED = judge_refusal("service", *forbidden("exceeded quota: q"), None, NOW)

    def first(self, refusals=(), *, crowded=False, workers=2):
        return [
            create.subject
            for create in decide(job(workers=workers), (), refusals, platform(), NOW, crowded=crowded).creates
        ]

    def test_it_is_there_before_the_first_pods(self):
        assert self.first() == ["service", "chief-0", "worker-0", "worker-1"]

    def test_it_comes_with_the_address_when_other_jobs_wait_for_their_pods(self):
        assert self.first(crowded=True) == ["chief-0", "worker-0", "worker-1"]

    def test_but_a_job_whose_service_was_refused_waits_for_it(self):
        assert self.first([self.REFUSED], crowded=True) == []
        again = replace(self.REFUSED, retry_at=NOW)
        assert self.first([again], crowded=True) == ["service", "chief-0", "worker-0", "worker-1"]

    def test_of_another_chiefs_pod_it_comes_first_however_many_wait(self):
        pods = [deleting(chief()), running(index=0), running(index=1)]
        made = decide(job(), pods, (), platform(), NOW, crowded=True, published=IP).creates
        assert [create.subject for create in made] == ["service", "chief-0"]

    def test_refused_when_all_pods_are_up_it_is_said_and_nothing_leads_there(self):
        told = plan(refusals=[self.REFUSED], published=None)
        assert told.creates == ()
        (ready,) = [c for c in told.status["conditions"] if c["type"] == "MembersReady"]
        assert (ready["status"], ready["reason"]) == ("False", Reason.QUOTA_EXCEEDED)
        assert told.look_again <= self.REFUSED.retry_at


class TestRefused:
    REFUSED = judge_refusal("address", *forbidden("no slices here"), None, NOW)

    def test_it_is_tried_again_later_and_said_although_all_pods_are_up(self):
        told = plan(refusals=[self.REFUSED], published="")
        assert told.creates == ()
        (ready,) = [c for c in told.status["conditions"] if c["type"] == "MembersReady"]
        assert (ready["status"], ready["reason"]) == ("False", Reason.POD_REFUSED)
        assert "no slices here" in ready["message"]
        assert told.look_again <= self.REFUSED.retry_at

    def test_the_job_is_not_at_fault_whatever_is_wrong_with_it(self):
        assert not judge_refusal("address", 422, "Invalid", "addresses[0]", None, NOW).invalid

    def test_a_name_that_is_taken(self):
        assert judge_refusal("address", 409, "AlreadyExists", "", None, NOW).reason is Reason.SERVICE_CONFLICT


class TestTheSlice:
    def test_it_makes_the_services_name_lead_to_the_chiefs_pod(self):
        body = build_address(job(), chief())
        assert body["metadata"]["labels"]["kubernetes.io/service-name"] == body["metadata"]["name"] == "mnist-chief"
        assert body["addressType"] == "IPv4"
        (end,) = body["endpoints"]
        assert end["addresses"] == [IP]
        assert end["conditions"] == {"ready": True}
        assert end["hostname"] == "mnist-chief-0"
        assert end["targetRef"]["name"] == "mnist-chief-0"

    def test_of_the_second_pod_only_the_target_is_another(self):
        one, two = build_address(job(), chief()), build_address(job(), chief(incarnation=2))
        assert (one["metadata"], one["endpoints"][0]["hostname"]) == (
            two["metadata"],
            two["endpoints"][0]["hostname"],
        )
        assert two["endpoints"][0]["targetRef"]["name"] == "mnist-chief-0-2"

    def test_with_ipv6(self):
        assert build_address(job(), chief("fd00::7"))["addressType"] == "IPv6"

    def test_it_goes_with_its_job(self):
        assert [owner["kind"] for owner in build_address(job(), chief())["metadata"]["ownerReferences"]] == [
            "TrainingJob"
        ]


class TestWhatTakesLong:
    def waits(self, seconds, published=""):
        pod = replace(pending("chief"), created_at=at(0))
        pods = [pod, pending(index=0), pending(index=1)]
        return decide(job(), pods, (), platform(), at(seconds), published=published)

    def test_a_chief_without_an_address_for_a_minute_is_left_to_kubernetes(self):
        """Its gang may get its nodes when no operator is there."""
        assert self.waits(59).creates == ()
        assert self.waits(59).look_again <= at(60)
        (create,) = self.waits(60).creates
        assert create.subject == "service"
        assert create.body["spec"]["selector"] == {
            "trainingjob.dev/job": "mnist", "trainingjob.dev/role": "chief", "trainingjob.dev/incarnation": "1",
        }  # fmt: skip
        assert create.body["spec"]["publishNotReadyAddresses"] is True

    def test_from_then_on(self):
        assert self.waits(500, BY_KUBERNETES).creates == ()
        assert subjects(published=BY_KUBERNETES) == []
        again = plan(deleting(chief()), published=BY_KUBERNETES, status=status()).creates[0]
        assert (again.subject, again.incarnation) == ("service", 2)

    def test_a_chief_alone_waits_as_long_as_it_has_to(self):
        pod = replace(pending("chief"), created_at=at(0))
        assert decide(job(workers=0), [pod], (), platform(), at(500), published="").creates == ()


def sought(world):
    """Whether others look for the chief of a job."""
    return (world.workers or world.spec) and world.status["phase"] not in ("Succeeded", "Failed", "Suspended")


@given(world=worlds, script=events)
@settings(max_examples=300, deadline=None)
def test_whatever_happens_members_find_the_chief_that_runs_and_no_other(world, script):
    play(world, script)
    world.settle()
    chief = world.newest().get("chief-0")
    if chief is None or not sought(world):
        return
    if chief.phase == "Running" and not chief.deleting:
        assert world.found() == {chief.ip}
    else:
        assert world.found() <= {chief.ip}


@given(world=worlds, script=events)
@settings(max_examples=200, deadline=None)
def test_a_gang_that_waited_long_for_its_nodes_needs_no_operator_to_find_its_chief(world, script):
    play(world, script)
    world.settle()
    world.tick(61)
    world.settle()
    long = [pod for pod in world.newest().values() if world.now - pod.created_at >= HANDOVER]
    waiting = [pod for pod in long if pod.role == "chief" and pod.phase == "Pending" and not pod.deleting]
    if waiting and sought(world):
        world.start(waiting[0].name)
        assert world.found() == {world.pods[waiting[0].name].ip}
