"""The panels of the dashboard, row by row. dashboard.py says how they look."""

from dataclasses import dataclass

OF_JOBS = 'namespace=~"$namespace"'
OF_JOB = 'namespace=~"$namespace",job_name=~"$job"'
RATE = "$__rate_interval"
OWN = "trainingjob_operator_"
RUNNING = ' and on (namespace, job_name) trainingjob_phase{phase="Running"}'


@dataclass(frozen=True)
class Panel:
    """One panel: title, (query, legend) pairs, unit, kind, width of 24."""

    title: str
    queries: tuple[tuple[str, str], ...]
    unit: str = "short"
    kind: str = "timeseries"
    width: int = 8
    description: str = ""


def quantile(share: float, family: str, labels: str = "le") -> str:
    """Return the query of a histogram's quantile."""
    return f"histogram_quantile({share}, sum by ({labels}) (rate({OWN}{family}_bucket[{RATE}])))"


OPERATOR = (
    Panel("Leader", ((f"sum({OWN}leader)", ""),), kind="stat", width=3, description="1; 0 when nobody leads"),
    Panel("Replicas ready", ((f"sum({OWN}ready)", ""),), kind="stat", width=3),
    Panel("Jobs left out", ((f"max({OWN}jobs_left_out)", ""),), kind="stat", width=3, description="metrics.maxJobs"),
    Panel(
        "Certificate ends in",
        ((f"min by (certificate) ({OWN}certificate_expiry_timestamp_seconds) - time()", "{{certificate}}"),),
        "s",
        "stat",
        6,
    ),
    Panel("Oldest wait in the queue", ((f"max({OWN}queue_oldest_wait_seconds)", ""),), "s", "stat", 4),
    Panel("Version", ((f"count by (version) ({OWN}build_info)", "{{version}}"),), kind="stat", width=5),
    Panel("Looks at jobs", ((f"sum by (result) (rate({OWN}reconciles_total[{RATE}]))", "{{result}}"),), "ops"),
    Panel(
        "Time of a look",
        (
            (quantile(0.5, "reconcile_duration_seconds"), "median"),
            (quantile(0.99, "reconcile_duration_seconds"), "99 %"),
        ),
        "s",
    ),
    Panel(
        "Queue",
        (
            (f"max({OWN}queue_depth)", "waiting"),
            (f"max({OWN}queue_working)", "in work"),
            (f"max({OWN}queue_delayed)", "later"),
        ),
    ),
    Panel(
        "API requests",
        ((f"sum by (verb, resource) (rate({OWN}api_requests_total[{RATE}]))", "{{verb}} {{resource}}"),),
        "reqps",
    ),
    Panel(
        "API requests that failed",
        (
            (
                f'sum by (verb, resource, code) (rate({OWN}api_requests_total{{code!~"2.."}}[{RATE}]))',
                "{{verb}} {{resource}} {{code}}",
            ),
        ),
        "reqps",
    ),
    Panel("API time, 99 %", ((quantile(0.99, "api_request_duration_seconds", "le, verb"), "{{verb}}"),), "s"),
    Panel("Reports", ((f"sum by (code) (rate({OWN}intake_reports_total[{RATE}]))", "{{code}}"),), "reqps"),
    Panel(
        "Status writes of metrics",
        (
            (f"sum by (result) (rate({OWN}status_writes_total[{RATE}]))", "{{result}}"),
            (f"sum({OWN}status_unwritten)", "jobs that wait"),
        ),
        "ops",
    ),
    Panel(
        "From report to status",
        (
            (quantile(0.5, "status_write_delay_seconds"), "median"),
            (quantile(0.99, "status_write_delay_seconds"), "99 %"),
        ),
        "s",
    ),
    Panel("Last heard", ((f"max by (watch) ({OWN}watch_age_seconds)", "{{watch}}"),), "s"),
    Panel("Objects in memory", ((f"max by (watch) ({OWN}cached_objects)", "{{watch}}"),)),
    Panel("Events", ((f"sum by (result) (rate({OWN}events_total[{RATE}]))", "{{result}}"),), "ops"),
    Panel(
        "CPU of a replica",
        ((f"rate(process_cpu_seconds_total[{RATE}]) and on (instance) {OWN}build_info", "{{pod}}"),),
        "short",
        width=12,
    ),
    Panel(
        "Memory of a replica",
        ((f"process_resident_memory_bytes and on (instance) {OWN}build_info", "{{pod}}"),),
        "bytes",
        width=12,
    ),
)

JOBS = (
    Panel("Jobs by phase", ((f"sum by (phase) ({OWN}jobs)", "{{phase}}"),), width=8),
    Panel(
        "Examples a second",
        ((f"sum by (namespace) (trainingjob_examples_per_second{{{OF_JOBS}}})", "{{namespace}}"),),
    ),
    Panel(
        "GPU utilisation",
        ((f"avg by (namespace) (trainingjob_member_gpu_utilization_ratio{{{OF_JOBS}}})", "{{namespace}}"),),
        "percentunit",
    ),
    Panel(
        "Running jobs",
        (
            (
                f"trainingjob_progress_ratio{{{OF_JOBS}}}{RUNNING}",
                "Progress",
            ),
            (f"trainingjob_eta_seconds{{{OF_JOBS}}}", "ETA"),
            (f"trainingjob_examples_per_second{{{OF_JOBS}}}", "Examples a second"),
            (
                f'trainingjob_metric{{{OF_JOBS},metric="loss"}}{RUNNING}',
                "Loss",
            ),
            (
                f"trainingjob_goodput_ratio{{{OF_JOBS}}}{RUNNING}",
                "Goodput",
            ),
            (
                f"sum without (cost) (trainingjob_restarts_total{{{OF_JOBS}}}){RUNNING}",
                "Restarts",
            ),
        ),
        kind="table",
        width=24,
    ),
    Panel("CPU", ((f"sum by (namespace) (trainingjob_member_cpu_cores{{{OF_JOBS}}})", "{{namespace}}"),)),
    Panel(
        "Memory", ((f"sum by (namespace) (trainingjob_member_memory_bytes{{{OF_JOBS}}})", "{{namespace}}"),), "bytes"
    ),
    Panel(
        "Restarts an hour",
        (
            (
                f"sum by (namespace, cost) (increase(trainingjob_restarts_total{{{OF_JOBS}}}[1h]))",
                "{{namespace}} {{cost}}",
            ),
        ),
    ),
    Panel(
        "Failures an hour, all namespaces",
        ((f"sum by (reason) (increase({OWN}job_failures_total[1h])) > 0", "{{reason}}"),),
    ),
    Panel(
        "Stalled",
        ((f"trainingjob_stalled_seconds{{{OF_JOBS}}}", "{{namespace}}/{{job_name}}"),),
        "s",
    ),
    Panel(
        "Backoff limit used",
        (
            (
                f"trainingjob_failures_counted{{{OF_JOBS}}} / on (namespace, job_name) trainingjob_backoff_limit > 0",
                "{{namespace}}/{{job_name}}",
            ),
        ),
        "percentunit",
    ),
    Panel(
        "Failed within the hour",
        (
            (
                f'trainingjob_phase{{phase="Failed",{OF_JOBS}}} and on (namespace, job_name) '
                "time() - trainingjob_completion_timestamp_seconds < 3600",
                "{{namespace}}/{{job_name}}",
            ),
        ),
        width=12,
    ),
    Panel(
        "Not running yet",
        (
            (
                f"time() - trainingjob_created_timestamp_seconds{{{OF_JOBS}}} and on (namespace, job_name) "
                'trainingjob_phase{phase=~"New|Pending|Starting"}',
                "{{namespace}}/{{job_name}}",
            ),
        ),
        "s",
        width=12,
    ),
)

ONE_JOB = (
    Panel("Phase", ((f"trainingjob_phase{{{OF_JOB}}}", "{{job_name}}: {{phase}}"),), kind="stat", width=5),
    Panel(
        "Progress",
        ((f"max by (job_name) (trainingjob_progress_ratio{{{OF_JOB}}})", "{{job_name}}"),),
        "percentunit",
        "stat",
        4,
    ),
    Panel("ETA", ((f"max by (job_name) (trainingjob_eta_seconds{{{OF_JOB}}})", "{{job_name}}"),), "s", "stat", 4),
    Panel(
        "Members",
        (
            (f"max by (job_name) (trainingjob_members_ready{{{OF_JOB}}})", "ready"),
            (f"max by (job_name) (trainingjob_members_desired{{{OF_JOB}}})", "desired"),
        ),
        kind="stat",
        width=4,
    ),
    Panel(
        "Restarts",
        ((f"sum by (job_name, cost) (trainingjob_restarts_total{{{OF_JOB}}})", "{{job_name}} {{cost}}"),),
        kind="stat",
        width=3,
    ),
    Panel(
        "Last report",
        ((f"time() - max by (job_name) (trainingjob_last_report_timestamp_seconds{{{OF_JOB}}})", "{{job_name}}"),),
        "s",
        "stat",
        4,
    ),
    Panel("Loss", ((f'trainingjob_metric{{{OF_JOB},metric=~".*loss"}}', "{{job_name}} {{metric}}"),), width=12),
    Panel("Metrics", ((f'trainingjob_metric{{{OF_JOB},metric!~".*loss"}}', "{{job_name}} {{metric}}"),), width=12),
    Panel("Best values", ((f"trainingjob_metric_best{{{OF_JOB}}}", "{{job_name}} {{metric}}"),), width=8),
    Panel(
        "Steps",
        (
            (f"trainingjob_step{{{OF_JOB}}}", "{{job_name}}"),
            (f"trainingjob_total_steps{{{OF_JOB}}}", "{{job_name}} asked for"),
        ),
    ),
    Panel(
        "Epochs",
        (
            (f"trainingjob_epoch{{{OF_JOB}}}", "{{job_name}}"),
            (f"trainingjob_total_epochs{{{OF_JOB}}}", "{{job_name}} asked for"),
        ),
    ),
    Panel("Examples a second", ((f"trainingjob_examples_per_second{{{OF_JOB}}}", "{{job_name}}"),)),
    Panel("Goodput", ((f"trainingjob_goodput_ratio{{{OF_JOB}}}", "{{job_name}}"),), "percentunit"),
    Panel(
        "What the time went to", ((f"trainingjob_activity_seconds{{{OF_JOB}}}", "{{job_name}} {{activity}}"),), "s"
    ),
    Panel(
        "Failures that count",
        (
            (f"trainingjob_failures_counted{{{OF_JOB}}}", "{{job_name}}"),
            (f"trainingjob_backoff_limit{{{OF_JOB}}}", "{{job_name}} limit"),
        ),
    ),
    Panel("Generation", ((f"trainingjob_generation{{{OF_JOB}}}", "{{job_name}}"),)),
    Panel("Last failure", ((f"trainingjob_last_failure{{{OF_JOB}}}", "{{job_name}}: {{reason}}"),)),
    Panel("CPU of members", ((f"trainingjob_member_cpu_cores{{{OF_JOB}}}", "{{member}}"),)),
    Panel("Memory of members", ((f"trainingjob_member_memory_bytes{{{OF_JOB}}}", "{{member}}"),), "bytes"),
    Panel(
        "Share of the memory limit",
        ((f"trainingjob_member_memory_bytes{{{OF_JOB}}} / trainingjob_member_memory_limit_bytes", "{{member}}"),),
        "percentunit",
    ),
    Panel(
        "GPU utilisation",
        ((f"trainingjob_member_gpu_utilization_ratio{{{OF_JOB}}}", "{{member}} gpu {{gpu}}"),),
        "percentunit",
        width=12,
    ),
    Panel(
        "GPU memory",
        (
            (f"trainingjob_member_gpu_memory_bytes{{{OF_JOB}}}", "{{member}} gpu {{gpu}}"),
            (f"trainingjob_member_gpu_memory_total_bytes{{{OF_JOB}}}", "{{member}} gpu {{gpu}} has"),
        ),
        "bytes",
        width=12,
    ),
)
ROWS = (("Jobs", JOBS), ("One job", ONE_JOB), ("Operator", OPERATOR))
