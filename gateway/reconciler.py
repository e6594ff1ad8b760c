"""Stays → store: what one run read is compared and written in one transaction."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

import structlog
from structlog.contextvars import bound_contextvars

from gateway.clock import Clock
from gateway.derivation import RECENT, Decision, Derivation, Outcome
from gateway.domain import events
from gateway.domain.model import Guest, Property, ReservationType
from gateway.errors import (
    MalformedReservationError,
    RunInProgressError,
    StaysRefusedError,
    StaysUnavailableError,
    StoreError,
)
from gateway.fairness import garbage_left
from gateway.feed import Feed, Quiet, Reader, Reading, Span, unexplained
from gateway.ports import Gone, Meter, Notifier, ReservationSource
from gateway.store import audit, reservations, runs
from gateway.store.database import Database, Session
from gateway.store.reservations import StoredReservation
from gateway.store.runs import Gravity, Stats

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What the configuration says of reconciliations: where to read, how far, for whom."""

    source: ReservationSource
    site: Property
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
        derivation: Derivation,
        notifier: Notifier,
        meter: Meter,
        clock: Clock,
        now: Callable[[], datetime],
        keep_time: Callable[[Session], Awaitable[None]],
    ) -> None:
        """`keep_time` writes the newest trusted time: with the end of a run it costs no commit."""
        self._meter = meter
        self._database = database
        self._derivation = derivation
        self._notifier = notifier
        self._clock = clock
        self._now = now
        self._keep_time = keep_time
        self._running = False
        self._reading: asyncio.Timeout | None = None
        self._interrupted = False
        self.adopt(rules)

    def adopt(self, rules: Rules) -> None:
        """Go by these rules from now on; neither a run nor a reading of guests is under way."""
        self._source = rules.source
        self._reader = Reader(rules.source)
        self._site = rules.site
        self._lookback_days = rules.lookback_days
        self._horizon_days = rules.horizon_days
        self._only_mapped = rules.only_mapped
        self._interrupted = False
        self._quiet: Quiet | None = None
        self._applied = False  # does the store go by these rules?

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
        run_id, began = str(uuid.uuid4()), self._clock.monotonic()
        succeeded = False
        try:
            with bound_contextvars(run_id=run_id):
                succeeded = await self._run(run_id, began)
        finally:
            self._running = False
            seconds = self._clock.monotonic() - began
            self._meter.reconciled(succeeded=succeeded, seconds=seconds)
        return succeeded

    async def _run(self, run_id: str, began: float) -> bool:
        started = self._now()

        async def begin(session: Session) -> None:
            # A run whose end could not be written would stand in the way of every later one.
            await runs.close_interrupted(session, started)
            await runs.open_run(session, run_id, started)

        await self._database.transaction(begin)
        _log.info(events.RECONCILE_STARTED)
        try:
            reading = await self._read_unless_interrupted()
        except TimeoutError:
            await self._failed(run_id, began, "interrupted by a reload", Gravity.INTERRUPTED)
            _log.info(events.RECONCILE_FAILED, reason="interrupted by a reload")
            return False
        except (StaysUnavailableError, StaysRefusedError) as error:
            refused = isinstance(error, StaysRefusedError)
            gravity = Gravity.NEEDS_PERSON if refused else Gravity.TEMPORARY
            await self._failed(run_id, began, str(error), gravity)
            _log.warning(events.RECONCILE_FAILED, reason=str(error))
            await self._apply_rules()
            return False
        except BaseException:
            with suppress(StoreError):  # then the next start closes the row; the end must not wait
                await self._failed(run_id, began, "interrupted", Gravity.INTERRUPTED)
            raise
        try:
            with garbage_left():
                outcome = await self._database.transaction(
                    lambda session: self._write(session, run_id, began, reading)
                )
        except StoreError as error:
            await self._failed(run_id, began, str(error), Gravity.NEEDS_PERSON)
            _log.error(events.RECONCILE_FAILED, reason=str(error))
            return False
        self._applied = True
        await self._derivation.announce(outcome)
        _log.info(
            events.RECONCILE_SUCCEEDED,
            fetched=outcome.stats.fetched,
            created=outcome.stats.created,
            updated=outcome.stats.updated,
            orphaned=outcome.stats.orphaned,
            deleted=outcome.stats.deleted,
            errors=outcome.stats.errors,
            nothing_new=reading.nothing_new,
            message=outcome.message,
        )
        return True

    async def _apply_rules(self) -> None:
        """While Stays is away, what is stored follows a configuration that no run has gone by yet.

        Unless it names a listing by a short id that Stays has not explained: the stays of that one
        would look as if they had no place any more.
        """
        if self._applied:
            return
        now = self._now()

        async def body(session: Session) -> Outcome | None:
            if unexplained(self._site.units, await reservations.accommodations(session)):
                return None
            return await self._derivation.anew(session, now)

        outcome = await self._database.transaction(body)
        if outcome is not None:
            self._applied = True
            await self._derivation.announce(outcome)

    async def _failed(self, run_id: str, began: float, why: str, gravity: Gravity) -> None:
        now, duration = self._now(), self._since(began)
        await self._database.transaction(
            lambda session: runs.close_run(
                session,
                run_id,
                completed_at=now,
                duration_ms=duration,
                status="failed",
                message=why,
                stats=Stats(),
                gravity=gravity,
            )
        )

    def _since(self, began: float) -> int:
        return round((self._clock.monotonic() - began) * 1000)

    # --- reading -------------------------------------------------------------------------------

    async def _read_unless_interrupted(self) -> Reading:
        """Raises TimeoutError when interrupted."""
        self._reading = asyncio.timeout(0 if self._interrupted else None)
        try:
            async with self._reading:
                return await self._read(unless_nothing_new=True)
        finally:
            self._reading = None

    async def _read(self, *, unless_nothing_new: bool = False) -> Reading:
        listings = tuple(one for unit in self._site.units for one in unit.stays_ids)
        asked = listings if self._only_mapped else ()
        feed = await self._reader.read_list(self._span(), asked)
        if self._span() != feed.span:  # Stays' own clock has shown that ours was wrong
            feed = await self._reader.read_list(self._span(), asked)
        now = self._now()
        version = await self._database.read(lambda session: session.version())
        if unless_nothing_new and self._quiet and self._quiet.holds(feed, version, now):
            return Reading(feed=feed, version=version, at=now, nothing_new=True)
        stored = await self._database.read(
            lambda session: reservations.current_ids(session, now - RECENT)
        )
        not_listed = [one for one in stored if one not in feed.listed]
        unseen = await self._database.read(lambda session: reservations.by_ids(session, not_listed))
        known = await self._database.read(reservations.accommodations)
        await self._reader.resolve_listings(feed, self._site.units, known)
        missing = [row.reservation for row in unseen.values() if self._is_missing(row, feed, now)]
        if missing:
            feed.notes.append(f"{len(missing)} missing from the list, looked up by id")
        missing.sort(key=lambda one: (one.check_in_date, one.id))
        await self._reader.look_up(feed, missing, stored)
        return Reading(feed=feed, version=version, at=now)

    def _span(self) -> Span:
        return Span.around(
            self._now(), self._site.zone, back=self._lookback_days, ahead=self._horizon_days
        )

    def _is_missing(self, row: StoredReservation, feed: Feed, now: datetime) -> bool:
        one = row.reservation
        if row.terms is not None:
            return False
        if one.id in feed.listed or one.id in feed.malformed or row.deleted_at is not None:
            return False
        if row.holds_placement:
            return one.type.entitled or row.held_since is not None
        expected = one.type.entitled or one.type is ReservationType.RESERVED
        # Whose loss was read once is asked for again, also when its time has passed meanwhile.
        opens = row.check_out_at + self._site.policy.revoke_after > now  # by another stay's code
        matters = opens or row.missing_reads > 0
        return expected and row.unit is not None and matters and feed.span.meets(one)

    # --- writing -------------------------------------------------------------------------------

    async def _write(
        self, session: Session, run_id: str, began: float, reading: Reading
    ) -> Outcome:
        now = self._now()
        if reading.nothing_new:
            outcome = Outcome(stats=Stats(fetched=reading.feed.fetched))
        else:
            outcome = await self._derive(session, reading, now)
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
        await self._keep_time(session)
        return outcome

    async def _derive(self, session: Session, reading: Reading, now: datetime) -> Outcome:
        self._quiet = None
        feed = reading.feed
        for listing in feed.accommodations:
            await reservations.save_accommodation(session, listing, now)
        decision = await self._derivation.decide(session, feed, now)
        outcome = await self._derivation.write(session, decision, now)
        unchanged = await session.version() == reading.version
        if unchanged and feed.is_plain and outcome.is_nothing:
            self._quiet = Quiet(reading=reading, until=decision.stands_until(reading.at))
        return outcome

    async def look_ahead(self) -> tuple[Decision, datetime]:
        """What a run would decide now, and the moment; nothing is written.

        Raises:
            StaysUnavailableError, StaysRefusedError: Stays cannot be read.
            StoreError: the database refused.
        """
        reading = await self._read()
        now = self._now()
        decision = await self._database.read(
            lambda session: self._derivation.decide(session, reading.feed, now)
        )
        return decision, now

    # --- the brake -----------------------------------------------------------------------------

    async def decide_held(self, *, confirm: bool, actor: str) -> int:
        """A person lets go of what the brake holds, or keeps it; how many stays that were."""
        now, outcome = self._now(), Outcome()

        async def body(session: Session) -> int:
            held = await reservations.held(session)
            for reservation_id in held:
                if confirm:
                    await self._derivation.let_go(session, reservation_id, now, outcome)
                await reservations.decide_held(session, reservation_id, kept=not confirm)
                await audit.append(
                    session,
                    at=now,
                    actor=actor,
                    event=events.BRAKE_RELEASED,
                    detail="confirmed: its PIN goes" if confirm else "rejected: its PIN stays",
                    reservation_id=reservation_id,
                )
            await self._derivation.drop_orphans(session, outcome)
            return len(held)

        count = await self._database.transaction(body)
        await self._derivation.announce(outcome)
        return count

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
