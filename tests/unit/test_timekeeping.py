"""What the machine's files say of its clock, and the time that is acted upon."""

import asyncio
import os
from datetime import UTC, datetime, timedelta

import pytest

from gateway.domain.trust import Doubt, Witness
from gateway.store import clock as stored, runs
from gateway.store.clock import Mark
from gateway.store.database import Database
from gateway.store.moments import from_text
from gateway.timekeeping import TimeFiles, Timekeeper
from tests.builders import utc
from tests.virtual_time import run_virtual

START = utc("2026-02-02 15:00")
DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)


def keeping(folder, story, *, mark=None, uptime=timedelta(0), **files):
    """Run `story(keeper, clock, database)` on a machine that was booted `uptime` ago."""

    async def main(clock):
        await clock.sleep(uptime.total_seconds())
        async with Database.open(folder / "gateway.db") as database:
            if mark is not None:
                await database.transaction(lambda session: stored.put_mark(session, mark))
            keeper = await Timekeeper.load(
                clock=clock,
                database=database,
                files=TimeFiles(**files),
                cap=15.0,
            )
            await story(keeper, clock, database)

    run_virtual(main, start=START - uptime)


def step(by):
    asyncio.get_running_loop().step(by)


def set_rtc(folder, moment, name="rtc0"):
    (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / name / "since_epoch").write_text(f"{int(moment.timestamp())}\n")


def touch(path, moment):
    path.touch()
    os.utime(path, times=(moment.timestamp(),) * 2)


def test_a_machine_that_says_nothing_is_believed(tmp_path):
    async def story(keeper, clock, _):
        assert keeper.verdict.trusted
        assert keeper.now() == clock.now()

    keeping(tmp_path, story, timesync=tmp_path / "none", rtc=tmp_path / "none")


def test_timesyncd_is_waited_for_ten_minutes_after_the_boot(tmp_path):
    mark = Mark(at=START - DAY)

    async def story(keeper, clock, _):
        assert keeper.verdict.doubts[0] is Doubt.UNSYNCHRONISED
        assert keeper.now() == START - DAY
        await clock.sleep(599)
        assert keeper.now() == START - DAY + timedelta(seconds=599)
        await clock.sleep(16)
        assert keeper.verdict.trusted
        assert keeper.now() == clock.now()

    keeping(tmp_path, story, mark=mark, timesync=tmp_path)


def test_a_daemon_started_long_after_the_boot_does_not_wait_for_timesyncd(tmp_path):
    async def story(keeper, *_):
        assert keeper.verdict.trusted

    keeping(tmp_path, story, uptime=HOUR, timesync=tmp_path)


def test_timesyncd_vouches_for_the_time_that_it_set_and_for_no_other(tmp_path):
    touch(tmp_path / "synchronized", START - 2 * HOUR)

    async def story(keeper, clock, _):
        assert keeper.verdict.witnesses == (Witness.NTP,)
        step(DAY)  # by hand
        assert not keeper.verdict.trusted
        assert keeper.now() == START
        touch(tmp_path / "synchronized", clock.now() - DAY)  # it was still before that
        await clock.sleep(20)
        assert not keeper.verdict.trusted
        step(3 * DAY)
        touch(tmp_path / "synchronized", clock.now())
        await clock.sleep(20)
        assert keeper.verdict.witnesses == (Witness.NTP,)
        assert keeper.now() == clock.now()

    keeping(tmp_path, story, uptime=3 * HOUR, timesync=tmp_path)


def test_a_clock_set_back_since_timesyncd_set_it_is_not_vouched_for(tmp_path):
    touch(tmp_path / "synchronized", START + HOUR)

    async def story(keeper, *_):
        assert keeper.verdict.witnesses == ()

    keeping(tmp_path, story, timesync=tmp_path)


def test_a_clock_with_a_battery_vouches_unless_it_was_set_along_or_lost_its_time(tmp_path):
    set_rtc(tmp_path, datetime(1970, 1, 1, 0, 5, tzinfo=UTC), "rtc0")
    set_rtc(tmp_path, START + MINUTE, "rtc1")

    async def story(keeper, clock, _):
        assert keeper.verdict.witnesses == (Witness.RTC,)
        step(DAY)
        assert not keeper.verdict.trusted
        set_rtc(tmp_path, clock.now(), "rtc1")  # timedatectl set-time sets both
        await clock.sleep(20)
        assert not keeper.verdict.trusted
        assert keeper.now() == START + timedelta(seconds=20)

    keeping(tmp_path, story, rtc=tmp_path)


def test_the_mark_is_kept_seldom_only_while_trusted_and_at_the_end(tmp_path):
    async def story(keeper, clock, database):
        stepped = 0

        async def on_step():
            nonlocal stepped
            stepped += 1

        async def kept():
            return (await database.read(stored.mark)).at

        running = asyncio.create_task(keeper.run(on_step))
        await clock.sleep(1)
        assert await kept() == START
        await clock.sleep(39 * 60)
        assert await kept() == START
        await clock.sleep(2 * 60)
        marked = await kept()
        assert START + 40 * MINUTE <= marked <= START + 41 * MINUTE
        await database.transaction(keeper.keep_with)  # as the end of a run does
        with_a_run = await kept()
        assert with_a_run == START + 41 * MINUTE + timedelta(seconds=1)
        await clock.sleep(39 * 60)
        assert await kept() == with_a_run, "the next one of its own counts from there"
        await clock.sleep(2 * 60)
        marked = await kept()
        assert marked > with_a_run
        assert stepped == 0
        step(365 * DAY)
        await clock.sleep(3600)
        assert stepped == 1
        await database.transaction(keeper.keep_with)
        assert await kept() == marked
        running.cancel()
        await keeper.close()
        assert await kept() == marked
        step(-365 * DAY)
        await keeper.close()
        assert await kept() == clock.now().replace(microsecond=0)

    keeping(tmp_path, story)


def test_a_clock_far_from_the_mark_is_believed_once_stays_was_asked_or_a_minute_has_passed(
    tmp_path,
):
    mark = Mark(at=START - DAY)

    async def asked(keeper, clock, _):
        assert keeper.verdict.doubts == (Doubt.STAYS_NOT_HEARD,)
        assert keeper.now() == START - DAY
        keeper.expect_no_stays()
        assert keeper.now() == clock.now()

    async def waiting(keeper, clock, _):
        await clock.sleep(59)
        assert not keeper.verdict.trusted
        await clock.sleep(16)
        assert keeper.verdict.trusted

    async def contradicted(keeper, clock, _):
        keeper.hear_stays(START - HOUR)
        assert keeper.verdict.doubts == (Doubt.STAYS_DISAGREES,)
        await clock.sleep(100)
        assert keeper.now() == START - HOUR + timedelta(seconds=100)

    for number, story in enumerate((asked, waiting, contradicted)):
        folder = tmp_path / str(number)
        folder.mkdir()
        keeping(folder, story, mark=mark)


def test_stays_lowers_a_mark_that_was_too_late(tmp_path):
    async def story(keeper, clock, database):
        assert not keeper.verdict.trusted
        keeper.hear_stays(clock.now())
        assert keeper.verdict.trusted

        async def on_step():
            pass

        running = asyncio.create_task(keeper.run(on_step))
        await clock.sleep(1)
        running.cancel()
        assert (await database.read(stored.mark)).at == START

    keeping(tmp_path, story, mark=Mark(at=START + 365 * DAY))


@pytest.mark.parametrize("end", ["with a run", "clean"])
def test_an_end_just_after_the_clock_was_set_right_leaves_nothing_concluded_ahead(tmp_path, end):
    timesync = tmp_path / "timesync"

    async def on_step():
        pass

    async def story(_, clock, database):
        step(365 * DAY)
        keeper = await another(clock, database, timesync)
        running = asyncio.create_task(keeper.run(on_step))
        await clock.sleep(1)
        await database.transaction(lambda session: runs.open_run(session, "ahead", clock.now()))
        step(-365 * DAY)
        timesync.mkdir()
        touch(timesync / "synchronized", clock.now())
        assert keeper.verdict.sure
        if end == "clean":
            running.cancel()
            await keeper.close()
        else:
            await database.transaction(keeper.keep_with)
            running.cancel()  # the power is cut

        keeper = await another(clock, database, timesync)
        running = asyncio.create_task(keeper.run(on_step))
        touch(timesync / "synchronized", clock.now())
        await clock.sleep(60)
        running.cancel()
        row = await database.read(
            lambda session: session.one("SELECT started_at FROM reconciliation_logs")
        )
        assert from_text(row["started_at"]) < START + HOUR
        assert (await database.read(stored.mark)).at < START + HOUR

    keeping(tmp_path, story)


async def another(clock, database, timesync):
    """The keeper of the next start."""
    return await Timekeeper.load(
        clock=clock, database=database, files=TimeFiles(timesync=timesync), cap=15.0
    )


def test_a_persons_word_is_audited_and_ends_with_the_next_step(tmp_path):
    async def story(keeper, clock, database):
        step(DAY)
        assert not keeper.verdict.trusted
        assert (await keeper.trust("ana")).verdict.trusted
        assert keeper.now() == clock.now()
        rows = await database.read(lambda session: session.all("SELECT * FROM audit_log"))
        assert [(row["actor"], row["event"]) for row in rows] == [("ana", "clock.trusted")]
        step(DAY)
        assert not keeper.verdict.trusted

    keeping(tmp_path, story)
