"""kopf carries the process: start-up, the watch of TrainingJobs, the liveness probe, shutdown. Only this imports it.

Only `on.event` is used. Change handlers, timers, daemons and indices would put annotations and finalizers on every
job (deletion would then need the operator) and cost a deep copy and a diff for each event; null storages switch that
off.
"""

import asyncio
import logging
from typing import Any, cast

import kopf

from trainingjob_operator.api import names
from trainingjob_operator.runtime.process import OperatorProcess
from trainingjob_operator.settings import Settings


class _NoDiffBase(kopf.DiffBaseStorage):
    """Remembers no last-handled state: nothing here asks what changed, only what is."""

    def build(self, *, body: Any, extra_fields: Any = None) -> Any:
        return {}

    def fetch(self, *, body: Any) -> Any:
        return None

    def store(self, *, body: Any, patch: Any, essence: Any) -> None:
        return None


class _NoProgress(kopf.ProgressStorage):
    """Keeps no handler progress: there are no handlers that have any."""

    def fetch(self, *, key: Any, body: Any) -> Any:
        return None

    def store(self, *, key: Any, record: Any, body: Any, patch: Any) -> None:
        return None

    def purge(self, *, key: Any, body: Any, patch: Any) -> None:
        return None

    def touch(self, *, body: Any, patch: Any, value: Any) -> None:
        return None

    def clear(self, *, essence: Any) -> Any:
        return essence


def build_registry(process: OperatorProcess) -> kopf.OperatorRegistry:
    """Return the handlers, all of which hand over to `process` at once."""
    registry = kopf.OperatorRegistry()

    # Permanent: a start that fails ends the process, and the kubelet retries it. kopf alone would wait a minute.
    @kopf.on.startup(registry=registry, errors=kopf.ErrorsMode.PERMANENT)
    async def start(settings: kopf.OperatorSettings, **_: Any) -> None:
        configure(settings)
        await process.start()

    @kopf.on.cleanup(registry=registry)
    async def stop(**_: Any) -> None:
        await process.stop()

    @kopf.on.login(registry=registry)
    def login(**kwargs: Any) -> kopf.ConnectionInfo | None:
        return kopf.login_with_service_account(**kwargs) or kopf.login_with_kubeconfig(**kwargs)

    @kopf.on.event(names.GROUP, names.VERSION, names.PLURAL, registry=registry)
    async def on_job(*, event: Any, **_: Any) -> None:
        process.observe_job(event.get("type"), event["object"])

    @kopf.on.probe(id="background", registry=registry)
    async def background(**_: Any) -> str:
        return str(process.health())

    return registry


def configure(settings: kopf.OperatorSettings) -> None:
    """Turn off in kopf what this operator does itself or not at all."""
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.watching.chunk_size = 500
    settings.queueing.idle_timeout = 1.0
    settings.persistence.diffbase_storage = _NoDiffBase()
    settings.persistence.progress_storage = _NoProgress()


async def run(settings: Settings) -> None:
    """Run the operator until it is told to stop.

    Raises:
        Exception: what a background task died of.
    """
    # At INFO level kopf and aiohttp say that each event and each probe was handled.
    for chatty in ("kopf.objects", "kopf.activities.probe", "aiohttp.access"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    stop_flag = asyncio.Event()
    process = OperatorProcess(settings, stop_flag.set)
    await kopf.operator(
        registry=build_registry(process),
        identity=cast("Any", settings.pod_name),  # else kopf asks for the user's name: a random uid has none
        standalone=True,
        clusterwide=not settings.watch_namespaces,
        namespaces=settings.watch_namespaces,
        liveness_endpoint=f"http://0.0.0.0:{settings.health_port}/healthz",
        stop_flag=stop_flag,
    )
    if process.error is not None:
        raise process.error
