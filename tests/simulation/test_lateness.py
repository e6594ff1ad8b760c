"""What is overdue after three hours without power, and sixty-four doors that do not answer."""

import socket
import sqlite3
from datetime import timedelta

import pytest

from tests.house import KEY, START, UNHURRIED, House, a_house
from tests.virtual_time import run_virtual

HOUR, DAY, MINUTE = timedelta(hours=1), timedelta(days=1), timedelta(minutes=1)


@pytest.mark.parametrize("jobs", ["kept", "lost"])
def test_twenty_due_times_of_three_hours_without_power_are_handled_within_a_minute(tmp_path, jobs):
    async def main(clock):
        async with a_house(
            tmp_path, clock, pace=UNHURRIED, policy={"activate_before": "0h", "revoke_after": "0h"}
        ) as house:
            house.apt_101.capacity = house.apt_102.capacity = 40
            minutes = range(10, 160, 15)
            leaving = [
                house.book(house.flat_101, -DAY, DAY + minute * MINUTE) for minute in minutes
            ]
            arriving = [house.book(house.flat_102, minute * MINUTE, DAY) for minute in minutes]
            async with house.running():
                await house.first_run()
                await house.clock.sleep(60)
                assert len(house.apt_101.codes) == len(leaving) == 10
                assert house.apt_102.codes == []
            await clock.sleep(3 * 3600)
            if jobs == "lost":
                with sqlite3.connect(tmp_path / "gateway.db") as database:
                    assert database.execute("DELETE FROM jobs").rowcount == 60
                database.close()
            async with house.running():
                await house.clock.sleep(60)
                assert house.apt_101.codes == []
                assert len(house.apt_102.codes) == len(house.street.codes) == len(arriving)
                for one in arriving:
                    assert (await house.stay(one))["pinStatus"] == "active"
                for one in leaving:
                    assert (await house.stay(one))["pinStatus"] == "revoked"

    run_virtual(main, start=START)


class _Deserted(House):
    """Flat 101 has 64 more doors, at an address where nobody answers."""

    def config_values(self):
        values = super().config_values()
        dead = [
            {
                "name": f"dead-{number}",
                "profile": "mk_method",
                "device_id": f"dead-{number}",
                "local_key": KEY,
                "address": "127.0.0.1",
                "port": self.dead_port,
                "version": "3.4",
            }
            for number in range(64)
        ]
        values["locks"] += dead
        values["listings"][0]["locks"] += [lock["name"] for lock in dead]
        return values


def test_sixty_four_dead_doors_delay_neither_stays_nor_the_others(tmp_path):
    async def main(clock):
        # It takes connections and never says a word.
        with socket.socket() as silent:
            silent.bind(("127.0.0.1", 0))
            silent.listen(128)
            house = _Deserted(tmp_path, clock, pace=UNHURRIED)
            house.dead_port = silent.getsockname()[1]
            async with house.standing():
                stay = house.book(house.flat_101, -HOUR, DAY)
                async with house.running():
                    run = await house.first_run()
                    assert run["status"] == "success"
                    assert run["duration"] < 1000
                    await house.until(lambda: house.street.codes and house.apt_101.codes, 5)
                    assert (await house.stay(stay))["pinStatus"] == "at_risk"
                    assert house.door.accepted == house.hub.accepted == 1

    run_virtual(main, start=START)
