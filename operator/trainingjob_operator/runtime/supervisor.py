"""Background tasks whose death must not go unseen: one that ends on its own brings the process down.

A dead watch or writer behind a live process is the worst state an operator can be in; a restart is cheap.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

logger = logging.getLogger(__name__)


class Supervisor:
    """Starts tasks, watches them, stops them in reverse.

    `on_death(error)` is called once, when one ends on its own.
    """

    def __init__(self, on_death: Callable[[BaseException], None]) -> None:
        self._on_death = on_death
        self._tasks: list[asyncio.Task[Any]] = []
        self._stopping = False

    def start(self, name: str, work: Coroutine[Any, Any, Any], *, may_end: bool = False) -> asyncio.Task[Any]:
        """Start a task; `may_end` is for one whose normal end is no fault."""
        task = asyncio.create_task(work, name=name)
        self._tasks.append(task)
        task.add_done_callback(lambda done: self._ended(done, may_end))
        return task

    async def stop(self) -> None:
        """Cancel all tasks, the last started first, and wait for each."""
        self._stopping = True
        for task in reversed(self._tasks):
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def _ended(self, task: asyncio.Task[Any], may_end: bool) -> None:
        if self._stopping or task.cancelled():
            return
        error = task.exception()
        if error is None and may_end:
            return
        reason = error or RuntimeError(f"{task.get_name()} ended")
        logger.critical("%s died; the process ends with it", task.get_name(), exc_info=error)
        self._stopping = True
        self._on_death(reason)
