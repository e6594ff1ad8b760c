"""The daemon as a process: alone on its database, and light."""

import asyncio
import subprocess
import sys

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
