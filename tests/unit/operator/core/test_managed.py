"""managedBy: of another controller's job nothing is touched."""

import pytest

from tests.unit.operator.core.builders import at, job, job_body, platform, running, stamp
from trainingjob_operator.core.observe import observe_job
from trainingjob_operator.core.plan import Plan, decide

OTHER = "kueue.x-k8s.io/multikueue"


@pytest.mark.parametrize(
    "status",
    [{}, {"phase": "Running", "startTime": stamp(0)}, {"phase": "Failed", "completionTime": stamp(1)}],
    ids=["new", "running", "finished"],
)
@pytest.mark.parametrize("pods", [(), (running("chief"),)], ids=["no pods", "a pod"])
def test_nothing_is_done_to_it_whatever_it_looks_like(status, pods):
    fields = {"managedBy": OTHER, "suspend": True, "runPolicy": {"ttlSecondsAfterFinished": 0}}
    assert decide(job(status=status, **fields), pods, (), platform(), at(100)) == Plan()


def test_not_even_its_mistakes_are_judged():
    """It may follow rules of another version, which this operator can't read."""
    unreadable = observe_job(job_body(managedBy=OTHER, fromTheFuture={"a": 1}))
    assert unreadable.spec is None
    assert decide(unreadable, (), (), platform(), at(0)) == Plan()
    assert decide(job(managedBy=OTHER, nodePool={"name": "theirs"}), (), (), platform(), at(0)) == Plan()


@pytest.mark.parametrize("fields", [{}, {"managedBy": "trainingjob.dev/operator"}], ids=["unset", "us"])
def test_what_is_ours_is_run(fields):
    assert decide(job(**fields), (), (), platform(), at(0)).creates
