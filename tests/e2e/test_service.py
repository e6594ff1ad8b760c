"""The real process as systemd drives it: READY, SIGHUP, SIGTERM."""

import asyncio
import json
import random
import signal
from datetime import timedelta

import pytest

from tests.house import a_house, assert_keeps_secrets
from tests.kill import Daemon
from tests.unit.test_systemd import listening

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
STOPS = 8
STOP_SECONDS = 10  # of which systemd grants three times as many


def events(daemon):
    return [json.loads(line) for line in daemon.log.read_text().splitlines()]


class Told:
    """What systemd has been told, each message taken once."""

    def __init__(self, house, heard):
        self._house, self._heard, self._messages = house, heard, []

    async def next(self, line):
        """The next message with this line; those before it are passed over."""

        def came():
            self._messages += self._heard()
            while self._messages:
                message = self._messages.pop(0)
                if line in message.split("\n"):
                    return message
            return None

        return await self._house.until(came, seconds=40)


async def test_it_is_ready_when_it_answers_and_takes_a_changed_file_without_a_pause(tmp_path):
    address = str(tmp_path / "notify")
    async with a_house(tmp_path) as house:
        with listening(address) as heard:
            systemd = Told(house, heard)
            daemon = Daemon(tmp_path, house)
            stay = house.book(house.flat_101, -HOUR, 3 * DAY)
            async with daemon.running(NOTIFY_SOCKET=address, WATCHDOG_USEC="60000000") as process:
                await systemd.next("READY=1")
                assert (await house.session.get(f"{daemon.url}/healthz")).status == 200
                await house.until(lambda: house.apt_101.codes and house.street.codes)
                connections = house.hub.accepted, house.door.accepted

                daemon.config.write_text("[stays\n")
                process.send_signal(signal.SIGHUP)
                await systemd.next("RELOADING=1")
                assert "is invalid, see the journal" in await systemd.next("READY=1")
                assert any(one["event"] == "config.refused" for one in events(daemon))

                house.settings |= {
                    "listings": [
                        one
                        | ({"locks": ["street", "apt-102"]} if one["name"] == "Apto 101" else {})
                        for one in house.config_values()["listings"]
                    ],
                    "log": {"level": "info"},
                }
                daemon.config.write_text(house.config_toml())
                process.send_signal(signal.SIGHUP)
                assert "the new configuration" in await systemd.next("READY=1")
                await house.until(lambda: house.apt_102.codes and not house.apt_101.codes)
                assert (house.hub.accepted, house.door.accepted) == connections
                assert daemon.last_good.read_text() == daemon.config.read_text()

                process.send_signal(signal.SIGTERM)
                await systemd.next("STOPPING=1")
                assert await process.wait() == 0
        assert house.stays.reservations[stay]["type"] == "booked"
        assert_keeps_secrets(daemon.log.read_text(), house.secrets())


@pytest.mark.timeout(280)
async def test_stopped_at_any_moment_with_busy_locks_it_ends_by_itself_and_loses_nothing(tmp_path):
    draw = random.Random(12)
    async with a_house(tmp_path) as house:
        daemon = Daemon(tmp_path, house)
        house.street.faults.report_delay = 0.3
        house.apt_101.faults.report_delay, house.apt_101.capacity = 0.3, STOPS
        stays = []
        for number in range(STOPS):
            stays.append(house.book(house.flat_101, -HOUR - timedelta(minutes=number), 3 * DAY))
            if number % 3 == 2:
                house.stays.cancel(stays[-2])
            async with daemon.running() as process:
                before = len(house.street.received)
                await house.until(lambda before=before: len(house.street.received) > before)
                await asyncio.sleep(draw.uniform(0.0, 0.7))  # the moment of the stop
                process.send_signal(signal.SIGTERM)
                async with asyncio.timeout(STOP_SECONDS):
                    assert await process.wait() == 0
                # what was under way had its answer: nothing waits for one
                assert daemon.rows("SELECT 1 FROM placements WHERE evidence = 'sent'") == []

        live = {one for one in stays if house.stays.reservations[one]["type"] == "booked"}
        async with daemon.running() as process:

            def settled():
                doubts = "SELECT 1 FROM placements WHERE evidence NOT IN ('confirmed', 'revoked')"
                held = len(house.street.codes), len(house.apt_101.codes)
                return held == (len(live), len(live)) and not daemon.rows(doubts)

            await house.until(lambda: daemon.is_up(house.session))
            await house.until(settled, seconds=100)
            process.send_signal(signal.SIGTERM)
            assert await process.wait() == 0
        assert "credential.unknown" not in {one["event"] for one in events(daemon)}


async def test_a_package_that_the_gateway_was_not_made_for_is_told_and_stops_no_door(tmp_path):
    for name, version in (("aiohttp", "3.13.2"), ("tinytuya", "1.21.0")):
        told = tmp_path / "packages" / f"{name}-{version}.dist-info"
        told.mkdir(parents=True)
        (told / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    async with a_house(tmp_path) as house:
        daemon = Daemon(tmp_path, house)
        house.book(house.flat_101, -HOUR, 3 * DAY)
        async with daemon.running(PYTHONPATH=str(tmp_path / "packages")):
            await house.until(lambda: house.apt_101.codes and house.street.codes)
        notes = [one["detail"] for one in events(daemon) if one["event"] == "package.unfit"]
        assert notes == [
            "aiohttp is 3.13.2, made for >=3.14.4",
            "tinytuya is 1.21.0, made for <1.21,>=1.20",
        ]
        (starting,) = [one for one in events(daemon) if one["event"] == "gateway.starting"]
        assert starting["aiohttp"] == "3.13.2"
        assert starting["sqlite"].startswith("3.")

        async with daemon.running():
            await house.until(lambda: daemon.is_up(house.session))
        told = [one["event"] for one in events(daemon)]
        assert (told.count("gateway.starting"), told.count("package.unfit")) == (2, 2)


async def test_a_start_that_fails_leaves_no_thread_behind(tmp_path):
    async with a_house(tmp_path) as house:
        daemon = Daemon(tmp_path, house)
        async with daemon.running() as process:
            await house.until(lambda: daemon.is_up(house.session))
            house.settings["store"] = {"path": "other.db"}
            daemon.config.write_text(house.config_toml())  # the port is taken
            async with daemon.running() as second:
                async with asyncio.timeout(STOP_SECONDS):
                    assert await second.wait() == 1
            process.send_signal(signal.SIGTERM)
            assert await process.wait() == 0
        assert "cannot be served" in daemon.log.read_text()
