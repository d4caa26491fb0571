"""managedBy policy: whose job it is. Of somebody else's nothing is touched: no status, no pods, no events."""

from trainingjob_operator.api import names
from trainingjob_operator.core.observe import JobFact


def managed_elsewhere(job: JobFact) -> bool:
    """Whether another controller runs this job. `spec.managedBy` never changes, so neither does the answer."""
    return job.managed_by != names.CONTROLLER
