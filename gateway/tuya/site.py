"""All hubs and locks of a site, with one connection to each peer."""

import asyncio
import random  # noqa: TID251 - only as the type of what is injected
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from gateway.clock import Clock
from gateway.ports import LockListener
from gateway.tuya.connection import Connection
from gateway.tuya.driver import TuyaLock
from gateway.tuya.link import Endpoint
from gateway.tuya.profiles import PROFILES, Overrides, adapted


@dataclass(frozen=True, slots=True, kw_only=True)
class LockEntry:
    """One lock of the configuration. `hub` and `cid`, or `endpoint`."""

    name: str
    profile: str
    pin_lengths: tuple[int, ...]
    hub: str | None = None
    cid: str | None = None
    endpoint: Endpoint | None = None
    overrides: Overrides = field(default_factory=Overrides)


class TuyaSite:
    """Builds the locks and keeps their connections."""

    def __init__(
        self,
        *,
        hubs: Iterable[Endpoint],
        locks: Iterable[LockEntry],
        clock: Clock,
        jitter: random.Random,
        listener: LockListener,
    ) -> None:
        self._connections = {hub.name: Connection(hub, clock=clock, jitter=jitter) for hub in hubs}
        built = {}
        for entry in locks:
            if entry.endpoint is not None:
                connection = Connection(entry.endpoint, clock=clock, jitter=jitter)
                self._connections[f"lock {entry.name}"] = connection
            else:
                connection = self._connections[entry.hub or ""]
            lock = TuyaLock(
                name=entry.name,
                cid=entry.cid,
                profile=adapted(PROFILES[entry.profile], entry.overrides),
                pin_lengths=entry.pin_lengths,
                connection=connection,
                clock=clock,
                listener=listener,
            )
            connection.subscribe(lock)
            built[entry.name] = lock
        self.locks: Mapping[str, TuyaLock] = built

    async def run(self) -> None:
        """Keep all connections until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for name, connection in self._connections.items():
                tasks.create_task(connection.run(), name=f"connection of {name}")
