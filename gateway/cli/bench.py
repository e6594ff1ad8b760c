"""One lock to be tried: through the running daemon, or alone where none runs."""

import asyncio
import random  # noqa: TID251 - jitter and numbers of codes
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

from gateway.app import Pace, Paths
from gateway.assembly import build_locks
from gateway.canaries import Canaries, Canary
from gateway.cli.daemon import person, request
from gateway.clock import Clock
from gateway.config import Config
from gateway.config.model import Lock
from gateway.credentials import Credentials
from gateway.domain.jobs import Job
from gateway.errors import StoreError
from gateway.minting import Mint
from gateway.notify.log import LogNotifier
from gateway.ports import LockEvent
from gateway.store.database import Database
from gateway.store.secretbox import SecretBox
from gateway.tuya.discovery import Discovery
from gateway.tuya.site import TuyaSite
from gateway.web.meter import PrometheusMeter

_SWEEP = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A PIN written to try a lock, as it stands; see `gateway.canaries.Canary`."""

    id: str
    valid_from: datetime
    evidence: str
    reason: str | None
    gone: bool
    opened_when_gone: bool
    acknowledged: float | None
    reported: float | None
    pin: str = field(default="", repr=False)


class Bench(Protocol):
    """What a trial needs of the lock."""

    async def reach(self) -> str | None:
        """Try to reach it now; why not, None if it is reached."""
        ...

    async def write(self, *, opens_in: timedelta, lasts: timedelta) -> Trial:
        """Have a PIN written; it is answered with its digits."""
        ...

    async def look(self, trial: str) -> Trial:
        """How it stands."""
        ...

    async def remove(self, trial: str) -> None:
        """Have it deleted."""
        ...


class ByDaemon:
    """Through the running daemon, which holds the connections.

    Every method raises NoDaemonError where none answers.
    """

    def __init__(self, config: Config, paths: Paths, lock: str) -> None:
        self._config = config
        self._paths = paths
        self._path = f"/api/admin/locks/{lock}"

    async def reach(self) -> str | None:
        """See `Bench.reach`."""
        reason: str | None = (await self._ask("POST", "/reach"))["reason"]
        return reason

    async def write(self, *, opens_in: timedelta, lasts: timedelta) -> Trial:
        """See `Bench.write`."""
        body = {
            "opensInSeconds": int(opens_in.total_seconds()),
            "lastsSeconds": int(lasts.total_seconds()),
        }
        return _shown(await self._ask("POST", "/canaries", body))

    async def look(self, trial: str) -> Trial:
        """See `Bench.look`."""
        return _shown(await self._ask("GET", f"/canaries/{trial}"))

    async def remove(self, trial: str) -> None:
        """See `Bench.remove`."""
        await self._ask("DELETE", f"/canaries/{trial}")

    async def _ask(self, method: str, path: str, body: Any = None) -> Any:
        answer = await request(self._config, self._paths, method, self._path + path, body)
        return answer.data()


def _shown(data: dict[str, Any]) -> Trial:
    exchange = data["exchange"] or {}
    return Trial(
        id=data["id"],
        valid_from=datetime.fromisoformat(data["validFrom"]),
        evidence=data["evidence"],
        reason=data["reason"],
        gone=data["gone"],
        opened_when_gone=data["openedWhenGone"],
        acknowledged=exchange.get("acknowledgedSeconds"),
        reported=exchange.get("reportedSeconds"),
        pin=data.get("pin", ""),
    )


class Alone:
    """With a connection of its own and the database, while no daemon runs."""

    def __init__(self, canaries: Canaries, lock: str) -> None:
        self._canaries = canaries
        self._lock = lock

    async def reach(self) -> str | None:
        """See `Bench.reach`."""
        return (await self._canaries.reach(self._lock)).reason

    async def write(self, *, opens_in: timedelta, lasts: timedelta) -> Trial:
        """See `Bench.write`."""
        return _seen(
            await self._canaries.write(self._lock, opens_in=opens_in, lasts=lasts, actor=person())
        )

    async def look(self, trial: str) -> Trial:
        """See `Bench.look`."""
        canary = await self._canaries.look(trial)
        if canary is None:
            raise StoreError(f"{trial} has gone from the database")
        return _seen(canary)

    async def remove(self, trial: str) -> None:
        """See `Bench.remove`."""
        await self._canaries.remove(trial, actor=person())


def _seen(canary: Canary) -> Trial:
    exchange = canary.exchange
    return Trial(
        id=canary.id,
        valid_from=canary.window.valid_from,
        evidence=canary.evidence,
        reason=canary.reason,
        gone=canary.gone,
        opened_when_gone=canary.opened_when_gone,
        acknowledged=None if exchange is None else exchange.acknowledged,
        reported=None if exchange is None else exchange.reported,
        pin=canary.pin,
    )


class _NoBoard:
    """No scheduler: the sweep finds what is due."""

    def put(self, jobs: Iterable[Job]) -> None:
        """See `JobBoard.put`."""

    def drop(self, ids: Iterable[str]) -> None:
        """See `JobBoard.drop`."""


class _Wiring:
    """The lock's connection and its queue."""

    def __init__(
        self, config: Config, database: Database, box: SecretBox, mint: Mint, clock: Clock
    ) -> None:
        draw = random.Random()  # noqa: S311 - jitter and numbers of codes
        self.site: TuyaSite = build_locks(
            config,
            clock=clock,
            jitter=draw,
            listener=self._hear,
            heartbeat=Pace().heartbeat,
            discovery=Discovery(),
        )
        self.queue = Credentials(
            database=database,
            box=box,
            site=config.property(),
            drivers=self.site.locks,
            board=_NoBoard(),
            notifier=LogNotifier(),
            clock=clock,
            now=clock.now,
            draw=draw,
            mint=mint,
            meter=PrometheusMeter(),
            sweep=_SWEEP,
        )

    def _hear(self, event: LockEvent) -> None:
        self.queue.on_event(event)


@asynccontextmanager
async def alone(config: Config, paths: Paths, lock: Lock, *, clock: Clock) -> AsyncIterator[Bench]:
    """The bench of one lock while no daemon runs; what it left in the database a daemon ends later.

    Raises:
        StoreBusyError, StoreNewerError, StoreError: the database cannot be used.
    """
    hubs = tuple(hub for hub in config.hubs if hub.name == lock.hub)
    config = config.model_copy(update={"locks": (lock,), "hubs": hubs})
    async with Database.open(paths.database) as database, asyncio.TaskGroup() as tasks:
        box = SecretBox.load(paths.pin_key)
        mint = Mint(site=config.property(), box=box)
        wiring = _Wiring(config, database, box, mint, clock)
        running = [tasks.create_task(wiring.site.run()), tasks.create_task(wiring.queue.run())]
        canaries = Canaries(
            database=database,
            box=box,
            site=config.property(),
            credentials=wiring.queue,
            mint=mint,
            board=_NoBoard(),
            monotonic=clock.monotonic,
            now=clock.now,
        )
        try:
            yield Alone(canaries, lock.name)
        finally:
            for task in running:
                task.cancel()
