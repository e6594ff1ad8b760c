"""The table of due times."""

from collections.abc import Iterable

from gateway.domain.jobs import Job, JobKind
from gateway.fairness import fairly
from gateway.store.database import Row, Session
from gateway.store.moments import from_text, to_text


async def all_jobs(session: Session) -> list[Job]:
    """Every job, the next due first."""
    rows = await session.all("SELECT * FROM jobs ORDER BY run_at, id")
    return [job_of(row) async for row in fairly(rows)]


async def put(session: Session, jobs: Iterable[Job]) -> None:
    """Insert the jobs, or replace those of the same ids."""
    await session.execute_many(
        "INSERT INTO jobs (id, kind, credential_id, run_at, attempts, last_error)"
        " VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (id) DO UPDATE SET run_at = excluded.run_at, attempts = excluded.attempts,"
        " last_error = excluded.last_error",
        [
            (job.id, job.kind, job.credential_id, to_text(job.run_at), job.attempts, job.last_error)
            async for job in fairly(jobs)
        ],
    )


async def drop(session: Session, ids: Iterable[str]) -> None:
    """Remove the jobs of these ids."""
    await session.execute_many("DELETE FROM jobs WHERE id = ?", [(one,) for one in ids])


def job_of(row: Row) -> Job:
    """The job that a row of the table holds."""
    return Job(
        id=row["id"],
        kind=JobKind(row["kind"]),
        credential_id=row["credential_id"],
        run_at=from_text(row["run_at"]),
        attempts=row["attempts"],
        last_error=row["last_error"],
    )


async def count(session: Session) -> int:
    """How many rows there are."""
    row = await session.one("SELECT count(*) FROM jobs")
    return 0 if row is None else int(row[0])
