"""Days in seconds: an event loop whose time jumps to the next timer when nothing else is to do.

    def test_something():
        async def main(clock): ...
        run_virtual(main, start=utc("2026-02-01 12:00"))

Real sockets and real SQLite work: time stands still while a socket is readable or a thread has work.
"""

import asyncio
import functools
import selectors
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import aiosqlite.core
import time_machine

from gateway.clock import SystemClock


class _Selector(selectors.DefaultSelector):
    loop = None

    def select(self, timeout=None):
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if self.loop.busy:
            return super().select(0.01)
        ready = super().select(0)  # loopback delivers before send() returns, or very nearly
        if ready or timeout is None:
            return ready or super().select(0.01)
        self.loop.jump(timeout)
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """`busy` counts calls under way in threads."""

    def __init__(self, traveller):
        selector = _Selector()
        selector.loop = self
        self.busy = 0
        self._virtual = 0.0
        self._traveller = traveller
        super().__init__(selector)

    def time(self):
        return self._virtual

    def jump(self, seconds):
        self._virtual += seconds
        self._traveller.shift(timedelta(seconds=seconds))

    def step(self, by: timedelta):
        """Set the wall clock, as a person or NTP does; the loop's own time goes on."""
        self._traveller.shift(by)

    def run_in_executor(self, executor, func, *args):
        self.busy += 1
        future = super().run_in_executor(executor, func, *args)
        future.add_done_callback(self._one_less)
        return future

    def _one_less(self, _future):
        self.busy -= 1


class TrueClock(SystemClock):
    """The time in the world outside, whatever the machine's own clock is set to."""

    def __init__(self, start: datetime):
        self._start = start

    def now(self):
        return self._start + timedelta(seconds=asyncio.get_running_loop().time())


def _counted(call):
    async def counting(self, *args, **kwargs):
        loop = asyncio.get_running_loop()
        loop.busy += 1
        try:
            return await call(self, *args, **kwargs)
        finally:
            loop.busy -= 1

    return counting


@contextmanager
def threads_counted():
    names = ("_execute", "_connect", "close")
    originals = {name: getattr(aiosqlite.core.Connection, name) for name in names}
    for name, original in originals.items():
        setattr(aiosqlite.core.Connection, name, _counted(original))
    try:
        yield
    finally:
        for name, original in originals.items():
            setattr(aiosqlite.core.Connection, name, original)


def run_virtual(main, *, start: datetime = datetime(2026, 2, 1, 12, tzinfo=UTC)):
    """Run `main(clock)` from `start` on virtual time."""
    with (
        time_machine.travel(start, tick=False) as traveller,
        threads_counted(),
        asyncio.Runner(loop_factory=lambda: VirtualLoop(traveller)) as runner,
    ):
        return runner.run(main(SystemClock()))


def in_virtual_time(test):
    """Run an async test on virtual time, from the present."""

    @functools.wraps(test)
    def run(*args, **kwargs):
        async def main(_clock):
            await test(*args, **kwargs)

        run_virtual(main, start=datetime.now(UTC))

    return run
