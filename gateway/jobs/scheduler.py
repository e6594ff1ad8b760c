"""The scheduler: wakes the queues when a row of the jobs table is due, and runs the cron."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextvars import copy_context
from datetime import datetime
from zoneinfo import ZoneInfo

from apscheduler.events import EVENT_JOB_ERROR, JobExecutionEvent
from apscheduler.jobstores.memory import MemoryJobStore
from apscheduler.schedulers.asyncio import AsyncIOScheduler, run_in_event_loop

from gateway.clock import Clock
from gateway.domain.jobs import Job
from gateway.jobs import crontab
from gateway.jobs.store import TableJobStore
from gateway.ports import Meter

_FLOOR_AFTER_ERROR = 1.0
_RECONCILIATION = "reconciliation"
_UTC = ZoneInfo("UTC")


class _Scheduler(AsyncIOScheduler):  # type: ignore[misc] # apscheduler is untyped
    """An AsyncIOScheduler that one error cannot end and a stepped clock cannot put to sleep."""

    def __init__(self, *, clock: Clock, cap: float) -> None:
        super().__init__(timezone=_UTC)
        self._clock = clock
        self._cap = cap
        self._last_wall: datetime | None = None
        self.last_tick: float | None = None

    @run_in_event_loop  # type: ignore[untyped-decorator] # apscheduler is untyped
    def wakeup(self) -> None:
        """Start what is due and set the timer anew, whatever happens."""
        if not self.running:
            return
        self._stop_timer()
        wait = _FLOOR_AFTER_ERROR
        try:
            self._notice_backward_step()
            found = self._process_jobs()
            wait = self._cap if found is None else min(found, self._cap)
            self.last_tick = self._clock.monotonic()
        except Exception:
            self._logger.exception("scheduler.tick_failed")
        finally:
            self._start_timer(wait)

    def _notice_backward_step(self) -> None:
        """A cron whose next run was reckoned from a later time would sleep until then."""
        now = self._clock.now()
        if self._last_wall is not None and now < self._last_wall:
            job = self.get_job(_RECONCILIATION)
            if job is not None:
                job.modify(next_run_time=job.trigger.get_next_fire_time(None, now))
        self._last_wall = now


class JobScheduler:
    """The due times of one gateway. It is a JobBoard; its `crashed` future ends with a bug's error."""

    def __init__(
        self,
        *,
        clock: Clock,
        due_by: Callable[[], datetime],
        wake: Callable[[Job], None],
        reconcile: Callable[[], Awaitable[None]],
        schedule: str,
        zone: ZoneInfo,
        meter: Meter,
        cap: float,
    ) -> None:
        """`cap`: seconds of the longest sleep; a stepped clock is noticed within it."""
        self._clock = clock
        self._reconcile = reconcile
        self._schedule = schedule
        self._zone = zone
        self._store = TableJobStore(wake=wake, due_by=due_by, clock=clock, meter=meter)
        self._scheduler = _Scheduler(clock=clock, cap=cap)
        self._context = copy_context()  # of whoever runs the gateway
        self._will_look = False
        self.crashed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def start(self, jobs: Iterable[Job]) -> None:
        """Begin with the rows of the table; what is overdue starts at once."""
        self._store.replace_all(jobs)
        self._scheduler.add_listener(self._on_error, EVENT_JOB_ERROR)
        self._scheduler.add_jobstore(self._store, "table")
        self._scheduler.add_jobstore(MemoryJobStore(), "memory")
        self._scheduler.add_job(
            self._run_reconciliation,
            crontab.trigger(self._schedule, self._zone),
            id=_RECONCILIATION,
            jobstore="memory",
            misfire_grace_time=None,
            coalesce=True,
            max_instances=1,
        )
        self._scheduler.start()

    def restart_from(self, jobs: Iterable[Job]) -> None:
        """Time has stepped, or the table was mended: these are its rows; every lease ends."""
        self._store.replace_all(jobs)
        self._look()

    async def stop(self) -> None:
        """Start nothing more; what runs is cancelled."""
        if not self._scheduler.running:
            return
        self._scheduler.pause()
        self._scheduler.shutdown(wait=False)
        await asyncio.sleep(0)  # the shutdown is queued: let it come about
        if not self.crashed.done():
            self.crashed.cancel()

    @property
    def last_tick(self) -> float | None:
        """`Clock.monotonic()` of the last look at what is due."""
        return self._scheduler.last_tick

    def reschedule(self, schedule: str, zone: ZoneInfo) -> None:
        """Reconcile by another schedule from now on."""
        self._schedule, self._zone = schedule, zone
        if self._scheduler.running:
            trigger = crontab.trigger(schedule, zone)
            self._scheduler.reschedule_job(_RECONCILIATION, jobstore="memory", trigger=trigger)

    def next_reconciliation(self) -> datetime | None:
        """When the cron runs next, by the scheduler itself."""
        job = self._scheduler.get_job(_RECONCILIATION)
        return None if job is None else job.next_run_time

    def put(self, jobs: Iterable[Job]) -> None:
        """See `JobBoard.put`."""
        rows = list(jobs)
        if rows:
            self._store.put(rows)
            self._look()

    def drop(self, ids: Iterable[str]) -> None:
        """See `JobBoard.drop`."""
        self._store.drop(ids)

    def _look(self) -> None:
        """Look soon; twice is once: every look goes through all rows."""
        if self._scheduler.running and not self._will_look:
            self._will_look = True
            # Its timers live on: what is bound to the caller's log lines must not go with them.
            asyncio.get_running_loop().call_soon(self._look_now, context=self._context.copy())

    def _look_now(self) -> None:
        self._will_look = False
        self._scheduler.wakeup()

    async def _run_reconciliation(self) -> None:
        await self._reconcile()

    def _on_error(self, event: JobExecutionEvent) -> None:
        """APScheduler swallows what a job raises: here it ends the daemon instead."""
        if not self.crashed.done() and not isinstance(event.exception, asyncio.CancelledError):
            self.crashed.set_exception(event.exception)
