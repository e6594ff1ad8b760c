"""The log of reconciliations."""

from dataclasses import dataclass
from datetime import datetime

from gateway.store.database import Session
from gateway.store.moments import to_text

KEPT_RUNS = 5000


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
        " VALUES (?, (SELECT max(started_at) FROM reconciliation_logs), ?, 'pending', ?)",
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
) -> None:
    """Close the log row of a run as `success` or `failed`."""
    await session.execute(
        "UPDATE reconciliation_logs SET completed_at = ?, duration = ?, status = ?, message = ?,"
        " fetched = ?, created = ?, updated = ?, orphaned = ?, deleted = ?, errors = ? WHERE id = ?",
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
            run_id,
        ),
    )


async def close_interrupted(session: Session, now: datetime) -> int:
    """Close what a killed process left `pending` as failed; how many rows that were."""
    return await session.execute(
        "UPDATE reconciliation_logs SET status = 'failed', completed_at = ?, duration = 0,"
        " message = 'interrupted: the gateway was stopped in the middle of this run'"
        " WHERE status = 'pending'",
        (to_text(now),),
    )


async def failures_in_a_row(session: Session) -> int:
    """How many of the newest finished runs failed, one after the other."""
    rows = await session.all(
        "SELECT status FROM reconciliation_logs WHERE status <> 'pending' ORDER BY rowid DESC LIMIT 50"
    )
    count = 0
    for row in rows:
        if row["status"] != "failed":
            break
        count += 1
    return count


async def prune(session: Session) -> None:
    """Keep the newest rows only."""
    await session.execute(
        "DELETE FROM reconciliation_logs WHERE rowid <= (SELECT max(rowid) FROM reconciliation_logs) - ?",
        (KEPT_RUNS,),
    )
