"""Who did what, when and why. Rows are only ever added."""

from collections.abc import Iterable
from datetime import datetime

from gateway.domain.value import value
from gateway.fairness import fairly
from gateway.store.moments import to_text
from gateway.store.session import Session


@value
class Entry:
    """One row. `detail` is for people and holds no PIN, key or guest data."""

    at: datetime
    actor: str
    event: str
    detail: str
    reservation_id: str | None = None
    credential_id: str | None = None
    lock: str | None = None


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
    """Add one row; see `Entry`."""
    entry = Entry(
        at=at,
        actor=actor,
        event=event,
        detail=detail,
        reservation_id=reservation_id,
        credential_id=credential_id,
        lock=lock,
    )
    await append_all(session, [entry])


async def append_all(session: Session, entries: Iterable[Entry]) -> None:
    """Add the rows in their order."""
    await session.execute_many(
        "INSERT INTO audit_log (at, actor, event, reservation_id, credential_id, lock, detail)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        [
            (
                to_text(one.at),
                one.actor,
                one.event,
                one.reservation_id,
                one.credential_id,
                one.lock,
                one.detail,
            )
            async for one in fairly(entries)
        ],
    )


async def has(session: Session, *, credential_id: str, event: str) -> bool:
    """Has this happened to the credential before?"""
    row = await session.one(
        "SELECT 1 FROM audit_log WHERE credential_id = ? AND event = ? LIMIT 1",
        (credential_id, event),
    )
    return row is not None
