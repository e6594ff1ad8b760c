"""What is counted of the store, read in a constant number of queries."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from gateway.domain.jobs import JobKind
from gateway.domain.model import Evidence
from gateway.domain.status import PinStatus
from gateway.store import overview
from gateway.store.database import ReadSession
from gateway.store.moments import from_text, to_text


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """`due_since`: since when the operation that is due the longest has been so; None: none is due."""

    stays: Counter[PinStatus]
    pins: Counter[Evidence]
    waiting: Counter[JobKind]
    failing: Counter[JobKind]
    due_since: datetime | None
    succeeded_at: datetime | None


async def figures(session: ReadSession, now: datetime, *, clock_trusted: bool) -> Figures:
    """Everything that is counted of the store, at this moment."""
    stays = await overview.present_stays(session, now, clock_trusted=clock_trusted)
    jobs = await session.all(
        "SELECT kind, sum(run_at <= ?1 OR attempts > 0) AS waiting, sum(attempts > 0) AS failing,"
        " min(run_at) AS first FROM jobs GROUP BY kind",
        (to_text(now),),
    )
    success = await session.one(
        "SELECT completed_at AS at FROM reconciliation_logs WHERE status = 'success'"
        " ORDER BY number DESC LIMIT 1"
    )
    first = min((from_text(row["first"]) for row in jobs), default=now)
    return Figures(
        stays=Counter(stay.pin_status for stay in stays),
        pins=Counter(door.state.evidence for stay in stays for door in stay.credentials),
        waiting=Counter({JobKind(row["kind"]): row["waiting"] for row in jobs}),
        failing=Counter({JobKind(row["kind"]): row["failing"] for row in jobs}),
        due_since=first if first < now else None,
        succeeded_at=None if success is None else from_text(success["at"]),
    )
