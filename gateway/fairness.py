"""Long work in the event loop, in short turns: whatever else waits gets its own in between."""

import asyncio
import gc
from collections.abc import AsyncIterator, Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")

TURN = 50  # items of a turn: of reservations about a millisecond here, less than ten on a Pi


async def fairly(items: Iterable[T]) -> AsyncIterator[T]:
    """The items one by one, with a pause for everybody else after some of them."""
    for number, item in enumerate(items, 1):
        yield item
        if number % TURN == 0:
            await asyncio.sleep(0)


async def in_turns(steps: Generator[None, None, T]) -> T:
    """What the steps come to, with a pause for everybody else after each."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            outcome: T = end.value
            return outcome
        await asyncio.sleep(0)


@contextmanager
def garbage_left() -> Iterator[None]:
    """No look for cyclic garbage in the block, which makes much that lives to its end.

    Each look would go through that once more, and find nothing; it stops everything meanwhile.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
