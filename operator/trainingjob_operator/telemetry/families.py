"""Every metric family: its name, what it means, its labels. The page in docs/guides is made of this.

Names follow Prometheus' rules: base units (seconds, bytes, cores), ratios from 0 to 1, `_total` for what only grows.
A training job is `job_name`, since `job` is the label by which Prometheus calls a scrape. No metric of the operator's
own work has a job's name in it: a cluster makes new names for ever.
"""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["counter", "gauge", "histogram"]
JOB = ("namespace", "job_name")
MEMBER = (*JOB, "member")
GPU = (*MEMBER, "gpu")


@dataclass(frozen=True, eq=False)  # each is one object: compared and hashed as such, quickly
class Family:
    """One metric family. `name` is what PromQL calls it, but for a histogram's suffixes; buckets are its unit's."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


_OWN = "trainingjob_operator_"
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

# --- The operator's own work, on every replica ---

RECONCILES = Family(
    _OWN + "reconciles_total", "counter",
    "Looks at a job: done, api_error (the API server refused or was away), defect (see the log)", ("result",),
)  # fmt: skip
RECONCILE_SECONDS = Family(
    _OWN + "reconcile_duration_seconds", "histogram", "How long one look at a job took", buckets=_SECONDS
)
API_REQUESTS = Family(
    _OWN + "api_requests_total", "counter",
    "Requests to the API server, each attempt; code 0: no answer. kopf's own watch of jobs is not among them",
    ("verb", "resource", "code"),
)  # fmt: skip
API_SECONDS = Family(
    _OWN + "api_request_duration_seconds", "histogram",
    "How long requests to the API server took, watches left out", ("verb", "resource"),
    (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0),
)  # fmt: skip
INTAKE_REPORTS = Family(
    _OWN + "intake_reports_total", "counter", "Reports that arrived, by the HTTP status that they got", ("code",)
)
STATUS_WRITES = Family(
    _OWN + "status_writes_total", "counter",
    "Writes of metrics into jobs' status: written, skipped (the status was newer), gone (the job), failed",
    ("result",),
)  # fmt: skip
STATUS_WRITE_DELAY = Family(
    _OWN + "status_write_delay_seconds", "histogram", "From a report's arrival until the job's status showed it",
    buckets=(0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0),
)  # fmt: skip
EVENTS = Family(
    _OWN + "events_total", "counter",
    "Events on jobs: posted, repeated (it was told already), failed, dropped (too many waited)", ("result",),
)  # fmt: skip
JOB_FAILURES = Family(
    _OWN + "job_failures_total", "counter",
    "Generations of jobs that failed, by reason, as the leading replica saw it; reasons that are not usual are other",
    ("reason",),
)  # fmt: skip

BUILD_INFO = Family(
    _OWN + "build_info", "gauge", "Always 1; version of the operator and of Python", ("version", "python")
)
LEADER = Family(_OWN + "leader", "gauge", "1 on the replica that leads, else 0")
READY = Family(_OWN + "ready", "gauge", "1 when the caches are filled, so that reports can be judged")
QUEUE_DEPTH = Family(_OWN + "queue_depth", "gauge", "Jobs that wait for a free worker")
QUEUE_OLDEST = Family(_OWN + "queue_oldest_wait_seconds", "gauge", "How long the first of them has waited")
QUEUE_WORKING = Family(_OWN + "queue_working", "gauge", "Jobs that a worker looks at now")
QUEUE_DELAYED = Family(_OWN + "queue_delayed", "gauge", "Jobs that are looked at later: a deadline, or a back-off")
WATCH_AGE = Family(
    _OWN + "watch_age_seconds", "gauge",
    "Seconds since anything was heard. Watches of pods end each minute; jobs may be silent until the re-list, 11 min",
    ("watch",),
)  # fmt: skip
WATCH_RELISTS = Family(
    _OWN + "watch_relists_total", "counter", "Complete lists, because a watch lost its place", ("watch",)
)
CACHED = Family(_OWN + "cached_objects", "gauge", "Objects in memory", ("watch",))
STATUS_UNWRITTEN = Family(
    _OWN + "status_unwritten", "gauge", "Jobs with a report that their status does not show yet"
)
CERTIFICATE_EXPIRY = Family(
    _OWN + "certificate_expiry_timestamp_seconds", "gauge",
    "End of validity: serving (this replica's, renewed each week) and authority (the last issuer in the Secret)",
    ("certificate",),
)  # fmt: skip

OPERATOR: tuple[Family, ...] = (
    BUILD_INFO, LEADER, READY,
    RECONCILES, RECONCILE_SECONDS, QUEUE_DEPTH, QUEUE_OLDEST, QUEUE_WORKING, QUEUE_DELAYED,
    API_REQUESTS, API_SECONDS, WATCH_AGE, WATCH_RELISTS, CACHED,
    INTAKE_REPORTS, STATUS_WRITES, STATUS_WRITE_DELAY, STATUS_UNWRITTEN, EVENTS, JOB_FAILURES, CERTIFICATE_EXPIRY,
)  # fmt: skip

# --- The jobs, on the leading replica ---

JOBS = Family(_OWN + "jobs", "gauge", "Jobs by phase; New: not looked at yet", ("phase",))
JOBS_EXPORTED = Family(_OWN + "jobs_exported", "gauge", "Jobs that have metrics of their own")
JOBS_LEFT_OUT = Family(
    _OWN + "jobs_left_out",
    "gauge",
    "Jobs that have none, because there are more than the setting metrics_jobs allows",
)

PHASE = Family("trainingjob_phase", "gauge", "Always 1; the job's phase", (*JOB, "phase"))
CREATED = Family("trainingjob_created_timestamp_seconds", "gauge", "When the job was created", JOB)
COMPLETED = Family("trainingjob_completion_timestamp_seconds", "gauge", "When the job succeeded or failed", JOB)
MEMBERS_DESIRED = Family("trainingjob_members_desired", "gauge", "Members that the gang should have", JOB)
MEMBERS_READY = Family("trainingjob_members_ready", "gauge", "Members that run or have finished well", JOB)
RESTARTS = Family(
    "trainingjob_restarts_total", "counter",
    "How often the gang was formed anew: counted (after a failure that counts against backoffLimit) or free",
    (*JOB, "cost"),
)  # fmt: skip
GENERATION = Family("trainingjob_generation", "gauge", "The gang's last formation, from 1", JOB)
FAILURES_COUNTED = Family(
    "trainingjob_failures_counted", "gauge", "Failures of trainers and pods that count against backoffLimit", JOB
)
BACKOFF_LIMIT = Family("trainingjob_backoff_limit", "gauge", "So many of them the job survives", JOB)
LAST_FAILURE = Family(
    "trainingjob_last_failure", "gauge", "Always 1; why the last generation that failed did", (*JOB, "reason")
)
STALLED = Family(
    "trainingjob_stalled_seconds", "gauge", "How long there has been no step, while that is too long", JOB
)
LAST_REPORT = Family(
    "trainingjob_last_report_timestamp_seconds", "gauge", "When the chief's last report arrived", JOB
)
STEP = Family("trainingjob_step", "gauge", "Optimizer steps done", JOB)
TOTAL_STEPS = Family("trainingjob_total_steps", "gauge", "Optimizer steps asked for", JOB)
EPOCH = Family("trainingjob_epoch", "gauge", "Current epoch, from 1", JOB)
TOTAL_EPOCHS = Family("trainingjob_total_epochs", "gauge", "Epochs asked for", JOB)
PROGRESS = Family("trainingjob_progress_ratio", "gauge", "Progress, 0 to 1", JOB)
SPEED = Family("trainingjob_examples_per_second", "gauge", "Training examples a second, over the whole gang", JOB)
ETA = Family("trainingjob_eta_seconds", "gauge", "Seconds left, estimated", JOB)
METRIC = Family("trainingjob_metric", "gauge", "Latest value of a metric that the program reports", (*JOB, "metric"))
METRIC_BEST = Family("trainingjob_metric_best", "gauge", "Best value that the metric has had", (*JOB, "metric"))
GOODPUT = Family("trainingjob_goodput_ratio", "gauge", "Share of productive time since the job's start, 0 to 1", JOB)
ACTIVITY = Family(
    "trainingjob_activity_seconds", "gauge",
    "What the time since the start went to: productive, starting, restarting, stalled", (*JOB, "activity"),
)  # fmt: skip
CPU = Family("trainingjob_member_cpu_cores", "gauge", "CPU that the member uses, in cores", MEMBER)
MEMORY = Family("trainingjob_member_memory_bytes", "gauge", "Memory that it uses, without page cache", MEMBER)
MEMORY_LIMIT = Family("trainingjob_member_memory_limit_bytes", "gauge", "Its container's limit", MEMBER)
GPU_UTILIZATION = Family(
    "trainingjob_member_gpu_utilization_ratio", "gauge", "Share of the time that a kernel ran on the GPU, 0 to 1", GPU
)
GPU_MEMORY = Family("trainingjob_member_gpu_memory_bytes", "gauge", "Memory of the GPU in use", GPU)
GPU_MEMORY_TOTAL = Family("trainingjob_member_gpu_memory_total_bytes", "gauge", "Memory that the GPU has", GPU)

JOB_COUNTS: tuple[Family, ...] = (JOBS, JOBS_EXPORTED, JOBS_LEFT_OUT)
PER_JOB: tuple[Family, ...] = (
    PHASE, CREATED, COMPLETED, MEMBERS_DESIRED, MEMBERS_READY,
    GENERATION, RESTARTS, FAILURES_COUNTED, BACKOFF_LIMIT, LAST_FAILURE, STALLED, GOODPUT, ACTIVITY,
    LAST_REPORT, STEP, TOTAL_STEPS, EPOCH, TOTAL_EPOCHS, PROGRESS, SPEED, ETA, METRIC, METRIC_BEST,
    CPU, MEMORY, MEMORY_LIMIT, GPU_UTILIZATION, GPU_MEMORY, GPU_MEMORY_TOTAL,
)  # fmt: skip
EVERY: tuple[Family, ...] = (*OPERATOR, *JOB_COUNTS, *PER_JOB)
