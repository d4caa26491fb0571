"""Who may report what: a table."""

from dataclasses import replace
from typing import Any

import pytest

from trainingjob_operator.api.contract import Report
from trainingjob_operator.intake.authorize import (
    JobFact,
    PodFact,
    RefusedError,
    authorize_notice,
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
        ({"job": None}, 503, "ns/job is not known yet: try again"),
        ({"job": None, "pod": None}, 404, "no TrainingJob ns/job"),
        ({"job": None, "pod": replace(POD, leaving=True)}, 404, "no TrainingJob ns/job"),
        ({"job": None, "pod": replace(POD, live=False)}, 404, "no TrainingJob ns/job"),
        ({"job": None, "pod": replace(POD, owner_uid="u-0")}, 404, "no TrainingJob ns/job"),
        ({"job": None, "pod": replace(POD, name="other-chief-0")}, 404, "no TrainingJob ns/job"),
        ({"claims": replace(CLAIMS, audience=("trainingjob.dev/jobs/u-0",))}, 401, "audience"),
        ({"claims": replace(CLAIMS, audience=(*CLAIMS.audience, "other"))}, 401, "audience"),
        ({"claims": replace(CLAIMS, audience=())}, 401, "audience"),
        ({"pod": None}, 403, "job-chief-0 is not known"),
        ({"pod": replace(POD, name="other")}, 403, "does not name pod other"),
        ({"pod": replace(POD, namespace="other")}, 403, "does not name pod"),
        ({"pod": replace(POD, owner_uid="u-0")}, 403, "does not belong to TrainingJob ns/job"),
        ({"pod": replace(POD, role="evaluator")}, 403, "is the evaluator: only the chief reports"),
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
        (REPORT, replace(JOB, incarnation=2, generation=1), 409, "was replaced by incarnation 2: it must stop"),
        (replace(REPORT, state="ChiefLost", chief_incarnation=1), JOB, 403, "is a chief and cannot report ChiefLost"),
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
        (replace(REPORT, state="Terminated"), replace(JOB, finished=True)),
    ],
)
def test_what_it_may_say(report: Report, job: JobFact) -> None:
    authorize_report(report, job, POD)


def test_a_new_chief_may_count_generations_anew() -> None:
    pod = replace(POD, name="job-chief-0-2", incarnation=2)
    authorize_report(replace(REPORT, incarnation=2, generation=1), JOB, pod)


def test_generations_go_on_over_chiefs() -> None:
    """The next chief counts on from the ledger; the one before is refused, however far it comes."""
    pod = replace(POD, name="job-chief-0-2", incarnation=2)
    job = JobFact("u-1", incarnation=2, generation=4)
    authorize_report(replace(REPORT, incarnation=2, generation=5), job, pod, 2)
    with pytest.raises(RefusedError, match="generation 3 of incarnation 2 is over"):
        authorize_report(replace(REPORT, incarnation=2, generation=3), job, pod, 2)
    with pytest.raises(RefusedError, match="incarnation 1 of chief-0 was replaced by incarnation 2"):
        authorize_report(replace(REPORT, generation=9), job, POD, 2)


def test_a_chief_is_refused_as_soon_as_its_successor_has_a_pod() -> None:
    """It comes back from a partition; nobody has heard of the new one yet."""
    with pytest.raises(RefusedError, match="incarnation 1 of chief-0 was replaced by incarnation 2") as caught:
        authorize_report(REPORT, JOB, POD, 2)
    assert caught.value.status == 409


@pytest.mark.parametrize(
    ("report", "taken"),
    [
        (REPORT, True),
        (replace(REPORT, state="Restarting"), True),
        (replace(REPORT, state="Terminated"), True),
        (replace(REPORT, state="Terminated", generation=4), True),
        (replace(REPORT, state="Succeeded", final=True), True),
        (replace(REPORT, state="Forming"), False),
        (replace(REPORT, generation=4), False),
    ],
)
def test_a_chief_that_was_asked_to_go_may_say_how_it_ends_beside_its_successor(report: Report, taken: bool) -> None:
    """It saves, and that must not be cut short; but it begins nothing."""
    leaving = replace(POD, leaving=True)
    if taken:
        authorize_report(report, JOB, leaving, 2)
    else:
        with pytest.raises(RefusedError, match="was replaced"):
            authorize_report(report, JOB, leaving, 2)
    with pytest.raises(RefusedError, match="was replaced"):
        authorize_report(report, replace(JOB, incarnation=2), leaving, 2)


# --- Workers that lost their chief ---

WORKER = replace(POD, name="job-worker-3", role="worker", index=3, incarnation=2)
NOTICE = Report("worker-3", 2, 0, 0, "ChiefLost", chief_incarnation=1)


def test_a_worker_may_say_that_it_lost_its_chief() -> None:
    assert authorize_sender(replace(CLAIMS, pod_name=WORKER.name), "ns", "job", JOB, WORKER) == (JOB, WORKER)
    authorize_notice(NOTICE, JOB, WORKER, 2, 1)
    authorize_notice(replace(NOTICE, chief_incarnation=2), JOB, WORKER, 2, 2)


@pytest.mark.parametrize(
    ("notice", "job", "newest", "chief", "status", "words"),
    [
        (
            replace(NOTICE, state="Running"),
            JOB,
            2,
            1,
            403,
            "only the chief reports, a worker that it has lost its chief",
        ),
        (replace(NOTICE, state="Failed", final=True), JOB, 2, 1, 403, "only the chief reports"),
        (replace(NOTICE, chief_incarnation=None), JOB, 2, 1, 403, "only the chief reports"),
        (replace(NOTICE, member="worker-4"), JOB, 2, 1, 403, "is member worker-3 and cannot report for 'worker-4'"),
        (replace(NOTICE, incarnation=1), JOB, 2, 1, 403, "is incarnation 2 of worker-3, the report says 1"),
        (NOTICE, JOB, 3, 1, 409, "incarnation 2 of worker-3 was replaced by incarnation 3"),
        (NOTICE, JOB, 2, 2, 409, "incarnation 1 of chief-0 is not the newest: that is incarnation 2"),
        (NOTICE, replace(JOB, incarnation=2), 2, 0, 409, "that is incarnation 2"),
        (replace(NOTICE, chief_incarnation=7), JOB, 2, 1, 409, "incarnation 7 of chief-0 is not the newest"),
        (NOTICE, replace(JOB, finished=True), 2, 1, 409, "the job is finished"),
    ],
)
def test_it_may_say_nothing_else_and_of_no_other_chief(
    notice: Report, job: JobFact, newest: int, chief: int, status: int, words: str
) -> None:
    with pytest.raises(RefusedError, match=words) as caught:
        authorize_notice(notice, job, WORKER, newest, chief)
    assert caught.value.status == status


def test_a_worker_may_not_report() -> None:
    with pytest.raises(RefusedError, match="is a worker and cannot report Running"):
        authorize_report(replace(REPORT, member="worker-3", incarnation=2), JOB, WORKER)
