"""What is no longer needed goes: in small transactions, so that no door waits for it."""

from datetime import datetime

from gateway.store import meta
from gateway.store.moments import to_text
from gateway.store.reservations import LIVE
from gateway.store.session import Session

CHUNK = 100  # stays or rows in one transaction
_MOST_AUDIT_ROWS = 200_000

# A stay goes whole, with its story, once nothing of it is or may be on a lock and no later stay of the
# same guest that is not finished refers to it.
_OLD_STAYS = (
    "SELECT r.id FROM reservations r WHERE r.check_out_at < ?1"
    " AND NOT EXISTS (SELECT 1 FROM credentials c WHERE c.reservation_id = r.id"
    " AND (c.revoked_at IS NULL OR c.revoked_at >= ?1"
    " OR EXISTS (SELECT 1 FROM jobs j WHERE j.credential_id = c.id)"
    f" OR EXISTS (SELECT 1 FROM placements p WHERE p.credential_id = c.id AND p.evidence IN {LIVE})"
    " OR EXISTS (SELECT 1 FROM credentials o WHERE (o.follows = c.id OR o.taken_over_by = c.id)"
    " AND o.revoked_at IS NULL)))"
    " ORDER BY r.check_out_at LIMIT ?2"
)


_OLD_GUEST = "check_out_at < ?1 AND (guest_name IS NOT NULL OR guest_phone IS NOT NULL)"
_OLD_PIN = "pin IS NOT NULL AND revoked_at < ?2"


async def is_erasing_due(
    session: Session, *, ended_before: datetime, revoked_before: datetime
) -> bool:
    """Would `erase` erase anything?"""
    row = await session.one(
        f"SELECT EXISTS (SELECT 1 FROM reservations WHERE {_OLD_GUEST})"
        f" OR EXISTS (SELECT 1 FROM placements WHERE {_OLD_PIN})"
        f" OR EXISTS (SELECT 1 FROM credentials WHERE {_OLD_PIN})",
        (to_text(ended_before), to_text(revoked_before)),
    )
    return row is not None and bool(row[0])


async def erase(session: Session, *, ended_before: datetime, revoked_before: datetime) -> None:
    """Erase guests' names and phones some time after a stay, PINs after their revocation was confirmed."""
    moments = to_text(ended_before), to_text(revoked_before)
    await session.execute(
        f"UPDATE reservations SET guest_name = NULL, guest_phone = NULL WHERE {_OLD_GUEST}",
        moments[:1],
    )
    await session.execute(f"UPDATE placements SET pin = NULL WHERE {_OLD_PIN}", moments)
    await session.execute(
        f"UPDATE credentials SET pin = NULL, pin_hash = NULL WHERE {_OLD_PIN}", moments
    )


async def forget_stays(session: Session, before: datetime) -> int:
    """Delete up to CHUNK stays that ended, and were revoked, before the moment; how many."""
    await _keep_audit_from(session, before)
    rows = await session.all(_OLD_STAYS, (to_text(before), CHUNK))
    for row in rows:
        await _forget_stay(session, row["id"])
    return len(rows)


async def _forget_stay(session: Session, reservation_id: str) -> None:
    mine = "(SELECT id FROM credentials WHERE reservation_id = ?1)"
    for statement in (
        f"UPDATE credentials SET follows = NULL WHERE follows IN {mine}",
        f"UPDATE credentials SET taken_over_by = NULL WHERE taken_over_by IN {mine}",
        "DELETE FROM messages WHERE reservation_id = ?1",
        f"DELETE FROM placements WHERE credential_id IN {mine}",
        "DELETE FROM credentials WHERE reservation_id = ?1",
        "DELETE FROM audit_log WHERE reservation_id = ?1",
        "DELETE FROM reservations WHERE id = ?1",
    ):
        await session.execute(statement, (reservation_id,))


async def forget_audit(session: Session, before: datetime) -> int:
    """Delete up to CHUNK old rows of the audit trail that belong to no stay, or are far too many."""
    await _keep_audit_from(session, before)
    return await session.execute(
        "DELETE FROM audit_log WHERE id IN (SELECT a.id FROM audit_log a WHERE"
        " a.id <= (SELECT max(id) FROM audit_log) - ?3"
        " OR (a.at < ?1 AND NOT EXISTS (SELECT 1 FROM reservations r WHERE r.id = a.reservation_id))"
        " ORDER BY a.id LIMIT ?2)",
        (to_text(before), CHUNK, _MOST_AUDIT_ROWS),
    )


async def _keep_audit_from(session: Session, moment: datetime) -> None:
    """The trail itself lets go of rows from before this moment, and of no others."""
    await meta.put(session, "audit_kept_from", to_text(moment))
