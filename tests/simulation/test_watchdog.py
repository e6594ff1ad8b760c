"""The watchdog lives on the gateway's own progress alone."""

import asyncio
from datetime import timedelta

from gateway.systemd import ServiceManager
from tests.house import START, a_house
from tests.unit.test_systemd import listening
from tests.virtual_time import run_virtual

HOUR = 3600


def watched(folder, story):
    """Run `story(house, heard)` beside a gateway whose watchdog has 60 s."""
    address = str(folder / "notify")
    environ = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "60000000"}

    async def main(clock):
        async with a_house(folder, clock) as house, house.running():
            await house.first_run()
            async with asyncio.TaskGroup() as tasks:
                systemd = ServiceManager(environ, clock=clock)
                watching = tasks.create_task(systemd.watch(house.gateway.no_progress))
                await story(house, heard)
                watching.cancel()

    with listening(address) as heard:
        run_virtual(main, start=START)


def test_a_database_that_is_an_older_copy_is_told_and_does_not_starve_it(tmp_path):
    async def main(clock):
        async with a_house(tmp_path, clock) as house:
            async with house.running():
                await house.first_run()
            older = (tmp_path / "gateway.db").read_bytes()
            stay = house.book(house.flat_101, timedelta(hours=-1), timedelta(hours=48))
            async with house.running():
                await house.pin_status(stay, "active")
            (tmp_path / "gateway.db").write_bytes(older)
            async with house.running(), asyncio.TaskGroup() as tasks:
                systemd = ServiceManager(environ, clock=clock)
                watching = tasks.create_task(systemd.watch(house.gateway.no_progress))
                await clock.sleep(1)
                assert await signs_within(clock, 600, heard) == 20
                assert "store_restored" in house.gateway.problems()
                watching.cancel()

    environ = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "60000000"}
    with listening(environ["NOTIFY_SOCKET"]) as heard:
        run_virtual(main, start=START)


def signs(messages):
    return sum(message == "WATCHDOG=1" for message in messages)


async def signs_within(clock, seconds, heard):
    """How many there are; a kernel may keep no more than ten messages for a socket."""
    found = 0
    for _ in range(seconds // 150):
        await clock.sleep(150)
        found += signs(heard())
    return found


def test_a_day_without_stays_and_without_any_lock_does_not_starve_it(tmp_path):
    async def story(house, heard):
        house.stays.faults.hang_up = True
        await house.door.cut()
        await house.hub.cut()
        house.book(house.flat_101, timedelta(hours=-1), timedelta(hours=48))
        for _ in range(24):
            assert await signs_within(house.clock, HOUR, heard) >= 2 * 60 - 1

    watched(tmp_path, story)


def test_a_scheduler_that_stands_still_starves_it_within_a_minute_and_a_half(tmp_path):
    async def story(house, heard):
        await house.gateway._scheduler.stop()
        await house.clock.sleep(61)
        heard()
        await house.clock.sleep(300)
        messages = heard()
        assert signs(messages) == 0
        assert house.gateway.problems() == ("scheduler_stalled",)

    watched(tmp_path, story)


def test_a_sweep_that_stands_still_starves_it(tmp_path):
    async def story(house, heard):
        sweep = next(task for task in asyncio.all_tasks() if task.get_name() == "sweep")
        sweep.cancel()
        await house.clock.sleep(91)
        heard()
        await house.clock.sleep(300)
        assert signs(heard()) == 0

    watched(tmp_path, story)


def test_a_store_that_does_not_answer_starves_it_until_it_does(tmp_path):
    async def story(house, heard):
        answers = asyncio.Event()

        async def wedged(_session):
            await answers.wait()

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(house.gateway._database.read(wedged))
            await house.clock.sleep(31)
            heard()
            await house.clock.sleep(300)
            assert signs(heard()) == 0
            answers.set()
        await house.clock.sleep(301)
        assert signs(heard()) >= 9

    watched(tmp_path, story)
