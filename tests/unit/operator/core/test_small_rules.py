"""The small pure rules: merging templates, quantities, reading pods."""

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.operator.core.builders import (
    UID,
    ended,
    final_report,
    job,
    job_body,
    pending,
    platform,
    pod_body,
    running,
    trainer,
)
from trainingjob_operator.api.names import Phase
from trainingjob_operator.core.desired import build_pod
from trainingjob_operator.core.merge import merge
from trainingjob_operator.core.observe import observe_job, observe_pod
from trainingjob_operator.core.quantity import parse_quantity
from trainingjob_operator.core.validation import judge

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=12,
)

FIELDS = st.sampled_from(["containers", "env", "name", "tolerations", "volumeMounts", "mountPath", "x"])
PODS = st.dictionaries(
    FIELDS, JSON | st.lists(st.dictionaries(FIELDS, JSON | st.text(max_size=2), max_size=3), max_size=3), max_size=4
)


class TestMerge:
    def test_maps_merge_field_by_field_and_other_lists_replace(self):
        assert merge({"a": {"b": 1, "c": [1]}}, {"a": {"c": [2]}}) == {"a": {"b": 1, "c": [2]}}

    def test_named_lists_merge_by_name_and_keep_their_order(self):
        base = {"env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]}
        patch = {"env": [{"name": "C", "value": "3"}, {"name": "B", "value": "9"}]}
        assert [(v["name"], v["value"]) for v in merge(base, patch)["env"]] == [("A", "1"), ("B", "9"), ("C", "3")]

    def test_tolerations_are_added_once(self):
        assert merge({"tolerations": [{"key": "a"}]}, {"tolerations": [{"key": "a"}, {"key": "b"}]}) == {
            "tolerations": [{"key": "a"}, {"key": "b"}]
        }

    def test_null_removes(self):
        assert merge({"a": 1, "b": 2}, {"a": None}) == {"b": 2}

    def test_a_list_of_anything_else_replaces(self):
        for odd in ([None], [{"name": {}}], ["x"], [{}]):
            assert merge({"env": [{"name": "A"}]}, {"env": odd})["env"] == odd

    @given(base=PODS, patch=PODS)
    def test_merging_twice_changes_nothing_and_the_arguments_stay(self, base, patch):
        before = repr((base, patch))
        once = merge(base, patch)
        assert merge(once, patch) == once
        assert repr((base, patch)) == before


class TestQuantity:
    def test_suffixes(self):
        same = [
            (2, "2"),
            ("2000m", 2),
            ("1Ki", 1024),
            ("1k", 1000),
            ("1e3", "1k"),
            ("0.5", "500m"),
            ("1Gi", "1024Mi"),
        ]
        assert all(parse_quantity(a) == parse_quantity(b) is not None for a, b in same)

    def test_what_is_none(self):
        assert [parse_quantity(text) for text in ("", "Gi", "1 Gi", "1GB", "a")] == [None] * 5

    @given(st.text(max_size=8) | st.integers())
    def test_anything_may_come(self, value):
        parse_quantity(value)


class TestReadingPods:
    def test_the_trainers_container_is_found_by_name_and_conditions_by_type(self):
        assert running("chief").started_at is not None
        assert ended(code=3).terminated.exit_code == 3
        assert pending(**trainer(waiting={"reason": "ErrImagePull"})).waiting.reason == "ErrImagePull"

    def test_the_owner_is_read_by_kind(self):
        body = pod_body()
        body["metadata"]["ownerReferences"].insert(0, {"apiVersion": "v1", "kind": "Node", "uid": "x"})
        assert observe_pod(body).owner_uid == UID

    def test_1970_is_no_time(self):
        """containerd says so when a container could not be started."""
        body = pod_body(**trainer(terminated={"exitCode": 128, "finishedAt": "1970-01-01T00:00:00Z"}))
        assert observe_pod(body).terminated.finished_at is None

    def test_the_last_report_comes_from_the_termination_message(self):
        assert ended("chief", message=final_report()).report.sequence == 9
        assert ended("chief", message="Traceback (most recent call last):").report is None

    @given(JSON)
    def test_a_pod_with_any_status_can_be_read(self, junk):
        body = pod_body()
        body["status"] = {"phase": "Pending", "message": junk if isinstance(junk, str) else ""}
        observe_pod(body)


class TestReadingJobs:
    def test_a_phase_of_another_version_is_no_phase(self):
        assert job(status={"phase": "Sleeping"}).phase is None
        assert job(status={"phase": "Failed"}).phase is Phase.FAILED

    @given(JSON)
    def test_any_spec_can_be_read(self, junk):
        fact = observe_job(job_body() | {"spec": junk})
        assert (fact.spec is None) == bool(fact.problems)


@given(PODS)
def test_whatever_a_pod_template_holds_it_is_judged_and_built_without_an_error(spec):
    """An exception here would be a job that is tried again for ever and says nothing."""
    fact = job(podTemplate={"spec": spec})
    if fact.spec is not None and not judge(fact.spec, platform()):
        build_pod(fact, "chief", 0, 1, platform())
