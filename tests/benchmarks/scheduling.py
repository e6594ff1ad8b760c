"""Row 4: two thousand jobs written, and due at one moment, beside APScheduler's SQLAlchemyJobStore."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from gateway.clock import SystemClock
from gateway.domain.jobs import Job, JobKind, gen_id
from gateway.jobs.scheduler import JobScheduler
from gateway.store import jobs
from gateway.store.database import Database
from gateway.web.meter import PrometheusMeter
from tests.benchmarks.measuring import Figure, median, percentile, spread

_late = []  # of the rival, whose jobs are pickled: they can only name a function of a module
_due = [0.0]


def run_by_rival():
    """What a job of the rival does."""
    _late.append(time.time() - _due[0])


async def _started(late, count):
    async with asyncio.timeout(60):
        while len(late) < count:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)


async def _prepare(database, count):
    """The credentials that jobs belong to."""

    async def body(session):
        await session.execute_many(
            "INSERT INTO reservations (id, code, type, listing_id, check_in_date, check_out_date,"
            " check_in_at, check_out_at, first_seen_at, changed_at)"
            " VALUES (?1, ?1, 'booked', 'l', '2026-01-01', '2026-01-02', '2026-01-01T00:00:00Z',"
            " '2026-01-02T00:00:00Z', '2026-01-01T00:00:00Z', '2026-01-01T00:00:00Z')",
            [(f"S{number}",) for number in range(count)],
        )
        await session.execute(
            "INSERT INTO credentials (id, reservation_id, lock, unit, valid_from, valid_until, wanted,"
            " created_at, updated_at) SELECT id || '-lock', id, 'lock', 'unit', check_in_at,"
            " check_out_at, 1, check_in_at, check_in_at FROM reservations"
        )

    await database.transaction(body)


async def ours(folder, count):
    """Seconds to write the jobs, and how late each was started."""
    clock, late, due = SystemClock(), [], 0.0
    async with Database.open(folder / "gateway.db") as database:
        await _prepare(database, count)
        scheduler = JobScheduler(
            clock=clock,
            due_by=clock.now,
            wake=lambda _: late.append(time.time() - due),
            reconcile=lambda: asyncio.sleep(0),
            schedule="*/30 * * * *",
            zone=ZoneInfo("UTC"),
            meter=PrometheusMeter(),
            cap=15.0,
        )
        scheduler.start([])
        try:
            run_at = _soon()
            due = run_at.timestamp()
            rows = [
                Job(
                    id=gen_id(f"S{number}-lock"),
                    kind=JobKind.GEN,
                    credential_id=f"S{number}-lock",
                    run_at=run_at,
                )
                for number in range(count)
            ]
            began = time.perf_counter()
            await database.transaction(lambda session: jobs.put(session, rows))
            scheduler.put(rows)
            seconds = time.perf_counter() - began
            _must_be_before(due)
            await _started(late, count)
        finally:
            await scheduler.stop()
    return seconds, late


async def rivals(folder, count, seconds_ahead):
    """The same with the stock store, as its documentation sets it up."""
    _late.clear()
    scheduler = AsyncIOScheduler(timezone=UTC)
    scheduler.add_jobstore(SQLAlchemyJobStore(url=f"sqlite:///{folder / 'rival.db'}"))
    scheduler.start()
    try:
        run_at = _soon(seconds_ahead)
        _due[0] = run_at.timestamp()
        began = time.perf_counter()
        for number in range(count):
            scheduler.add_job(
                "tests.benchmarks.scheduling:run_by_rival",
                "date",
                run_date=run_at,
                id=f"gen-S{number}-lock",
                replace_existing=True,
                misfire_grace_time=None,
                coalesce=True,
            )
            await asyncio.sleep(0)
        seconds = time.perf_counter() - began
        _must_be_before(_due[0])
        await _started(_late, count)
    finally:
        scheduler.shutdown(wait=False)
        await asyncio.sleep(0.1)
    return seconds, list(_late)


def _soon(seconds=3):
    """A whole second that is far enough ahead for the writing to be over."""
    return datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=seconds)


def _must_be_before(due):
    if time.time() > due:
        raise AssertionError("the jobs were due before they were written")


async def many_jobs(folder, *, count, rival_count, rounds):
    """Row 4. The rival is given fewer: its rate does not depend on how many."""
    rate, rival_rate, late, rival_late = [], [], [], []
    for number in range(rounds):
        place = folder / f"jobs-{number}"
        place.mkdir()
        seconds, found = await ours(place, count)
        rate.append(count / seconds)
        late.append(found)
        seconds, found = await rivals(place, rival_count, 5 + rival_count // 10)
        rival_rate.append(rival_count / seconds)
        rival_late.append(found)
    stock = "APScheduler's SQLAlchemyJobStore"
    yield Figure(
        row=4,
        of=f"jobs written a second, {count:,} of them",
        value=median(rate),
        unit="/s",
        spread=spread(rate),
        against=f"{stock}, {rival_count}",
        other=median(rival_rate),
        ratio=median(rate) / median(rival_rate),
        target=20,
        least=True,
    )
    for share in (0.5, 0.99):
        each = [1000 * percentile(one, share) for one in late]
        theirs = median([1000 * percentile(one, share) for one in rival_late])
        yield Figure(
            row=4,
            of=f"{count:,} due at one moment, p{100 * share:.0f} late",
            value=median(each),
            unit="ms",
            spread=spread(each),
            against=f"{stock}, {rival_count} due",
            other=theirs,
            target=250 if share > 0.5 else None,
        )
