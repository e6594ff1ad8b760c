"""Due times of the jobs table through APScheduler, in virtual time."""

import asyncio
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from structlog.contextvars import bound_contextvars, get_contextvars

from gateway.domain.jobs import Job, JobKind
from gateway.jobs.scheduler import JobScheduler
from gateway.web.meter import PrometheusMeter
from tests.virtual_time import run_virtual

START = datetime(2026, 2, 1, 12, 10, tzinfo=UTC)
SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)


def gen(name, run_at):
    return Job(id=f"gen-{name}", kind=JobKind.GEN, credential_id=name, run_at=run_at)


@dataclass
class Running:
    """A scheduler with what it did: (seconds since the start, job id or "run")."""

    scheduler: JobScheduler
    clock: object
    did: list = field(default_factory=list)
    reconcile: object = None
    broken: bool = False
    meter: PrometheusMeter = field(default_factory=PrometheusMeter)
    bound: list = field(default_factory=list)  # to its log lines, whenever a job woke something

    def woke(self, job):
        if self.broken:
            raise RuntimeError("a bug")
        self.did.append((round((self.clock.now() - START).total_seconds()), job.id))
        self.bound.append(get_contextvars())

    async def run(self):
        self.did.append((round((self.clock.now() - START).total_seconds()), "run"))
        if self.reconcile is not None:
            await self.reconcile()

    def jobs(self):
        return [one for one in self.did if one[1] != "run"]

    def runs(self):
        return [moment for moment, what in self.did if what == "run"]


def scheduling(
    story, *, jobs=(), behind=timedelta(0), cap=60.0, schedule="*/30 * * * *", due_by=None
):
    """Run `story(running)` beside a scheduler that began with `jobs`."""

    async def main(clock):
        running = Running(None, clock)
        running.scheduler = JobScheduler(
            clock=clock,
            due_by=lambda: due_by(clock.now()) if due_by else clock.now() - behind,
            wake=running.woke,
            reconcile=running.run,
            schedule=schedule,
            zone=ZoneInfo("America/Sao_Paulo"),
            meter=running.meter,
            cap=cap,
        )
        running.scheduler.start(jobs)
        try:
            await story(running)
        finally:
            await running.scheduler.stop()

    run_virtual(main, start=START)


def test_a_job_starts_at_its_second():
    async def story(running):
        await asyncio.sleep(3600)
        assert running.jobs()[0] == (1234, "gen-a")

    scheduling(story, jobs=[gen("a", START + 1234 * SECOND)])


def test_what_is_overdue_at_the_start_starts_at_once_the_oldest_first():
    async def story(running):
        await asyncio.sleep(1)
        assert running.jobs() == [(0, "gen-b"), (0, "gen-a")]

    scheduling(story, jobs=[gen("a", START - HOUR), gen("b", START - 900 * HOUR)])


def test_a_job_is_started_again_ever_less_often_until_it_changes_or_is_dropped():
    async def story(running):
        await asyncio.sleep(215)
        assert running.jobs() == [(second, "gen-a") for second in (0, 30, 90, 210)]
        running.scheduler.put([gen("a", START + 220 * SECOND)])
        await asyncio.sleep(40)
        assert running.jobs()[4:] == [(220, "gen-a"), (250, "gen-a")]
        await asyncio.sleep(5 * 3600)
        seconds = [second for second, _ in running.jobs()]
        assert seconds[-1] - seconds[-2] == 1800
        running.scheduler.drop(["gen-a"])
        await asyncio.sleep(2 * 3600)
        assert len(running.jobs()) == len(seconds)

    scheduling(story, jobs=[gen("a", START)])


def test_a_job_that_is_put_or_moved_starts_at_its_new_time_alone():
    async def story(running):
        running.scheduler.put([gen("a", START + 100 * SECOND), gen("b", START + 7 * SECOND)])
        running.scheduler.put([gen("a", START + 20 * SECOND)])
        await asyncio.sleep(25)
        assert running.jobs() == [(7, "gen-b"), (20, "gen-a")]
        running.scheduler.put([gen("a", START + HOUR)])
        running.scheduler.drop(["gen-b", "gen-nobody"])
        await asyncio.sleep(3500)
        assert len(running.jobs()) == 2

    scheduling(story)


def test_ten_thousand_jobs_of_one_second_all_start_in_it():
    async def story(running):
        await asyncio.sleep(11)
        assert {moment for moment, _ in running.jobs()} == {10}
        assert len({name for _, name in running.jobs()}) == 10_000

    scheduling(story, jobs=[gen(f"c{n}", START + 10 * SECOND) for n in range(10_000)])


def test_jobs_put_at_the_same_moment_are_gone_through_once_for_all_of_them():
    asked = []

    def due_by(now):
        asked.append(now)
        return now

    async def story(running):
        await running.clock.sleep(1)
        asked.clear()
        for number in range(100):
            running.scheduler.put([gen(f"{number}", START + MINUTE)])
        await running.clock.sleep(10)
        assert 1 <= len(asked) <= 5
        await running.clock.sleep(60)
        assert [moment for moment, _ in running.jobs()] == [60] * 100

    scheduling(story, due_by=due_by)


def test_what_is_put_after_an_earlier_look_is_looked_at_at_once():
    async def story(running):
        for second in (1, 2, 3):
            await running.clock.sleep(1)
            running.scheduler.put([gen(f"{second}", START)])
        await running.clock.sleep(1)
        assert running.jobs() == [(1, "gen-1"), (2, "gen-2"), (3, "gen-3")]

    scheduling(story)


def test_a_stop_right_after_a_put_starts_nothing():
    async def story(running):
        running.scheduler.put([gen("a", START)])
        await running.scheduler.stop()
        await running.clock.sleep(120)
        assert running.did == []

    scheduling(story)


def test_while_the_clock_is_in_doubt_only_what_is_surely_due_starts():
    async def story(running):
        await asyncio.sleep(8 * 60)
        assert running.jobs() == []
        await asyncio.sleep(3 * 60)
        assert running.jobs()[0] == (600, "gen-a")

    scheduling(story, jobs=[gen("a", START + 5 * MINUTE)], behind=5 * MINUTE)


def test_the_reconciliation_runs_by_its_cron_and_tells_its_next_time():
    async def story(running):
        assert running.scheduler.next_reconciliation() == START + 20 * MINUTE
        await asyncio.sleep(2 * 3600)
        assert running.runs() == [1200, 3000, 4800, 6600]
        assert running.scheduler.next_reconciliation() == START + 140 * MINUTE

    scheduling(story)


def test_a_run_that_takes_long_is_followed_by_no_second_beside_it():
    async def story(running):
        under_way = 0

        async def long():
            nonlocal under_way
            under_way += 1
            assert under_way == 1
            await asyncio.sleep(100 * 60)
            under_way -= 1

        running.reconcile = long
        await asyncio.sleep(6 * 3600)
        assert len(running.runs()) == 3

    scheduling(story)


@pytest.mark.parametrize("step", [HOUR, 24 * HOUR])
def test_after_a_step_forward_what_is_due_by_the_new_time_starts_within_the_cap(step):
    async def story(running):
        await asyncio.sleep(10)
        asyncio.get_running_loop().step(step)
        await asyncio.sleep(61)
        (_, name) = running.jobs()[0]
        assert name == "gen-a"
        assert len(running.runs()) == 1

    scheduling(story, jobs=[gen("a", START + 30 * MINUTE)])


def test_after_a_step_backward_the_reconciliation_does_not_sleep_until_the_old_time():
    async def story(running):
        await asyncio.sleep(25 * 60)
        assert len(running.runs()) == 1
        asyncio.get_running_loop().step(-7 * 24 * HOUR)
        await asyncio.sleep(3600)
        assert len(running.runs()) == 3

    scheduling(story)


def test_after_a_step_backward_a_job_waits_for_its_time():
    async def story(running):
        await asyncio.sleep(10)
        asyncio.get_running_loop().step(-HOUR)
        await asyncio.sleep(3600)
        assert running.jobs() == []
        await asyncio.sleep(200)
        assert running.jobs()[0][1] == "gen-a"

    scheduling(story, jobs=[gen("a", START + MINUTE)])


@pytest.mark.parametrize("behind", [-24 * HOUR, 24 * HOUR], ids=str)
def test_a_job_starts_at_its_second_by_the_time_that_may_be_acted_upon(behind):
    async def story(running):
        await asyncio.sleep(3600)
        assert running.jobs()[0] == (1234, "gen-a")

    jobs = [gen("a", START - behind + 1234 * SECOND)]
    scheduling(story, jobs=jobs, behind=behind, cap=7200.0)


def test_a_lease_taken_at_a_time_far_ahead_ends_when_the_jobs_are_read_anew():
    async def story(running):
        jobs = [gen("a", START)]
        asyncio.get_running_loop().step(24 * HOUR)
        await asyncio.sleep(61)
        asyncio.get_running_loop().step(-24 * HOUR)
        running.did.clear()
        await asyncio.sleep(600)
        assert running.jobs() == []
        running.scheduler.restart_from(jobs)
        await asyncio.sleep(1)
        assert [name for _, name in running.jobs()] == ["gen-a"]

    scheduling(story, jobs=[gen("a", START)])


def test_a_bug_in_what_a_job_wakes_is_raised_and_not_swallowed():
    async def story(running):
        running.broken = True
        with pytest.raises(RuntimeError, match="a bug"):
            await running.scheduler.crashed

    scheduling(story, jobs=[gen("a", START + SECOND)])


@pytest.mark.parametrize("number", range(5))
def test_one_error_in_the_store_of_jobs_ends_nothing(number):
    """`due_by` is asked when due jobs are sought, when one is leased and for the next time."""
    asked = []

    def fails_once(now):
        asked.append(now)
        if len(asked) == number + 1:
            raise RuntimeError("once")
        return now

    async def story(running):
        await asyncio.sleep(25)
        assert len(asked) > number
        assert {name for _, name in running.jobs()} == {"gen-a"}
        assert 5 <= running.jobs()[0][0] <= 20
        running.scheduler.drop(["gen-a"])
        started = len(running.jobs())
        running.scheduler.put([gen("b", START + 60 * SECOND)])
        await asyncio.sleep(50)
        assert running.jobs()[started:] == [(60, "gen-b")]

    scheduling(story, jobs=[gen("a", START + 5 * SECOND)], due_by=fails_once)


def test_a_job_is_measured_when_it_starts_and_not_when_it_is_looked_at_again():
    def measured(running):
        (family,) = [
            one for one in running.meter.families() if one.name == "gateway_job_lateness_seconds"
        ]
        return {
            one.name.rpartition("_")[2]: one.value
            for one in family.samples
            if one.labels == {"kind": "gen"}
        }

    async def story(running):
        await asyncio.sleep(100)
        assert len(running.jobs()) > 2  # the lease of one whose work is not done ends
        assert measured(running) == {"count": 1, "sum": 3600}
        retry = replace(gen("a", START + 150 * SECOND), attempts=1)
        running.scheduler.put([retry, gen("b", START + 200 * SECOND)])
        await asyncio.sleep(300)
        assert {name for _, name in running.jobs()} == {"gen-a", "gen-b"}
        assert measured(running) == {"count": 2, "sum": 3600}

    scheduling(story, jobs=[gen("a", START - HOUR)])


def test_what_is_bound_to_the_log_of_whoever_puts_a_job_stays_with_them():
    async def story(running):
        with bound_contextvars(request_id="a-request"):
            running.scheduler.put([gen("a", START + 90 * SECOND)])
        await asyncio.sleep(1000)
        assert len(running.bound) > 3
        assert running.bound == [{}] * len(running.bound)

    scheduling(story)


def test_the_last_look_is_never_older_than_the_cap():
    async def story(running):
        for _ in range(10):
            await asyncio.sleep(100)
            assert running.clock.monotonic() - running.scheduler.last_tick <= 60

    scheduling(story)


def test_a_stopped_scheduler_starts_nothing():
    async def story(running):
        await running.scheduler.stop()
        await asyncio.sleep(3600)
        assert running.did == []

    scheduling(story, jobs=[gen("a", START + MINUTE)])
