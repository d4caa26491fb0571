"""The workers that take jobs from the queue and reconcile them, and the re-list that heals what a watch missed."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

from trainingjob_operator.kube.errors import ApiError
from trainingjob_operator.runtime.queue import QueueClosedError, WorkQueue

logger = logging.getLogger(__name__)

Reconcile = Callable[[str], Awaitable[float | None]]


async def work(
    queue: WorkQueue[str],
    reconcile: Reconcile,
    on_reconcile: Callable[[str, float], None] = lambda _result, _seconds: None,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Reconcile jobs from the queue, one after the other, until the queue is shut down.

    One job's error never stops another: it is logged, and the job comes again after its back-off. `on_reconcile`
    hears of every look: `done`, `api_error` or `defect`, and its seconds.
    """
    while True:
        try:
            uid = await queue.get()
        except QueueClosedError:
            return
        began, result = clock(), "done"
        try:
            seconds = await reconcile(uid)
        except ApiError as error:
            delay, result = queue.retry(uid), "api_error"
            logger.warning("job %s: %s; again in %.1f s", uid, error, delay)
        except Exception:
            delay, result = queue.retry(uid), "defect"
            logger.exception("job %s: reconcile failed; again in %.1f s", uid, delay)
        else:
            queue.forget(uid)
            if seconds is not None:
                queue.add_after(uid, seconds)
        finally:
            queue.done(uid)
        on_reconcile(result, clock() - began)


async def resync(
    relist: Callable[[], Awaitable[Any]],
    everything: Callable[[], None],
    seconds: float,
    rand: Callable[[], float],
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """List all jobs and look at each, every `seconds` with jitter, until cancelled.

    kopf's watch does not tell of jobs that were deleted while it was cut off (410 Gone); this does.
    """
    while True:
        await sleep(seconds * (0.9 + 0.2 * rand()))
        try:
            await relist()
        except ApiError as error:
            logger.warning("re-list of jobs failed, next time: %s", error)
        everything()
