"""The daemon as a process: alone on its database, and light."""

import asyncio
import subprocess
import sys
from datetime import timedelta

import pytest

from gateway.web.auth import issue_token, load_secret
from tests.benchmarks.measuring import resident
from tests.house import a_house
from tests.kill import Daemon


async def test_a_second_daemon_on_the_same_database_ends_with_75(tmp_path):
    async with a_house(tmp_path) as house:
        daemon = Daemon(tmp_path, house)
        async with daemon.running() as first:
            await house.until(lambda: daemon.is_up(house.session), 30)
            async with daemon.running() as second:
                assert await asyncio.wait_for(second.wait(), 30) == 75
            assert first.returncode is None
            assert await daemon.is_up(house.session)
        assert "stop that one first" in daemon.log.read_text()


def test_the_daemon_loads_no_sqlalchemy_and_no_store_of_pickled_jobs():
    script = (
        "import sys, gateway.cli.run\n"
        "print(*sorted(one for one in sys.modules if one.startswith(('sqlalchemy',"
        " 'apscheduler.jobstores'))))"
    )
    found = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert found.stdout.split() == [
        "apscheduler.jobstores",
        "apscheduler.jobstores.base",
        "apscheduler.jobstores.memory",
    ]


@pytest.mark.timeout(300)
async def test_ten_thousand_requests_leave_nothing_in_its_memory(tmp_path):
    pages = (
        "/healthz",
        "/api/admin/reconciliation/status",
        "/api/admin/reservations",
        "/metrics",
        "/",
    )

    async with a_house(tmp_path) as house:
        daemon = Daemon(tmp_path, house, log={"level": "info"})
        async with daemon.running() as process:
            await house.until(lambda: daemon.is_up(house.session), 30)
            house.token = issue_token(
                load_secret(tmp_path / "jwt.secret"),
                subject="tester",
                ttl=timedelta(hours=1),
                now=house.clock.now(),
            )
            headers = {"Authorization": f"Bearer {house.token}"}

            async def ask(times):
                for page in pages * (times // len(pages)):
                    async with house.session.get(daemon.url + page, headers=headers) as answer:
                        await answer.read()

            await ask(2_000)  # what is made once
            before = resident(process.pid)
            await ask(10_000)
            after = resident(process.pid)
    assert after < before + 1
    assert after < 100
