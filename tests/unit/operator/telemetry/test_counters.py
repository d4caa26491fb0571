"""Labels of the operator's own metrics are bounded, whatever its parts say."""

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from trainingjob_operator.kube.resources import PODS
from trainingjob_operator.telemetry.counters import RESOURCES, Counters


def labels(registry: CollectorRegistry, name: str) -> set[tuple[str, ...]]:
    """The labels' values of a family, in the order of their names."""
    return {
        tuple(sample.labels[key] for key in sorted(sample.labels))
        for family in registry.collect()
        for sample in family.samples
        if sample.name == name
    }


def value(registry: CollectorRegistry, name: str, **said: str) -> float:
    found = registry.get_sample_value(name, said)
    assert found is not None
    return found


def test_a_request_counts_with_verb_resource_and_code() -> None:
    registry = CollectorRegistry()
    counters = Counters(registry)
    counters.request("apply", "trainingjobs", 200, 0.02)
    counters.request("apply", "trainingjobs", 200, 0.03)
    counters.request("create", "pods", 0, 30.0)
    name = "trainingjob_operator_api_requests_total"
    assert value(registry, name, verb="apply", resource="trainingjobs", code="200") == 2
    assert value(registry, name, verb="create", resource="pods", code="0") == 1
    seconds = "trainingjob_operator_api_request_duration_seconds_sum"
    assert value(registry, seconds, verb="apply", resource="trainingjobs") == 0.05


def test_paths_and_unknown_resources_are_one() -> None:
    registry = CollectorRegistry()
    counters = Counters(registry)
    counters.request("get", "/openid/v1/jwks", 200, 0.01)
    counters.request("get", "somethings", 200, 0.01)
    assert value(registry, "trainingjob_operator_api_requests_total", verb="get", resource="other", code="200") == 2


def test_a_watch_is_no_slow_request() -> None:
    registry = CollectorRegistry()
    Counters(registry).request("watch", "pods", 200, 60.0)
    assert labels(registry, "trainingjob_operator_api_request_duration_seconds_count") == set()


def test_the_delay_is_of_what_was_written() -> None:
    registry = CollectorRegistry()
    counters = Counters(registry)
    counters.status_write("written", 0.5)
    counters.status_write("failed", 100.0)
    assert value(registry, "trainingjob_operator_status_write_delay_seconds_sum") == 0.5
    assert value(registry, "trainingjob_operator_status_writes_total", result="failed") == 1


def test_every_resource_that_the_client_names_is_known() -> None:
    assert PODS.plural in RESOURCES
    assert len(RESOURCES) >= 7


def test_results_are_there_before_they_happen() -> None:
    """A counter that begins with its first increase hides just that from rate()."""
    registry = CollectorRegistry()
    Counters(registry)
    assert value(registry, "trainingjob_operator_reconciles_total", result="defect") == 0
    assert value(registry, "trainingjob_operator_status_writes_total", result="failed") == 0
    assert value(registry, "trainingjob_operator_events_total", result="dropped") == 0


words = st.text(max_size=20)


@given(st.lists(st.tuples(words, words, st.integers()), max_size=200))
def test_labels_stay_few_whatever_happens(said: list[tuple[str, str, int]]) -> None:
    registry = CollectorRegistry()
    counters = Counters(registry)
    for verb, resource, status in said:
        counters.request(verb, resource, status, 0.1)
        counters.report(status)
        counters.status_write(resource, 0.1)
        counters.event(verb)
        counters.reconcile(verb, 0.1)
    codes = labels(registry, "trainingjob_operator_intake_reports_total")
    assert {code for (code,) in codes if not code.isdecimal()} <= {"1xx", "2xx", "3xx", "4xx", "5xx", "other"}
    assert len(codes) <= 30
    assert len(labels(registry, "trainingjob_operator_api_requests_total")) <= 30
    for name in ("status_writes", "events", "reconciles"):
        assert len(labels(registry, f"trainingjob_operator_{name}_total")) <= 5
