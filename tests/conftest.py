"""What every tier's tests share."""

import asyncio
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def _main_threads_loop() -> Iterator[None]:
    """Give the main thread an event loop that is closed in the end.

    pytest-asyncio asks for the current loop before it sets its own; Python 3.11 then makes one that nobody closes,
    and the garbage collector complains in whichever test comes later. Warnings are errors here.
    """
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield
    asyncio.set_event_loop(None)
    loop.close()
