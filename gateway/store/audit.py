"""Who did what, when and why. Rows are only ever added."""

from datetime import datetime

from gateway.store.moments import to_text
from gateway.store.session import Session


async def append(
    session: Session,
    *,
    at: datetime,
    actor: str,
    event: str,
    detail: str,
    reservation_id: str | None = None,
    credential_id: str | None = None,
    lock: str | None = None,
) -> None:
    """Add one row. `detail` is for people and holds no PIN, key or guest data."""
    await session.execute(
        "INSERT INTO audit_log (at, actor, event, reservation_id, credential_id, lock, detail)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (to_text(at), actor, event, reservation_id, credential_id, lock, detail),
    )


async def has(session: Session, *, credential_id: str, event: str) -> bool:
    """Has this happened to the credential before?"""
    row = await session.one(
        "SELECT 1 FROM audit_log WHERE credential_id = ? AND event = ? LIMIT 1",
        (credential_id, event),
    )
    return row is not None
