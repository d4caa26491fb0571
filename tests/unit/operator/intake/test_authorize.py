"""Who may report what: a table."""

from dataclasses import replace
from typing import Any

import pytest

from trainingjob_operator.api.contract import Report
from trainingjob_operator.intake.authorize import (
    JobFact,
    PodFact,
    RefusedError,
    authorize_report,
    authorize_sender,
)
from trainingjob_operator.intake.tokens import Claims

CLAIMS = Claims("ns", "job-chief-0", "p-1", "default", 1e9, ("trainingjob.dev/jobs/u-1",))
JOB = JobFact("u-1", incarnation=1, generation=3)
POD = PodFact("job-chief-0", "ns", "u-1", "chief", 0, 1, live=True)
REPORT = Report("chief-0", 1, 3, 7, "Running")


def test_the_live_chief_of_the_job_may_report() -> None:
    assert authorize_sender(CLAIMS, "ns", "job", JOB, POD) == (JOB, POD)
    authorize_report(REPORT, JOB, POD)


@pytest.mark.parametrize(
    ("changes", "status", "words"),
    [
        ({"claims": replace(CLAIMS, namespace="evil")}, 403, "runs in namespace evil, not in ns"),
        ({"job": None}, 404, "no TrainingJob ns/job"),
        ({"claims": replace(CLAIMS, audience=("trainingjob.dev/jobs/u-0",))}, 401, "audience"),
        ({"claims": replace(CLAIMS, audience=(*CLAIMS.audience, "other"))}, 401, "audience"),
        ({"claims": replace(CLAIMS, audience=())}, 401, "audience"),
        ({"pod": None}, 403, "job-chief-0 is not known"),
        ({"pod": replace(POD, name="other")}, 403, "does not name pod other"),
        ({"pod": replace(POD, namespace="other")}, 403, "does not name pod"),
        ({"pod": replace(POD, owner_uid="u-0")}, 403, "does not belong to TrainingJob ns/job"),
        ({"pod": replace(POD, role="worker")}, 403, "is a worker: only the chief reports"),
        ({"pod": replace(POD, live=False)}, 403, "is not running"),
    ],
)
def test_others_may_not(changes: dict[str, Any], status: int, words: str) -> None:
    facts = {"claims": CLAIMS, "job": JOB, "pod": POD} | changes
    with pytest.raises(RefusedError, match=words) as caught:
        authorize_sender(facts["claims"], "ns", "job", facts["job"], facts["pod"])
    assert caught.value.status == status


@pytest.mark.parametrize(
    ("report", "job", "status", "words"),
    [
        (replace(REPORT, member="worker-0"), JOB, 403, "cannot report for 'worker-0'"),
        (replace(REPORT, incarnation=2), JOB, 403, "is incarnation 1 of chief-0, the report says 2"),
        (replace(REPORT, generation=2), JOB, 409, "generation 2 of incarnation 1 is over"),
        (REPORT, replace(JOB, incarnation=2, generation=1), 409, "the job is at generation 1 of incarnation 2"),
        (REPORT, replace(JOB, finished=True), 409, "the job is finished"),
    ],
)
def test_what_a_chief_may_not_say(report: Report, job: JobFact, status: int, words: str) -> None:
    with pytest.raises(RefusedError, match=words) as caught:
        authorize_report(report, job, POD)
    assert caught.value.status == status


@pytest.mark.parametrize(
    ("report", "job"),
    [
        (replace(REPORT, generation=4, sequence=0), JOB),
        (replace(REPORT, sequence=0), JOB),
        (REPORT, JobFact("u-1")),
        (replace(REPORT, final=True, state="Succeeded"), replace(JOB, finished=True)),
    ],
)
def test_what_it_may_say(report: Report, job: JobFact) -> None:
    authorize_report(report, job, POD)


def test_a_new_chief_may_count_generations_anew() -> None:
    pod = replace(POD, name="job-chief-0-2", incarnation=2)
    authorize_report(replace(REPORT, incarnation=2, generation=1), JOB, pod)
