"""Plays a story: everything around the gateway, and the gateway in it."""

import asyncio
import hashlib
import heapq
import itertools
import random
import sqlite3
from contextlib import AsyncExitStack, closing
from datetime import timedelta
from zoneinfo import ZoneInfo

import aiohttp

from gateway.config import Config
from gateway.simulator.families import FAMILIES
from gateway.simulator.lock import Faults
from gateway.simulator.peer import SimulatedPeer
from tests.simulation.account import Account
from tests.simulation.oracle import DAY, Truth
from tests.simulation.pi import PACE, Pi
from tests.simulation.story import MINUTE
from tests.simulation.watcher import Watcher
from tests.street import FAULTS

KEY = "0123456789abcdef"
_TICK = 15 * MINUTE
_LOOK = 8 * 3600.0
_BUSY = {"mk": 0x07, "ble": 0x01, "video": 0x07, "zigbee": 0x00}


class TrueClock:
    """The time of the world, which no machine's clock can change."""

    def __init__(self, start, loop):
        self._start = start
        self.monotonic = loop.time

    def now(self):
        return self._start + timedelta(seconds=self.monotonic())

    async def sleep(self, seconds):
        await asyncio.sleep(seconds)


class Notices:
    """A notifier that keeps what it is told."""

    def __init__(self, world):
        self._world = world
        self.told = []

    async def tell(self, notice):
        self.told.append(notice)
        self._world.tell("notice", f"{notice.event} {notice.subject}")


class Door:
    """One simulated lock of a story, and since when it can be relied upon."""

    def __init__(self, plan, lock, peer):
        self.plan, self.lock, self.peer = plan, lock, peer
        self.name = plan.name
        self.faults = []  # those under way
        self.well_since = 0.0
        self.full = 0
        self.slack = 0.0  # seconds its clock is off
        self.foreign = []

    @property
    def well(self):
        return not self.faults


class World:
    """The account, the locks, the guests and the machine of one story."""

    def __init__(self, story, folder, loop):
        self.story = story
        self.loop = loop
        self.seconds = loop.time
        self.draw = random.Random(f"world {story.seed}")
        self.trace = []
        self.notices = Notices(self)
        self.clock = TrueClock(story.start, loop)
        self.account = Account(random.Random(f"account {story.seed}"), self.clock)
        self._folder = folder
        self._timeline = []
        self._pausing = None  # ends when something is to happen before what is waited for
        self._numbers = itertools.count()
        self.listings = [self.account.add_listing(f"Flat {n}") for n in range(len(story.units))]
        self.stays = {}  # number in the story -> long id
        self.clients = {}
        self.error = None
        self.clock_off = 0.0
        self.secrets = {KEY, self.account.client_secret}
        self._locks()
        doors = dict(zip(self.listings, story.units, strict=True))
        self.truth = Truth(self.account, zone=story.zone, start=story.start, doors=doors)
        self.watcher = Watcher(self)

    def tell(self, what, text=""):
        """Note what happened, for the trace."""
        self.trace.append(f"{self.seconds():.1f} {what} {text}")

    def crashed(self, error):
        self.error = error

    def code(self, stay):
        """The short id of a stay, also of a deleted one."""
        return self._codes[stay]

    # --- building ------------------------------------------------------------------------------

    def _locks(self):
        self.doors = {}
        self.peers = []
        self._codes = {}
        behind = []
        for number, plan in enumerate(self.story.locks):
            lock = FAMILIES[plan.profile](
                name=plan.name,
                device_id=f"device-{number}",
                node_id=None if plan.direct else f"cid-{number}",
                clock=self.clock,
                capacity=plan.capacity,
            )
            lock.two_stage = plan.two_stage
            if plan.direct:
                self._add(plan, lock, self._peer(plan.name, lock.device_id, plan.version, [lock]))
            else:
                behind.append((plan, lock))
        if behind:
            locks = [lock for _, lock in behind]
            hub = self._peer("hub", "device-hub", behind[0][0].version, locks)
            for plan, lock in behind:
                self._add(plan, lock, hub)

    def _peer(self, name, device_id, version, locks):
        peer = SimulatedPeer(
            name=name,
            device_id=device_id,
            local_key=KEY,
            version=version,
            locks=locks,
            clock=self.clock,
            idle_seconds=3 * PACE.heartbeat,
        )
        peer.tells_time = True
        self.peers.append(peer)
        return peer

    def _add(self, plan, lock, peer):
        door = self.doors[plan.name] = Door(plan, lock, peer)
        for number in range(plan.foreign):
            pin = f"{self.draw.randrange(10**6):06}"
            lock.app_adds(pin, slot=200 + number)
        door.foreign = [(held.slot, held.pin) for held in lock.codes]
        execute = lock.execute

        def watched(dp, raw):
            before = [(held.slot, held.pin, held.start, held.end) for held in lock.codes]
            pushes = execute(dp, raw)
            after = [(held.slot, held.pin, held.start, held.end) for held in lock.codes]
            if after != before:
                self.watcher.changed(door, before, after)
            return pushes

        lock.execute = watched

    def _config(self):
        def own(peer):
            return {
                "local_key": KEY,
                "address": "127.0.0.1",
                "port": peer.port,
                "version": peer.version,
            }

        def lock(door):
            way = (
                own(door.peer)
                if door.plan.direct
                else {
                    "hub": "hub",
                    "node_id": door.lock.node_id,
                }
            )
            shared = sum(door.name in unit for unit in self.story.units) > 1
            return {
                "name": door.name,
                "profile": door.lock.profile,
                "device_id": door.lock.device_id,
                "shared": shared,
                "trust_window": door.plan.trust_window,
            } | way

        hubs = [peer for peer in self.peers if peer.name == "hub"]
        return Config(
            site={"timezone": self.story.zone},
            stays={
                "url": self.account.url,
                "client_id": self.account.client_id,
                "client_secret": self.account.client_secret,
                "schedule": "7 */3 * * *",
            },
            http={"host": "127.0.0.1", "port": 0},
            hubs=[{"name": "hub", "device_id": hub.device_id} | own(hub) for hub in hubs],
            locks=[lock(door) for door in self.doors.values()],
            listings=[
                {"stays_id": listing, "name": f"Flat {number}", "locks": list(unit)}
                for number, (listing, unit) in enumerate(
                    zip(self.listings, self.story.units, strict=True)
                )
            ],
        )

    # --- playing -------------------------------------------------------------------------------

    async def play(self):
        """From the start to the end of the story.

        Raises:
            Violation: an invariant does not hold.
        """
        self.account.note()
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self.account.serving())
            for peer in self.peers:
                await stack.enter_async_context(peer.serving())
            self.session = await stack.enter_async_context(aiohttp.ClientSession())
            self.pi = Pi(self, self._folder, self._config())
            self.pi.start()
            try:
                await self._live()
            finally:
                await self.pi.off()

    async def _live(self):
        end = self.story.days * DAY
        for event in self.story.events:
            self.at(event.at, lambda event=event: self._happen(event))
        for number in range(1, int(end / _TICK)):
            self.at(number * _TICK, self.watcher.tick)
        for number in range(1, int(end / _LOOK)):
            self.at(number * _LOOK + 61, self.watcher.look)
        while self._timeline and self._timeline[0][0] <= end:
            wait = self._timeline[0][0] - self.seconds()
            if wait > 0:
                await self._pause(wait)
                continue
            _, _, action = heapq.heappop(self._timeline)
            result = action()
            if asyncio.iscoroutine(result):
                await result
            self.watcher.raise_found()
        self._note_audit()

    def at(self, moment, action):
        """Let something happen at a moment."""
        entry = (moment, next(self._numbers), action)
        heapq.heappush(self._timeline, entry)
        if self._timeline[0] is entry and self._pausing is not None:
            self._end_pause(self._pausing)

    async def _pause(self, seconds):
        self._pausing = pausing = self.loop.create_future()
        timer = self.loop.call_later(seconds, self._end_pause, pausing)
        await pausing
        timer.cancel()

    def _end_pause(self, pausing):
        if not pausing.done():
            pausing.set_result(None)

    def _note_audit(self):
        with closing(sqlite3.connect(self.pi.database())) as database:
            for row in database.execute(
                "SELECT at, actor, event, detail FROM audit_log ORDER BY id"
            ):
                self.trace.append("audit " + " ".join(map(str, row)))

    def digest(self):
        """The hash of all that happened."""
        return hashlib.sha256("\n".join(self.trace).encode()).hexdigest()

    # --- events --------------------------------------------------------------------------------

    def _happen(self, event):
        return getattr(self, "_on_" + event.kind.replace(" ", "_").replace("-", "_"))(**event.args)

    def _of(self, number):
        """The long id of a stay that Stays knows and that is not long over, else None."""
        stay = self.stays.get(number)
        return stay if self._is_current(stay) else None

    def _is_current(self, stay):
        """Who changes a stay days after its end is not read any more: the window of stays has gone on."""
        if stay not in self.account.reservations:
            return False
        facts = self.account.versions[-1].facts[stay]
        return self.truth.nights(facts)[1] + DAY / 2 > self.seconds()

    def _on_book(self, *, stay, unit, day, nights, check_in, check_out, client):
        zone_day = self.story.start.astimezone(ZoneInfo(self.story.zone)).date()
        arrival = zone_day + timedelta(days=day)
        known = self.clients.get(client)
        name = f"Guest Nr{stay:03}x"
        long_id = self.account.book(
            self.listings[unit],
            arrival,
            arrival + timedelta(days=nights),
            check_in_time=check_in or "",
            check_out_time=check_out or "",
            guest=name,
            client=known,
        )
        self.account.change(long_id, checkInTime=check_in, checkOutTime=check_out)
        row = self.account.reservations[long_id]
        self.clients[client] = row["_idclient"]
        person = self.account.clients[row["_idclient"]]
        self.secrets |= {person["name"], person["phones"][0]["iso"]}
        self.stays[stay] = long_id
        self._codes[long_id] = row["id"]
        self._changed("booked", long_id)

    def _changed(self, what, stay):
        self.account.note()
        self.tell(what, self.code(stay))

    def _change(self, number, what, **fields):
        stay = self._of(number)
        if stay is not None:
            self.account.change(stay, **fields)
            self._changed(what, stay)

    def _on_cancel(self, *, stay):
        self._change(stay, "cancelled", type="canceled")

    def _on_reactivate(self, *, stay):
        self._change(stay, "reactivated", type="booked")

    def _on_contract(self, *, stay):
        if (one := self._of(stay)) and self.account.reservations[one]["type"] == "booked":
            self._change(stay, "contract", type="contract")

    def _on_delete(self, *, stay):
        if (one := self._of(stay)) is not None:
            self.account.delete(one)
            self._changed("deleted", one)

    def _on_extend(self, *, stay, nights):
        if (one := self._of(stay)) is not None:
            self.account.nights(one, leave=nights)
            self._changed(f"extended by {nights}", one)

    def _on_shift(self, *, stay, days):
        if (one := self._of(stay)) is not None:
            self.account.nights(one, arrive=days, leave=days)
            self._changed(f"shifted by {days}", one)

    def _on_check_in_time(self, *, stay, clock):
        self._change_time(stay, "checkInTime", clock)

    def _on_check_out_time(self, *, stay, clock):
        self._change_time(stay, "checkOutTime", clock)

    def _change_time(self, number, name, clock):
        one = self._of(number)
        if one is None:
            return
        row = self.account.reservations[one]
        if row["checkInDate"] < row["checkOutDate"]:
            self._change(number, f"{name} {clock}", **{name: clock})

    def _on_relocate(self, *, stay, unit):
        self._change(stay, f"relocated to {unit}", _idlisting=self.listings[unit])

    def _on_mass_cancellation(self, *, share):
        ids = sorted(
            one
            for one, row in self.account.reservations.items()
            if row["type"] == "booked" and self._is_current(one)
        )
        for one in self.draw.sample(ids, round(share * len(ids))):
            self.account.change(one, type="canceled")
        self.account.note()
        self.tell("mass cancellation")

    def _on_stays_fault(self, *, fault, lasts):
        self.tell("stays fault", fault)
        span = self.account.begin(fault)
        self.at(self.seconds() + lasts, lambda: self.account.end(span))

    async def _on_lock_fault(self, *, lock, fault, lasts):
        door = self.doors[lock]
        concerned = [door]
        if fault == "cut":
            concerned = [one for one in self.doors.values() if one.peer is door.peer]
        self.tell("lock fault", f"{lock} {fault}")
        for one in concerned:
            one.faults.append(fault)
        await self._apply(door)
        self.at(self.seconds() + lasts, lambda: self._heal(concerned, fault))

    async def _heal(self, concerned, fault):
        self.tell("healed", f"{concerned[0].name} {fault}")
        for one in concerned:
            one.faults.remove(fault)
            one.well_since = self.seconds()
        await self._apply(concerned[0])

    async def _apply(self, door):
        """Let the lock and its peer be as the faults under way say."""
        lock = door.lock
        lock.online = "offline" not in door.faults
        lock.capacity = len(lock.codes) if "full" in door.faults else door.plan.capacity
        lock.faults = Faults()
        for fault in door.faults:
            if fault in FAULTS:
                setattr(lock.faults, *FAULTS[fault])
            if fault == "busy":
                lock.faults.refusals = [_BUSY[lock.profile.split("_")[0]]] * 3
        if "cut" in door.faults:
            await door.peer.cut()
        else:
            await door.peer.restore()

    def _on_skew(self, *, lock, seconds):
        door = self.doors[lock]
        door.lock.skew = timedelta(seconds=seconds)
        door.slack = max(door.slack, abs(seconds) + 1.0)
        self.tell("skew", f"{lock} {seconds}")

    def _on_kill(self, *, touches, power, down):
        self.pi.arm(touches=touches, power=power, down=down)

    async def _on_restart(self, *, down):
        await self.pi.restart(down)

    def _on_clock_step(self, *, seconds, lasts):
        self._step(seconds)
        self.at(self.seconds() + lasts, lambda: self._step(-seconds))

    def _step(self, seconds):
        self.tell("clock step", f"{seconds:.1f}")
        self.clock_off += seconds
        self.watcher.knowledge.clock_stepped()
        self.loop.step_clock(timedelta(seconds=seconds))

    async def _on_reconcile(self):
        status, _ = await self.pi.api("/api/admin/reconciliation/run", method="POST")
        self.tell("asked for a run", str(status))

    async def _on_decide_held(self, *, confirm):
        await self.watcher.decide(confirm=confirm)

    async def _on_type(self, *, stay):
        one = self.stays.get(stay)
        if one is not None:
            await self.watcher.guest_types(one)
