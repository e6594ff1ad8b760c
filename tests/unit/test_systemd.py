"""What systemd hears, on a real datagram socket."""

import asyncio
import socket
from contextlib import contextmanager

import pytest

from gateway.clock import SystemClock
from gateway.systemd import ServiceManager
from tests.virtual_time import run_virtual


@contextmanager
def listening(address):
    """A socket such as systemd's; `heard()` are the messages since the last call."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ours:
        ours.bind("\0" + address[1:] if address.startswith("@") else address)
        ours.setblocking(False)

        def heard():
            found = []
            while True:
                try:
                    found.append(ours.recv(4096).decode())
                except BlockingIOError:
                    return found

        yield heard


@pytest.fixture(params=["path", "abstract"])
def address(request, tmp_path):
    return str(tmp_path / "notify") if request.param == "path" else f"@gateway-{tmp_path.name}"


def test_it_tells_when_it_is_ready_reloads_and_stops(address):
    with listening(address) as heard:
        systemd = ServiceManager({"NOTIFY_SOCKET": address}, clock=SystemClock())
        systemd.ready("serving on port 8080")
        systemd.status("serving on port 8080")
        systemd.status("something else\nREADY=0")
        systemd.reloading()
        systemd.stopping()
        ready, status, reloading, stopping = heard()
    assert ready == "READY=1\nSTATUS=serving on port 8080"
    assert status == "STATUS=something else READY=0"
    assert reloading.startswith("RELOADING=1\nMONOTONIC_USEC=")
    assert stopping == "STOPPING=1\nSTATUS=stopping"


def test_without_systemd_and_with_a_deaf_one_nothing_happens(tmp_path):
    ServiceManager({}, clock=SystemClock()).ready("x")
    ServiceManager({"NOTIFY_SOCKET": str(tmp_path / "no")}, clock=SystemClock()).ready("x")


def test_the_watchdog_is_fed_at_half_its_time_while_there_is_progress(address):
    problems, hangs = [], asyncio.Event()
    hangs.set()

    async def look():
        await hangs.wait()
        return tuple(problems)

    async def main(clock):
        environ = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "60000000"}
        systemd = ServiceManager(environ, clock=clock)
        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(systemd.watch(look))
            await clock.sleep(1)
            for _ in range(4):  # a kernel may keep no more than ten messages for a socket
                await clock.sleep(150)
                assert heard() == ["WATCHDOG=1"] * 5
            problems.append("scheduler_stalled")
            await clock.sleep(600)
            assert heard() == ["STATUS=no progress: scheduler_stalled"]
            problems.clear()
            await clock.sleep(60)
            assert heard() == ["WATCHDOG=1"] * 2
            hangs.clear()
            await clock.sleep(600)
            assert heard() == []
            watching.cancel()

    with listening(address) as heard:
        run_virtual(main)


async def test_where_no_watchdog_waits_none_is_fed(address):
    with listening(address) as heard:
        systemd = ServiceManager({"NOTIFY_SOCKET": address}, clock=SystemClock())
        await systemd.watch(None)
        assert heard() == []
