"""The audit trail as people search it."""

from dataclasses import dataclass
from datetime import datetime

from gateway.store.database import ReadSession
from gateway.store.moments import to_text_or_none

PAGE = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What to look for; None: anything. `reservation`: long or short id. [start, end)."""

    reservation: str | None = None
    lock: str | None = None
    event: str | None = None
    actor: str | None = None
    start: datetime | None = None
    end: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """One row of the trail; `code` is the reservation's short id."""

    id: int
    at: str
    actor: str
    event: str
    reservation_id: str | None
    code: str | None
    credential_id: str | None
    lock: str | None
    detail: str


async def find(session: ReadSession, wanted: Wanted, page: int) -> tuple[list[Deed], int]:
    """A page of what was found, newest first, and how many rows there are."""
    conditions = {
        "(a.reservation_id = ? OR r.code = ?)": wanted.reservation,
        "a.lock = ?": wanted.lock,
        "a.event = ?": wanted.event,
        "a.actor = ?": wanted.actor,
        "a.at >= ?": to_text_or_none(wanted.start),
        "a.at < ?": to_text_or_none(wanted.end),
    }
    used = {text: value for text, value in conditions.items() if value is not None}
    parameters = [value for text, value in used.items() for _ in range(text.count("?"))]
    source = "FROM audit_log a LEFT JOIN reservations r ON r.id = a.reservation_id"
    where = f"{source} WHERE {' AND '.join(used) or '1'}"
    total = await session.one(f"SELECT count(*) AS n {where}", parameters)
    rows = await session.all(
        f"SELECT a.*, r.code {where} ORDER BY a.id DESC LIMIT ? OFFSET ?",
        (*parameters, PAGE, (page - 1) * PAGE),
    )
    found = [
        Deed(
            id=row["id"],
            at=row["at"],
            actor=row["actor"],
            event=row["event"],
            reservation_id=row["reservation_id"],
            code=row["code"],
            credential_id=row["credential_id"],
            lock=row["lock"],
            detail=row["detail"],
        )
        for row in rows
    ]
    return found, 0 if total is None else int(total["n"])
