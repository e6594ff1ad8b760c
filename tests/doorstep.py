"""A flat with one door, of any family of locks, and what can be compared of its end."""

import random
import sqlite3
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import aiohttp

from gateway.app import Pace
from gateway.simulator.families import FAMILIES
from gateway.simulator.peer import SimulatedPeer
from gateway.simulator.stays import SimulatedStays
from gateway.web.listener import is_local
from tests.house import KEY, House, Notices

PACE = Pace(scheduler=900.0, sweep=1800.0, heartbeat=7200.0, lag=7200.0)


@dataclass(frozen=True)
class Family:
    """One way in which a write of unknown outcome is resolved."""

    profile: str
    version: str
    hub: bool
    overrides: dict = field(default_factory=dict, hash=False)

    def __str__(self):
        return self.profile + ("" if self.overrides.get("can_modify", True) else " without modify")


class Doorstep(House):
    """One listing, one lock."""

    def __init__(self, folder, clock, *, family, **settings):
        self.pace, self.is_local, self.clock, self.folder = PACE, is_local, clock, folder
        self.world, self.discovery, self.time_files, self.chance = clock, None, None, None
        self.family = family
        self.stays = SimulatedStays(random.Random(5), clock=clock)
        self.settings, self.notices = settings, Notices()
        self.gateway, self.token, self.pins = None, "", set()
        self.lock = FAMILIES[family.profile](
            name="door",
            device_id="d-1",
            node_id="cid-1" if family.hub else None,
            clock=clock,
        )
        self.peer = SimulatedPeer(
            name="peer",
            device_id="hub-1" if family.hub else "d-1",
            local_key=KEY,
            version=family.version,
            locks=[self.lock],
            clock=clock,
            idle_seconds=3 * self.pace.heartbeat,
        )
        self.flat = self.stays.add_listing("Flat")

    @asynccontextmanager
    async def standing(self):
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self.stays.serving())
            await stack.enter_async_context(self.peer.serving())
            self.session = await stack.enter_async_context(aiohttp.ClientSession())
            yield self

    def config_values(self):
        own = {
            "local_key": KEY,
            "address": "127.0.0.1",
            "port": self.peer.port,
            "version": self.family.version,
        }
        lock = {
            "name": "door",
            "profile": self.family.profile,
            "device_id": "d-1",
            "overrides": {"deadline": 2.0} | self.family.overrides,
        }
        hubs = [{"name": "hub", "device_id": "hub-1"} | own] if self.family.hub else []
        lock |= {"hub": "hub", "node_id": "cid-1"} if self.family.hub else own
        values = {
            "site": {"timezone": "America/Sao_Paulo"},
            "stays": {
                "url": self.stays.url,
                "client_id": self.stays.client_id,
                "client_secret": self.stays.client_secret,
            },
            "http": {"host": "127.0.0.1", "port": 0},
            "hubs": hubs,
            "locks": [lock],
            "listings": [{"stays_id": self.flat, "name": "Flat", "locks": ["door"]}],
        }
        for section, changes in self.settings.items():
            whole = isinstance(changes, list)
            values[section] = changes if whole else values.get(section, {}) | changes
        return values

    def secrets(self):
        held = {code.pin for code in self.lock.codes}
        return {KEY, self.stays.client_secret, self.token} | self.pins | held

    def rows(self, query):
        """What a query finds in the database of a gateway that has ended."""
        with sqlite3.connect(self.folder / "gateway.db") as database:
            found = database.execute(query).fetchall()
        database.close()
        return found
