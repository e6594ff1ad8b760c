"""The log of reconciliations."""

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum

from gateway.store.database import ReadSession, Session
from gateway.store.moments import to_text

KEPT_RUNS = 5000

_NEWEST = "number = (SELECT max(number) FROM reconciliation_logs)"  # the only one that can be open


class Gravity(IntEnum):
    """How much a failed run says."""

    INTERRUPTED = 0  # nothing
    TEMPORARY = 1  # a person is told if the next one fails too
    NEEDS_PERSON = 2


@dataclass(slots=True, kw_only=True)
class Stats:
    """What one reconciliation counted; the words are the specification's."""

    fetched: int = 0
    created: int = 0
    updated: int = 0
    orphaned: int = 0
    deleted: int = 0
    errors: int = 0


async def open_run(session: Session, run_id: str, now: datetime) -> None:
    """Open the log row of a run as `pending`; the database allows one."""
    moment = to_text(now)
    await session.execute(
        "INSERT INTO reconciliation_logs (id, last_run_at, started_at, status, created_at)"
        " VALUES (?, (SELECT started_at FROM reconciliation_logs ORDER BY number DESC LIMIT 1), ?,"
        " 'pending', ?)",
        (run_id, moment, moment),
    )


async def close_run(
    session: Session,
    run_id: str,
    *,
    completed_at: datetime,
    duration_ms: int,
    status: str,
    message: str | None,
    stats: Stats,
    gravity: Gravity = Gravity.TEMPORARY,
) -> None:
    """Close the log row of a run as `success` or `failed`; `gravity` matters for the latter."""
    await session.execute(
        "UPDATE reconciliation_logs SET completed_at = ?, duration = ?, status = ?, message = ?,"
        " fetched = ?, created = ?, updated = ?, orphaned = ?, deleted = ?, errors = ?, gravity = ?"
        f" WHERE {_NEWEST} AND status = 'pending' AND id = ?",
        (
            to_text(completed_at),
            duration_ms,
            status,
            message,
            stats.fetched,
            stats.created,
            stats.updated,
            stats.orphaned,
            stats.deleted,
            stats.errors,
            gravity,
            run_id,
        ),
    )


async def close_interrupted(session: Session, now: datetime) -> int:
    """Close what a killed process left `pending` as failed; how many rows that were."""
    return await session.execute(
        "UPDATE reconciliation_logs SET status = 'failed', completed_at = ?, duration = 0, gravity = 0,"
        " message = 'interrupted: the gateway was stopped in the middle of this run'"
        f" WHERE {_NEWEST} AND status = 'pending'",
        (to_text(now),),
    )


async def failing(session: ReadSession) -> str | None:
    """Why runs fail; None unless two did in a row, or the last one needs a person."""
    rows = await session.all(
        "SELECT status, message, gravity FROM reconciliation_logs WHERE status = 'success'"
        " OR (status = 'failed' AND gravity > 0) ORDER BY number DESC LIMIT 2"
    )
    if not rows or any(row["status"] == "success" for row in rows[:1]):
        return None
    lasting = len(rows) > 1 and rows[1]["status"] == "failed"
    if lasting or rows[0]["gravity"] == Gravity.NEEDS_PERSON:
        return str(rows[0]["message"])
    return None


async def prune(session: Session) -> None:
    """Keep the newest rows only."""
    await session.execute(
        "DELETE FROM reconciliation_logs WHERE number <= (SELECT max(number) FROM reconciliation_logs) - ?",
        (KEPT_RUNS,),
    )
