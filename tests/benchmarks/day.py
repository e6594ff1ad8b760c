"""A day of the whole gateway in virtual time: `python -m tests.benchmarks.day FOLDER` prints its memory."""

import io
import random
import sys
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

from gateway.app import Gateway, Pace, Paths
from gateway.config import Config
from gateway.observability import configure_logging
from gateway.simulator.families import MkLock
from gateway.simulator.peer import SimulatedPeer
from gateway.simulator.stays import SimulatedStays
from tests.benchmarks.account import LENGTH
from tests.benchmarks.doors import KEY, config_values
from tests.benchmarks.measuring import resident
from tests.house import START, Notices
from tests.virtual_time import run_virtual

LOCKS, STAYS = 64, 1000
_PACE = Pace(scheduler=60.0, sweep=120.0, heartbeat=60.0, lag=60.0)


class _Nothing(io.TextIOBase):
    def write(self, text):
        return len(text)


def _account(clock):
    stays = SimulatedStays(random.Random(7), clock=clock)
    flats = [stays.add_listing(f"Unit {number}") for number in range(LOCKS)]
    first = START.date() - timedelta(days=1)
    for number in range(STAYS):
        arrival = first + (LENGTH + 1) * timedelta(days=number // LOCKS)
        stays.book(flats[number % LOCKS], arrival, arrival + LENGTH * timedelta(days=1))
    return stays, flats


async def _live(folder, clock):
    stays, flats = _account(clock)
    locks = [
        MkLock(name=f"door-{number}", device_id=f"door-{number}", clock=clock, capacity=100)
        for number in range(LOCKS)
    ]
    peers = [
        SimulatedPeer(
            name=lock.name,
            device_id=lock.device_id,
            local_key=KEY,
            version="3.5",
            locks=[lock],
            clock=clock,
            idle_seconds=300,
        )
        for lock in locks
    ]
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(stays.serving())
        for peer in peers:
            await stack.enter_async_context(peer.serving())
        described = [
            {
                "name": peer.name,
                "version": peer.version,
                "port": peer.port,
                "locks": [{"name": peer.name, "device_id": peer.name, "cid": None}],
            }
            for peer in peers
        ]
        values = config_values(stays.url, described)
        values["stays"]["client_id"] = stays.client_id
        values["stays"]["client_secret"] = stays.client_secret
        for unit, flat in zip(values["listings"], flats, strict=True):
            unit["stays_id"] = flat
        config = Config(**values)
        paths = Paths.of(config, folder=folder, environ={})
        async with Gateway.running(config, paths, clock=clock, notifier=Notices(), pace=_PACE):
            await clock.sleep(3600)
            before = resident()
            await clock.sleep(23 * 3600)
            if sum(len(lock.codes) for lock in locks) < LOCKS:
                raise AssertionError("the day did not go as it should")
            sys.stdout.write(f"{before} {resident()}\n")


if __name__ == "__main__":
    configure_logging(level="info", format="json", stream=_Nothing())
    run_virtual(lambda clock: _live(Path(sys.argv[1]), clock), start=START)
