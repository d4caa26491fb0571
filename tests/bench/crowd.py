"""Chiefs' launchers of many jobs, as far as the intake knows them: each posts a report every interval over its own
connection. Commands come as lines on standard input: `on`, `off`; after `off` a line of JSON says what was answered.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import json
import os
import random
import ssl
import sys
from typing import Any

import aiohttp

from trainingjob_operator.api.contract import Report, Training

INTERVAL = 5.0
#: One address may hold so many connections; a thousand chiefs are on many nodes.
NODES = tuple(f"127.0.0.{number}" for number in range(2, 22))
_lots = random.Random(1)


async def main(crowd: dict[str, Any]) -> None:
    """Be the launchers of `crowd`, and obey."""
    context = ssl.create_default_context(cadata=crowd["ca"])
    answers: collections.Counter[str] = collections.Counter()
    reporting = asyncio.Event()
    async with contextlib.AsyncExitStack() as stack:
        nodes = []
        for address in NODES:
            connector = aiohttp.TCPConnector(limit=0, ssl=context, local_addr=(address, 0))
            nodes.append(await stack.enter_async_context(aiohttp.ClientSession(connector=connector)))
        tasks = [
            asyncio.create_task(_report(nodes[number % len(nodes)], url, token, reporting, answers))
            for number, (url, token) in enumerate(crowd["jobs"])
        ]
        while line := await asyncio.to_thread(sys.stdin.readline):
            if line.strip() == "on":
                answers.clear()
                reporting.set()
            else:
                reporting.clear()
                await asyncio.sleep(1.0)  # what is under way
            print(json.dumps(answers), flush=True)
        for task in tasks:
            task.cancel()


async def _report(
    session: aiohttp.ClientSession,
    url: str,
    token: str,
    reporting: asyncio.Event,
    answers: collections.Counter[str],
) -> None:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    sequence = 0
    while True:
        await reporting.wait()
        await asyncio.sleep(_lots.uniform(0.0, INTERVAL))  # nobody starts at the same time as the others
        while reporting.is_set():
            sequence += 1
            try:
                async with session.post(url, data=report(sequence), headers=headers) as answer:
                    await answer.read()
                    answers[str(answer.status)] += 1
            except (aiohttp.ClientError, OSError) as error:
                answers[type(error).__name__] += 1
            await asyncio.sleep(INTERVAL)


def report(step: int) -> bytes:
    """Return a chief's report of a step, which is its number too."""
    metrics = {name: _lots.random() for name in ("loss", "accuracy", "val_loss", "val_accuracy")}
    training = Training(
        step=step, total_steps=10_000, epoch=1, total_epochs=10, examples_per_second=1000.0, metrics=metrics
    )
    return Report("chief-0", 1, 1, step, "Running", False, training).encode()


if __name__ == "__main__":
    os.nice(10)  # chiefs run elsewhere: what is measured shall not wait for us
    with open(sys.argv[1], encoding="utf-8") as who:
        asyncio.run(main(json.load(who)))
