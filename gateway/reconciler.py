"""Stays → store: what one run read is compared and written in one transaction."""

import asyncio
import uuid
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog

from gateway.clock import Clock
from gateway.domain import events
from gateway.domain.entitlement import Because, Changes, Want, Withdraw, derive
from gateway.domain.jobs import Job, JobKind, gen_id, rev_id
from gateway.domain.model import Guest, Property, ReservationType
from gateway.errors import (
    MalformedReservationError,
    RunInProgressError,
    StaysRefusedError,
    StaysUnavailableError,
    StoreError,
)
from gateway.feed import Feed, Reader, Span, unit_by_listing
from gateway.merging import Change, Merged, Merging
from gateway.minting import Mint
from gateway.ports import Gone, JobBoard, Notice, Notifier, ReservationSource
from gateway.store import audit, credentials, jobs, reservations, runs
from gateway.store.database import Database, Session
from gateway.store.reservations import StoredReservation
from gateway.store.runs import Stats

_RECENT = timedelta(
    days=7
)  # stays that ended longer ago are compared only if they are not finished

_log = structlog.get_logger()


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What a run wrote, for those who act on it after the commit."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What the configuration says of reconciliations: where to read, how far, for whom."""

    source: ReservationSource
    site: Property
    mint: Mint
    lookback_days: int
    horizon_days: int
    only_mapped: bool


class Reconciler:
    """Runs reconciliations, never two at once."""

    def __init__(
        self,
        *,
        database: Database,
        rules: Rules,
        board: JobBoard,
        wake: Callable[[str], None],
        notifier: Notifier,
        clock: Clock,
        now: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._board = board
        self._wake = wake
        self._notifier = notifier
        self._clock = clock
        self._now = now
        self._running = False
        self._reading: asyncio.Timeout | None = None
        self._interrupted = False
        self.adopt(rules)

    def adopt(self, rules: Rules) -> None:
        """Go by these rules from now on; neither a run nor a reading of guests is under way."""
        self._source = rules.source
        self._reader = Reader(rules.source)
        self._site = rules.site
        self._mint = rules.mint
        self._lookback_days = rules.lookback_days
        self._horizon_days = rules.horizon_days
        self._only_mapped = rules.only_mapped
        self._interrupted = False

    @property
    def running(self) -> bool:
        """Is a run under way?"""
        return self._running

    def interrupt(self) -> None:
        """Let a run that still reads end here, until `adopt`; one that writes goes on to its end."""
        self._interrupted = True
        if self._reading is not None:
            self._reading.reschedule(asyncio.get_running_loop().time())

    async def close_interrupted(self) -> None:
        """At start: what a killed process left pending has failed."""
        now = self._now()
        await self._database.transaction(lambda session: runs.close_interrupted(session, now))

    async def run(self) -> bool:
        """One reconciliation; True if it succeeded.

        Raises:
            RunInProgressError: one is under way.
            StoreError: the database refused; the state is as it was.
        """
        if self._running:
            raise RunInProgressError("a reconciliation is already running")
        self._running = True
        try:
            return await self._run()
        finally:
            self._running = False

    async def _run(self) -> bool:
        run_id, started = str(uuid.uuid4()), self._now()
        began = self._clock.monotonic()
        log = _log.bind(run_id=run_id)

        async def begin(session: Session) -> None:
            # A run whose end could not be written would stand in the way of every later one.
            await runs.close_interrupted(session, started)
            await runs.open_run(session, run_id, started)

        await self._database.transaction(begin)
        log.info(events.RECONCILE_STARTED)
        try:
            feed = await self._read_unless_interrupted()
        except TimeoutError:
            await self._failed(run_id, began, "interrupted by a reload", told=False)
            log.info(events.RECONCILE_FAILED, reason="interrupted by a reload")
            return False
        except (StaysUnavailableError, StaysRefusedError) as error:
            await self._failed(run_id, began, str(error), told=isinstance(error, StaysRefusedError))
            log.warning(events.RECONCILE_FAILED, reason=str(error))
            return False
        except BaseException:
            with suppress(StoreError):  # then the next start closes the row; the end must not wait
                await self._failed(run_id, began, "interrupted", told=False)
            raise
        try:
            outcome = await self._database.transaction(
                lambda session: self._write(session, run_id, began, feed)
            )
        except StoreError as error:
            await self._failed(run_id, began, str(error), told=True)
            log.error(events.RECONCILE_FAILED, reason=str(error))  # noqa: TRY400 - the reason says it all
            return False
        await self._announce(outcome)
        log.info(
            events.RECONCILE_SUCCEEDED,
            fetched=outcome.stats.fetched,
            created=outcome.stats.created,
            updated=outcome.stats.updated,
            orphaned=outcome.stats.orphaned,
            deleted=outcome.stats.deleted,
            errors=outcome.stats.errors,
            message=outcome.message,
        )
        return True

    async def _failed(self, run_id: str, began: float, why: str, *, told: bool) -> None:
        now, duration = self._now(), self._since(began)

        async def body(session: Session) -> int:
            await runs.close_run(
                session,
                run_id,
                completed_at=now,
                duration_ms=duration,
                status="failed",
                message=why,
                stats=Stats(),
            )
            return await runs.failures_in_a_row(session)

        failures = await self._database.transaction(body)
        if told or failures == 2:  # noqa: PLR2004 - told after the second failure in a row
            notice = Notice(event=events.RECONCILE_FAILED, at=now, subject="gateway", detail=why)
            await self._notifier.tell(notice)

    def _since(self, began: float) -> int:
        return round((self._clock.monotonic() - began) * 1000)

    async def _announce(self, outcome: Outcome) -> None:
        self._board.drop(outcome.dropped)
        self._board.put(outcome.put)
        for lock in outcome.wake:
            self._wake(lock)
        for notice in outcome.notices:
            await self._notifier.tell(notice)

    # --- reading -------------------------------------------------------------------------------

    async def _read_unless_interrupted(self) -> Feed:
        """Raises TimeoutError when interrupted."""
        self._reading = asyncio.timeout(0 if self._interrupted else None)
        try:
            async with self._reading:
                return await self._read()
        finally:
            self._reading = None

    async def _read(self) -> Feed:
        listings = tuple(one for unit in self._site.units for one in unit.stays_ids)
        asked = listings if self._only_mapped else ()
        span = self._span()
        feed = await self._reader.read_list(span, asked)
        if self._span() != span:  # Stays' own clock has shown that ours was wrong
            span = self._span()
            feed = await self._reader.read_list(span, asked)
        now = self._now()
        stored = await self._database.read(
            lambda session: reservations.current(session, now - _RECENT)
        )
        known = await self._database.read(reservations.accommodations)
        await self._reader.resolve_listings(feed, self._site.units, known)
        missing = [
            row.reservation for row in stored.values() if self._is_missing(row, feed, span, now)
        ]
        if missing:
            feed.notes.append(f"{len(missing)} missing from the list, looked up by id")
        missing.sort(key=lambda one: (one.check_in_date, one.id))
        await self._reader.look_up(feed, missing, stored)
        return feed

    def _span(self) -> Span:
        return Span.around(
            self._now(), self._site.zone, back=self._lookback_days, ahead=self._horizon_days
        )

    def _is_missing(self, row: StoredReservation, feed: Feed, span: Span, now: datetime) -> bool:
        one = row.reservation
        if one.id in feed.listed or one.id in feed.malformed or row.deleted_at is not None:
            return False
        if row.holds_placement:
            return one.type.entitled or row.held_since is not None
        expected = one.type.entitled or one.type is ReservationType.RESERVED
        return expected and row.unit is not None and row.check_out_at > now and span.meets(one)

    # --- writing -------------------------------------------------------------------------------

    async def _write(self, session: Session, run_id: str, began: float, feed: Feed) -> Outcome:
        now = self._now()
        outcome = Outcome(notes=list(feed.notes))
        outcome.stats.fetched = feed.fetched
        for listing in feed.accommodations:
            await reservations.save_accommodation(session, listing, now)
        merged = await self._merge(session, feed, now, outcome)
        planned = await credentials.planned(session, now - _RECENT, now)
        changes = derive([one.known() for one in merged.values()], planned, self._site, now)
        self._hold(merged, changes, now, outcome)
        await reservations.save(
            session, [one.row for one in merged.values() if one.row != one.before], now
        )
        await self._apply(session, changes, merged, now, outcome)
        await self._tell(session, merged, changes, now, outcome)
        await runs.close_run(
            session,
            run_id,
            completed_at=now,
            duration_ms=self._since(began),
            status="success",
            message=outcome.message,
            stats=outcome.stats,
        )
        await runs.prune(session)
        return outcome

    async def _merge(
        self, session: Session, feed: Feed, now: datetime, outcome: Outcome
    ) -> dict[str, Merged]:
        """Every reservation that can matter, as this run leaves it."""
        rows = await reservations.current(session, now - _RECENT)
        read = feed.everything()
        rows |= await reservations.by_ids(session, [one for one in read if one not in rows])
        units = unit_by_listing(self._site.units, await reservations.accommodations(session))
        merging = Merging(site=self._site, units=units, now=now)
        merged: dict[str, Merged] = {}
        for one in rows.keys() | read.keys():
            before, shown = rows.get(one), read.get(one)
            try:
                merged[one] = merging.merge(before, shown, gone=one in feed.gone)
            except MalformedReservationError as error:
                feed.malformed[one] = error.reason
                if before is not None:  # it keeps what it has
                    merged[one] = merging.unchanged(before)
        self._count(merged.values(), outcome.stats)
        outcome.stats.errors = len(feed.malformed)
        for one, reason in sorted(feed.malformed.items()):
            outcome.notes.append(f"{one}: {reason}")
            _log.warning(events.RESERVATION_MALFORMED, reservation_id=one, reason=reason)
        return merged

    def _count(self, merged: Iterable[Merged], stats: Stats) -> None:
        for one in merged:
            match one.change:
                case Change.CREATED:
                    stats.created += 1
                case Change.UPDATED:
                    stats.updated += 1
                case Change.DELETED:
                    stats.deleted += 1
                case Change.NONE:
                    pass

    def _hold(
        self, merged: dict[str, Merged], changes: Changes, now: datetime, outcome: Outcome
    ) -> None:
        """Note on the rows whom the brake holds, and whom no longer."""
        fresh: list[str] = []
        for one in changes.released:
            merged[one] = merged[one].released()
        for one in changes.held:
            if merged[one].row.held_since is None:
                fresh.append(merged[one].row.reservation.code)
            merged[one] = merged[one].held(now)
        if not fresh:
            return
        detail = (
            f"{len(changes.held)} stays would lose their doors at once and keep them for now"
            f" ({', '.join(sorted(fresh))}): look at Stays, then `gateway held --confirm` or --reject"
        )
        outcome.notes.append(f"the brake holds: {detail}")
        outcome.notices.append(
            Notice(event=events.BRAKE_HELD, at=now, subject="gateway", detail=detail)
        )

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
        await credentials.withdraw(session, changes.withdrawals, now)
        for reservation_id in {want.reservation_id for want in changes.wants}:
            if merged[reservation_id].reopened:
                await self._mint.renew_if_taken(session, reservation_id, now)
        put = [job for want in changes.wants for job in self._jobs_of(want, now)]
        put += _removals(changes.withdrawals, now)
        await jobs.put(session, put)
        outcome.put += put
        outcome.wake |= {want.lock for want in changes.wants}
        outcome.wake |= {one.lock for one in changes.withdrawals}
        await self._drop_orphans(session, outcome)

    def _jobs_of(self, want: Want, now: datetime) -> Iterable[Job]:
        lock = self._site.lock(want.lock)
        early = lock is not None and lock.trust_window and want.follows is None
        ahead = self._site.policy.program_ahead if early else timedelta(0)
        start, until = want.window.valid_from - ahead, want.window.valid_until
        for kind, job_id, run_at in (
            (JobKind.GEN, gen_id(want.id), start),
            (JobKind.REV, rev_id(want.id), until),
        ):
            yield Job(id=job_id, kind=kind, credential_id=want.id, run_at=max(now, run_at))

    async def _drop_orphans(self, session: Session, outcome: Outcome) -> None:
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
        merged: Mapping[str, Merged],
        changes: Changes,
        now: datetime,
        outcome: Outcome,
    ) -> None:
        """Keep the story of each mapped stay, and gather what people should know."""
        for one in merged.values():
            if one.change is not Change.NONE and one.row.unit is not None:
                await audit.append(
                    session,
                    at=now,
                    actor="stays",
                    event=f"reservation.{one.change}",
                    detail=one.story(),
                    reservation_id=one.row.reservation.id,
                )
            if one.first_miss:
                outcome.notices.append(_missing(one, now))
        for first, second in changes.overlaps:
            if merged[first].dates_changed or merged[second].dates_changed:
                outcome.notices.append(_overlap(merged[first], merged[second], now))
        unmapped = {
            one.row.reservation.listing_id
            for one in merged.values()
            if one.row.unit is None
            and one.row.reservation.type.entitled
            and one.row.check_out_at > now
        }
        for listing in await reservations.first_tellings(session, sorted(unmapped), now):
            detail = f"stays on listing {listing} get no PIN: add it to [[listings]] if they should"
            outcome.notices.append(
                Notice(event=events.LISTING_UNMAPPED, at=now, subject=listing, detail=detail)
            )

    # --- the brake -----------------------------------------------------------------------------

    async def decide_held(self, *, confirm: bool, actor: str) -> int:
        """A person lets go of what the brake holds, or keeps it; how many stays that were."""
        now, outcome = self._now(), Outcome()

        async def body(session: Session) -> int:
            held = await reservations.held(session)
            for reservation_id in held:
                if confirm:
                    await self._let_go(session, reservation_id, now, outcome)
                await reservations.decide_held(session, reservation_id, kept=not confirm)
                await audit.append(
                    session,
                    at=now,
                    actor=actor,
                    event=events.BRAKE_RELEASED,
                    detail="confirmed: its PIN goes" if confirm else "rejected: its PIN stays",
                    reservation_id=reservation_id,
                )
            await self._drop_orphans(session, outcome)
            return len(held)

        count = await self._database.transaction(body)
        await self._announce(outcome)
        return count

    async def _let_go(
        self, session: Session, reservation_id: str, now: datetime, outcome: Outcome
    ) -> None:
        withdrawals = await credentials.withdrawals(
            session, reservation_id, because=Because.CANCELLED, now=now
        )
        await credentials.withdraw(session, withdrawals, now)
        put = _removals(withdrawals, now)
        await jobs.put(session, put)
        outcome.put += put
        outcome.wake |= {one.lock for one in withdrawals}

    # --- guests --------------------------------------------------------------------------------

    async def read_guests(self) -> None:
        """Read who stays, soonest arrivals first; what fails is read after the next run.

        Raises:
            StoreError: the database refused.
        """
        waiting = await self._database.read(
            lambda session: reservations.guests_to_read(session, self._now())
        )
        for reservation_id, client_id in waiting:
            try:
                guest = await self._guest(reservation_id, client_id)
            except (StaysUnavailableError, StaysRefusedError, MalformedReservationError) as error:
                _log.info(
                    "guest.unread", reservation_id=reservation_id, reason=type(error).__name__
                )
                continue
            if guest is not None:
                await self._save_guest(reservation_id, guest)

    async def _guest(self, reservation_id: str, client_id: str | None) -> Guest | None:
        answer = await self._source.reservation(reservation_id)
        if isinstance(answer, Gone):
            return None
        guest = answer.guest
        if client_id is None or (guest.name and guest.phone):
            return guest
        client = await self._source.guest(client_id)
        return Guest(name=guest.name or client.name, phone=guest.phone or client.phone)

    async def _save_guest(self, reservation_id: str, guest: Guest) -> None:
        async def body(session: Session) -> None:
            await reservations.save_guest(session, reservation_id, guest, self._now())

        await self._database.transaction(body)


def _removals(withdrawals: Iterable[Withdraw], now: datetime) -> list[Job]:
    """The jobs that take withdrawn codes off their locks."""
    return [
        Job(id=rev_id(one.id), kind=JobKind.REV, credential_id=one.id, run_at=max(now, one.at))
        for one in withdrawals
        if one.on_lock
    ]


def _missing(one: Merged, now: datetime) -> Notice:
    detail = "Stays no longer knows this stay although its guest is inside: the PIN stays for now"
    return Notice(
        event=events.STAY_MISSING, at=now, subject=one.row.reservation.code, detail=detail
    )


def _overlap(first: Merged, second: Merged, now: datetime) -> Notice:
    code = second.row.reservation.code
    detail = f"its nights overlap those of {code} in {first.row.unit}: both keep their PIN"
    return Notice(
        event=events.STAY_OVERLAP, at=now, subject=first.row.reservation.code, detail=detail
    )
