"""Row 7: the daemon as a process: its start, its memory, and what an idle hour costs."""

import asyncio
import os
import re
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import asynccontextmanager
from datetime import timedelta
from importlib.metadata import distribution, requires
from pathlib import Path

import aiohttp

from gateway.clock import SystemClock
from gateway.web.auth import issue_token, load_secret
from tests.benchmarks.account import an_account, days_ahead
from tests.benchmarks.doors import config_values, many_doors
from tests.benchmarks.measuring import Figure, median, processor_seconds, resident, spread
from tests.house import as_toml

_RUNS_AN_HOUR = 2
_HOUR = 3600
_MINUTE = 60
_AROUND_A_RUN = 15  # seconds
_STAYS = 1000


def _free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class Daemon:
    """`gateway run`, in a folder of its own."""

    def __init__(self, folder, values):
        self.folder, self.port = folder, values["http"]["port"]
        self.config = folder / "config.toml"
        self.config.write_text(as_toml(values))
        # In memory, since under systemd the log is the journal's.
        self._log = tempfile.TemporaryFile("w+", dir="/dev/shm")  # noqa: SIM115 - closed with it
        self.process = None
        self.ready_seconds = 0.0

    @asynccontextmanager
    async def running(self, *options):
        """Ready inside the block."""
        began = time.perf_counter()
        self.process = await asyncio.create_subprocess_exec(
            *(sys.executable, *options, "-m", "gateway", "run", "-c", str(self.config)),
            stdout=subprocess.DEVNULL,
            stderr=self._log,
            env=os.environ | {"MALLOC_ARENA_MAX": "1"},  # as in the unit file
        )
        try:
            while not await self._is_ready():  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.01)
            self.ready_seconds = time.perf_counter() - began
            yield self
        finally:
            self.process.terminate()
            await self.process.wait()

    async def _is_ready(self):
        if self.process.returncode is not None:
            raise AssertionError(self.said())
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        writer.write(b"GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        first = await reader.readline()
        writer.close()
        return b" 200 " in first

    def said(self):
        """Its log; it has ended."""
        self._log.seek(0)
        return self._log.read()

    @property
    def pid(self):
        return self.process.pid

    def written(self):
        """Bytes that it caused to be written to disk."""
        found = dict(
            line.split(": ") for line in Path(f"/proc/{self.pid}/io").read_text().splitlines()
        )
        return int(found["write_bytes"])

    async def reconciled(self, session):
        """Run a reconciliation to its end."""
        token = issue_token(
            load_secret(self.folder / "jwt.secret"),
            subject="benchmark",
            ttl=timedelta(hours=1),
            now=SystemClock().now(),
        )
        headers = {"Authorization": f"Bearer {token}"}
        url = f"http://127.0.0.1:{self.port}/api/admin/reconciliation"
        async with session.post(f"{url}/run", headers=headers) as response:
            if response.status not in {202, 409}:
                raise AssertionError(response.status)
        while True:
            await asyncio.sleep(0.5)
            async with session.get(f"{url}/status", headers=headers) as response:
                found = (await response.json())["data"]
            if found["currentStatus"] != "pending":
                return found["lastRun"]


# --- a process that only imports ---------------------------------------------------------------


async def modules_of(daemon):
    """What the daemon imports until it is ready, in that order."""
    async with daemon.running("-X", "importtime"):
        await asyncio.sleep(1)
    lines = daemon.said().splitlines()
    found = [re.fullmatch(r"import time:\s+\d+ \|\s+\d+ \|\s*(\S+)", line) for line in lines]
    return [one[1] for one in found if one]


def importing(modules):
    """MiB of a process that imports these modules and nothing else, and the seconds of it."""
    script = (
        "import importlib, sys\n"
        "for name in sys.stdin.read().split():\n"
        "    try: importlib.import_module(name)\n"
        "    except ImportError: pass\n"
        "sys.stdout.write('done\\n'); sys.stdout.flush(); sys.stdin = open(0); input()\n"
    )
    script = script.replace("sys.stdin.read()", "open(sys.argv[1]).read()")
    script = script.replace("sys.stdin = open(0); ", "")
    began = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-c", script, str(modules)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        process.stdout.readline()
        seconds, memory = time.perf_counter() - began, resident(process.pid)
        process.communicate("\n")
    return memory, seconds


# --- the install -------------------------------------------------------------------------------


def install_mebibytes():
    """What the gateway and everything that it needs take on the disk, compiled files included."""
    wanted, seen, size = ["gateway"], set(), 0
    while wanted:
        name = wanted.pop()
        if name in seen:
            continue
        seen.add(name)
        size += sum(
            path.stat().st_size
            for file in distribution(name).files or ()
            if (path := Path(file.locate())).is_file()
        )
        for need in requires(name) or ():
            named = re.match(r"[A-Za-z0-9._-]+", need)
            if "extra ==" not in need and named and _is_there(named[0]):
                wanted.append(named[0].lower().replace("_", "-"))
    package = Path(__file__).resolve().parents[2] / "gateway"
    size += sum(path.stat().st_size for path in package.rglob("*") if path.is_file())
    return size / 2**20


def _is_there(name):
    try:
        distribution(name)
    except ModuleNotFoundError:
        return False
    return True


# --- the row -----------------------------------------------------------------------------------


async def whole_process(folder, *, idle_minutes, rounds):
    """Row 7."""
    ready, memory, imports, import_seconds = [], [], [], []
    async with (
        many_doors(hubs=4, direct=32) as peers,
        an_account(_STAYS) as url,
        aiohttp.ClientSession() as session,
    ):
        values = config_values(f"{url}/{_STAYS}", peers, port=_free_port())
        values["stays"] |= {"horizon_days": days_ahead(_STAYS), "schedule": "* * * * *"}
        daemon = Daemon(folder, values)
        names = folder / "modules"
        names.write_text("\n".join(await modules_of(daemon)))
        async with daemon.running():
            await daemon.reconciled(session)
            await asyncio.sleep(15)  # those who are in are given their PINs
        _know_guests(folder / "gateway.db")
        for number in range(rounds):
            seconds, took = importing(names)
            imports.append(seconds)
            import_seconds.append(took)
            async with daemon.running():
                ready.append(daemon.ready_seconds)
                await daemon.reconciled(session)
                await asyncio.sleep(2)
                memory.append(resident(daemon.pid))
                if number == rounds - 1:
                    hour = await _idle_hour(daemon, idle_minutes)
    yield Figure(
        row=7,
        of="from the start to ready",
        value=1000 * median(ready),
        unit="ms",
        spread=1000 * spread(ready),
        against="a process that only imports",
        other=1000 * median(import_seconds),
        target=1200,
    )
    yield Figure(
        row=7,
        of="RSS after the first run: 64 locks, 1,000 stays",
        value=median(memory),
        unit="MiB",
        spread=spread(memory),
        against="a process that only imports",
        other=median(imports),
        ratio=median(memory) / median(imports),
        target=1.15,
    )
    processor, written = hour
    how = f"an idle hour, from {idle_minutes} minutes with a run each"
    yield Figure(row=7, of=f"CPU of {how}", value=processor, unit="s", target=10)
    yield Figure(row=7, of=f"written in {how}", value=written / 1024, unit="KiB", target=100)
    grown = await asyncio.to_thread(_day, folder / "day")
    yield Figure(row=7, of="RSS grown in a simulated day", value=grown, unit="MiB")
    yield Figure(row=7, of="size of the install", value=install_mebibytes(), unit="MiB")


def _know_guests(path):
    """As a day later: the background has read who stays."""
    with sqlite3.connect(path) as database:
        database.execute("UPDATE reservations SET guest_read_at = first_seen_at")
    database.close()


async def _idle_hour(daemon, minutes):
    """Seconds of the processor and bytes to disk in an hour, reckoned from minutes with a run in each."""
    rest, around = _Spent(daemon), _Spent(daemon)
    await _until_second(_AROUND_A_RUN // 2)
    for _ in range(minutes):
        with rest:
            await _until_second(_MINUTE - _AROUND_A_RUN // 2)
        with around:
            await _until_second(_AROUND_A_RUN // 2)
    return tuple(
        (_HOUR - _RUNS_AN_HOUR * _AROUND_A_RUN) * idle / rest.seconds
        + _RUNS_AN_HOUR * with_run / minutes
        for idle, with_run in zip(rest.amounts(), around.amounts(), strict=True)
    )


class _Spent:
    """What a daemon spent while this was entered, all times together."""

    def __init__(self, daemon):
        self._daemon = daemon
        self.seconds = self._processor = self._written = 0.0

    def _add(self, sign):
        self.seconds += sign * time.monotonic()
        self._processor += sign * processor_seconds(self._daemon.pid)
        self._written += sign * self._daemon.written()

    def __enter__(self):
        self._add(-1)

    def __exit__(self, *_):
        self._add(1)

    def amounts(self):
        return self._processor, self._written


async def _until_second(second):
    await asyncio.sleep((second - time.time()) % _MINUTE)


def _day(folder):
    """MiB by which a process with the gateway and all that is simulated around it grows in a day."""
    folder.mkdir()
    out = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.day", str(folder)],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    after_start, after_day = map(float, out.split())
    return after_day - after_start
