"""Many locks for a test, each with a schedule of faults of its own, drawn from a seed."""

import random
import re
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta

import aiohttp

from gateway.domain import events
from gateway.simulator.families import FAMILIES
from gateway.simulator.lock import Faults, Order, SimulatedLock
from gateway.simulator.peer import SimulatedPeer
from gateway.simulator.stays import SimulatedStays
from gateway.tuya.profiles import PROFILES
from gateway.web.listener import is_local
from tests.house import KEY, UNHURRIED, House, Notices

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
VERSIONS = ("3.3", "3.4", "3.5")
_A_HUB_HAS = 8
_BUSY = {"mk": 0x07, "ble": 0x01, "video": 0x07, "zigbee": 0x00}


@dataclass(frozen=True)
class Fault:
    """Something that begins to go wrong at a moment after the start, for a while."""

    at: timedelta
    lasts: timedelta
    kind: str


@dataclass(frozen=True)
class Schedule:
    """What happens to one lock and to the one stay behind it."""

    seed: int
    profile: str
    direct: bool
    version: str
    two_stage: bool
    faults: tuple[Fault, ...]
    change: str
    change_at: timedelta


FAULTS = {
    "silent": ("order", Order.SILENT),
    "ack only": ("order", Order.ACK_ONLY),
    "push first": ("order", Order.PUSH_FIRST),
    "push only": ("order", Order.PUSH_ONLY),
    "wakes": ("latency", 2.0),
    "wakes too late": ("latency", 25.0),
    "slow": ("report_delay", 1.5),
    "late": ("report_delay", 45.0),
    "lose": ("lose_next_report", True),
    "duplicate": ("duplicate_next_report", True),
    "truncated": ("spoil_next_report", "truncated"),
    "no base64": ("spoil_next_report", "no base64"),
    "other number": ("spoil_next_report", "other number"),
    "error": ("error_next", "device busy"),
    "busy": ("refusals", []),
    "hang up before": ("hang_up_on_next", "not executed"),
    "hang up after": ("hang_up_on_next", "executed"),
}
KINDS = (*FAULTS, "offline", "nearby", "app traffic")


def schedule(seed):
    """The schedule of a seed."""
    draw = random.Random(seed)
    profile = draw.choice(sorted(PROFILES))
    faults = tuple(
        Fault(
            at=draw.choice([0, 0, 1, draw.randrange(1, 20 * 60)]) * MINUTE,
            lasts=draw.choice([1, 5, 30]) * MINUTE,
            kind=draw.choice(KINDS),
        )
        for _ in range(draw.randrange(1, 6))
    )
    return Schedule(
        seed=seed,
        profile=profile,
        direct=PROFILES[profile].direct and draw.random() < 0.5,
        version=draw.choice(VERSIONS),
        two_stage=draw.random() < 0.7,
        faults=faults,
        change=draw.choice(["none", "extend", "shorten", "cancel"]),
        change_at=draw.randrange(60, 15 * 60) * MINUTE,
    )


@dataclass
class Door:
    """One lock of the street, with its listing and its stay."""

    schedule: Schedule
    lock: SimulatedLock
    peer: SimulatedPeer
    listing: str
    stay: str = ""
    pins: set = field(default_factory=set)

    @property
    def name(self):
        return self.lock.name

    def apply(self, kind):
        """Begin a fault."""
        if kind == "offline":
            self.lock.online = False
        elif kind == "nearby":
            self.lock.nearby = True
        elif kind == "app traffic":
            self.peer.broadcast(self.lock.node_id, {"99": 5, "1": "A/8AAAMACwAAAQU="})
        else:
            name, value = FAULTS[kind]
            setattr(self.lock.faults, name, value)
        if kind == "busy":
            self.lock.faults.refusals = [_BUSY[self.lock.profile.split("_")[0]]]

    def heal(self):
        """End every fault."""
        self.lock.faults = Faults()
        self.lock.online = True
        self.lock.nearby = False


class Street(House):
    """A house of many doors: hubs of eight locks for each version, and locks of their own."""

    def __init__(self, folder, clock, *, seeds):
        self.pace, self.is_local, self.clock, self.folder = UNHURRIED, is_local, clock, folder
        self.stays = SimulatedStays(random.Random(5))
        self.settings, self.notices = {}, Notices()
        self.world, self.time_files, self.discovery, self.chance = clock, None, None, None
        self.gateway, self.token, self.pins = None, "", set()
        self.hubs: list[SimulatedPeer] = []
        self.doors_: list[Door] = []
        plans = [schedule(seed) for seed in seeds]
        for version in VERSIONS:
            group = [plan for plan in plans if not plan.direct and plan.version == version]
            for start in range(0, len(group), _A_HUB_HAS):
                self._hub(version, group[start : start + _A_HUB_HAS])
        for plan in plans:
            if plan.direct:
                lock = self._lock(plan, f"d-{plan.seed}", None)
                self._add(plan, lock, self._peer(lock.name, lock.device_id, plan.version, [lock]))

    def _hub(self, version, plans):
        name = f"hub-{len(self.hubs)}"
        locks = [self._lock(plan, f"d-{plan.seed}", f"cid-{plan.seed}") for plan in plans]
        hub = self._peer(name, f"device-{name}", version, locks)
        self.hubs.append(hub)
        for plan, lock in zip(plans, locks, strict=True):
            self._add(plan, lock, hub)

    def _lock(self, plan, device_id, node_id):
        lock = FAMILIES[plan.profile](
            name=f"lock-{plan.seed}", device_id=device_id, node_id=node_id, clock=self.clock
        )
        lock.two_stage = plan.two_stage
        return lock

    def _peer(self, name, device_id, version, locks):
        return SimulatedPeer(
            name=name,
            device_id=device_id,
            local_key=KEY,
            version=version,
            locks=locks,
            clock=self.clock,
            idle_seconds=3 * self.pace.heartbeat,
        )

    def _add(self, plan, lock, peer):
        listing = self.stays.add_listing(f"Flat {plan.seed}")
        self.doors_.append(Door(schedule=plan, lock=lock, peer=peer, listing=listing))

    @asynccontextmanager
    async def standing(self):
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self.stays.serving())
            for peer in {id(door.peer): door.peer for door in self.doors_}.values():
                await stack.enter_async_context(peer.serving())
            self.session = await stack.enter_async_context(aiohttp.ClientSession())
            yield self

    def config_values(self):
        def own(peer):
            return {
                "local_key": KEY,
                "address": "127.0.0.1",
                "port": peer.port,
                "version": peer.version,
            }

        def lock(door):
            way = {"hub": door.peer.name, "node_id": door.lock.node_id}
            return {
                "name": door.name,
                "profile": door.lock.profile,
                "device_id": door.lock.device_id,
                "overrides": {"deadline": 4.0},
            } | (own(door.peer) if door.schedule.direct else way)

        return {
            "site": {"timezone": "America/Sao_Paulo"},
            "policy": {"revoke_after": "2h"},
            "stays": {
                "url": self.stays.url,
                "client_id": self.stays.client_id,
                "client_secret": self.stays.client_secret,
            },
            "http": {"host": "127.0.0.1", "port": 0},
            "hubs": [
                {"name": hub.name, "device_id": hub.device_id} | own(hub) for hub in self.hubs
            ],
            "locks": [lock(door) for door in self.doors_],
            "listings": [
                {
                    "stays_id": door.listing,
                    "name": f"Flat {door.schedule.seed}",
                    "locks": [door.name],
                }
                for door in self.doors_
            ],
        }

    def told_stuck(self, door):
        """Was a person told that nothing of ours can reach a code on this door?"""
        codes = {events.CREDENTIAL_REVOCATION_LATE, events.PIN_AT_RISK}
        return any(
            notice.event in codes and re.search(rf"\b{door.name}\b", notice.detail)
            for notice in self.notices.told
        )

    def secrets(self):
        held = {code.pin for door in self.doors_ for code in door.lock.codes}
        return {KEY, self.stays.client_secret, self.token} | self.pins | held
