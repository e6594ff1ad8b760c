"""Reservations as Stays last showed them, and what is remembered of each."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from functools import lru_cache

from gateway.domain.model import (
    Accommodation,
    Guest,
    Origin,
    Reservation,
    ReservationType,
    Terms,
)
from gateway.domain.value import value
from gateway.fairness import fairly
from gateway.store import weekly
from gateway.store.moments import from_text, from_text_or_none, to_text, to_text_or_none
from gateway.store.session import ReadSession, Row, Session

LIVE = (
    "('sent', 'confirmed', 'observed', 'unknown', 'revoking')"  # evidence of what may be on a lock
)


_TYPES = {one.value: one for one in ReservationType}


@value
class StoredReservation:
    """One row of the table.

    `holds_placement`: a code of it is or may be on a lock. `terms`: None for a stay of Stays.
    """

    reservation: Reservation
    unit: str | None
    check_in_at: datetime
    check_out_at: datetime
    over_at_first_sight: bool = False
    deleted_at: datetime | None = None
    missing_reads: int = 0
    held_since: datetime | None = None
    held_reads: int = 0
    kept: bool = False
    blocked: bool = False
    holds_placement: bool = False
    terms: Terms | None = None


_SELECT = (
    "SELECT r.id, r.code, r.type, r.listing_id, r.check_in_date, r.check_in_time, r.check_out_date,"
    " r.check_out_time, r.client_id, r.partner_code, r.channel, r.unit, r.check_in_at,"
    " r.check_out_at, r.over_at_first_sight, r.deleted_at, r.missing_reads, r.held_since,"
    " r.held_reads, r.held_verdict, r.blocked_at, r.id IN (SELECT c.reservation_id FROM placements p"
    " JOIN credentials c ON c.id = p.credential_id WHERE p.evidence NOT IN ('revoked', 'rejected')"
    f" AND p.evidence IN {LIVE}) AS holds_placement,"  # the first term: of the index of such rows
    " a.unit AS asked_unit, a.locks AS asked_locks, a.weekly AS asked_weekly"
    " FROM reservations r LEFT JOIN access a ON a.reservation_id = r.id"
)
_CURRENT = (
    "r.origin <> 'canary' AND (r.check_out_at >= ?"
    " OR r.id IN (SELECT reservation_id FROM credentials WHERE revoked_at IS NULL))"
)


async def current(session: Session, since: datetime) -> dict[str, StoredReservation]:
    """Those (but canaries) that end at `since` or later, or have a credential that is not finished, by id."""
    rows = await session.all(f"{_SELECT} WHERE {_CURRENT}", (to_text(since),))
    return {row["id"]: _stored(row) async for row in fairly(rows)}


async def current_ids(session: Session, since: datetime) -> list[str]:
    """The ids of those."""
    rows = await session.all(f"SELECT r.id FROM reservations r WHERE {_CURRENT}", (to_text(since),))
    return [row["id"] for row in rows]


async def by_ids(session: Session, ids: Iterable[str]) -> dict[str, StoredReservation]:
    """Those with these long ids."""
    found: dict[str, StoredReservation] = {}
    for chunk in _chunks(ids):
        marks = ", ".join("?" * len(chunk))
        rows = await session.all(f"{_SELECT} WHERE r.id IN ({marks})", chunk)
        found |= {row["id"]: _stored(row) async for row in fairly(rows)}
    return found


async def save(session: Session, rows: Iterable[StoredReservation], now: datetime) -> None:
    """Insert the reservations, or change those of the same ids; guest data is left as it is."""
    moment = to_text(now)
    await session.execute_many(
        "INSERT INTO reservations (id, code, type, listing_id, check_in_date, check_in_time,"
        " check_out_date, check_out_time, client_id, partner_code, channel, unit, check_in_at,"
        " check_out_at, over_at_first_sight, deleted_at, missing_reads, held_since, held_reads,"
        " held_verdict, first_seen_at, changed_at)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18,"
        " ?19, ?20, ?21, ?21)"
        " ON CONFLICT (id) DO UPDATE SET code = ?2, type = ?3, listing_id = ?4, check_in_date = ?5,"
        " check_in_time = ?6, check_out_date = ?7, check_out_time = ?8,"
        # another client: the guest is read again
        " guest_read_at = CASE WHEN client_id IS ?9 THEN guest_read_at END,"
        " client_id = ?9, partner_code = ?10, channel = ?11, unit = ?12, check_in_at = ?13,"
        " check_out_at = ?14, over_at_first_sight = ?15, deleted_at = ?16, missing_reads = ?17,"
        " held_since = ?18, held_reads = ?19, held_verdict = ?20, changed_at = ?21",
        [_parameters(row, moment) async for row in fairly(rows)],
    )


def _parameters(row: StoredReservation, moment: str) -> tuple[object, ...]:
    one = row.reservation
    return (
        one.id,
        one.code,
        one.type,
        one.listing_id,
        one.check_in_date.isoformat(),
        _clock_text(one.check_in_time),
        one.check_out_date.isoformat(),
        _clock_text(one.check_out_time),
        one.client_id,
        one.partner_code,
        one.channel,
        row.unit,
        to_text(row.check_in_at),
        to_text(row.check_out_at),
        int(row.over_at_first_sight),
        to_text_or_none(row.deleted_at),
        row.missing_reads,
        to_text_or_none(row.held_since),
        row.held_reads,
        "kept" if row.kept else None,
        moment,
    )


def _stored(row: Row) -> StoredReservation:
    """By position, in the order of `_SELECT`: to look columns up by name takes half as long again."""
    # fmt: off
    (
        id_, code, type_, listing_id, in_date, in_time, out_date, out_time,
        client_id, partner_code, channel, unit, in_at, out_at, over, deleted_at,
        missing_reads, held_since, held_reads, verdict, blocked_at, holds, _, asked_locks, _,
    ) = row
    # fmt: on
    return StoredReservation(
        reservation=Reservation(
            id=id_,
            code=code,
            type=_TYPES[type_],
            listing_id=listing_id,
            check_in_date=date.fromisoformat(in_date),
            check_in_time=_clock(in_time),
            check_out_date=date.fromisoformat(out_date),
            check_out_time=_clock(out_time),
            client_id=client_id,
            partner_code=partner_code,
            channel=channel,
        ),
        unit=unit,
        check_in_at=from_text(in_at),
        check_out_at=from_text(out_at),
        over_at_first_sight=bool(over),
        deleted_at=from_text_or_none(deleted_at),
        missing_reads=missing_reads,
        held_since=from_text_or_none(held_since),
        held_reads=held_reads,
        kept=verdict == "kept",
        blocked=blocked_at is not None,
        holds_placement=bool(holds),
        terms=None if asked_locks is None else terms_of(row),
    )


def terms_of(row: Row) -> Terms | None:
    """What a person asked for, None for a stay of Stays."""
    if row["asked_locks"] is None:
        return None
    return Terms(
        unit=row["asked_unit"],
        locks=tuple(json.loads(row["asked_locks"])),
        weekly=weekly.from_text_or_none(row["asked_weekly"]),
    )


@lru_cache(maxsize=256)  # the times of day at which stays begin and end are few
def _clock(text: str | None) -> time | None:
    return None if text is None else time.fromisoformat(text)


@lru_cache(maxsize=256)
def _clock_text(value: time | None) -> str | None:
    return None if value is None else value.strftime("%H:%M")


def _chunks(ids: Iterable[str], size: int = 500) -> Iterator[Sequence[str]]:
    wanted = list(ids)
    for start in range(0, len(wanted), size):
        yield wanted[start : start + size]


async def held(session: Session) -> list[str]:
    """The long ids of those that the brake holds and nobody has decided on."""
    rows = await session.all(
        "SELECT id FROM reservations WHERE held_since IS NOT NULL AND held_verdict IS NULL"
    )
    return [row["id"] for row in rows]


async def decide_held(session: Session, reservation_id: str, *, kept: bool) -> None:
    """Keep a held one against Stays' word, or end its hold."""
    await session.execute(
        "UPDATE reservations SET held_verdict = iif(?2, 'kept', NULL),"
        " held_since = iif(?2, held_since, NULL), held_reads = 0 WHERE id = ?1",
        (reservation_id, kept),
    )


# --- what a person decided ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A reservation that was asked for."""

    id: str
    origin: Origin


async def find(session: Session, id_or_code: str) -> Found | None:
    """A reservation by its long or short id; of several the latest."""
    row = await session.one(
        "SELECT id, origin FROM reservations WHERE id = ?1 OR code = ?1"
        " ORDER BY check_in_at DESC LIMIT 1",
        (id_or_code,),
    )
    return None if row is None else Found(id=row["id"], origin=Origin(row["origin"]))


async def code_of(session: Session, reservation_id: str) -> str:
    """The short id of a reservation."""
    row = await session.one("SELECT code FROM reservations WHERE id = ?", (reservation_id,))
    return "" if row is None else str(row["code"])


async def block(
    session: Session, reservation_id: str, *, by: str, reason: str | None, now: datetime
) -> None:
    """A person takes the stay's PIN away."""
    await session.execute(
        "UPDATE reservations SET blocked_at = ?2, blocked_by = ?3, blocked_reason = ?4 WHERE id = ?1",
        (reservation_id, to_text(now), by, reason),
    )


async def unblock(session: Session, reservation_id: str) -> None:
    """A person gives the stay a PIN again."""
    await session.execute(
        "UPDATE reservations SET blocked_at = NULL, blocked_by = NULL, blocked_reason = NULL"
        " WHERE id = ?",
        (reservation_id,),
    )


# --- guests ------------------------------------------------------------------------------------


async def guests_to_read(session: Session, now: datetime) -> list[tuple[str, str | None]]:
    """Ids (and client ids) of mapped stays whose guest was not read yet, soonest arrival first."""
    rows = await session.all(
        "SELECT id, client_id FROM reservations WHERE origin = 'stays' AND unit IS NOT NULL AND guest_read_at IS NULL"
        " AND deleted_at IS NULL AND type IN ('booked', 'contract') AND check_out_at > ?"
        " ORDER BY check_in_at, id",
        (to_text(now),),
    )
    return [(row["id"], row["client_id"]) for row in rows]


async def save_guest(session: Session, reservation_id: str, guest: Guest, now: datetime) -> None:
    """Keep who stays."""
    await session.execute(
        "UPDATE reservations SET guest_name = ?, guest_phone = ?, guest_read_at = ? WHERE id = ?",
        (guest.name, guest.phone, to_text(now), reservation_id),
    )


# --- listings ----------------------------------------------------------------------------------


async def accommodations(session: ReadSession) -> dict[str, Accommodation]:
    """The listings whose names were read, by long id."""
    rows = await session.all("SELECT * FROM stays_accommodations WHERE read_at IS NOT NULL")
    return {
        row["id"]: Accommodation(id=row["id"], code=row["code"], name=row["name"]) for row in rows
    }


async def save_accommodation(session: Session, listing: Accommodation, now: datetime) -> None:
    """Keep how Stays names a listing."""
    await session.execute(
        "INSERT INTO stays_accommodations (id, code, name, read_at) VALUES (?1, ?2, ?3, ?4)"
        " ON CONFLICT (id) DO UPDATE SET code = ?2, name = ?3, read_at = ?4",
        (listing.id, listing.code, listing.name, to_text(now)),
    )
