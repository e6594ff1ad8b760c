"""Canaries: codes that a technician has written to try a lock. They are credentials like others."""

from dataclasses import dataclass, field
from datetime import datetime

from gateway.domain import events
from gateway.domain.entitlement import Because
from gateway.domain.model import Evidence, Origin, Window
from gateway.errors import StoreError
from gateway.store import audit
from gateway.store.credentials import NEWEST, pin_of, window_of
from gateway.store.database import Row, Session
from gateway.store.moments import to_text
from gateway.store.secretbox import SecretBox

PREFIX = "canary"


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryRow:
    """What is stored of a canary; see `gateway.canaries.Canary`."""

    credential_id: str
    lock: str
    window: Window
    pin: str = field(repr=False)
    evidence: Evidence
    reason: str | None
    gone: bool
    opened_when_gone: bool


def credential_id_of(canary_id: str, lock: str) -> str:
    """The id of a canary's one credential."""
    return f"{canary_id}-{lock}"


async def insert(
    session: Session, canary_id: str, lock: str, window: Window, now: datetime
) -> None:
    """A canary with its one credential."""
    start, end, moment = to_text(window.valid_from), to_text(window.valid_until), to_text(now)
    await session.execute(
        "INSERT INTO reservations (id, code, type, listing_id, check_in_date, check_out_date,"
        " check_in_at, check_out_at, first_seen_at, changed_at, origin)"
        " VALUES (?1, ?1, 'booked', '', ?2, ?3, ?4, ?5, ?6, ?6, ?7)",
        (canary_id, start[:10], end[:10], start, end, moment, Origin.CANARY),
    )
    await session.execute(
        "INSERT INTO credentials (id, reservation_id, lock, unit, valid_from, valid_until, wanted,"
        " created_at, updated_at) VALUES (?1, ?2, ?3, '', ?4, ?5, 1, ?6, ?6)",
        (credential_id_of(canary_id, lock), canary_id, lock, start, end, moment),
    )


async def known(session: Session, canary_id: str) -> bool:
    """Is there a canary of that id?"""
    row = await session.one(
        "SELECT 1 FROM reservations WHERE id = ? AND origin = ?", (canary_id, Origin.CANARY)
    )
    return row is not None


async def get(session: Session, box: SecretBox, canary_id: str) -> CanaryRow:
    """A canary that is known."""
    row = await _credential(session, canary_id)
    code = await session.one(
        f"SELECT p.evidence, p.reason FROM placements p WHERE p.credential_id = ? ORDER BY {NEWEST} LIMIT 1",
        (row["id"],),
    )
    return CanaryRow(
        credential_id=row["id"],
        lock=row["lock"],
        window=window_of(row),
        pin=pin_of(row, box) or "",
        evidence=Evidence.PLANNED if code is None else Evidence(code["evidence"]),
        reason=row["reason"] or (None if code is None else code["reason"]),
        gone=row["revoked_at"] is not None,
        opened_when_gone=await audit.has(
            session, credential_id=row["id"], event=events.CODE_REVOKED_USED
        ),
    )


async def withdraw(session: Session, canary_id: str, now: datetime) -> tuple[str, str]:
    """It is no longer wanted; its lock and the id of its credential."""
    row = await _credential(session, canary_id)
    await session.execute(
        "UPDATE credentials SET wanted = 0, withdrawn_because = ?, updated_at = ?, reason = NULL"
        " WHERE id = ?",
        (Because.PERSON, to_text(now), row["id"]),
    )
    return row["lock"], row["id"]


async def _credential(session: Session, canary_id: str) -> Row:
    row = await session.one("SELECT * FROM credentials WHERE reservation_id = ?", (canary_id,))
    if row is None:
        raise StoreError(f"{canary_id} has gone")
    return row
