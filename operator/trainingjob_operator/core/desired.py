"""What a job wants in the cluster: its members and their pods, the evaluator's, and the chief's Service."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from trainingjob_operator.api import names
from trainingjob_operator.api.contract import (
    DOWNWARD_FIELDS,
    RENDEZVOUS_PORT,
    Assignment,
    Ledger,
    Policy,
    Rule,
    member_name,
)
from trainingjob_operator.api.program import EnvVar
from trainingjob_operator.api.v1alpha1 import NodePool, Program, Resources, TrainingJobSpec
from trainingjob_operator.core.avoid import away_from
from trainingjob_operator.core.document import encode_document
from trainingjob_operator.core.launcher_source import BUILT_IN, is_injected
from trainingjob_operator.core.merge import merge
from trainingjob_operator.core.node_pool import resolve
from trainingjob_operator.core.observe import JobFact
from trainingjob_operator.core.platform import Platform
from trainingjob_operator.core.volumes import (
    SOURCE_DIR,
    TOKEN_DIR,
    WORK_DIR,
    mounts_and_volumes,
    source_of,
    tensorboard_dir,
)

#: The user id of the trainer image. Set on every pod, so that foreign images run under `restricted` too.
USER_ID = 1000
#: The launcher gives the trainer 25 s after SIGTERM, and takes up to 5 s for its own last words.
GRACE_SECONDS = 40
#: The trainer of declarative training.
TRAINER = ("python3", "-m", "trainingjob_trainer")
#: A dollar sign doubled, so that the kubelet does not take $(NAME) in a program's text for a variable.
_ESCAPED = str.maketrans({"$": "$$"})


@dataclass(frozen=True, slots=True)
class Past:
    """What a new pod is told of those before it.

    `failures` pods of its member, `pod_failures` of the whole job have failed in a way that counts; `short_lives`
    pods of its member in a row ended soon after their start. `ledger` is what the gang has been through. `avoid` are
    nodes on which members were lost from sight. `last_end` is how the last pod of its member ended that counted, see
    repetition.py.
    """

    failures: int = 0
    short_lives: int = 0
    pod_failures: int = 0
    ledger: Ledger = field(default_factory=Ledger)
    avoid: tuple[str, ...] = ()
    last_end: str = ""


NOTHING = Past()


def members(spec: TrainingJobSpec) -> Iterator[tuple[str, int]]:
    """Yield (role, index) of every member, the chief first. The evaluator is none."""
    yield names.ROLE_CHIEF, 0
    for index in range(spec.workers.replicas):
        yield names.ROLE_WORKER, index


def build_pod(
    job: JobFact, role: str, index: int, incarnation: int, platform: Platform, past: Past = NOTHING
) -> dict[str, Any]:
    """Return the pod of one member, or of the evaluator. The same arguments give the same pod."""
    spec = _spec(job)
    pool = resolve(_node_pool(spec, role), platform.node_pools)
    labels = {
        names.LABEL_JOB: job.name,
        names.LABEL_ROLE: role,
        names.LABEL_INDEX: str(index),
        names.LABEL_INCARNATION: str(incarnation),
        names.LABEL_APP_NAME: names.APP_NAME,
        names.LABEL_APP_INSTANCE: job.name,
        names.LABEL_APP_COMPONENT: role,
        names.LABEL_APP_MANAGED_BY: names.MANAGER,
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": names.pod_name(job.name, role, index, incarnation),
            "namespace": job.namespace,
            "labels": labels,
            "ownerReferences": [owner_reference(job)],
        },
        "spec": _pod_spec(job, spec, pool, role, index, incarnation, platform, past),
    }
    template = spec.pod_template
    if template is not None:
        metadata = template.metadata.model_dump(by_alias=True, exclude_none=True) if template.metadata else {}
        pod = merge(pod, {"metadata": metadata, "spec": template.spec or {}})
    return away_from(_with_counts(pod, past), past.avoid)


def _with_counts(pod: dict[str, Any], past: Past) -> dict[str, Any]:
    """Return a pod with what it carries on; no template may change that."""
    carried: dict[str, int | str] = {
        names.ANNOTATION_FAILURES: past.failures,
        names.ANNOTATION_SHORT_LIVES: past.short_lives,
        names.ANNOTATION_LAST_END: past.last_end,
    }
    metadata = dict(pod["metadata"])
    given = {name: value for name, value in metadata.pop("annotations", {}).items() if name not in carried}
    given |= {name: str(value) for name, value in carried.items() if value}
    return pod | {"metadata": metadata | ({"annotations": given} if given else {})}


def build_service(job: JobFact, selects: int | None = None) -> dict[str, Any]:
    """Return the headless Service by whose name the chief's newest pod is found.

    It leads to the chief alone: members find each other through the rendezvous. Where is said by the operator, or by
    Kubernetes if the Service `selects` the chief's pod of an incarnation; see `core.address`.
    """
    spec: dict[str, Any] = {
        "clusterIP": "None",
        # Without a selector the default is RequireDualStack, with which most clusters let no selector in later.
        "ipFamilyPolicy": "PreferDualStack",
        "ports": [{"name": "rendezvous", "port": RENDEZVOUS_PORT}],
    }
    if selects is not None:
        spec["publishNotReadyAddresses"] = True
        spec["selector"] = {
            names.LABEL_JOB: job.name,
            names.LABEL_ROLE: names.ROLE_CHIEF,
            names.LABEL_INCARNATION: str(selects),
        }
    metadata = owned_by(job, names.service_name(job.name))
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}


def owned_by(job: JobFact, name: str) -> dict[str, Any]:
    """Return the metadata of an object of a job's that is no pod."""
    return {
        "name": name,
        "namespace": job.namespace,
        "labels": {
            names.LABEL_JOB: job.name,
            names.LABEL_APP_NAME: names.APP_NAME,
            names.LABEL_APP_INSTANCE: job.name,
            names.LABEL_APP_MANAGED_BY: names.MANAGER,
        },
        "ownerReferences": [owner_reference(job)],
    }


def owner_reference(job: JobFact) -> dict[str, Any]:
    """Return what makes the garbage collector remove a job's objects with it, with the operator up or down."""
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND,
        "name": job.name,
        "uid": job.uid,
        "controller": True,
    }


def needs_service(spec: TrainingJobSpec) -> bool:
    """Whether others look for the chief."""
    return spec.workers.replicas > 0 or spec.evaluator is not None


def hostname(job: JobFact, role: str, index: int) -> str:
    """Return the host name of a member, or of the evaluator: the same for all of its pods."""
    # A host name has at most 63 characters: the evaluator, of which there is one, does without a number.
    return f"{job.name}-{role}" if role == names.ROLE_EVALUATOR else names.pod_name(job.name, role, index, 1)


def _node_pool(spec: TrainingJobSpec, role: str) -> NodePool | None:
    own = spec.evaluator.node_pool if spec.evaluator and role == names.ROLE_EVALUATOR else None
    return own if own is not None else spec.node_pool


def _spec(job: JobFact) -> TrainingJobSpec:
    if job.spec is None:
        raise ValueError(f"{job.namespace}/{job.name} has no valid spec: nothing can be built from it")
    return job.spec


def _pod_spec(
    job: JobFact,
    spec: TrainingJobSpec,
    pool: NodePool,
    role: str,
    index: int,
    incarnation: int,
    platform: Platform,
    past: Past,
) -> dict[str, Any]:
    mounts, volumes = mounts_and_volumes(job, spec, role, accelerated=pool.accelerator is not None)
    if is_injected(spec):
        volume, mount = platform.launcher.volume()
        volumes.append(volume)
        mounts.append(mount)
    out: dict[str, Any] = {
        "restartPolicy": "Never",
        "hostname": hostname(job, role, index),
        "enableServiceLinks": False,
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER_ID,
            "runAsGroup": USER_ID,
            "fsGroup": USER_ID,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(job, spec, pool, role, index, incarnation, platform, mounts, past)],
        "volumes": volumes,
    }
    if needs_service(spec):
        out["subdomain"] = names.service_name(job.name)
    if spec.image_pull_secrets:
        out["imagePullSecrets"] = [{"name": name} for name in spec.image_pull_secrets]
    return out | _scheduling(job, pool)


def _container(
    job: JobFact,
    spec: TrainingJobSpec,
    pool: NodePool,
    role: str,
    index: int,
    incarnation: int,
    platform: Platform,
    mounts: list[dict[str, Any]],
    past: Past,
) -> dict[str, Any]:
    program = spec.program or Program()
    default_image = platform.gpu_image if pool.accelerator is not None else platform.cpu_image
    default_command = TRAINER if spec.training is not None else ("python3", "main.py")
    container: dict[str, Any] = {
        "name": names.CONTAINER,
        "image": spec.image or default_image,
        "command": platform.launcher.command() if is_injected(spec) else list(BUILT_IN),
        "args": [*(program.command or default_command), *(program.args or ())],
        "env": _environment(job, spec, pool, role, index, incarnation, platform, past),
        "resources": _resources(_own_resources(spec, role), pool),
        "volumeMounts": mounts,
        # A launcher that can't even start leaves its last log lines where the status can show them.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    policy = spec.image_pull_policy or (platform.pull_policy if spec.image is None else None)
    if policy:
        container["imagePullPolicy"] = policy
    if program.env_from:
        container["envFrom"] = [dict(source) for source in program.env_from]
    return container


def _environment(
    job: JobFact,
    spec: TrainingJobSpec,
    pool: NodePool,
    role: str,
    index: int,
    incarnation: int,
    platform: Platform,
    past: Past,
) -> list[dict[str, Any]]:
    program = spec.program or Program()
    source = source_of(spec)
    inline = source.inline if source else None
    config_map = source.config_map if source else None
    chief, member = role == names.ROLE_CHIEF, role != names.ROLE_EVALUATOR
    assignment = Assignment(
        job=job.name,
        namespace=job.namespace,
        uid=job.uid,
        role=role,
        index=index,
        incarnation=incarnation,
        workers=spec.workers.replicas,
        key=platform.job_key(job.uid),
        # The short name: found by the first entry of the pod's search list, whatever the cluster's domain.
        chief_host=names.service_name(job.name),
        work_dir=program.working_dir or (WORK_DIR if source or spec.training else ""),
        source_dir=SOURCE_DIR if config_map else "",
        files=inline.files if inline else {},
        spec=encode_document(spec),
        report_url=report_url(job, platform) if member else "",
        report_ca=platform.intake_ca if member else "",
        report_token_file=f"{TOKEN_DIR}/token" if member else "",
        report_interval_seconds=float(spec.reporting.interval_seconds),
        tensorboard_dir=tensorboard_dir(job, spec) if chief else "",
        policy=policy_of(spec) if member else Policy(),
        ledger=past.ledger,
        pod_failures=past.pod_failures,
    )
    given: dict[str, dict[str, Any]] = {
        "HOME": {"value": WORK_DIR},
        # What the pool's network needs: the job's own words win.
        **_variables(pool.env),
        **{name: {"value": value.translate(_ESCAPED)} for name, value in assignment.to_env().items()},
        **{name: {"valueFrom": {"fieldRef": {"fieldPath": path}}} for name, path in DOWNWARD_FIELDS.items()},
        # The user's come last: a variable may refer to those before it, and a repeated name wins.
        **_variables(program.env),
    }
    return [{"name": name, **source} for name, source in given.items()]


def _variables(given: list[EnvVar] | None) -> dict[str, dict[str, Any]]:
    return {v.name: v.model_dump(by_alias=True, exclude_none=True, exclude={"name"}) for v in given or ()}


def policy_of(spec: TrainingJobSpec) -> Policy:
    """Return how launchers judge failures and when they go on with fewer."""
    policy, elastic = spec.failure_policy, spec.elastic
    rules = [
        Rule(rule.action, tuple(rule.exit_codes or ()), tuple(map(str, rule.reasons or ())))
        for rule in policy.rules or ()
    ]
    return Policy(
        backoff_limit=policy.backoff_limit,
        rules=tuple(rules),
        stall=None if policy.stall_seconds is None else float(policy.stall_seconds),
        warm_standby=policy.restart.warm_standby,
        min_workers=None if elastic is None else elastic.min_workers,
        elastic_wait=Policy.elastic_wait if elastic is None else float(elastic.wait_seconds),
        checkpoints=spec.checkpoint is not None,
    )


def report_url(job: JobFact, platform: Platform) -> str:
    """Return the address to which the members of this job post their reports."""
    return f"{platform.intake_url}/v1/namespaces/{job.namespace}/trainingjobs/{job.name}/report"


def _own_resources(spec: TrainingJobSpec, role: str) -> Resources | None:
    own = spec.evaluator.resources if spec.evaluator and role == names.ROLE_EVALUATOR else None
    return own if own is not None else spec.resources


def _resources(asked: Resources | None, pool: NodePool) -> dict[str, Any]:
    given = asked.model_dump(exclude_none=True) if asked else {}
    resources = {part: dict(amounts) for part, amounts in given.items()}
    if pool.accelerator is not None:
        # Extended resources can't be overcommitted: a limit is a request.
        resources.setdefault("limits", {})[pool.accelerator.resource] = pool.accelerator.count
    return resources


def _scheduling(job: JobFact, pool: NodePool) -> dict[str, Any]:
    tolerations = [t.model_dump(by_alias=True, exclude_none=True) for t in pool.tolerations or ()]
    if pool.accelerator is not None:
        # Accelerator nodes are usually tainted with the resource's own name.
        own = {"key": pool.accelerator.resource, "operator": "Exists", "effect": "NoSchedule"}
        tolerations = [*(t for t in tolerations if t != own), own]
    spread = [
        {
            **constraint.model_dump(by_alias=True, exclude_none=True),
            "labelSelector": {"matchLabels": {names.LABEL_JOB: job.name}},
        }
        for constraint in pool.topology_spread or ()
    ]
    fields = {
        "nodeSelector": dict(pool.node_selector or {}),
        "tolerations": tolerations,
        "affinity": dict(pool.affinity or {}),
        "topologySpreadConstraints": spread,
        "priorityClassName": pool.priority_class_name,
        "schedulerName": pool.scheduler_name,
        "runtimeClassName": pool.runtime_class_name,
    }
    return {name: value for name, value in fields.items() if value}


__all__ = [
    "Past", "build_pod", "build_service", "member_name", "members", "needs_service", "owner_reference", "policy_of",
    "report_url",
]  # fmt: skip
