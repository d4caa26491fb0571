"""The text that a scrape gets: format 0.0.4, which every Prometheus reads.

Thousands of jobs are a hundred thousand lines. The official client would write them in one go, and the operator would
answer nobody meanwhile; in a thread it would fight for the interpreter with the event loop. So the lines of jobs are
written here, a few milliseconds at a time, and the loop goes on in between. Only one text is made at a time: whoever
asks meanwhile gets the same.
"""

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import prometheus_client
from prometheus_client import CollectorRegistry

from trainingjob_operator.api.names import Phase
from trainingjob_operator.telemetry import families, jobs
from trainingjob_operator.telemetry.families import Family
from trainingjob_operator.telemetry.state import Sources

logger = logging.getLogger(__name__)

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
#: So many seconds of work until others get their turn.
SLICE_SECONDS = 0.004

Chunks = tuple[bytes, ...]


class Exposition:
    """Writes the text: the registry's metrics, and on the leader those of at most `limit` jobs.

    Only the leader tells of jobs, because both replicas know them, and a sum over two would be double.
    """

    def __init__(
        self,
        registry: CollectorRegistry,
        sources: Sources,
        limit: int,
        *,
        clock: Callable[[], float] = time.perf_counter,
        pause: Callable[[], Awaitable[None]] = lambda: asyncio.sleep(0),
    ) -> None:
        self._registry = registry
        self._sources = sources
        self._limit = limit
        self._clock = clock
        self._pause = pause
        self._under_way: asyncio.Task[Chunks] | None = None

    async def chunks(self) -> Chunks:
        """Return the text, made now, in pieces: to join many megabytes takes long."""
        if self._under_way is None:
            self._under_way = asyncio.create_task(self._write(), name="metrics")
            self._under_way.add_done_callback(self._ended)
        return await asyncio.shield(self._under_way)  # one that hangs up does not take it from the others

    def _ended(self, _task: asyncio.Task[Chunks]) -> None:
        self._under_way = None

    async def _write(self) -> Chunks:
        parts = [prometheus_client.generate_latest(self._registry)]
        if self._sources.leading():
            parts += await self._jobs()
        return tuple(parts)

    async def _jobs(self) -> list[bytes]:
        everyone = tuple(self._sources.jobs())
        chosen = jobs.choose(everyone, self._limit)
        blocks = {family: _Block(family) for family in (*families.JOB_COUNTS, *families.PER_JOB)}
        phases = dict.fromkeys((jobs.NEW, *Phase), 0)
        for job in everyone:
            phases[jobs.phase_of(job)] += 1
        for phase, count in phases.items():
            blocks[families.JOBS].add((), (phase,), count)
        exported, began = 0, self._clock()
        for job in chosen:
            shared = _shared(job)
            try:
                said = tuple(jobs.samples(job))
            except Exception:  # a defect; it must not take the others' metrics away
                logger.exception("metrics of %s", shared[0])
                continue
            exported += 1
            for family, labels, value in said:
                blocks[family].add(shared, labels, value)
            if self._clock() - began > SLICE_SECONDS:
                for block in blocks.values():
                    block.pack()
                await self._pause()
                began = self._clock()
        blocks[families.JOBS_EXPORTED].add((), (), exported)
        blocks[families.JOBS_LEFT_OUT].add((), (), len(everyone) - exported)
        return [chunk for block in blocks.values() for chunk in block.chunks()]


class _Block:
    """The lines of one family: they must stand together, under its HELP and TYPE."""

    def __init__(self, family: Family) -> None:
        own = [f'{name}="%s"' for name in family.labels if name not in families.JOB]
        labels = ",".join((["%s"] if set(families.JOB) <= set(family.labels) else []) + own)
        self._line = f"{family.name}{{{labels}}} %s\n" if labels else f"{family.name} %s\n"
        self._head = f"# HELP {family.name} {family.help}\n# TYPE {family.name} {family.kind}\n"
        self._lines: list[str] = []
        self._packed: list[bytes] = []

    def add(self, shared: tuple[str, ...], labels: tuple[str, ...], value: float) -> None:
        """Add a line; `shared` are the labels of the job as they are written, () for what is no job's."""
        self._lines.append(self._line % (*shared, *map(_escape, labels), _number(value)))

    def pack(self) -> None:
        """Make bytes of the lines so far: to do it for all of them at the end would take too long at once."""
        if self._lines:
            self._packed.append("".join(self._lines).encode(errors="replace"))
            self._lines.clear()

    def chunks(self) -> list[bytes]:
        """Return the family, nothing if it has no samples."""
        self.pack()
        return [self._head.encode(), *self._packed] if self._packed else []


def _shared(job: Mapping[str, Any]) -> tuple[str]:
    metadata = job.get("metadata") or {}
    namespace, name = str(metadata.get("namespace") or ""), str(metadata.get("name") or "")
    return (f'namespace="{_escape(namespace)}",job_name="{_escape(name)}"',)


def _escape(text: str) -> str:
    if "\\" in text or '"' in text or "\n" in text:
        return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
    return text


def _number(value: float) -> str:
    if math.isfinite(value):
        return repr(value)
    return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
