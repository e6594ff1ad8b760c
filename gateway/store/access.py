"""Manual access: PINs for people whom Stays does not know. They are stays like others, with terms."""

import json
from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

from gateway.domain.model import Origin, Terms, Window
from gateway.store import weekly
from gateway.store.database import ReadSession, Row, Session
from gateway.store.moments import from_text, to_text
from gateway.store.reservations import terms_of

PAGE = 50
_SELECT = (
    "SELECT r.*, a.unit AS asked_unit, a.locks AS asked_locks, a.weekly AS asked_weekly"
    " FROM reservations r JOIN access a ON a.reservation_id = r.id WHERE r.deleted_at IS NULL"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a person asked for, with the moments from and until which it is to open."""

    kind: Origin
    name: str | None = field(repr=False)
    phone: str | None = field(default=None, repr=False)
    terms: Terms
    span: Window


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredAccess:
    """One access that was not deleted."""

    id: str
    code: str
    asked: Asked


async def insert(session: Session, new: StoredAccess, *, zone: ZoneInfo, now: datetime) -> None:
    """Keep a new one. Its dates are those of `zone`; Stays is never asked who it is."""
    asked, moment = new.asked, to_text(now)
    await session.execute(
        "INSERT INTO reservations (id, code, type, listing_id, channel, unit, check_in_date,"
        " check_out_date, check_in_at, check_out_at, guest_name, guest_phone, guest_read_at,"
        " first_seen_at, changed_at, origin) VALUES (?1, ?2, 'booked', '', 'manual', ?3, ?4, ?5, ?6,"
        " ?7, ?8, ?9, ?10, ?10, ?10, ?11)",
        (
            new.id,
            new.code,
            asked.terms.unit,
            *_days(asked.span, zone),
            to_text(asked.span.valid_from),
            to_text(asked.span.valid_until),
            asked.name,
            asked.phone,
            moment,
            asked.kind,
        ),
    )
    await session.execute(
        "INSERT INTO access (reservation_id, unit, locks, weekly) VALUES (?, ?, ?, ?)",
        (new.id, *_terms(asked.terms)),
    )


async def change(
    session: Session, access_id: str, asked: Asked, *, zone: ZoneInfo, now: datetime
) -> None:
    """Keep what is asked for by now."""
    await session.execute(
        "UPDATE reservations SET unit = ?2, check_in_date = ?3, check_out_date = ?4,"
        " check_in_at = ?5, check_out_at = ?6, guest_name = ?7, guest_phone = ?8, changed_at = ?9"
        " WHERE id = ?1",
        (
            access_id,
            asked.terms.unit,
            *_days(asked.span, zone),
            to_text(asked.span.valid_from),
            to_text(asked.span.valid_until),
            asked.name,
            asked.phone,
            to_text(now),
        ),
    )
    await session.execute(
        "UPDATE access SET unit = ?2, locks = ?3, weekly = ?4 WHERE reservation_id = ?1",
        (access_id, *_terms(asked.terms)),
    )


async def delete(session: Session, access_id: str, now: datetime) -> None:
    """It is not to open any more."""
    moment = to_text(now)
    await session.execute(
        "UPDATE reservations SET deleted_at = ?2, changed_at = ?2 WHERE id = ?1",
        (access_id, moment),
    )


async def get(session: Session, id_or_code: str) -> StoredAccess | None:
    """One by its id or code, None if there is none or it was deleted."""
    row = await session.one(f"{_SELECT} AND (r.id = ?1 OR r.code = ?1)", (id_or_code,))
    return None if row is None else _stored(row)


async def listed(session: ReadSession, page: int) -> tuple[list[StoredAccess], int]:
    """A page of them, the latest end first, and how many there are."""
    total = await session.one(f"SELECT count(*) AS n FROM ({_SELECT})")
    rows = await session.all(
        f"{_SELECT} ORDER BY r.check_out_at DESC, r.id LIMIT ? OFFSET ?", (PAGE, (page - 1) * PAGE)
    )
    return [_stored(row) for row in rows], 0 if total is None else int(total["n"])


async def code_is_taken(session: Session, code: str) -> bool:
    """Has any reservation this code?"""
    return await session.one("SELECT 1 FROM reservations WHERE code = ?", (code,)) is not None


def _stored(row: Row) -> StoredAccess:
    return StoredAccess(
        id=row["id"],
        code=row["code"],
        asked=Asked(
            kind=Origin(row["origin"]),
            name=row["guest_name"],
            phone=row["guest_phone"],
            terms=terms_of(row) or Terms(unit=None, locks=()),
            span=Window(
                valid_from=from_text(row["check_in_at"]), valid_until=from_text(row["check_out_at"])
            ),
        ),
    )


def _days(span: Window, zone: ZoneInfo) -> tuple[str, str]:
    first, last = span.valid_from.astimezone(zone), span.valid_until.astimezone(zone)
    return first.date().isoformat(), last.date().isoformat()


def _terms(terms: Terms) -> tuple[str | None, str, str | None]:
    return terms.unit, json.dumps(terms.locks), weekly.to_text_or_none(terms.weekly)
