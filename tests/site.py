"""A simulated lock behind its peer and our driver on it, over real TCP."""

import asyncio
import random
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from gateway.clock import SystemClock
from gateway.simulator.families import FAMILIES
from gateway.simulator.lock import SimulatedLock
from gateway.simulator.peer import SimulatedPeer
from gateway.tuya.discovery import Discovery
from gateway.tuya.driver import TuyaLock
from gateway.tuya.frames import Version
from gateway.tuya.link import Endpoint
from gateway.tuya.profiles import PROFILES, Overrides
from gateway.tuya.site import LockEntry, TuyaSite

KEY = "0123456789abcdef"


@dataclass
class Wired:
    peer: SimulatedPeer
    lock: SimulatedLock
    driver: TuyaLock
    events: list = field(default_factory=list)

    async def until(self, happened):
        """Wait until something holds."""
        while not happened():  # noqa: ASYNC110 - the simulated lock has no event for everything
            await asyncio.sleep(0.02)

    async def event(self, kind):
        """The next event of a kind; events are waited for, not slept for."""
        while True:
            for event in self.events:
                if isinstance(event, kind):
                    self.events.remove(event)
                    return event
            await asyncio.sleep(0.02)


def a_peer(profile, version, *, hub, clock, key=KEY):
    cid = "cid-1" if hub else None
    lock = FAMILIES[profile](name="apt-101", device_id="lock-1", node_id=cid, clock=clock)
    device_id = "hub-1" if hub else "lock-1"
    peer = SimulatedPeer(
        name="peer", device_id=device_id, local_key=key, version=version, locks=[lock], clock=clock
    )
    return peer, lock


@asynccontextmanager
async def wired(
    profile="mk_method", version="3.4", *, hub=False, key=KEY, deadline=0.3, late=120.0
):
    clock = SystemClock()
    peer, lock = a_peer(profile, version, hub=hub, clock=clock)
    events = []
    async with peer.serving():
        endpoint = Endpoint(
            name="hub-1",
            device_id=peer.device_id,
            local_key=key,
            address="127.0.0.1",
            port=peer.port,
            version=Version(version),
        )
        entry = LockEntry(
            name="apt-101",
            profile=profile,
            pin_lengths=PROFILES[profile].pin_lengths,
            hub="hub-1" if hub else None,
            cid=lock.node_id,
            endpoint=None if hub else endpoint,
            overrides=Overrides(deadline=deadline, late=late),
        )
        site = TuyaSite(
            hubs=[endpoint] if hub else [],
            locks=[entry],
            clock=clock,
            jitter=random.Random(1),
            listener=events.append,
            discovery=Discovery(),
        )
        running = asyncio.ensure_future(site.run())
        try:
            yield Wired(peer, lock, site.locks["apt-101"], events)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
