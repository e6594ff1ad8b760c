"""All hubs and locks of a site, with one connection to each peer."""

import asyncio
import random  # noqa: TID251 - only as the type of what is injected
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from gateway.clock import Clock
from gateway.ports import LockListener
from gateway.tuya.connection import Connection
from gateway.tuya.discovery import Discovery
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
        discovery: Discovery,
    ) -> None:
        self._clock = clock
        self._jitter = jitter
        self._listener = listener
        self._discovery = discovery
        self._tasks: asyncio.TaskGroup | None = None
        self._running: dict[Connection, asyncio.Task[None]] = {}
        self._connections: dict[str, Connection] = {}
        self._entries: dict[str, LockEntry] = {}
        self._locks: dict[str, TuyaLock] = {}
        self._build(hubs, locks)

    @property
    def locks(self) -> Mapping[str, TuyaLock]:
        """The locks by name."""
        return MappingProxyType(self._locks)

    def changed(self, hubs: Iterable[Endpoint], locks: Iterable[LockEntry]) -> frozenset[str]:
        """The names of the locks that `adopt` would replace or drop."""
        entries = {entry.name: entry for entry in locks}
        endpoints = _endpoints(hubs, entries.values())
        return frozenset(
            name
            for name, entry in self._entries.items()
            if entries.get(name) != entry
            or endpoints[_peer(entry)] != self._connections[_peer(entry)].endpoint
        )

    async def adopt(self, hubs: Iterable[Endpoint], locks: Iterable[LockEntry]) -> None:
        """Go on with these; nothing may be under way on a lock that is `changed`.

        A connection whose endpoint stays as it was is kept, and so is a lock of the same entry.
        """
        hubs, locks = tuple(hubs), tuple(locks)
        replaced = self.changed(hubs, locks)
        for name in replaced:
            lock = self._locks.pop(name)
            self._connections[_peer(self._entries.pop(name))].unsubscribe(lock)
        endpoints = _endpoints(hubs, locks)
        for name, connection in list(self._connections.items()):
            if endpoints.get(name) != connection.endpoint:
                del self._connections[name]
                await self._close(connection)
        self._build(hubs, locks)

    def _build(self, hubs: Iterable[Endpoint], locks: Iterable[LockEntry]) -> None:
        locks = tuple(locks)
        for name, endpoint in _endpoints(hubs, locks).items():
            if name not in self._connections:
                self._connections[name] = Connection(
                    endpoint,
                    clock=self._clock,
                    jitter=self._jitter,
                    find=None if endpoint.is_local else self._discovery.find,
                )
        for entry in locks:
            if entry.name not in self._locks:
                self._entries[entry.name] = entry
                self._locks[entry.name] = self._lock(entry)
        for name, connection in self._connections.items():
            self._keep(name, connection)

    def _lock(self, entry: LockEntry) -> TuyaLock:
        connection = self._connections[_peer(entry)]
        lock = TuyaLock(
            name=entry.name,
            cid=entry.cid,
            profile=adapted(PROFILES[entry.profile], entry.overrides),
            pin_lengths=entry.pin_lengths,
            connection=connection,
            clock=self._clock,
            listener=self._listener,
        )
        connection.subscribe(lock)
        return lock

    def _keep(self, name: str, connection: Connection) -> None:
        if self._tasks is not None and connection not in self._running:
            task = self._tasks.create_task(connection.run(), name=f"connection of {name}")
            self._running[connection] = task

    async def _close(self, connection: Connection) -> None:
        task = self._running.pop(connection, None)
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def run(self) -> None:
        """Keep all connections until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            for name, connection in self._connections.items():
                self._keep(name, connection)
            await asyncio.get_running_loop().create_future()  # a house without locks may get some


def _peer(entry: LockEntry) -> str:
    """Which connection the lock uses."""
    return f"lock {entry.name}" if entry.endpoint is not None else (entry.hub or "")


def _endpoints(hubs: Iterable[Endpoint], locks: Iterable[LockEntry]) -> dict[str, Endpoint]:
    """The peers by the names of their connections; no hub's name has a space."""
    found = {hub.name: hub for hub in hubs}
    return found | {_peer(entry): entry.endpoint for entry in locks if entry.endpoint is not None}
