"""`gateway locks test` as a technician runs it: a process that asks, a person who types PINs."""

import asyncio
import json
import os
import re
import signal
import sys

from tests.e2e.test_command_line import beside_a_daemon, free_port, gateway
from tests.house import a_house


async def asked(stream):
    """The next PIN that is to be typed, None at the end of the output."""
    text = ""
    while True:
        more = (await stream.read(200)).decode()
        text += more
        if found := re.search(r"Type (\d+) .*\[y/n\] $", text):
            return found[1]
        if not more:
            return None


async def locks_test(folder, lock, *words, leave_after=None):
    """Exit code and output; `leave_after`: Ctrl-C at that question."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "locks", "test", lock.name, *words),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": os.environ["PATH"], "COLUMNS": "200"},
        cwd=folder,
    )
    questions = 0
    while (pin := await asked(process.stderr)) is not None:
        questions += 1
        if questions == leave_after:
            process.send_signal(signal.SIGINT)
        elif questions == 1:
            process.stdin.write(b"what?\n")  # it asks again
        else:
            process.stdin.write(b"y\n" if lock.try_pin(pin) else b"n\n")
    out, _ = await process.communicate()
    return process.returncode, out.decode()


async def test_a_lock_is_tried_through_the_running_daemon(tmp_path):
    async with beside_a_daemon(tmp_path) as (house, _, _, _):
        guests = [held.pin for held in house.apt_101.codes]
        status, out = await locks_test(tmp_path, house.apt_101, "--quick", "--json")
        assert status == 0, out
        shown = json.loads(out)
        assert shown["verdict"]["suitability"] == "good"
        assert shown["observations"]["opened_when_deleted"] is False
        assert [held.pin for held in house.apt_101.codes] == guests
        assert not any(pin in out for pin in guests)
        status, out, _ = await gateway("locks", "retire", "apt-101", folder=tmp_path)
        assert (status, out.strip()) == (0, "0 codes are no longer followed")


async def test_a_lock_is_tried_alone_where_no_daemon_runs(tmp_path):
    async with a_house(tmp_path) as house:
        house.settings = {"http": {"host": "127.0.0.1", "port": free_port()}}
        (tmp_path / "config.toml").write_text(house.config_toml())
        status, out = await locks_test(tmp_path, house.street, "--quick")
        assert status == 0, out
        assert out.startswith("street: good\n")
        assert house.street.codes == []

        status, out = await locks_test(tmp_path, house.street, "--quick", leave_after=1)
        assert status != 0
        assert house.street.codes == []

        await house.hub.cut()
        status, out = await locks_test(tmp_path, house.apt_101, "--quick")
        assert status == 1
        assert "it is not reached" in out
        status, _, err = await gateway("locks", "test", "nowhere", folder=tmp_path)
        assert (status, "it has street, apt-101, apt-102" in err) == (1, True)
