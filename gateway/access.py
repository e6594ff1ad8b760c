"""Manual access: a PIN for somebody that Stays does not know, a guest or staff."""

import secrets
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from gateway.acts import note
from gateway.derivation import Derivation, Outcome
from gateway.domain import events
from gateway.domain.messages import phone_digits
from gateway.domain.model import Origin, Window
from gateway.errors import NoSuchStayError
from gateway.store import access, credentials
from gateway.store.access import Asked, StoredAccess
from gateway.store.database import Database, Session

LONGEST = timedelta(days=366)
LONGEST_NAME = 100
_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"  # none that is read as another
_CODE_LETTERS = 5


class ManualAccess:
    """Gives, changes and takes access; the doors of a unit are derived anew in the same transaction."""

    def __init__(
        self,
        *,
        database: Database,
        derivation: Derivation,
        revive: Callable[[str], Awaitable[None]],
        holds_weekly: Callable[[str], bool],
        now: Callable[[], datetime],
    ) -> None:
        """`revive`: lets a lock's queue try again at once. `holds_weekly`: does a lock keep hours of the week?"""
        self._database = database
        self._derivation = derivation
        self._revive = revive
        self._holds_weekly = holds_weekly
        self._now = now

    async def give(self, asked: Asked, *, actor: str, reason: str | None = None) -> StoredAccess:
        """Plan a PIN and mint it; it is written when its window opens.

        Raises:
            ValueError: it cannot be given; the message says why.
            NoPinLeftError: the rules leave no PIN for these doors.
        """
        asked = self._fit(asked)

        async def body(session: Session) -> tuple[StoredAccess, Outcome]:
            now = self._now()
            new = StoredAccess(
                id=secrets.token_hex(12), code=await self._free_code(session), asked=asked
            )
            await access.insert(session, new, zone=self._derivation.site.zone, now=now)
            outcome = await self._derivation.anew(session, now, changed={new.id})
            await self._derivation.mint.ensure(session, new.id, now)
            await note(
                session,
                at=now,
                actor=actor,
                event=events.ACCESS_GIVEN,
                detail=_in_words(asked),
                reason=reason,
                stay=new.id,
            )
            return new, outcome

        new, outcome = await self._database.transaction(body)
        await self._done(outcome, ())
        return new

    async def change(
        self,
        id_or_code: str,
        changed: Callable[[Asked], Asked],
        *,
        actor: str,
        reason: str | None = None,
    ) -> StoredAccess:
        """Let what is asked for be another; the PIN stays.

        Raises:
            NoSuchStayError: there is none, or it was taken.
            ValueError: it cannot be so; the message says why.
            NoPinLeftError: the rules leave no PIN for these doors.
        """

        async def body(session: Session) -> tuple[StoredAccess, set[str], Outcome]:
            now = self._now()
            before = await self._known(session, id_or_code)
            asked = self._fit(changed(before.asked))
            if asked.kind is not before.asked.kind:
                raise ValueError("kind cannot be changed: take this access and give another")
            await access.change(session, before.id, asked, zone=self._derivation.site.zone, now=now)
            moved = {before.id} if asked.span != before.asked.span else set()
            outcome = await self._derivation.anew(session, now, changed=moved)
            await self._derivation.mint.ensure(session, before.id, now)
            await note(
                session,
                at=now,
                actor=actor,
                event=events.ACCESS_CHANGED,
                detail=_in_words(asked),
                reason=reason,
                stay=before.id,
            )
            locks = await credentials.locks_of(session, before.id)
            return replace(before, asked=asked), locks, outcome

        after, locks, outcome = await self._database.transaction(body)
        await self._done(outcome, locks)
        return after

    async def take(self, id_or_code: str, *, actor: str, reason: str | None = None) -> str:
        """End it now: its codes go from every door. Its id.

        Raises:
            NoSuchStayError: there is none, or it was taken before.
        """

        async def body(session: Session) -> tuple[str, set[str], Outcome]:
            now = self._now()
            known = await self._known(session, id_or_code)
            await access.delete(session, known.id, now)
            outcome = await self._derivation.anew(session, now)
            await note(
                session,
                at=now,
                actor=actor,
                event=events.ACCESS_TAKEN,
                detail="it is over now",
                reason=reason,
                stay=known.id,
            )
            return known.id, await credentials.locks_of(session, known.id), outcome

        access_id, locks, outcome = await self._database.transaction(body)
        await self._done(outcome, locks)
        return access_id

    async def listed(self, page: int) -> tuple[list[StoredAccess], int]:
        """A page of those that were not taken, the latest end first, and how many there are."""
        return await self._database.snapshot(lambda session: access.listed(session, page))

    async def _done(self, outcome: Outcome, locks: Iterable[str]) -> None:
        await self._derivation.announce(outcome)
        for lock in sorted({*locks, *outcome.wake}):
            await self._revive(lock)

    async def _known(self, session: Session, id_or_code: str) -> StoredAccess:
        known = await access.get(session, id_or_code)
        if known is None:
            raise NoSuchStayError("there is no such access")
        return known

    async def _free_code(self, session: Session) -> str:
        while True:
            code = "M" + "".join(secrets.choice(_LETTERS) for _ in range(_CODE_LETTERS))
            if not await access.code_is_taken(session, code):
                return code

    def _fit(self, asked: Asked) -> Asked:
        """The same with its unit found. Raises ValueError where it cannot be given."""
        name = " ".join((asked.name or "").split())
        if not 1 <= len(name) <= LONGEST_NAME:
            raise ValueError(f"name has 1 to {LONGEST_NAME} characters")
        span = asked.span
        if span.valid_until <= self._now():
            raise ValueError("until has passed")
        if span.valid_until - span.valid_from > LONGEST:
            raise ValueError("from and until are a year apart at most")
        locks = tuple(dict.fromkeys(asked.terms.locks))
        unknown = [lock for lock in locks if self._derivation.site.lock(lock) is None]
        if unknown or not locks:
            known = ", ".join(lock.name for lock in self._derivation.site.locks)
            raise ValueError(f"locks names at least one of {known}")
        if asked.kind is Origin.STAFF:
            terms = replace(asked.terms, locks=locks, unit=None)
            self._check_weekly(locks if terms.weekly is not None else ())
        elif asked.terms.weekly is not None:
            raise ValueError("weekly hours are for staff: a guest may come at any hour")
        else:
            terms = replace(asked.terms, locks=locks, unit=self._unit_of(locks, asked.terms.unit))
        if asked.phone is not None and phone_digits(asked.phone) is None:
            raise ValueError('phone is a number with its country, such as "+55 11 99999-0000"')
        return replace(asked, name=name, terms=terms)

    def _check_weekly(self, locks: Iterable[str]) -> None:
        unable = [lock for lock in locks if not self._holds_weekly(lock)]
        if unable:
            raise ValueError(
                f"{', '.join(unable)} cannot keep weekly hours: leave them out, or leave out that door"
            )

    def _unit_of(self, locks: tuple[str, ...], named: str | None) -> str:
        """The unit in whose turnover a guest of these doors takes part."""
        units = [unit.name for unit in self._derivation.site.units if set(locks) <= set(unit.locks)]
        if named is not None and named in units:
            return named
        if named is None and len(units) == 1:
            return units[0]
        if not units:
            raise ValueError(
                "no unit has all these locks: choose the doors of one unit, or kind staff"
            )
        raise ValueError(
            f"these doors are of several units: say which unit it is ({', '.join(units)})"
        )


def _in_words(asked: Asked) -> str:
    span: Window = asked.span
    hours = "" if asked.terms.weekly is None else ", at weekly hours"
    return (
        f"{asked.kind} on {', '.join(asked.terms.locks)} from {span.valid_from:%Y-%m-%d %H:%M}"
        f" until {span.valid_until:%Y-%m-%d %H:%M} UTC{hours}"
    )
