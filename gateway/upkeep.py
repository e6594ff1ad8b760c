"""Keeps the store: nightly backups, what is no longer needed, a disk that fails and works again."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import BinaryIO
from zoneinfo import ZoneInfo

import structlog

from gateway.clock import Clock
from gateway.domain import events
from gateway.errors import StoreError
from gateway.pin_mending import PinMender
from gateway.ports import Notice, Notifier
from gateway.store import backup, retention
from gateway.store.condition import DAMAGED, FAILING, FULL, READONLY
from gateway.store.database import Database, Session

_FIRST_LOOK, _LOOKS_APART = 600.0, 3600.0
_PROBES_APART = 30.0
_PINS_KEPT = timedelta(days=7)
_STAYS_KEPT = timedelta(days=180)
_CONDITIONS = {
    FULL: "the disk is full: make room. Doors go on: what is due is deleted, new PINs wait for room",
    READONLY: "the disk can only be read: mount it writable again, or replace the card. New PINs wait",
    FAILING: "the disk reports errors: look at it, or replace the card. New PINs wait",
    DAMAGED: "the database was found damaged: the gateway starts again and mends it",
}

_log = structlog.get_logger()


class Upkeep:
    """The store of one gateway."""

    def __init__(
        self,
        *,
        database: Database,
        backups: Path,
        pins: PinMender,
        notifier: Notifier,
        clock: Clock,
        sure: Callable[[], bool],
    ) -> None:
        """`adopt` comes before `run`. `sure`: does somebody vouch for the time?"""
        self._database = database
        self._backups = backups
        self._pins = pins
        self._notifier = notifier
        self._clock = clock
        self._sure = sure
        self._copying = asyncio.Lock()
        self._failed = False

    def adopt(self, *, zone: ZoneInfo, retention_days: int) -> None:
        """Go on with this zone of the nights, and keep guests' names for so many days."""
        self._zone = zone
        self._guests_kept = timedelta(days=retention_days)
        self._stays_kept = max(_STAYS_KEPT, self._guests_kept)

    async def run(self) -> None:
        """Keep the store until cancelled.

        Raises:
            StoreError: the database was found damaged: only a start can mend it.
        """
        recovery = self._database.recovery
        if recovery is not None:
            await self._tell(recovery.event, recovery.detail)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watch(), name="disk")
            tasks.create_task(self._keep_house(), name="housekeeping")

    def problems(self) -> tuple[str, ...]:
        """Codes of what is wrong with the store, or was until a person can have read of it."""
        found = [] if self._database.condition is None else [self._database.condition]
        if self._database.recovery is not None:
            found.append(self._database.recovery.event.replace(".", "_"))
        return tuple(found)

    async def copy(self) -> BinaryIO:
        """A consistent copy of the database, open for reading; it has no name.

        Raises:
            StoreError: none could be made.
        """
        async with self._copying:
            return await backup.copy_out(self._database, self._backups, self._clock.now())

    # --- the disk ------------------------------------------------------------------------------

    async def _watch(self) -> None:
        while True:
            await self._database.changed.wait()
            self._database.changed.clear()
            condition = self._database.condition
            if condition is None:
                continue
            await self._tell(events.STORE_FAILING, _CONDITIONS[condition])
            if condition == DAMAGED:
                raise StoreError(_CONDITIONS[condition])
            while self._database.condition is not None:
                await self._clock.sleep(_PROBES_APART)
                await self._database.probe()
            await self._tell(events.STORE_WORKS, "the database can be written again")

    # --- the night -----------------------------------------------------------------------------

    async def _keep_house(self) -> None:
        pause = _FIRST_LOOK
        while True:
            await self._clock.sleep(pause)
            if not self._sure():
                continue
            pause = _LOOKS_APART
            try:
                await self._erase()
                if self._is_night_due():
                    await self._night()
            except StoreError as error:
                if self._database.condition is None:
                    _log.error("store.refused", during="housekeeping", reason=str(error))

    def _is_night_due(self) -> bool:
        made = backup.newest_at(self._backups)
        return backup.is_due(made, self._clock.now().astimezone(self._zone))

    async def _night(self) -> None:
        """Mend, forget, copy. What fails is tried again in an hour."""
        await self._pins.mend()
        before = self._clock.now() - self._stays_kept
        await self._in_chunks(lambda session: retention.forget_stays(session, before))
        await self._in_chunks(lambda session: retention.forget_audit(session, before))
        await self._back_up()
        await self._database.restart_log()

    async def _back_up(self) -> None:
        try:
            async with self._copying:
                made = await backup.make(self._database, self._backups, self._clock.now())
        except StoreError as error:
            _log.error(events.BACKUP_FAILED, reason=str(error))
            if not self._failed:
                await self._tell(events.BACKUP_FAILED, f"{error}: is there room on the disk?")
            self._failed = True
        else:
            self._failed = False
            _log.info(events.BACKUP_MADE, name=made.name)

    async def _erase(self) -> None:
        """Erase names, phones and PINs whose time is over."""
        now = self._clock.now()
        erased = {"ended_before": now - self._guests_kept, "revoked_before": now - _PINS_KEPT}
        if await self._database.read(lambda session: retention.is_erasing_due(session, **erased)):
            await self._database.transaction(lambda session: retention.erase(session, **erased))

    async def _in_chunks(self, body: Callable[[Session], Awaitable[int]]) -> None:
        count = retention.CHUNK
        while count >= retention.CHUNK:
            count = await self._database.transaction(body)

    async def _tell(self, event: str, detail: str) -> None:
        notice = Notice(event=event, at=self._now(), subject="gateway", detail=detail)
        await self._notifier.tell(notice)

    def _now(self) -> datetime:
        return self._clock.now()
