"""Everything of one replica that Prometheus is told, in one object."""

from prometheus_client import GC_COLLECTOR, CollectorRegistry, ProcessCollector

from trainingjob_operator.telemetry.counters import Counters
from trainingjob_operator.telemetry.exposition import Exposition
from trainingjob_operator.telemetry.server import MetricsServer, make_app
from trainingjob_operator.telemetry.state import Sources, StateCollector


class Telemetry:
    """`counters` are the hooks for the operator's parts; `serve` shows them, with the state and the jobs."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.counters = Counters(self._registry)
        ProcessCollector(registry=self._registry)
        self._registry.register(GC_COLLECTOR)
        self._server: MetricsServer | None = None

    def expose(self, sources: Sources, limit: int) -> Exposition:
        """Return what writes the text; `limit` is the number of jobs that get metrics of their own. Call it once."""
        self._registry.register(StateCollector(sources))
        return Exposition(self._registry, sources, limit)

    async def serve(self, sources: Sources, limit: int, port: int) -> None:
        """Listen on this port of all addresses."""
        self._server = MetricsServer(make_app(self.expose(sources, limit).chunks))
        await self._server.start(None, port)

    async def stop(self) -> None:
        """Stop listening."""
        if self._server is not None:
            await self._server.stop()
