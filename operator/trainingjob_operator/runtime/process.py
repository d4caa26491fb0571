"""The parts of the operator and how they hang together. kopf starts and stops it (`kopf_app`).

Every replica keeps the caches and serves the intake; only the one that holds the Lease reconciles.
"""

import asyncio
import dataclasses
import logging
import random
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any

from trainingjob_operator.api import names
from trainingjob_operator.api.contract import Report
from trainingjob_operator.api.names import Phase
from trainingjob_operator.core.address import BY_KUBERNETES
from trainingjob_operator.core.observe import JobFact, PodFact, observe_pod
from trainingjob_operator.core.platform import Platform
from trainingjob_operator.intake import keys
from trainingjob_operator.intake.authority import Trust
from trainingjob_operator.intake.certificates import service_names
from trainingjob_operator.intake.flusher import Flusher, Joined
from trainingjob_operator.intake.limits import ReportRates
from trainingjob_operator.intake.listener import IntakeServer
from trainingjob_operator.intake.server import Intake, make_app
from trainingjob_operator.intake.serving import ServingCertificate
from trainingjob_operator.intake.store import ReportStore
from trainingjob_operator.intake.tokens import KeySource
from trainingjob_operator.intake.verified import Verifier
from trainingjob_operator.kube import config
from trainingjob_operator.kube.client import KubeClient, Page
from trainingjob_operator.kube.errors import ApiError
from trainingjob_operator.kube.informer import Informer
from trainingjob_operator.kube.lease import LeaderElector
from trainingjob_operator.kube.limiter import TokenBucket
from trainingjob_operator.kube.resources import PODS, TRAININGJOBS
from trainingjob_operator.runtime import early_status, intake_facts, launcher_archive, telemetry_sources
from trainingjob_operator.runtime.early_status import EarlyStatus
from trainingjob_operator.runtime.events import EventRecorder
from trainingjob_operator.runtime.jobs import JobCache, parse_version
from trainingjob_operator.runtime.lanes import Lane
from trainingjob_operator.runtime.node_pools import load_node_pools
from trainingjob_operator.runtime.pods import PodCache
from trainingjob_operator.runtime.queue import WorkQueue
from trainingjob_operator.runtime.reconciler import Reconciler
from trainingjob_operator.runtime.supervisor import Supervisor
from trainingjob_operator.runtime.workers import resync, work
from trainingjob_operator.settings import Settings
from trainingjob_operator.telemetry.failures import new_failure
from trainingjob_operator.telemetry.telemetry import Telemetry

logger = logging.getLogger(__name__)

RESYNC_SECONDS = 600.0
#: Shutdown gives metrics that nobody wrote yet so long; the launchers send their last values again by other ways.
DRAIN_SECONDS = 3.0


class OperatorProcess:
    """One replica. `on_death` is called when a background task died or the lead is lost: the process should end."""

    def __init__(self, settings: Settings, on_death: Callable[[], None]) -> None:
        self.error: BaseException | None = None
        self._settings = settings
        self._on_death = on_death
        self._queue: WorkQueue[str] = WorkQueue(base=0.5, limit=60.0, lane_of=self._lane_of)
        self._jobs = JobCache(self._queue.add, self._job_seen)
        self._supervisor = Supervisor(self._die)
        self._exit = AsyncExitStack()
        self._pods: list[Informer[PodFact]] = []
        self._listed = False
        self._jobs_watch = telemetry_sources.JobsWatch(time.monotonic)
        self._telemetry = Telemetry()

    # --- What kopf calls ---

    async def start(self) -> None:
        """Connect, fill the caches, serve the intake, and stand for election.

        Raises:
            Exception: what kept it from starting; what was started is stopped again.
        """
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise

    async def _start(self) -> None:
        s = self._settings
        pools = load_node_pools(s.node_pools_file)
        address, credentials = config.load()
        counters = self._telemetry.counters
        client = KubeClient(address, credentials, limiter=TokenBucket(s.qps, s.burst), on_request=counters.request)
        # Its only limit is the flusher's: never behind reconciles.
        reports_client = KubeClient(address, credentials, on_request=counters.request)
        await self._exit.enter_async_context(client)
        await self._exit.enter_async_context(reports_client)
        trust = Trust(client, s.namespace, s.intake_secret, lambda: datetime.now(UTC))
        await trust.load()

        store = ReportStore(time.monotonic, time.time)
        self._flusher = Flusher(
            store,
            reports_client,
            lambda uid: intake_facts.status_fact(self._jobs, uid),
            limiter=TokenBucket(s.status_rate, max(1, int(s.status_rate))),
            urgent=TokenBucket(s.qps, s.burst),
            companion=self._accompany,
            remember=self._jobs.put,
            on_flush=counters.status_write,
        )
        self._store = store
        self._pods = [
            Informer(
                client,
                PODS,
                observe_pod,
                owner=lambda pod: pod.owner_uid or None,
                on_change=self._pod_changed,
                namespace=namespace,
                label_selector=names.LABEL_JOB,
            )
            for namespace in (s.watch_namespaces or (None,))
        ]
        pods = PodCache(self._pods)
        events = EventRecorder(client, s.pod_name, counters.event)
        platform = Platform(
            cpu_image=s.trainer_image_cpu,
            gpu_image=s.trainer_image_gpu,
            pull_policy=s.trainer_pull_policy,
            intake_url=s.intake_url,
            intake_ca="",  # the reconciler's, below: it is joined by the next one in time
            job_key=lambda uid: keys.job_key(trust.known.gang_key, uid),
            launcher=launcher_archive.build(),
            node_pools=pools,
        )

        def platform_now() -> Platform:
            nonlocal platform
            bundle = trust.bundle()
            if bundle != platform.intake_ca:
                platform = dataclasses.replace(platform, intake_ca=bundle)
            return platform

        self._reconciler = Reconciler(
            client,
            self._jobs,
            pods,
            platform_now,
            self,
            events,
            lambda: datetime.now(UTC),
            EarlyStatus(TokenBucket(early_status.RATE, early_status.BURST), time.monotonic),
            crowded=lambda: self._queue.count(Lane.CREATE) > 0,
        )
        certificate = ServingCertificate(trust.signer, service_names(s.intake_service, s.namespace), ["127.0.0.1"])
        intake = Intake(
            verify=Verifier(KeySource(client), time.time),
            find_job=lambda namespace, name: intake_facts.find_job(self._jobs, namespace, name),
            find_pod=lambda uid: intake_facts.find_pod(pods, uid),
            newest=lambda uid, member: intake_facts.newest_incarnation(pods, uid, member),
            ready=self.ready,
            store=store,
            rates=ReportRates(job=s.report_rate, namespace=s.namespace_report_rate, clock=time.monotonic),
            on_report=counters.report,
        )
        self._server = IntakeServer(make_app(intake), certificate.context)
        self._elector = LeaderElector(
            client, s.namespace, s.lease, f"{s.pod_name}_{random.getrandbits(32):08x}", on_lost=self._lost_lead
        )

        async def relist() -> None:
            pages = [await _list_jobs(client, namespace) for namespace in s.watch_namespaces or (None,)]
            oldest = min(parse_version(page.resource_version) for page in pages)
            self._jobs.replace_all((body for page in pages for body in page.items), oldest)
            self._listed = True
            self._jobs_watch.listed()

        sources = telemetry_sources.build(
            self._jobs,
            self._pods,
            self._queue,
            self._elector,
            self.ready,
            store,
            certificate,
            trust.ends,
            self._jobs_watch,
        )
        await self._telemetry.serve(sources, s.metrics_jobs, s.metrics_port)
        await relist()
        for number, informer in enumerate(self._pods):
            self._supervisor.start(f"pod informer {number}", informer.run())
        await self._server.start(None, s.intake_port)
        self._supervisor.start("intake authority", trust.run())
        self._supervisor.start("intake certificate", certificate.run())
        self._supervisor.start("metrics flusher", self._flusher.run())
        self._supervisor.start("event recorder", events.run())
        self._supervisor.start("resync", resync(relist, self._everything, RESYNC_SECONDS, random.random))
        self._supervisor.start("election", self._elector.run(), may_end=True)
        self._supervisor.start("leader", self._lead())

    async def stop(self) -> None:
        """Stop working, hand the lead over, write what metrics are left, and close."""
        self._queue.shutdown()
        await self._supervisor.stop()
        if hasattr(self, "_elector"):
            await self._elector.release()
        if hasattr(self, "_server"):
            await self._server.stop()
            left = await self._flusher.drain(DRAIN_SECONDS)
            if left:
                logger.warning("metrics of %d jobs were not written at shutdown", left)
        await self._telemetry.stop()
        await self._exit.aclose()

    def observe_job(self, kind: str | None, body: Mapping[str, Any]) -> None:
        """Take a TrainingJob from kopf's watch; `kind` is ADDED, MODIFIED, DELETED, or None for the first list."""
        self._jobs_watch.heard()
        if kind == "DELETED":
            self._jobs.remove(body.get("metadata", {}).get("uid", ""))
        else:
            self._jobs.put(body)

    def health(self) -> str:
        """Return a line for the liveness probe.

        Raises:
            RuntimeError: the pod watch is silent for too long: a restart may help.
        """
        oldest = max((informer.age() for informer in self._pods), default=0.0)
        if oldest > RESYNC_SECONDS:
            raise RuntimeError(f"nothing heard of pods for {oldest:.0f} s")
        return f"{len(self._jobs)} jobs, leading: {self._elector.leading.is_set()}, pods heard {oldest:.0f} s ago"

    # --- Inside ---

    def ready(self) -> bool:
        """Whether the caches are filled, so that reports can be judged."""
        return self._listed and all(informer.synced.is_set() for informer in self._pods)

    def _accompany(self, uid: str, resource_version: str, status: Mapping[str, Any]) -> Joined | None:
        return self._reconciler.accompany(uid, resource_version, status)

    async def deliver(self, job: JobFact, report: Report) -> None:
        """Bring a final report into status.training now; what fails here is tried again by the flusher."""
        pods = (pod for informer in self._pods for pod in informer.of_owner(job.uid))
        self._store.put(job.uid, job.namespace, job.name, report, intake_facts.said_at(report, pods))
        await self._flusher.flush_now(job.uid)

    async def _lead(self) -> None:
        await self._elector.leading.wait()
        for informer in self._pods:
            await informer.synced.wait()
        self._everything()
        logger.info("leading: %d jobs", len(self._jobs))
        async with asyncio.TaskGroup() as group:
            for _ in range(self._settings.workers):
                group.create_task(work(self._queue, self._reconciler.reconcile, self._telemetry.counters.reconcile))

    def _job_seen(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
        """Count failures on the leading replica: the other sees them too."""
        if hasattr(self, "_elector") and self._elector.leading.is_set():
            reason = new_failure(before, after)
            if reason is not None:
                self._telemetry.counters.failure(reason)

    def _lane_of(self, uid: str) -> tuple[Lane, str]:
        """Return what a job needs, at a glance: the reconciler finds out what exactly."""
        body = self._jobs.body(uid)
        if body is None:
            return Lane.OTHER, ""
        metadata, spec, phase = body["metadata"], body.get("spec") or {}, (body.get("status") or {}).get("phase")
        pods = [pod for informer in self._pods for pod in informer.of_owner(uid)]
        live = sum(not pod.finished and not pod.deleting for pod in pods)
        over = phase in (Phase.SUCCEEDED, Phase.FAILED)
        if "deletionTimestamp" in metadata or spec.get("suspend") or over:
            return (Lane.URGENT if live else Lane.OTHER), metadata["namespace"]
        wanted = 1 + ((spec.get("workers") or {}).get("replicas") or 0)
        if live < wanted:
            return (Lane.CREATE if phase != Phase.INVALID else Lane.OTHER), metadata["namespace"]
        chiefs = (pod.ip for pod in pods if pod.role == names.ROLE_CHIEF and not pod.over and not pod.deleting)
        found = ("", BY_KUBERNETES, self._reconciler.published(uid))
        # Before all of them run nobody waits for the chief's address alone.
        up = all(pod.phase != "Pending" for pod in pods)
        unfound = up and wanted > 1 and phase != Phase.RUNNING and next(chiefs, "") not in found
        return (Lane.URGENT if unfound else Lane.OTHER), metadata["namespace"]

    def _everything(self) -> None:
        for uid in self._jobs:
            self._queue.add(uid)

    def _pod_changed(self, old: PodFact | None, new: PodFact | None) -> None:
        pod = new or old
        if pod is not None and pod.owner_uid:
            self._queue.add(pod.owner_uid)

    def _lost_lead(self) -> None:
        self._die(RuntimeError("the lead was lost; another replica reconciles now"))

    def _die(self, error: BaseException) -> None:
        self.error = self.error or error
        self._on_death()


async def _list_jobs(client: KubeClient, namespace: str | None) -> Page:
    try:
        return await client.list(TRAININGJOBS, namespace)
    except ApiError as error:
        if error.not_found:
            raise RuntimeError(
                f"the API server knows no {names.PLURAL}.{names.GROUP}: install the chart with crds.install=true"
            ) from error
        raise
