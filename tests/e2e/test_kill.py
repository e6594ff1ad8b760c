"""The real process, killed with SIGKILL at any moment and started again."""

import asyncio
import random
import signal
from datetime import timedelta

import pytest

from tests.house import a_house, assert_keeps_secrets
from tests.kill import Daemon, a_campaign

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
ROUNDS = 12


@pytest.mark.timeout(280)
async def test_killed_at_any_moment_it_loses_no_job_doubles_no_pin_and_tells_no_secret(tmp_path):
    draw = random.Random(11)
    async with a_house(tmp_path) as house:
        daemon = Daemon(tmp_path, house)
        stays = []
        for number in range(ROUNDS):
            flat = house.flat_102 if number % 2 else house.flat_101
            stays.append(house.book(flat, -HOUR - timedelta(minutes=number), 3 * DAY))
            if number % 4 == 3:  # of the flat whose lock names codes by numbers of ours
                house.stays.cancel(stays[-3])
            async with daemon.running():
                before = len(house.street.received)
                await house.until(
                    lambda before=before: len(house.street.received) > before, seconds=20
                )
                await asyncio.sleep(draw.uniform(0.0, 0.12))  # the moment of the kill

        live = [one for one in stays if house.stays.reservations[one]["type"] == "booked"]
        codes = {house.stays.code(one) for one in live}
        async with daemon.running() as process:
            await house.until(lambda: daemon.is_up(house.session))
            expected = {"street": len(live)}
            expected["apt_101"] = sum(
                house.stays.reservations[one]["_idlisting"] == house.flat_101 for one in live
            )
            expected["apt_102"] = len(live) - expected["apt_101"]

            def settled():
                open_work = daemon.rows(
                    "SELECT 1 FROM placements WHERE evidence NOT IN ('confirmed', 'revoked', 'rejected')"
                    # a code whose slot was never told keeps its old window: told to the admin
                    " UNION SELECT 1 FROM jobs j JOIN credentials c ON c.id = j.credential_id WHERE"
                    " (kind = 'gen' OR run_at <= strftime('%Y-%m-%dT%H:%M:%SZ', 'now'))"
                    " AND coalesce(c.reason, '') NOT LIKE '%never told the slot%'"
                )
                held = {name: len(getattr(house, name).codes) for name in expected}
                revoking = daemon.rows("SELECT credential_id FROM jobs WHERE kind = 'rev'")
                return (
                    held == expected
                    and not open_work
                    and {one.partition("-")[0] for (one,) in revoking} == codes
                )

            await house.until(settled, seconds=200)  # a late report is waited for
            process.send_signal(signal.SIGTERM)
            assert await process.wait() == 0

        for lock in (house.street, house.apt_101, house.apt_102):
            pins = [held.pin for held in lock.codes]
            assert len(pins) == len(set(pins))
        for flat, lock in ((house.flat_101, house.apt_101), (house.flat_102, house.apt_102)):
            assert {held.pin for held in lock.codes} <= {held.pin for held in house.street.codes}
            assert len(lock.codes) == sum(
                house.stays.reservations[one]["_idlisting"] == flat for one in live
            )
        assert daemon.rows("SELECT id FROM reconciliation_logs WHERE status = 'pending'") == []
        assert_keeps_secrets(daemon.log.read_text(), house.secrets())


@pytest.mark.timeout(280)
async def test_under_load_no_round_of_kills_loses_a_job_doubles_a_create_or_leaves_a_pin(tmp_path):
    async with a_campaign(tmp_path, seed=3) as campaign:
        for _ in range(8):
            await campaign.round()
        await campaign.settle()
        assert campaign.jobs_lost == []
        assert campaign.doubled() == 0
        assert campaign.leftovers() == [0, 0, 0]
        assert sum(sum(lock.creates.values()) for lock in campaign.locks) > 0
        assert_keeps_secrets(campaign.daemon.log.read_text(), campaign.house.secrets())
