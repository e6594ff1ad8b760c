"""Row 6: the status endpoint, idle and while the gateway works; and how late its loop is meanwhile.

The requests come from a process of their own, at moments fixed beforehand: an answer that is waited
for does not delay the next question. Beside the gateway's loop, one in a process of its own that does
nothing is looked at as often: what is late there the machine takes, which has fewer cores than processes.
"""

import asyncio
import json
import sys
import time
from contextlib import asynccontextmanager
from datetime import timedelta

import aiohttp

from gateway.app import signing_secret
from gateway.clock import SystemClock
from gateway.web.auth import issue_token
from tests.benchmarks.account import an_account, days_ahead
from tests.benchmarks.doors import config_values, many_doors
from tests.benchmarks.locking import Issued, a_gateway
from tests.benchmarks.measuring import Figure, median, percentile, spread

_APART = 0.01  # seconds between two questions at fixed moments
_LOOKS_APART = 0.005
_AT_ONCE = 4
_PATH = "/api/admin/reconciliation/status"


# --- the process that asks ---------------------------------------------------------------------


async def _ask(url, token, how, seconds):
    headers = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession(headers=headers) as session:

        async def question(moment):
            async with session.get(f"{url}{_PATH}") as response:
                await response.read()
                if response.status != 200:
                    raise AssertionError(response.status)
            return time.perf_counter() - moment

        await question(time.perf_counter())
        work = _one_by_one if how == "fast" else _at_fixed_moments
        return await work(question, seconds)


async def _one_by_one(question, seconds):
    found = []
    end = time.perf_counter() + seconds

    async def client():
        while (now := time.perf_counter()) < end:
            found.append(await question(now))

    async with asyncio.TaskGroup() as tasks:
        for _ in range(_AT_ONCE):
            tasks.create_task(client())
    return found


async def _at_fixed_moments(question, seconds):
    began = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        asked = []
        for number in range(int(seconds / _APART)):
            moment = began + number * _APART
            await asyncio.sleep(max(0.0, moment - time.perf_counter()))
            asked.append(tasks.create_task(question(moment)))
    return [one.result() for one in asked]


@asynccontextmanager
async def _asking(url, token, how, seconds):
    """Questions are asked for so many seconds; yields what comes of them, to be awaited."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.benchmarks.asking", url, token, how, str(seconds)),
        stdout=asyncio.subprocess.PIPE,
    )

    async def answers():
        out, _ = await process.communicate()
        return json.loads(out)

    try:
        yield answers()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


# --- how late a loop wakes ---------------------------------------------------------------------


@asynccontextmanager
async def _lag():
    """How late this loop wakes, looked at every 5 ms; looks that a long wait swallowed are counted as well."""
    found = []

    async def look():
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            await asyncio.sleep(_LOOKS_APART)
            late = loop.time() - began - _LOOKS_APART
            while late >= 0:
                found.append(late)
                late -= _LOOKS_APART

    task = asyncio.ensure_future(look())
    try:
        yield found
    finally:
        task.cancel()


async def _nothing_but_lag():
    """Look until the other side closes."""
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
    async with _lag() as found:
        await reader.read()
    return found


@asynccontextmanager
async def _lag_of_nothing():
    """How late a loop in a process of its own wakes, known once the block has ended."""
    found = []
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.benchmarks.asking"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield found
        out, _ = await process.communicate(b"")  # closes its input
        found += json.loads(out)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


# --- the row -----------------------------------------------------------------------------------


async def status_endpoint(folder, *, stays, seconds, rounds):
    """Row 6."""
    rates, idle, busy, lags, worst, floor, floor_worst = [], [], [], [], [], [], []
    async with many_doors(hubs=4, direct=32) as peers, an_account(stays) as url:
        for number in range(rounds):
            place = folder / f"asked-{number}"
            place.mkdir()
            values = config_values(f"{url}/{stays}", peers)
            values["stays"]["horizon_days"] = days_ahead(stays)
            async with a_gateway(
                place, values | {"stays": values["stays"] | {"url": f"{url}/arriving"}}, Issued()
            ) as gateway:
                asked = (_address(gateway), _token(gateway))
                async with _asking(*asked, "fast", seconds) as answers:
                    rates.append(len(await answers) / seconds)
                async with _asking(*asked, "fixed", seconds) as answers:
                    idle.append(1000 * percentile(await answers, 0.99))
            (place / "gateway.db").unlink()
            issued = Issued()
            async with a_gateway(place, values, issued) as gateway:
                # the pages take 0.15 s each, the write and the doors a moment
                whole = 0.15 * (stays // 100) + 2
                asked = (_address(gateway), _token(gateway))
                async with _lag() as late, _lag_of_nothing() as machine:
                    async with _asking(*asked, "fixed", whole) as answers:
                        found = await answers
                    await issued.reached(len(values["locks"]))
                busy.append(1000 * percentile(found, 0.99))
                lags.append(1000 * percentile(late, 0.99))
                worst.append(1000 * max(late))
                floor.append(1000 * percentile(machine, 0.99))
                floor_worst.append(1000 * max(machine))
    while_busy = f"while {stays:,} stays are reconciled and 64 locks written"
    yield _figure("status, answers a second, idle", rates, "/s")
    yield _figure("status, p99, idle", idle, "ms")
    yield _figure(f"status, p99, {while_busy}", busy, "ms", target=25)
    yield _figure("loop lag p99 meanwhile", lags, "ms", target=20, floor=floor)
    yield _figure("loop lag, the longest", worst, "ms", floor=floor_worst)


def _figure(of, values, unit, target=None, floor=None):
    return Figure(
        row=6,
        of=of,
        value=median(values),
        unit=unit,
        spread=spread(values),
        against="" if floor is None else "a loop that does nothing",
        other=None if floor is None else median(floor),
        target=target,
    )


def _address(gateway):
    return f"http://127.0.0.1:{gateway.listener.port}"


def _token(gateway):
    return issue_token(
        signing_secret(gateway.config, gateway.paths),
        subject="benchmark",
        ttl=timedelta(hours=1),
        now=SystemClock().now(),
    )


if __name__ == "__main__":
    asked = sys.argv[1:]
    work = _ask(*asked[:3], float(asked[3])) if asked else _nothing_but_lag()
    sys.stdout.write(json.dumps(asyncio.run(work)))
