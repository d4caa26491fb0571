"""Which failures are counted, and under which label."""

from typing import Any

import pytest

from tests.unit.operator.telemetry.populated import exposition, running
from trainingjob_operator.runtime.jobs import JobCache
from trainingjob_operator.telemetry.failures import REASONS, new_failure, reason_label

FIRST = {"generation": 2, "member": "worker-0", "reason": "TrainerKilled", "pod": "job-worker-0"}


def job(failure: dict[str, Any] | None, version: int = 1) -> dict[str, Any]:
    body = running(**({} if failure is None else {"failure": failure}))
    body["metadata"]["resourceVersion"] = str(version)
    if failure is None:
        body["status"].pop("failure")
    return body


@pytest.mark.parametrize(
    ("before", "after", "counted"),
    [
        (None, FIRST, "TrainerKilled"),
        (FIRST, FIRST, None),
        (FIRST, FIRST | {"lastLogLines": ["x"], "node": "n"}, None),
        ({**FIRST, "pod": None}, FIRST, None),
        (FIRST, FIRST | {"generation": 3}, "TrainerKilled"),
        (FIRST, FIRST | {"reason": "OOMKilled"}, "OOMKilled"),
        (FIRST, FIRST | {"pod": "job-worker-0-2"}, "TrainerKilled"),
        (FIRST, FIRST | {"member": "chief-0", "reason": "MyOwnWord"}, "other"),
        (FIRST, None, None),
    ],
)
def test_a_failure_is_counted_once(before: Any, after: Any, counted: str | None) -> None:
    assert new_failure(job(before), job(after)) == counted


def test_one_of_a_job_that_is_seen_for_the_first_time_is_old() -> None:
    assert new_failure(None, job(FIRST)) is None


@pytest.mark.parametrize("reason", ["", None, 7, "x" * 5000, "trainerKilled", {"a": 1}.__class__])
def test_labels_are_bounded_whatever_is_said(reason: Any) -> None:
    assert reason_label(reason) == "other"


def test_the_cache_tells_of_every_version_of_a_job_once() -> None:
    found: list[str] = []

    def seen(before: Any, after: Any) -> None:
        reason = new_failure(before, after)
        if reason is not None:
            found.append(reason)

    cache = JobCache(lambda _uid: None, seen)
    second = FIRST | {"generation": 3, "reason": "OOMKilled"}
    for version, failure in ((1, None), (2, FIRST), (2, FIRST), (3, FIRST), (5, second), (4, FIRST)):
        cache.put(job(failure, version), quiet=version == 2)
    assert found == ["TrainerKilled", "OOMKilled"]


async def test_every_reason_is_there_from_the_beginning() -> None:
    """An increase is seen only from a value that was scraped before it."""
    text = b"".join(await exposition().chunks()).decode()
    assert all(f'trainingjob_operator_job_failures_total{{reason="{reason}"}}' in text for reason in REASONS)
