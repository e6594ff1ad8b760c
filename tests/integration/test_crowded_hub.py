"""A hub with sixty-four locks behind it."""

import random
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

import aiohttp

from gateway.domain import events
from gateway.simulator.families import BleLock
from gateway.simulator.peer import SimulatedPeer
from gateway.simulator.stays import SimulatedStays
from gateway.web.listener import is_local
from tests.house import KEY, UNHURRIED, House, Notices
from tests.virtual_time import run_virtual

COUNT = 64
PARTS = 5  # in which the hub says which locks it reaches
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)


class Tower(House):
    """One flat a lock, one hub for all."""

    def __init__(self, folder, clock):
        self.pace, self.is_local, self.clock, self.folder = UNHURRIED, is_local, clock, folder
        self.settings, self.notices = {}, Notices()
        self.world, self.time_files, self.discovery, self.chance = clock, None, None, None
        self.gateway, self.token, self.pins = None, "", set()
        self.stays = SimulatedStays(random.Random(5))
        self.locks = [
            BleLock(name=f"apt-{n}", device_id=f"d-{n}", node_id=f"cid-{n}", clock=clock)
            for n in range(COUNT)
        ]
        self.hub = SimulatedPeer(
            name="hub",
            device_id="hub-device",
            local_key=KEY,
            version="3.4",
            locks=self.locks,
            clock=clock,
            idle_seconds=3 * self.pace.heartbeat,
        )
        self.hub.online_lists = PARTS
        self.flats = [self.stays.add_listing(f"Apto {n}") for n in range(COUNT)]

    @asynccontextmanager
    async def standing(self):
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self.stays.serving())
            await stack.enter_async_context(self.hub.serving())
            self.session = await stack.enter_async_context(aiohttp.ClientSession())
            yield self

    def config_values(self):
        stays = self.stays
        return {
            "stays": {
                "url": stays.url,
                "client_id": stays.client_id,
                "client_secret": stays.client_secret,
            },
            "http": {"host": "127.0.0.1", "port": 0},
            "hubs": [
                {
                    "name": "hub",
                    "device_id": "hub-device",
                    "local_key": KEY,
                    "address": "127.0.0.1",
                    "port": self.hub.port,
                    "version": "3.4",
                }
            ],
            "locks": [
                {
                    "name": lock.name,
                    "profile": "ble_temp",
                    "hub": "hub",
                    "device_id": lock.device_id,
                    "node_id": lock.node_id,
                }
                for lock in self.locks
            ],
            "listings": [
                {"stays_id": flat, "name": f"Apto {n}", "locks": [f"apt-{n}"]}
                for n, flat in enumerate(self.flats)
            ],
        }

    async def unreachable(self):
        _, body = await self.api("GET", "/api/admin/locks")
        return {lock["name"] for lock in body["data"] if not lock["reachable"]}


def test_all_locks_of_a_crowded_hub_get_their_pin_over_one_connection(tmp_path):
    async def main(clock):
        tower = Tower(tmp_path, clock)
        asleep = [tower.locks[0], tower.locks[31], tower.locks[COUNT - 1]]
        for lock in asleep:
            lock.online = False
        for flat in tower.flats:
            tower.book(flat, -HOUR, 48 * HOUR)
        async with tower.standing(), tower.running():
            await tower.first_run()
            await tower.until(
                lambda: sum(bool(lock.codes) for lock in tower.locks) == COUNT - len(asleep), 600
            )
            assert await tower.unreachable() == {lock.name for lock in asleep}
            assert not any(lock.received for lock in asleep)

            for lock in asleep:
                lock.online = True
            await tower.until(lambda: all(lock.codes for lock in tower.locks), 1200)

            async def all_confirmed():
                stays = [await tower.stay(stay) for stay in tower.stays.reservations]
                return all(stay["pinStatus"] == "active" for stay in stays)

            await tower.until(all_confirmed, 600)
            assert await tower.unreachable() == set()
            assert tower.hub.accepted == 1
            assert {sum(lock.creates.values()) for lock in tower.locks} == {1}

    run_virtual(main)


def test_a_crowded_hub_that_is_gone_is_told_of_once_and_once_when_it_is_back(tmp_path):
    async def main(clock):
        tower = Tower(tmp_path, clock)

        def told():
            return [
                (one.subject, one.over)
                for one in tower.notices.told
                if one.event == events.LOCK_OFFLINE
            ]

        async with tower.standing(), tower.running():
            await tower.first_run()
            await clock.sleep(300)
            await tower.hub.cut()
            await clock.sleep(2 * 3600)
            assert len(await tower.unreachable()) == COUNT
            assert told() == [("hub", False)]
            await tower.hub.restore()
            await clock.sleep(2 * 3600)
            assert await tower.unreachable() == set()
            assert told() == [("hub", False), ("hub", True)]

    run_virtual(main)
