"""A wrong clock: who gets in and when, at the locks, while the machine's time is set to and fro."""

import asyncio
import os
from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from gateway.app import Pace
from gateway.domain import events
from gateway.timekeeping import TimeFiles
from tests.builders import utc
from tests.house import START, a_house, at
from tests.virtual_time import TrueClock, run_virtual

YEAR, DAY, HOUR, MINUTE, SECOND = (
    timedelta(days=365),
    timedelta(days=1),
    timedelta(hours=1),
    timedelta(minutes=1),
    timedelta(seconds=1),
)
PACE = Pace(scheduler=60.0, sweep=1800.0, heartbeat=7200.0, lag=7200.0)
SLOW = Pace(scheduler=300.0, sweep=3600.0, heartbeat=7200.0, lag=7200.0)


def in_doubt(folder, story, *, start=START, pace=PACE, **settings):
    """Run `story(house)`, which starts the gateway itself; the world's time begins at `start`."""
    failures = []

    async def main(clock):
        async with a_house(
            folder,
            clock,
            world=TrueClock(start),
            pace=pace,
            stays={"schedule": "0 */2 * * *"},
            **settings,
        ) as house:
            try:
                await story(house)
            except* (AssertionError, OSError, KeyError) as group:  # without the tasks around it
                failures.append(_first(group))

    run_virtual(main, start=start)
    for failure in failures:
        raise failure


def _first(failure):
    return _first(failure.exceptions[0]) if isinstance(failure, ExceptionGroup) else failure


def step(by):
    """Set the machine's clock."""
    asyncio.get_running_loop().step(by)


def touch(house, folder):
    """systemd-timesyncd has just set the clock."""
    (folder / "synchronized").touch()
    os.utime(folder / "synchronized", times=(house.clock.now().timestamp(),) * 2)


def lasting(house):
    """Somebody who stays for long, somebody whose PIN ends and somebody whose PIN begins soon."""
    inside = house.book(house.flat_101, -DAY, 9 * DAY)
    leaving = house.book(house.flat_102, -2 * DAY, 2 * DAY + HOUR)  # until the next one's PIN
    arriving = house.book(house.flat_102, 5 * HOUR, 4 * DAY)  # from 3 h from now
    return inside, leaving, arriving


async def assert_all_goes_by_the_true_time(house, stays):
    """The three of `lasting`, from a moment before the turnover on."""
    inside, leaving, arriving = stays
    own, old = await house.pin(inside), await house.pin(leaving)
    await at(house, START + 3 * HOUR - MINUTE)
    assert house.apt_101.try_pin(own)
    assert house.apt_102.try_pin(old)
    assert len(house.apt_102.codes) == 1  # nobody is let in early
    await at(house, START + 3 * HOUR + MINUTE)
    assert house.apt_101.try_pin(own)
    assert not house.apt_102.try_pin(old)
    assert house.apt_102.try_pin(await house.pin(arriving))
    await at(house, START + 2 * DAY)
    assert house.apt_101.try_pin(own)
    assert house.apt_102.try_pin(await house.pin(arriving))


@pytest.mark.parametrize("by", [-3 * DAY, DAY, -30 * MINUTE, YEAR], ids=str)
@pytest.mark.parametrize("online", [True, False], ids=["online", "offline"])
def test_a_clock_set_while_running_lets_nobody_in_or_out(tmp_path, by, online):
    async def story(house):
        stays = lasting(house)
        async with house.running():
            await house.first_run()
            if not online:
                house.stays.faults.hang_up = True
            await house.clock.sleep(HOUR.total_seconds())
            step(by)
            await assert_all_goes_by_the_true_time(house, stays)
            assert house.notices.events().count(events.CLOCK_UNTRUSTED) == 1
            step(-by)
            await house.clock.sleep(60)
            assert house.notices.events().count(events.CLOCK_UNTRUSTED) == 2
            await at(house, START + 3 * DAY)
            assert house.apt_101.try_pin(await house.pin(stays[0]))
        async with house.running():  # the store remembers the true time, not the other
            await house.clock.sleep(120)
            assert house.apt_101.try_pin(await house.pin(stays[0]))
            await at(house, START + 5 * DAY + 5 * HOUR + MINUTE)
            assert len(house.apt_102.codes) == 0

    in_doubt(tmp_path, story)


@pytest.mark.parametrize("by", [-3 * DAY, DAY, YEAR], ids=str)
def test_a_daemon_started_with_a_wrong_clock_hears_the_time_from_stays_before_it_acts(tmp_path, by):
    async def story(house):
        stays = lasting(house)
        async with house.running():
            await house.first_run()
        step(by)
        async with house.running():
            await assert_all_goes_by_the_true_time(house, stays)
            shown = await house.stay(stays[0])
            assert shown["status"] == "confirmed"
            assert (await house.api("GET", "/api/admin/clock"))[1]["data"]["trusted"] is False

    in_doubt(tmp_path, story)


def test_the_first_run_of_a_new_store_with_a_wrong_clock_issues_by_stays_time(tmp_path):
    async def story(house):
        stays = lasting(house)
        step(YEAR)
        async with house.running():
            await house.first_run()
            await house.clock.sleep(60)
            await assert_all_goes_by_the_true_time(house, stays)

    in_doubt(tmp_path, story)


@pytest.mark.parametrize("off", [2 * HOUR, 30 * MINUTE], ids=str)
def test_a_week_without_internet_after_a_power_cut_keeps_no_guest_out(tmp_path, off):
    """The clock of a Pi goes on where it stopped, and nothing sets it right."""
    timesync = tmp_path / "timesync"
    timesync.mkdir()

    async def story(house):
        arriving = house.book(house.flat_101, 3 * DAY, 3 * DAY)
        leaving = house.book(house.flat_101, -DAY, 2 * DAY)
        async with house.running():
            await house.first_run()
        await house.clock.sleep(off.total_seconds())
        step(-off)
        house.stays.faults.hang_up = True
        async with house.running():
            await at(house, START + DAY + 20 * HOUR)
            assert house.apt_101.try_pin(await house.pin(leaving))
            await at(house, START + 3 * DAY + MINUTE)  # check-in, two hours after its PIN's time
            pin = await house.pin(arriving)
            assert house.apt_101.try_pin(pin)
            assert house.street.try_pin(pin)
            await at(house, START + 5 * DAY)
            assert house.apt_101.try_pin(pin)
            await at(house, START + 7 * DAY + off + 2 * MINUTE)
            assert len(house.apt_101.codes) == 0

    in_doubt(tmp_path, story, pace=SLOW, time_files=TimeFiles(timesync=timesync))


@pytest.mark.parametrize("boot", [utc("1970-01-01 00:00"), utc("2025-03-01 00:00")], ids=str)
def test_behind_the_build_date_what_is_due_by_the_newest_trusted_time_runs(tmp_path, boot):
    async def story(house):
        stays = lasting(house)
        near = house.book(house.flat_101, 9 * DAY, DAY)
        async with house.running():
            await house.first_run()
        house.stays.faults.hang_up = True
        step(boot - START)
        async with house.running():
            await house.clock.sleep(180)
            assert house.notices.events().count(events.PIN_ISSUED) == 4
            assert house.notices.events().count(events.CLOCK_UNTRUSTED) == 1
            assert (await house.stay(stays[2]))["pinStatus"] == "at_risk"
            assert (await house.stay(near))["pinStatus"] == "planned"
            code, body = await house.api("GET", "/readyz")
            assert (code, body["problems"]) == (200, ["clock_untrusted"])
            await assert_all_goes_by_the_true_time(house, stays)

            step(START - boot)  # a person sets the time
            house.sign_in()  # the command line makes a token by the same clock
            _, body = await house.api("GET", "/api/admin/clock")
            assert body["data"]["trusted"] is False
            code, body = await house.api("POST", "/api/admin/clock/trust")
            assert (code, body["data"]["trusted"]) == (200, True)
            assert body["data"]["vouchedBy"] == ["person"]
            await house.clock.sleep(30)
            assert house.notices.events().count(events.CLOCK_UNTRUSTED) == 2
            assert (await house.stay(stays[2]))["pinStatus"] == "active"
            assert (await house.api("GET", "/readyz"))[1] == {"status": "ready"}

    in_doubt(tmp_path, story)


def test_ntp_that_comes_late_is_believed_at_once(tmp_path):
    timesync = tmp_path / "timesync"
    timesync.mkdir()

    async def story(house):
        inside, arriving = (house.book(house.flat_101, start, DAY) for start in (-HOUR, 4 * DAY))
        house.stays.faults.hang_up = True
        async with house.running():
            house.stays.faults.hang_up = False
            house.stays.clock = house.clock  # Stays' word is no better than ours
            step(-3 * DAY)
            await house.reconciled()
            await house.clock.sleep(120)
            assert house.apt_101.codes == []
            step(3 * DAY)
            touch(house, timesync)
            house.stays.faults.hang_up = True
            await house.clock.sleep(PACE.scheduler + 5)
            assert house.apt_101.try_pin(await house.pin(inside))
            data = (await house.api("GET", "/api/admin/clock"))[1]["data"]
            assert (data["trusted"], data["vouchedBy"]) == (True, ["ntp"])
            assert await house.pin(arriving) is None

    in_doubt(tmp_path, story, time_files=TimeFiles(timesync=timesync))


@pytest.mark.parametrize("healer", ["stays", "ntp"])
def test_a_year_lived_ahead_is_taken_back(tmp_path, healer):
    """Booted offline with a clock that nothing contradicts: all seems over, until the time comes."""
    timesync = tmp_path / "timesync"

    async def story(house):
        inside, leaving, arriving = lasting(house)
        async with house.running():
            await house.first_run()
            pin = await house.pin(inside)
        house.stays.faults.hang_up = True
        step(YEAR)
        async with house.running():
            await house.clock.sleep(600)
            assert house.apt_101.codes == []  # trusted, as nothing speaks against it
            if healer == "ntp":
                timesync.mkdir()
                step(-YEAR)
                touch(house, timesync)
            else:
                house.stays.faults.hang_up = False
                with suppress(AssertionError):
                    await house.reconciled()
            await house.clock.sleep(60)
            assert house.apt_101.try_pin(pin)
            assert house.street.try_pin(pin)
            assert house.apt_102.try_pin(await house.pin(leaving))
            await assert_all_goes_by_the_true_time(house, (inside, leaving, arriving))
            await at(house, START + 9 * DAY + MINUTE)
            assert house.apt_101.codes == []

    in_doubt(tmp_path, story, time_files=TimeFiles(timesync=timesync))


def test_a_lock_that_fails_under_a_clock_ahead_is_tried_again_when_the_time_is_right(tmp_path):
    async def story(house):
        inside, *_ = lasting(house)
        async with house.running():
            await house.first_run()
            pin = await house.pin(inside)
        house.stays.faults.hang_up = True
        await house.hub.cut()
        step(YEAR)
        async with house.running():
            await house.clock.sleep(900)
            house.stays.faults.hang_up = False
            await house.hub.restore()
            step(-YEAR)
            with suppress(AssertionError):
                await house.reconciled()
            await house.clock.sleep(600)
            assert house.apt_101.try_pin(pin)
            assert house.street.try_pin(pin)

    in_doubt(tmp_path, story)


def test_a_daemon_restarted_after_the_step_still_knows_that_the_clock_was_set(tmp_path):
    boot_id = tmp_path / "boot_id"
    boot_id.write_text("a-boot\n")

    async def story(house):
        stays = lasting(house)
        async with house.running():
            await house.first_run()
            house.stays.faults.hang_up = True
            step(YEAR)
            await house.clock.sleep(600)
        async with house.running():
            await assert_all_goes_by_the_true_time(house, stays)

    in_doubt(tmp_path, story, time_files=TimeFiles(boot_id=boot_id))


@pytest.mark.parametrize(
    ("zone", "before", "hours"),
    [
        ("Europe/Lisbon", date(2026, 3, 28), 23),
        ("America/New_York", date(2026, 10, 31), 25),
        ("Australia/Lord_Howe", date(2026, 4, 4), 24.5),
    ],
)
def test_windows_are_exact_over_the_night_in_which_the_clocks_change(tmp_path, zone, before, hours):
    local = ZoneInfo(zone)
    check_in = datetime.combine(before, time(15), local).astimezone(UTC)
    check_out = datetime.combine(before + DAY, time(15), local).astimezone(UTC)
    assert check_out - check_in == timedelta(hours=hours)

    async def story(house):
        stay = house.stays.book(
            house.flat_101,
            before,
            before + DAY,
            check_in_time="15:00",
            check_out_time="15:00",
        )
        async with house.running():
            await house.first_run()
            await at(house, check_in - 2 * HOUR - SECOND)
            assert house.apt_101.codes == []
            await at(house, check_in - 2 * HOUR + SECOND)
            pin = await house.pin(stay)
            assert house.apt_101.try_pin(pin)
            await at(house, check_out + DAY - SECOND)
            assert house.apt_101.try_pin(pin)
            await at(house, check_out + DAY + SECOND)
            assert house.apt_101.codes == []

    in_doubt(tmp_path, story, start=check_in - 5 * HOUR, site={"timezone": zone})
