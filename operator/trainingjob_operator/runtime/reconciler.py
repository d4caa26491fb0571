"""Reconciling one job: look, decide, act. The decision is `core.plan.decide`; everything here is acting.

Order matters under load: pods first, then the final report, then status, then events. Whatever is interrupted is done
again by the next look, because every step finds out what is already there: names are deterministic, an object of ours
that exists is success, and the status is compared before it is written.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from trainingjob_operator.api import names
from trainingjob_operator.api.contract import Report
from trainingjob_operator.core.address import BY_KUBERNETES
from trainingjob_operator.core.observe import JobFact, PodFact, observe_job, owner_uid
from trainingjob_operator.core.plan import Create, Plan, decide
from trainingjob_operator.core.platform import Platform
from trainingjob_operator.core.refusal import ADDRESS, LAUNCHER, SERVICE, Refusal, await_predecessor, judge_refusal
from trainingjob_operator.core.sections import with_metrics_of
from trainingjob_operator.intake.flusher import Joined
from trainingjob_operator.kube.client import KubeClient
from trainingjob_operator.kube.errors import ApiError
from trainingjob_operator.kube.resources import (
    CONFIGMAPS,
    ENDPOINT_SLICES,
    PODS,
    SERVICES,
    TRAININGJOBS,
    Resource,
)
from trainingjob_operator.runtime.early_status import EarlyStatus
from trainingjob_operator.runtime.events import EventRecorder
from trainingjob_operator.runtime.jobs import JobCache
from trainingjob_operator.runtime.packed import unpack

logger = logging.getLogger(__name__)

#: So many creates of one job are under way at once; the client's rate limit is over all jobs.
PARALLEL_CREATES = 50
#: What is created for a subject that is no member.
_RESOURCES = {SERVICE: SERVICES, ADDRESS: ENDPOINT_SLICES}


class PodStore(Protocol):
    """The pods as the informer knows them."""

    def of_owner(self, uid: str) -> tuple[PodFact, ...]:
        """Return the pods of the job with this UID."""
        ...

    def remember(self, body: dict[str, Any]) -> None:
        """Take a pod that the API server just returned, before the watch tells of it."""
        ...


class FinalReports(Protocol):
    """The intake's door for the report that a chief left in its termination message."""

    async def deliver(self, job: JobFact, report: Report) -> None:
        """Bring a final report into status.training, now, unless that has it or a later one."""
        ...


@dataclass
class _Memory:
    """What this process remembers of a job between two looks. Losing it costs a write, nothing else.

    `published`: see `core.situation.Situation`.
    """

    namespace: str
    met_at: datetime
    refusals: dict[str, Refusal] = field(default_factory=dict)
    written_at: datetime | None = None
    published: str | None = None


class Reconciler:
    """Brings jobs to what they should be, one `reconcile(uid)` at a time for each job."""

    def __init__(
        self,
        client: KubeClient,
        jobs: JobCache,
        pods: PodStore,
        platform: Callable[[], Platform],
        reports: FinalReports,
        events: EventRecorder,
        clock: Callable[[], datetime],
        early: EarlyStatus,
        crowded: Callable[[], bool] = lambda: False,
    ) -> None:
        self._client = client
        self._jobs = jobs
        self._pods = pods
        self._platform = platform
        self._reports = reports
        self._events = events
        self._clock = clock
        self._early = early
        self._crowded = crowded
        self._memory: dict[str, _Memory] = {}
        #: Namespaces that hold the launcher's ConfigMap.
        self._launchers: set[str] = set()

    async def reconcile(self, uid: str) -> float | None:
        """Look at one job and act; return in how many seconds to look again, None for when something happens.

        Raises:
            ApiError: the API server did not do what the plan needs; look again later.
        """
        job = self._jobs.fact(uid)
        if job is None:
            gone = self._memory.pop(uid, None)
            self._early.forget(uid)
            if gone is not None:
                # Perhaps the whole namespace is gone, and may come again without the ConfigMap: looked at again then.
                self._launchers.discard(gone.namespace)
            return None
        memory = self._memory.setdefault(uid, _Memory(job.namespace, self._clock()))
        plan = self._decide(job, memory)
        if plan.delete_job:
            return await self._delete_job(job)
        if plan.creates:
            await self._create(job, plan.creates, memory)
            # The status tells of the pods as they are now, and of what was refused.
            job = self._jobs.fact(uid) or job
            plan = self._decide(job, memory)
        if plan.deletes:
            await asyncio.gather(*(self._delete(pod) for pod in plan.deletes))
        if plan.final_report is not None:
            await self._reports.deliver(job, plan.final_report)
            told = self._jobs.fact(uid)
            if told is not job:
                # Our part may have been written with it.
                if told is None:
                    return None
                job, plan = told, self._decide(told, memory)
                if plan.status is None:
                    return 0.0
        again = None if plan.look_again is None else max(0.0, (plan.look_again - self._clock()).total_seconds())
        if plan.status is not None:
            wait = self._early.wait(uid, job.phase, plan.status["phase"])
            if wait > 0:
                return wait if again is None else min(wait, again)
            if not await self._write_status(job, plan.status):
                return 0.0
        self._tell(job, plan, memory)
        return again

    def published(self, uid: str) -> str | None:
        """Return the chief's address that members can find, empty for none, None when this process does not know."""
        memory = self._memory.get(uid)
        return None if memory is None else memory.published

    def accompany(self, uid: str, resource_version: str, status: Mapping[str, Any]) -> Joined | None:
        """Say what the status of a job should be besides its metrics, if these are as in `status`.

        For the intake, which writes both at once then; see `intake.flusher.Companion`. What needs more than a status
        is left to the next look.
        """
        memory, body = self._memory.get(uid), self._jobs.body(uid)
        if memory is None or body is None or body.get("metadata", {}).get("resourceVersion") != resource_version:
            return None  # another replica leads, or the job has moved on
        job = observe_job({**body, "status": status})
        plan = self._decide(job, memory)
        # Of what lets members find the chief the status says nothing.
        more = [create for create in plan.creates if create.subject not in (SERVICE, ADDRESS)]
        if plan.status is None or more or plan.deletes or plan.delete_job:
            return None
        return Joined(plan.status, lambda: self._tell(job, plan, memory))

    def _tell(self, job: JobFact, plan: Plan, memory: _Memory) -> None:
        """Tell what comes with a plan, whose status is written."""
        if plan.status is not None:
            self._early.forget(job.uid)
            memory.written_at = self._clock()
        for event in plan.events:
            self._events.tell(job, event)

    def _decide(self, job: JobFact, memory: _Memory) -> Plan:
        refusals = tuple(memory.refusals.values())
        pods = self._pods.of_owner(job.uid)
        return decide(
            job,
            pods,
            refusals,
            self._platform(),
            self._clock(),
            memory.written_at,
            memory.met_at,
            hurried=self._early.waits(job.uid),
            crowded=self._crowded(),
            published=memory.published,
        )

    # --- Creating and deleting ---

    async def _create(self, job: JobFact, creates: tuple[Create, ...], memory: _Memory) -> None:
        while creates and creates[0].first:
            first, *_ = creates
            await (self._create_launcher if first.subject == LAUNCHER else self._create_one)(job, first, memory)
            if first.subject in memory.refusals:
                return
            creates = creates[1:]
        if memory.published == BY_KUBERNETES:
            creates = tuple(create for create in creates if create.subject != ADDRESS)
        slots = asyncio.Semaphore(PARALLEL_CREATES)

        async def create(item: Create) -> None:
            async with slots:
                await self._create_one(job, item, memory)

        results = await asyncio.gather(*(create(item) for item in creates), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result

    async def _create_launcher(self, job: JobFact, item: Create, memory: _Memory) -> None:
        """Make the ConfigMap with the launcher, once for each namespace. One that is there is taken for ours.

        Its name is its content's, and no right of ours lets us look: the pods check what they are given.
        """
        if job.namespace in self._launchers:
            return
        try:
            await self._client.create(CONFIGMAPS, item.body, job.namespace)
        except ApiError as error:
            if error.transient or error.not_found:
                raise
            if not error.conflict:
                previous = memory.refusals.get(LAUNCHER)
                status, reason = error.status, error.reason
                refusal = judge_refusal(LAUNCHER, status, reason, error.message, previous, self._clock())
                memory.refusals[LAUNCHER] = refusal
                logger.info("%s/%s: launcher refused: %s", job.namespace, job.name, refusal.message)
                return
        memory.refusals.pop(LAUNCHER, None)
        self._launchers.add(job.namespace)

    async def _create_one(self, job: JobFact, item: Create, memory: _Memory) -> None:
        resource = _RESOURCES.get(item.subject, PODS)
        try:
            body = await self._client.create(resource, item.body, job.namespace)
        except ApiError as error:
            found = await self._there(resource, item, job, error)
            metadata = (found or {}).get("metadata", {})
            if found is not None and owner_uid(metadata) == job.uid:
                await self._adopt(job, item, found, memory)
                return
            if error.conflict:
                if "deletionTimestamp" in metadata or owner_uid(metadata):
                    # Names are made from the job's: another owner among jobs is one that was deleted.
                    memory.refusals[item.subject] = await_predecessor(item.subject, metadata["name"], self._clock())
                    return
            elif error.transient or error.not_found:
                raise
            previous = memory.refusals.get(item.subject)
            refusal = judge_refusal(
                item.subject, error.status, error.reason, _why(error, item), previous, self._clock()
            )
            memory.refusals[item.subject] = refusal
            logger.info("%s/%s: %s refused: %s", job.namespace, job.name, item.subject, refusal.message)
        else:
            memory.refusals.pop(item.subject, None)
            if resource is PODS:
                self._pods.remember(body)
            else:
                memory.published = _address(item)

    async def _there(self, resource: Resource, item: Create, job: JobFact, error: ApiError) -> dict[str, Any] | None:
        """Return what has the name of an object that was refused, None for nothing.

        A namespace whose quota is used up refuses also what is there already, before it looks.
        """
        if not error.conflict and (resource is PODS or error.status != 403):
            return None
        try:
            return await self._client.get(resource, item.body["metadata"]["name"], job.namespace)
        except ApiError as absent:
            if error.conflict or not absent.not_found:
                raise
            return None

    async def _adopt(self, job: JobFact, item: Create, found: dict[str, Any], memory: _Memory) -> None:
        """Take an object of ours that was there already: our first answer was lost, or the chief has a new pod."""
        memory.refusals.pop(item.subject, None)
        if item.subject == SERVICE:
            await self._turn(job, item, found, memory)
        elif item.subject == ADDRESS:
            endpoints = {"endpoints": item.body["endpoints"]}
            await self._client.merge_patch(ENDPOINT_SLICES, item.body["metadata"]["name"], endpoints, job.namespace)
            memory.published = _address(item)
        else:
            self._pods.remember(found)

    async def _turn(self, job: JobFact, item: Create, found: dict[str, Any], memory: _Memory) -> None:
        """Let nobody look for the chief where it was. A Service that selects goes on to; one that shall begins."""
        name, spec = item.body["metadata"]["name"], item.body["spec"]
        selector, before = spec.get("selector"), found.get("spec", {}).get("selector")
        if not item.incarnation:
            memory.published = BY_KUBERNETES if before else ""
            return
        if selector is None and memory.published != "":
            try:  # the slice has the Service's name
                await self._client.merge_patch(ENDPOINT_SLICES, name, {"endpoints": []}, job.namespace)
            except ApiError as error:
                if not error.not_found:
                    raise
        if selector is None and before:
            selector = before | {names.LABEL_INCARNATION: str(item.incarnation)}
        if selector is not None and selector != before:
            wanted = {"selector": selector, "publishNotReadyAddresses": True}
            await self._client.merge_patch(SERVICES, name, {"spec": wanted}, job.namespace)
        memory.published = "" if selector is None else BY_KUBERNETES

    async def _delete(self, pod: PodFact) -> None:
        await self._client.delete(PODS, pod.name, pod.namespace, uid=pod.uid)

    async def _delete_job(self, job: JobFact) -> float | None:
        """Delete a job that has outlived its ttl, as it was judged: its ttl may have been changed since."""
        version = ((self._jobs.body(job.uid) or {}).get("metadata") or {}).get("resourceVersion")
        if await self._client.delete(TRAININGJOBS, job.name, job.namespace, uid=job.uid, resource_version=version):
            logger.info("%s/%s: deleted, its ttlSecondsAfterFinished is over", job.namespace, job.name)
            return None
        await self._refresh(job)
        return 0.0

    # --- Status ---

    async def _write_status(self, job: JobFact, status: dict[str, Any]) -> bool:
        """Write the status; False when the job has moved on, so that the decision must be taken anew.

        The resourceVersion in the body makes sure that the status goes to this very object, as it was judged: a job
        that was deleted and applied again under its name is another job, and the API server ignores a UID here.
        """
        body = self._jobs.body(job.uid)
        if body is None:
            return True
        if self._jobs.fact(job.uid) is not job:
            return False  # written by the intake meanwhile, perhaps with a part of ours
        metadata = {
            "name": job.name,
            "namespace": job.namespace,
            "resourceVersion": body.get("metadata", {}).get("resourceVersion"),
        }
        whole = with_metrics_of(unpack(body).get("status") or {}, status)
        try:
            written = await self._client.replace_status(
                TRAININGJOBS,
                job.name,
                {"metadata": metadata, "status": whole},
                job.namespace,
                field_manager=names.FIELD_MANAGER,
            )
        except ApiError as error:
            if error.not_found:
                self._jobs.remove(job.uid)
                return True
            if not error.conflict:
                raise
            await self._refresh(job)
            return False
        self._jobs.put(written, quiet=True)
        return True

    async def _refresh(self, job: JobFact) -> None:
        try:
            self._jobs.put(await self._client.get(TRAININGJOBS, job.name, job.namespace), quiet=True)
        except ApiError as error:
            if not error.not_found:
                raise
            self._jobs.remove(job.uid)


def _address(item: Create) -> str:
    """Return where the chief is found with an object that is no pod: see `core.situation.Situation.published`."""
    if item.subject == ADDRESS:
        return str(item.body["endpoints"][0]["addresses"][0])
    return BY_KUBERNETES if item.body["spec"].get("selector") else ""


def _why(error: ApiError, item: Create) -> str:
    if error.conflict:
        kind = _RESOURCES.get(item.subject, PODS).kind
        kind = "pod" if kind == "Pod" else kind
        return (
            f"a {kind} named {item.body['metadata']['name']} exists and belongs to somebody else: "
            "delete it or name the job otherwise"
        )
    return error.message
