"""What happens when something goes wrong, takes too long, or is over: elastic, runPolicy, failurePolicy."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints

from trainingjob_operator.api.names import MAX_WORKERS
from trainingjob_operator.api.rules import Rule, exactly_one
from trainingjob_operator.api.types import Model

Seconds = Annotated[int, Field(ge=1, le=31_536_000)]
#: One CamelCase word, as `status.failure.reason` has it.
ReasonWord = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Za-z0-9]{0,62}$", max_length=63)]


class Elastic(Model):
    """Training with fewer workers than asked for, while the others can't come."""

    min_workers: Annotated[int, Field(ge=0, le=MAX_WORKERS)]
    """With at least so many workers beside the chief the gang starts, or goes on."""
    wait_seconds: Seconds = 60
    """How long the gang waits for all of its members before it goes on with fewer."""


class RunPolicy(Model):
    """Deadlines, and what becomes of a job that is over."""

    startup_deadline_seconds: Seconds | None = None
    """The job fails when it has not begun to train so many seconds after its start. Default: it waits."""
    active_deadline_seconds: Seconds | None = None
    """The job fails so many seconds after its start, whatever it does then. Time in which it is suspended does not
    count. Default: none."""
    ttl_seconds_after_finished: Annotated[int, Field(ge=0, le=31_536_000)] | None = None
    """The job and all that belongs to it are deleted so many seconds after its end. Default: they stay."""
    clean_pod_policy: Literal["None", "Running", "All"] = "Running"
    """Which pods go when the job is over: none, those that still run, or all of them, with their logs."""


class FailureRule(Model):
    """One rule for a failure: the first that fits is followed."""

    object_rules: ClassVar = (
        exactly_one("exitCodes", "reasons"),
        Rule(
            "self.action != 'Ignore' || (has(self.reasons) && self.reasons.all(r, r == 'Stalled'))",
            "Ignore is for the reason Stalled alone: every other failure has ended the training already",
            lambda rule: rule.action != "Ignore" or (rule.reasons is not None and set(rule.reasons) == {"Stalled"}),
            field_path=".action",
        ),
    )

    exit_codes: Annotated[list[Annotated[int, Field(ge=1, le=255)]], Field(min_length=1, max_length=64)] | None = None
    """Exit codes of a trainer, 128 + signal when a signal ended it."""
    reasons: Annotated[list[ReasonWord], Field(min_length=1, max_length=64)] | None = None
    """Reasons as status.failure.reason has them: TrainerFailed, TrainerKilled, OOMKilled, MemberLost, Evicted,
    Stalled."""
    action: Literal["Restart", "RestartFree", "Fail", "Ignore"]
    """Restart counts against backoffLimit, RestartFree does not, Fail ends the job. Ignore only shows that it
    stalls."""


class Restart(Model):
    """How the gang restarts."""

    warm_standby: bool = False
    """Whether each member keeps a process that has imported TensorFlow and waits: a restart then takes one to
    three seconds instead of five to eight. It needs about 500 MB within the container's limit, and is given up
    first."""


class FailurePolicy(Model):
    """What restarts, what ends the job, and when somebody is taken for lost or stuck."""

    backoff_limit: Annotated[int, Field(ge=0, le=1_000_000)] = 6
    """How many failures that count the job survives. Lost and evicted pods, drained nodes, and trainers that end
    with 42, 77 or 143 do not count."""
    rules: Annotated[list[FailureRule], Field(max_length=32)] | None = None
    """What to do about certain failures, before the usual judgement; the first that fits is followed."""
    stall_seconds: Seconds | None = None
    """Without a new step for so long the job is Stalled: the failure has the stack of the trainer that is stuck,
    and the gang restarts, unless a rule for Stalled says otherwise. Ten times as long before a generation's first
    step, and during evaluation and saving. Default: never."""
    replace_after_seconds: Seconds = 10
    """A member that the gang has lost from sight, and whose pod still seems to run, gets a new pod after so long."""
    restart: Restart = Restart()
    """How the gang restarts."""
