"""Forty power cuts, and what a day of thirty stays writes: `make power`.

It needs a C compiler: tests/power.c is preloaded before the processes.
"""

import asyncio
import io
import itertools
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
from datetime import timedelta
from pathlib import Path

from gateway.observability import configure_logging
from gateway.store.database import Database
from tests.house import START, a_house, at
from tests.virtual_time import run_virtual

HOUR, DAY, MINUTE = timedelta(hours=1), timedelta(days=1), timedelta(minutes=1)
CUTS = 40
STAYS = 30


async def write(folder):
    """Commit rows for ever, alone and together; each number is printed once its commit has returned."""
    numbers = itertools.count()
    async with Database.open(folder / "gateway.db") as database, asyncio.TaskGroup() as tasks:
        for transact in (database.transaction, *[database.brief_transaction] * 8):
            tasks.create_task(_commit_on(transact, numbers))


async def _commit_on(transact, numbers):
    for number in numbers:
        await transact(
            lambda session, key=number: session.execute(
                "INSERT INTO meta (key, value) VALUES (?, ?)", (str(key), "x" * 500)
            )
        )
        sys.stdout.write(f"{number}\n")
        sys.stdout.flush()


def day(folder):
    """A day of the whole gateway: fifteen stays leave, fifteen arrive, runs every half hour."""

    async def main(clock):
        configure_logging(level="info", format="json", stream=io.StringIO())
        async with a_house(
            folder, clock, policy={"activate_before": "0h", "revoke_after": "0h"}
        ) as house:
            house.apt_101.capacity = house.apt_102.capacity = 40
            for number in range(STAYS // 2):
                house.book(house.flat_101, -DAY, DAY + (number + 1) * HOUR)
                house.book(house.flat_102, (number + 1) * HOUR, DAY)
            async with house.running():
                await at(house, START + DAY)
                if len(house.apt_102.codes) != STAYS // 2 or house.apt_101.codes:
                    raise AssertionError("the day did not go as it should")

    run_virtual(main, start=START)


def _preloaded(shim, what, folder, **environ):
    return subprocess.Popen(
        [sys.executable, "-m", "tests.power", what, str(folder)],
        env=os.environ | {"LD_PRELOAD": str(shim), "POWER_FOLDER": str(folder)} | environ,
        stdout=subprocess.PIPE,
        text=True,
    )


def cut(shim, folder, draw):
    """One power cut: how many commits were acknowledged, and how many of them are lost."""
    live, kept = folder / "live", folder / "kept"
    live.mkdir()
    kept.mkdir()
    most = draw.randrange(1, 1500)
    with _preloaded(shim, "write", live, POWER_KEPT=str(kept)) as process:
        acknowledged = [int(process.stdout.readline()) for _ in range(most)]
        process.kill()
        acknowledged += [
            int(line)
            for line in process.stdout.read().splitlines(keepends=True)
            if line.endswith("\n")
        ]
    for name in ("gateway.db", "gateway.db-wal"):
        (kept / f".{name}").unlink(missing_ok=True)
    with sqlite3.connect(kept / "gateway.db") as database:
        found = {int(key) for (key,) in database.execute("SELECT key FROM meta") if key.isdigit()}
        sound = database.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    database.close()
    if not sound:
        raise AssertionError("the database is damaged")
    return len(acknowledged), len(set(acknowledged) - found)


def _main():
    draw = random.Random(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shim = folder / "power.so"
        source = Path(__file__).with_name("power.c")
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", shim, source, "-ldl"], check=True)
        results = []
        for number in range(CUTS):
            (folder / str(number)).mkdir()
            results.append(cut(shim, folder / str(number), draw))
        acknowledged, lost = (sum(column) for column in zip(*results, strict=True))
        told = folder / "told"
        (folder / "day").mkdir()
        with _preloaded(shim, "day", folder / "day", POWER_TOLD=str(told)) as process:
            failed = process.wait() != 0
        written, synced = map(int, told.read_text().split())
    sys.stdout.write(
        f"{CUTS} power cuts: {acknowledged} commits acknowledged, {lost} lost\n"
        f"a day of {STAYS} stays: {written / 1e6:.2f} MB written, {synced} syncs\n"
    )
    return bool(lost or failed or written > 20e6 or synced > 2000)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["write", where]:
            asyncio.run(write(Path(where)))
        case ["day", where]:
            day(Path(where))
        case _:
            sys.exit(_main())
