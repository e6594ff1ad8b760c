"""APScheduler's view of the jobs table: a mirror in memory that only leases what is due."""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from apscheduler.job import Job as ScheduledJob
from apscheduler.jobstores.base import BaseJobStore
from apscheduler.triggers.date import DateTrigger

from gateway.clock import Clock
from gateway.domain.jobs import Job
from gateway.ports import Meter

LEASE = timedelta(seconds=30)  # how long a started job is left alone before it is looked at again
LONGEST_LEASE = timedelta(minutes=30)  # reached by doubling while nothing comes of it


class TableJobStore(BaseJobStore):  # type: ignore[misc] # apscheduler is untyped
    """Mirrors the rows of the table; `put`, `drop` and `replace_all` follow each commit.

    APScheduler takes a one-shot job away before it has run. Here that is a lease: the row stays,
    is due again after the lease, and goes only when a transaction has recorded that its work is done.
    """

    def __init__(
        self,
        *,
        wake: Callable[[Job], None],
        due_by: Callable[[], datetime],
        clock: Clock,
        meter: Meter,
    ) -> None:
        """`due_by` gives the time up to which jobs may run: the clock's, or a sure lower bound."""
        super().__init__()
        self._clock = clock
        self._wake = wake
        self._due_by = due_by
        self._meter = meter
        self._rows: dict[str, Job] = {}
        self._looks: dict[str, datetime] = {}  # when a row is next looked at
        self._leases: dict[str, timedelta] = {}  # of rows that were started and have not changed

    # --- the table's side ----------------------------------------------------------------------

    def put(self, jobs: Iterable[Job]) -> None:
        """These rows are new or changed."""
        for job in jobs:
            self._rows[job.id] = job
            self._looks[job.id] = job.run_at
            self._leases.pop(job.id, None)

    def drop(self, ids: Iterable[str]) -> None:
        """These rows are gone."""
        for job_id in ids:
            self._rows.pop(job_id, None)
            self._looks.pop(job_id, None)
            self._leases.pop(job_id, None)

    def replace_all(self, jobs: Iterable[Job]) -> None:
        """These are all the rows there are."""
        self._rows.clear()
        self._looks.clear()
        self._leases.clear()
        self.put(jobs)

    # --- APScheduler's side --------------------------------------------------------------------

    def lookup_job(self, job_id: str) -> ScheduledJob | None:
        """The job of that id, None without one."""
        row = self._rows.get(job_id)
        return None if row is None else self._scheduled(row, self._ahead())

    def get_due_jobs(self, now: datetime) -> list[ScheduledJob]:
        """What is due, by the time that may be acted upon; the earliest first."""
        limit = self._due_by()
        ahead = now - limit
        due = sorted((look, job_id) for job_id, look in self._looks.items() if look <= limit)
        return [self._scheduled(self._rows[job_id], ahead) for _, job_id in due]

    def get_next_run_time(self) -> datetime | None:
        """When, on the wall clock, the next row is looked at."""
        look = min(self._looks.values(), default=None)
        return None if look is None else look + self._ahead()

    def get_all_jobs(self) -> list[ScheduledJob]:
        """Every job, the next first."""
        order = sorted(self._looks, key=lambda job_id: (self._looks[job_id], job_id))
        ahead = self._ahead()
        return [self._scheduled(self._rows[job_id], ahead) for job_id in order]

    def add_job(self, job: ScheduledJob) -> None:
        """Refused: rows come from the table alone."""
        raise TypeError(f"{job.id}: jobs of the table are written to the table")

    def update_job(self, job: ScheduledJob) -> None:
        """Lease the job that was started; see `remove_job`."""
        self.remove_job(job.id)

    def remove_job(self, job_id: str) -> None:
        """Lease the job that was started: nothing is deleted, its next look is a lease ahead."""
        if job_id not in self._looks:
            return
        row, now = self._rows[job_id], self._due_by()
        # neither a retry nor a look after a lease
        if row.attempts == 0 and self._looks[job_id] == row.run_at:
            self._meter.started(row.kind, late=now - row.run_at)
        lease = self._leases.get(job_id, LEASE)
        self._looks[job_id] = now + lease
        self._leases[job_id] = min(2 * lease, LONGEST_LEASE)

    def remove_all_jobs(self) -> None:
        """Refused quietly: only the table loses rows."""

    def _ahead(self) -> timedelta:
        """How far the wall clock, by which APScheduler goes, is ahead of what may be acted upon."""
        return self._clock.now() - self._due_by()

    def _scheduled(self, row: Job, ahead: timedelta) -> ScheduledJob:
        look = self._looks[row.id] + ahead
        job = ScheduledJob(
            self._scheduler,
            id=row.id,
            func=self._start,
            args=(row.id,),
            kwargs={},
            trigger=DateTrigger(run_date=look, timezone=look.tzinfo),
            executor="default",
            misfire_grace_time=None,
            coalesce=True,
            # The executor's count falls only after the coroutine has ended; a job moved meanwhile
            # would be refused and lost.
            max_instances=10**6,
            next_run_time=look,
        )
        job._jobstore_alias = self._alias  # noqa: SLF001 - as APScheduler's own stores do
        return job

    async def _start(self, job_id: str) -> None:
        row = self._rows.get(job_id)
        if row is not None:
            self._wake(row)
