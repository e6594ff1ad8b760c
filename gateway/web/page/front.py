"""The first screen: who arrives next, does their PIN open every door, what is at risk, what to do."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from aiohttp import web

from gateway.domain import events
from gateway.domain.alerts import Condition
from gateway.domain.messages import Composed
from gateway.domain.model import Property
from gateway.domain.status import StayStatus
from gateway.store import overview
from gateway.store.database import Database, ReadSession
from gateway.store.overview import LockView, Run, StayView
from gateway.web.page.daemon import Daemon, clock_trusted
from gateway.web.page.frame import Ask, Frame
from gateway.web.page.sentences import StayCard, card
from gateway.web.page.timeline import AHEAD, BACK, draw
from gateway.web.page.words import Words

_MOST_ARRIVALS, _MOST_HERE = 6, 8
_NEAR = timedelta(hours=24)
_SERIOUS = frozenset(
    {
        events.PIN_AT_RISK,
        events.LOCK_OFFLINE,
        events.CREDENTIAL_REVOCATION_LATE,
        events.RECONCILE_FAILED,
        events.BRAKE_HELD,
        events.CLOCK_UNTRUSTED,
    }
)

_OF_STAYS = frozenset(
    {
        events.PIN_AT_RISK,
        events.CREDENTIAL_REVOCATION_LATE,
        events.CODE_REFUSED,
        events.STAY_OVERLAP,
    }
)  # their subjects begin with the code of a stay
_LINKS = {
    events.BRAKE_HELD: "/held",
    events.RECONCILE_FAILED: "/runs",
    events.LISTING_UNMAPPED: "/matching",
    events.LOCK_OFFLINE: "/locks",
    events.BATTERY_LOW: "/locks",
    events.LOCK_CLOCK_OFF: "/locks",
    events.LOCK_FOREIGN_WRITER: "/locks",
    events.HUB_CONTENDED: "/locks",
}


class Explain(Protocol):
    """Says what a condition is and what to do, in a language."""

    def __call__(self, condition: Condition, *, language: str) -> Composed:
        """Title and text."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Worry:
    """Something that needs a person. `link`: where more of it is."""

    tone: str
    title: str
    text: str
    link: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Glance:
    """What the first screen is made of."""

    stays: list[StayView]
    openings: dict[str, list[tuple[str, str]]]
    locks: list[LockView]
    last_run: Run | None
    running: bool


class FrontPage:
    """Its handler."""

    def __init__(
        self,
        *,
        frame: Frame,
        database: Database,
        property_: Callable[[], Property],
        worries: Callable[[], Awaitable[list[Condition]]],
        explain: Explain,
        daemon: Daemon,
    ) -> None:
        """`worries`: what holds now and should worry a person."""
        self._frame = frame
        self._database = database
        self._property = property_
        self._worries = worries
        self._explain = explain
        self._daemon = daemon

    async def show(self, ask: Ask) -> web.Response:
        """The page."""
        words = ask.words
        seen = await self._look(words.now)
        worries = [self._worry(one, words) for one in await self._worries()]
        worries.sort(key=lambda one: one.tone != "bad")
        known = [stay for stay in seen.stays if stay.listing_name is not None]
        now = words.now
        cards = [card(one, words) for one in known if one.status is StayStatus.CONFIRMED]
        arrivals = [one for one in cards if one.check_in > now]
        here = [one for one in cards if one.check_in <= now]
        units = [unit.name for unit in self._property().units]
        return self._frame.page(
            ask,
            "front.html",
            here="front",
            verdict=_verdict(arrivals, worries, words),
            worries=worries,
            arrivals=arrivals[:_MOST_ARRIVALS],
            more_arrivals=max(0, len(arrivals) - _MOST_ARRIVALS),
            guests=here[:_MOST_HERE],
            more_guests=max(0, len(here) - _MOST_HERE),
            timeline=draw(units, seen.stays, seen.openings, words),
            locks=seen.locks,
            run=seen.last_run,
            running=seen.running,
            next_run=self._daemon.next_run(),
        )

    async def _look(self, now: datetime) -> Glance:
        names = tuple(lock.name for lock in self._property().locks)
        trusted = clock_trusted(self._daemon)

        async def body(session: ReadSession) -> Glance:
            stays = await overview.stays_between(
                session, now - BACK - _NEAR, now + AHEAD, now, clock_trusted=trusted
            )
            last, running = await overview.latest_runs(session)
            return Glance(
                stays=stays,
                openings=await overview.first_openings(session, [one.id for one in stays]),
                locks=await overview.locks(session, names, now),
                last_run=last,
                running=running,
            )

        return await self._database.snapshot(body)

    def _worry(self, condition: Condition, words: Words) -> Worry:
        told = self._explain(condition, language=words.language)
        return Worry(
            tone="bad" if condition.event in _SERIOUS else "warn",
            title=told.title,
            text=told.body,
            link=_link(condition),
        )


def _link(condition: Condition) -> str | None:
    """Where a person can do something about it."""
    if condition.event in _OF_STAYS:
        return f"/stays/{re.split('[-+]', condition.subject)[0]}"
    return _LINKS.get(condition.event)


def _verdict(arrivals: list[StayCard], worries: list[Worry], words: Words) -> tuple[str, str, str]:
    """Tone, headline and the line below: will the next guest get in?"""
    below = words("verdict.none")
    if arrivals:
        first = arrivals[0]
        below = words(
            "verdict.next",
            guest=first.guest,
            unit=first.unit,
            when=words.when(first.check_in),
            pin=first.pin,
        )
    serious = [one for one in worries if one.tone == "bad"]
    if serious:
        return "bad", words("verdict.bad", n=len(serious)), below
    if worries:
        return "warn", words("verdict.warn", n=len(worries)), below
    return "good", words("verdict.good"), below
