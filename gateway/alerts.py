"""Warns people in time: looks at what holds, and tells what they do not know yet."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import structlog

from gateway.clock import Clock
from gateway.domain.alerts import Alert, Condition, Telling, follow
from gateway.domain.conditions import Facts, conditions
from gateway.domain.model import Property
from gateway.errors import StoreError
from gateway.feed import unit_by_listing
from gateway.ports import Notice, Notifier
from gateway.store import alerts, reservations
from gateway.store.database import Database
from gateway.store.session import ReadSession, Session

_SETTLE = 60.0  # seconds from the start: what is stored of locks is old until they were tried
_TOGETHER = 1.0  # seconds: what comes at once is looked at once

_log = structlog.get_logger()


_Found = tuple[list[Alert], list[Condition]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stored:
    """What the store said at a moment, and in which state it was."""

    state: tuple[int, int]
    site: Property
    at: datetime
    standing: list[Alert]
    facts: Facts

    def holds(self, state: tuple[int, int], site: Property, now: datetime) -> bool:
        """Would it say the same? Of stays that were over by then nothing was read."""
        return state == self.state and site is self.site and self.at <= now


@dataclass(frozen=True, slots=True, kw_only=True)
class Senses:
    """What is not in the store. `contended`: peers shared with somebody; `clock_doubt`: see Facts."""

    contended: Callable[[], tuple[str, ...]]
    clock_doubt: Callable[[], str | None]


class Alerts:
    """The conditions of one property. It can be woken as often as one likes: it looks at levels."""

    def __init__(
        self,
        *,
        database: Database,
        site: Property,
        senses: Senses,
        notifier: Notifier,
        clock: Clock,
        now: Callable[[], datetime],
        sweep: float,
    ) -> None:
        """`sweep`: seconds between two looks."""
        self._database = database
        self._site = site
        self._senses = senses
        self._notifier = notifier
        self._clock = clock
        self._now = now
        self._sweep_seconds = sweep
        self._awake = asyncio.Event()
        self._stored: _Stored | None = None

    def adopt(self, site: Property) -> None:
        """Go on with these units and locks."""
        self._site = site
        self.wake()

    def wake(self) -> None:
        """Let it look soon; twice is once."""
        self._awake.set()

    async def run(self) -> None:
        """Look now and then, and when woken, until cancelled."""
        await self._clock.sleep(_SETTLE)
        while True:
            self._awake.clear()
            look_at = None
            try:
                look_at = await self.look()
            except StoreError as error:
                _log.error("store.refused", during="alerts", reason=str(error))
            await self._rest(look_at)

    async def _rest(self, look_at: datetime | None) -> None:
        pause = self._sweep_seconds
        if look_at is not None:
            pause = min(pause, max(_TOGETHER, (look_at - self._now()).total_seconds()))
        try:
            async with asyncio.timeout(pause):
                await self._awake.wait()
        except TimeoutError:
            return
        await self._clock.sleep(_TOGETHER)

    async def look(self) -> datetime | None:
        """Tell what is to be told; when to look again at the latest if all stays as it is.

        What is told is recorded afterwards: a crash between the two tells it again, under the same
        id, by which a notifier knows it.

        Raises:
            StoreError: the database refused.
        """
        now = self._now().replace(microsecond=0)
        standing, found = await self._database.snapshot(self._read(now))
        steps = follow(found, standing, now)
        for telling in steps.tell:
            await self._notifier.tell(_notice(telling, now))
        if not (steps.tell or steps.save or steps.forget):
            return steps.look_at
        told = [one.alert for one in steps.tell if one.alert is not None]
        over = [(one.event, one.subject) for one in steps.tell if one.alert is None]

        async def body(session: Session) -> None:
            await alerts.save(session, [*steps.save, *told])
            await alerts.forget(session, [*steps.forget, *over])

        await self._database.transaction(body)
        return steps.look_at

    async def present(self) -> list[Condition]:
        """What holds now, told or not."""
        _, found = await self._database.snapshot(self._read(self._now().replace(microsecond=0)))
        return found

    def _read(self, now: datetime) -> Callable[[ReadSession], Coroutine[Any, Any, _Found]]:
        """The body of a read: alerts that stand, conditions that hold; what is in memory is taken at once."""
        site, contended = self._site, self._senses.contended()
        clock_doubt = self._senses.clock_doubt()

        async def body(session: ReadSession) -> _Found:
            state = await session.state()
            stored = self._stored
            if stored is None or not stored.holds(state, site, now):
                stored = self._stored = await _read_store(session, state, site, now)
            facts = replace(stored.facts, contended=contended, clock_doubt=clock_doubt)
            told = {one.key for one in stored.standing if one.told}
            return stored.standing, conditions(facts, told, now)

        return body


async def _read_store(
    session: ReadSession, state: tuple[int, int], site: Property, now: datetime
) -> _Stored:
    units = unit_by_listing(site.units, await reservations.accommodations(session))
    return _Stored(
        state=state,
        site=site,
        at=now,
        standing=await alerts.standing(session),
        facts=await alerts.facts(
            session,
            locks={lock.name: lock.hub for lock in site.locks},
            mapped=frozenset(units),
            since=now,
        ),
    )


def _notice(telling: Telling, now: datetime) -> Notice:
    condition = telling.condition
    if condition is not None:
        return replace(notice_of(condition, now), id=telling.id, again=telling.again)
    return Notice(
        event=telling.event,
        at=now,
        subject=telling.subject,
        detail="it is over",
        id=telling.id,
        over=True,
        unit=telling.unit,
    )


def notice_of(condition: Condition, now: datetime) -> Notice:
    """A condition as people are told of it when it begins."""
    return Notice(
        event=condition.event,
        at=now,
        subject=condition.subject,
        detail=condition.detail,
        unit=condition.unit,
        arrival=condition.arrival,
        obstacles=condition.obstacles,
    )
