"""What should be at the doors, derived anew from what is stored and, in a run, from what Stays showed."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog

from gateway.domain import events
from gateway.domain.entitlement import (
    Because,
    Changes,
    Planned,
    Want,
    Withdraw,
    derive_in_steps,
)
from gateway.domain.jobs import Job, JobKind, gen_id, rev_id
from gateway.domain.model import Property
from gateway.errors import MalformedReservationError, StoreError
from gateway.fairness import fairly, in_turns
from gateway.feed import Feed, unit_by_listing
from gateway.merging import Change, Merged, Merging
from gateway.minting import Mint
from gateway.ports import JobBoard, Notice, Notifier
from gateway.store import audit, credentials, jobs, reservations
from gateway.store.audit import Entry
from gateway.store.credentials import Due
from gateway.store.database import Session
from gateway.store.runs import Stats

RECENT = timedelta(days=7)  # stays that ended longer ago are compared only if they are not finished

_log = structlog.get_logger()


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What was written, for those who act on it after the commit."""

    stats: Stats = field(default_factory=Stats)
    notes: list[str] = field(default_factory=list)
    put: list[Job] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    wake: set[str] = field(default_factory=set)
    notices: list[Notice] = field(default_factory=list)

    @property
    def message(self) -> str | None:
        """The notes as one text, None without any."""
        return "; ".join(self.notes) or None

    @property
    def is_nothing(self) -> bool:
        """Is there nobody to act on it?"""
        return not any((self.notes, self.put, self.dropped, self.wake, self.notices))


@dataclass(slots=True, kw_only=True)
class Decision:
    """What is to be written; nothing of it is yet.

    `merged`, `planned`: by long id of the reservation, by id of the credential. `touched`: of `merged`
    all but those whose row is as it was.
    """

    merged: dict[str, Merged]
    touched: Collection[Merged]
    planned: Mapping[str, Planned]
    changes: Changes
    stats: Stats
    malformed: Mapping[str, str]
    fresh_holds: tuple[str, ...]
    notes: tuple[str, ...]

    def stands_until(self, since: datetime) -> datetime:
        """Before which moment time alone changes nothing of what is decided.

        The present is compared with these moments, and with two kinds of ends whose passing can only
        take away what is not there: of windows that are not planned, and of the time in which a stay
        is looked up that the list does not show. A hold of the brake ends with the window of any
        neighbour, planned or not: while there is one, no moment is known.
        """
        if self.changes.held:
            return since
        moments: list[datetime] = []
        for one in self.merged.values():
            end = one.row.check_out_at
            moments += (one.row.check_in_at, end, end + RECENT)
        for each in self.planned.values():
            moments += (each.window.valid_from, each.window.valid_until)
        return min((one for one in moments if one > since), default=since)


class Derivation:
    """Decides in a read, writes in the caller's transaction, and tells everybody after its commit."""

    def __init__(
        self,
        *,
        site: Property,
        mint: Mint,
        board: JobBoard,
        wake: Callable[[str], None],
        notifier: Notifier,
    ) -> None:
        self._board = board
        self._wake = wake
        self._notifier = notifier
        self.adopt(site=site, mint=mint)

    def adopt(self, *, site: Property, mint: Mint) -> None:
        """Go by this configuration from now on."""
        self.site = site
        self.mint = mint

    async def anew(
        self, session: Session, now: datetime, *, changed: Collection[str] = ()
    ) -> Outcome:
        """Derive from what is stored alone. `changed`: whose dates a person has just set."""
        decision = await self.decide(session, None, now, changed=changed)
        return await self.write(session, decision, now)

    async def announce(self, outcome: Outcome) -> None:
        """Tell the scheduler, the queues and people, once it is committed."""
        self._board.drop(outcome.dropped)
        self._board.put(outcome.put)
        for lock in outcome.wake:
            self._wake(lock)
        for notice in outcome.notices:
            await self._notifier.tell(notice)

    # --- deciding: reads only ------------------------------------------------------------------

    async def decide(
        self,
        session: Session,
        feed: Feed | None,
        now: datetime,
        *,
        changed: Collection[str] = (),
    ) -> Decision:
        """Compare who is entitled with what is planned; `feed` None: nothing was read of Stays."""
        site, malformed = self.site, {} if feed is None else dict(feed.malformed)
        merged = await self._merge(session, feed, malformed, site=site, now=now, changed=changed)
        planned = await credentials.planned(session, now - RECENT, now)
        known = [one.known() async for one in fairly(merged.values())]
        changes = await in_turns(derive_in_steps(known, planned, site, now))
        fresh = tuple(
            sorted(
                merged[one].row.reservation.code
                for one in changes.held
                if merged[one].row.held_since is None
            )
        )
        for one in changes.released:
            merged[one] = merged[one].released()
        for one in changes.held:
            merged[one] = merged[one].held(now)
        touched = [one for one in merged.values() if one.row is not one.before]
        notes = [] if feed is None else list(feed.notes)
        notes += [f"{one}: {reason}" for one, reason in sorted(malformed.items())]
        if fresh:
            notes.append(f"the brake holds: {_brake_detail(len(changes.held), fresh)}")
        return Decision(
            merged=merged,
            touched=touched,
            planned={one.id: one for one in planned},
            changes=changes,
            stats=await _count(
                touched, fetched=0 if feed is None else feed.fetched, errors=len(malformed)
            ),
            malformed=malformed,
            fresh_holds=fresh,
            notes=tuple(notes),
        )

    async def _merge(
        self,
        session: Session,
        feed: Feed | None,
        malformed: dict[str, str],
        *,
        site: Property,
        now: datetime,
        changed: Collection[str],
    ) -> dict[str, Merged]:
        """Every reservation that can matter, as it is left; what cannot be is added to `malformed`."""
        rows = await reservations.current(session, now - RECENT)
        known = await reservations.accommodations(session)
        if feed is not None:
            known |= {one.id: one for one in feed.accommodations}
        merging = Merging(site=site, units=unit_by_listing(site.units, known), now=now)
        if feed is None:
            rows |= await reservations.by_ids(session, [one for one in changed if one not in rows])
            return {
                one: merging.unchanged(row, reopened=one in changed)
                async for one, row in fairly(rows.items())
            }
        read = feed.everything()
        rows |= await reservations.by_ids(session, [one for one in read if one not in rows])
        merged: dict[str, Merged] = {}
        async for one in fairly(rows.keys() | read.keys()):
            before, shown = rows.get(one), read.get(one)
            try:
                merged[one] = merging.merge(before, shown, gone=one in feed.gone)
            except MalformedReservationError as error:
                malformed[one] = error.reason
                if before is not None:  # it keeps what it has
                    merged[one] = merging.merge(before, None, gone=False)
        return merged

    # --- writing -------------------------------------------------------------------------------

    async def write(self, session: Session, decision: Decision, now: datetime) -> Outcome:
        """Write what was decided in the same transaction."""
        touched, changes = decision.touched, decision.changes
        outcome = Outcome(stats=decision.stats, notes=list(decision.notes))
        for one, reason in sorted(decision.malformed.items()):
            _log.warning(events.RESERVATION_MALFORMED, reservation_id=one, reason=reason)
        differing = [one.row async for one in fairly(touched) if one.row != one.before]
        await reservations.save(session, differing, now)
        await self._apply(session, changes, decision.merged, now, outcome)
        await self._tell(session, touched, now, outcome)
        return outcome

    async def _apply(
        self,
        session: Session,
        changes: Changes,
        merged: Mapping[str, Merged],
        now: datetime,
        outcome: Outcome,
    ) -> None:
        """Write the credentials and their jobs, and remove the jobs that nothing entitles to."""
        await credentials.want(session, changes.wants, now)
        await self._withdraw(session, changes.withdrawals, now, outcome)
        for reservation_id in {want.reservation_id for want in changes.wants}:
            if merged[reservation_id].reopened:
                await self.mint.renew_if_taken(session, reservation_id, now)
        await self.schedule(session, changes.wants, now, outcome)
        await self.drop_orphans(session, outcome)

    async def schedule(
        self, session: Session, dues: Iterable[Want | Due], now: datetime, outcome: Outcome
    ) -> None:
        """Give each credential its two jobs, on time."""
        trusting = {one.name for one in self.site.locks if one.trust_window}
        put: list[Job] = []
        async for due in fairly(dues):
            early = due.lock in trusting and due.follows is None
            ahead = self.site.policy.program_ahead if early else timedelta(0)
            put += (
                Job(id=job_id, kind=kind, credential_id=due.id, run_at=max(now, run_at))
                for kind, job_id, run_at in (
                    (JobKind.GEN, gen_id(due.id), due.window.valid_from - ahead),
                    (JobKind.REV, rev_id(due.id), due.window.valid_until),
                )
            )
            outcome.wake.add(due.lock)
        await jobs.put(session, put)
        outcome.put += put

    async def _withdraw(
        self,
        session: Session,
        withdrawals: Collection[Withdraw],
        now: datetime,
        outcome: Outcome,
    ) -> None:
        """Nothing entitles to these any more; jobs take their codes off the locks."""
        await credentials.withdraw(session, withdrawals, now)
        put = [
            Job(id=rev_id(one.id), kind=JobKind.REV, credential_id=one.id, run_at=max(now, one.at))
            for one in withdrawals
            if one.on_lock
        ]
        await jobs.put(session, put)
        outcome.put += put
        outcome.wake |= {one.lock for one in withdrawals}

    async def let_go(
        self, session: Session, reservation_id: str, now: datetime, outcome: Outcome
    ) -> None:
        """A stay that was held loses its doors; one that keeps its place, those that went from it."""
        row = (await reservations.by_ids(session, [reservation_id]))[reservation_id]
        unit = None if row.unit is None else self.site.unit(row.unit)
        stays = unit is not None and row.deleted_at is None and row.reservation.type.entitled
        left = unit.locks if unit is not None and stays else ()
        withdrawals = await credentials.withdrawals(
            session,
            reservation_id,
            because=Because.UNMAPPED if stays else Because.CANCELLED,
            now=now,
        )
        gone = [one for one in withdrawals if one.lock not in left]
        await self._withdraw(session, gone, now, outcome)

    async def drop_orphans(self, session: Session, outcome: Outcome) -> None:
        """Remove orphaned jobs; a failure is noted and left to the next run."""
        try:
            async with session.savepoint():
                orphans = await credentials.orphaned_jobs(session)
                await jobs.drop(session, orphans)
        except StoreError as error:
            outcome.notes.append(f"orphaned jobs stay for now: {error}")
            return
        outcome.stats.orphaned = len(orphans)
        outcome.dropped += orphans

    async def _tell(
        self,
        session: Session,
        touched: Iterable[Merged],
        now: datetime,
        outcome: Outcome,
    ) -> None:
        """Keep the story of each mapped stay, and gather what people should know."""
        await audit.append_all(
            session,
            [
                Entry(
                    at=now,
                    actor="stays",
                    event=f"reservation.{one.change}",
                    detail=one.story(),
                    reservation_id=one.row.reservation.id,
                )
                async for one in fairly(touched)
                if one.row.unit is not None and one.change is not Change.NONE
            ],
        )
        outcome.notices += [_missing(one, now) for one in touched if one.first_miss]


async def _count(touched: Iterable[Merged], *, fetched: int, errors: int) -> Stats:
    changes = Counter([one.change async for one in fairly(touched)])
    return Stats(
        fetched=fetched,
        created=changes[Change.CREATED],
        updated=changes[Change.UPDATED],
        deleted=changes[Change.DELETED],
        errors=errors,
    )


def _brake_detail(held: int, fresh: Iterable[str]) -> str:
    return (
        f"{held} stays would lose their doors at once and keep them for now"
        f" ({', '.join(fresh)}): look at Stays, then `gateway held --confirm` or --reject"
    )


def _missing(one: Merged, now: datetime) -> Notice:
    detail = "Stays no longer knows this stay although its guest is inside: the PIN stays for now"
    return Notice(
        event=events.STAY_MISSING, at=now, subject=one.row.reservation.code, detail=detail
    )
