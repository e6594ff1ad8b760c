"""A whole house for a test: the gateway beside simulated Stays and locks, over real sockets."""

import asyncio
import io
import json
import random
import re
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from zoneinfo import ZoneInfo

import aiohttp

from gateway.app import Gateway, Pace, Paths, signing_secret
from gateway.clock import SystemClock
from gateway.config import Config
from gateway.observability import configure_logging
from gateway.simulator.families import BleLock, MkLock, ZigbeeLock
from gateway.simulator.peer import SimulatedPeer
from gateway.simulator.stays import SimulatedStays
from gateway.web.auth import issue_token
from gateway.web.listener import is_local
from tests.builders import utc
from tests.virtual_time import run_virtual

KEY = "0123456789abcdef"
UNHURRIED = Pace(scheduler=900.0, sweep=1800.0, heartbeat=600.0, lag=600.0)
START = utc("2026-02-02 15:00")  # noon in São Paulo
ZONE = ZoneInfo("America/Sao_Paulo")


@dataclass
class Notices:
    """A notifier that keeps what it is told."""

    told: list = field(default_factory=list)

    async def tell(self, notice):
        self.told.append(notice)

    def events(self):
        return [notice.event for notice in self.told]


class House:
    """Two flats behind one street door: `street` (mk, direct), `apt-101` (ble) and `apt-102`
    (zigbee) behind a hub. `on_lan`: whoever asks is taken for another machine of the LAN.
    `model_101`, `overrides_101`: how the ble lock differs from its family, and what the
    configuration says of it. `discovery`: how devices are heard. `world`: the clock of Stays and the
    locks, where it is another than the gateway's own. `time_files`: what the gateway's machine says
    of its clock. `chance`: where PINs and jitter come from."""

    def __init__(
        self,
        folder,
        clock,
        *,
        pace=None,
        on_lan=False,
        model_101=None,
        overrides_101=None,
        discovery=None,
        world=None,
        time_files=None,
        chance=None,
        **settings,
    ):
        self.overrides_101 = {"deadline": 2.0} | (overrides_101 or {})
        self.pace = pace or Pace()
        self.discovery = discovery
        self.is_local = (lambda _: False) if on_lan else is_local
        idle = 3 * self.pace.heartbeat
        self.clock = clock
        self.time_files = time_files
        self.chance = chance
        self.world = clock = world or clock
        self.stays = SimulatedStays(random.Random(5), clock=clock)
        self.street = MkLock(name="street", device_id="street-device", clock=clock, capacity=200)
        self.apt_101 = BleLock(
            name="apt-101", device_id="d101", node_id="cid-101", clock=clock, **(model_101 or {})
        )
        self.apt_102 = ZigbeeLock(name="apt-102", device_id="d102", node_id="cid-102", clock=clock)
        self.door = SimulatedPeer(
            name="street",
            device_id="street-device",
            local_key=KEY,
            version="3.3",
            locks=[self.street],
            clock=clock,
            idle_seconds=idle,
        )
        self.hub = SimulatedPeer(
            name="hub",
            device_id="hub-device",
            local_key=KEY,
            version="3.5",
            locks=[self.apt_101, self.apt_102],
            clock=clock,
            idle_seconds=idle,
        )
        self.flat_101 = self.stays.add_listing("Apto 101")
        self.flat_102 = self.stays.add_listing("Apto 102")
        self.settings = settings
        self.changes = {}  # what differs in the configuration of a lock, by its name
        self.without = set()  # locks that have left the configuration
        self.folder = folder
        self.notices = Notices()
        self.gateway = None
        self.token = ""
        self.pins = set()

    @asynccontextmanager
    async def standing(self):
        """Stays and the locks are served inside the block; the gateway is not yet running."""
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self.stays.serving())
            await stack.enter_async_context(self.door.serving())
            await stack.enter_async_context(self.hub.serving())
            self.session = await stack.enter_async_context(aiohttp.ClientSession())
            yield self

    def config(self) -> Config:
        return Config(**self.config_values())

    def config_toml(self):
        """The same as a file."""
        return as_toml(self.config_values())

    def config_values(self):
        def lock(name, profile, **more):
            return {"name": name, "profile": profile, "overrides": {"deadline": 2.0}} | more

        values = {
            "site": {"timezone": "America/Sao_Paulo"},
            "stays": {
                "url": self.stays.url,
                "client_id": self.stays.client_id,
                "client_secret": self.stays.client_secret,
            },
            "http": {"host": "127.0.0.1", "port": 0},
            "hubs": [
                {
                    "name": "hub",
                    "device_id": "hub-device",
                    "local_key": KEY,
                    "address": "127.0.0.1",
                    "port": self.hub.port,
                    "version": "3.5",
                }
            ],
            "locks": [
                lock(
                    "street",
                    "mk_method",
                    device_id="street-device",
                    local_key=KEY,
                    address="127.0.0.1",
                    port=self.door.port,
                    version="3.3",
                    shared=True,
                ),
                lock(
                    "apt-101",
                    "ble_temp",
                    device_id="d101",
                    node_id="cid-101",
                    hub="hub",
                    overrides=self.overrides_101,
                ),
                lock("apt-102", "zigbee_temp27", device_id="d102", node_id="cid-102", hub="hub"),
            ],
            "listings": [
                {"stays_id": self.flat_101, "name": "Apto 101", "locks": ["street", "apt-101"]},
                {
                    "stays_id": self.stays.listings[self.flat_102]["id"],
                    "name": "Apto 102",
                    "locks": ["street", "apt-102"],
                },
            ],
        }
        values["locks"] = [
            one | self.changes.get(one["name"], {})
            for one in values["locks"]
            if one["name"] not in self.without
        ]
        for listing in values["listings"]:
            listing["locks"] = [one for one in listing["locks"] if one not in self.without]
        for section, changes in self.settings.items():
            whole = isinstance(changes, list)
            values[section] = changes if whole else values.get(section, {}) | changes
        return values

    def secrets(self):
        """What no log may show: keys, and every PIN that an admin saw or a lock holds."""
        held = {
            code.pin for lock in (self.street, self.apt_101, self.apt_102) for code in lock.codes
        }
        return {KEY, self.stays.client_secret, self.token} | self.pins | held

    def sign_in(self):
        """An admin's token, made on the gateway's machine as the command line does."""
        config = self.config()
        secret = signing_secret(config, Paths.of(config, folder=self.folder, environ={}))
        self.token = issue_token(
            secret, subject="tester", ttl=timedelta(days=400), now=self.clock.now()
        )

    @asynccontextmanager
    async def running(self):
        """The gateway runs inside the block; its state stays from one block to the next."""
        config = self.config()
        paths = Paths.of(config, folder=self.folder, environ={})
        self.sign_in()
        async with Gateway.running(
            config,
            paths,
            clock=self.clock,
            notifier=self.notices,
            pace=self.pace,
            is_local=self.is_local,
            discovery=self.discovery,
            time_files=self.time_files,
            chance=self.chance,
        ) as gateway:
            self.gateway = gateway
            yield self
        self.gateway = None

    # --- what an admin does --------------------------------------------------------------------

    async def api(self, method, path, **options):
        url = f"http://127.0.0.1:{self.gateway.listener.port}{path}"
        headers = {"Authorization": f"Bearer {self.token}"} | options.pop("headers", {})
        async with self.session.request(method, url, headers=headers, **options) as response:
            return response.status, await response.json()

    async def status(self):
        return (await self.api("GET", "/api/admin/reconciliation/status"))[1]["data"]

    async def reconciled(self):
        """Run now and wait for the end; the run's own row."""
        before = (await self.status())["lastRun"]
        for _ in range(500):
            code, _ = await self.api("POST", "/api/admin/reconciliation/run")
            if code == 202:
                break
            await asyncio.sleep(0.01)
        return await self.next_run_after(before)

    async def next_run_after(self, before, seconds=20):
        async def finished():
            status = await self.status()
            last = status["lastRun"]
            return last if last != before and status["currentStatus"] != "pending" else None

        return await self.until(finished, seconds)

    async def first_run(self):
        return await self.next_run_after(None)

    async def stay(self, reservation):
        """The stay as the API shows it, None while it is not known."""
        code, body = await self.api("GET", f"/api/admin/reservations/{reservation}")
        return body["data"] if code == 200 else None

    async def pin(self, reservation):
        code, body = await self.api("GET", f"/api/admin/reservations/{reservation}/pin?reveal=true")
        if code != 200:
            return None
        self.pins |= {door["pin"] for door in body["data"]["doors"] if door["pin"]}
        return body["data"]["pin"]

    async def doors(self, reservation):
        """The PIN of each door by the name of its lock."""
        code, body = await self.api("GET", f"/api/admin/reservations/{reservation}/pin?reveal=true")
        return {door["lock"]: door["pin"] for door in body["data"]["doors"]} if code == 200 else {}

    async def until(self, condition, seconds=20):
        """Wait for what must come; fail if it does not."""
        deadline = asyncio.get_running_loop().time() + seconds
        while True:
            found = condition()
            if asyncio.iscoroutine(found):
                found = await found
            if found:
                return found
            assert asyncio.get_running_loop().time() < deadline, "it did not come"
            await asyncio.sleep(0.01)

    async def pin_status(self, reservation, wanted):
        async def is_so():
            stay = await self.stay(reservation)
            return stay if stay is not None and stay["pinStatus"] == wanted else None

        return await self.until(is_so)

    # --- what guests book ----------------------------------------------------------------------

    def book(self, listing, start, length, **options):
        """A stay from `start` (a timedelta from now) for `length`, to the minute."""
        zone_now = self.world.now().astimezone(ZONE).replace(second=0, microsecond=0)
        check_in, check_out = zone_now + start, zone_now + start + length
        return self.stays.book(
            listing,
            check_in.date(),
            check_out.date(),
            check_in_time=check_in.strftime("%H:%M"),
            check_out_time=check_out.strftime("%H:%M"),
            **options,
        )

    def rebook(self, reservation, start, length):
        zone_now = self.world.now().astimezone(ZONE).replace(second=0, microsecond=0)
        check_in, check_out = zone_now + start, zone_now + start + length
        self.stays.change(
            reservation,
            checkInDate=check_in.date().isoformat(),
            checkInTime=check_in.strftime("%H:%M"),
            checkOutDate=check_out.date().isoformat(),
            checkOutTime=check_out.strftime("%H:%M"),
        )


def as_toml(values):
    """The values of a configuration as a file; JSON's strings, numbers and lists are TOML's too."""
    lines = []
    for section, value in values.items():
        for table in value if isinstance(value, list) else [value]:
            lines.append(f"[[{section}]]" if isinstance(value, list) else f"[{section}]")
            lines += [f"{key} = {_toml(one)}" for key, one in table.items()]
    return "\n".join(lines) + "\n"


def _toml(value):
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_toml(one)}" for key, one in value.items()) + "}"
    return json.dumps(value)


@asynccontextmanager
async def a_house(folder, clock=None, **settings):
    """A house; at its end the whole log, at level debug, is searched for secrets."""
    log = io.StringIO()
    configure_logging(level="debug", format="json", stream=log)
    async with House(folder, clock or SystemClock(), **settings).standing() as house:
        yield house
        assert_keeps_secrets(log.getvalue(), house.secrets())


def assert_keeps_secrets(log, secrets):
    """No secret stands in the log by itself (digits within a longer number are none)."""
    for secret in secrets - {""}:
        found = re.search(rf"(?<![0-9A-Za-z]){re.escape(secret)}(?![0-9A-Za-z])", log)
        assert found is None, log[max(0, found.start() - 200) : found.start()]


def living(folder, story, **settings):
    """Run `story(house)` beside a running gateway, in virtual time."""
    failures = []

    async def main(clock):
        async with a_house(folder, clock, pace=UNHURRIED, **settings) as house, house.running():
            await house.first_run()
            try:
                await story(house)
            except AssertionError as failure:  # told without the groups of tasks around it
                failures.append(failure)

    run_virtual(main, start=START)
    for failure in failures:
        raise failure


async def at(house, moment):
    """Wait for a moment of virtual time."""
    await house.clock.sleep((moment - house.world.now()).total_seconds())
