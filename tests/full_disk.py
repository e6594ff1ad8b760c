"""A house on a disk of its own that fills up: `python -m tests.full_disk STORY` on a small tmpfs.

It needs a mount namespace, so tests start it as a process: see tests/integration/test_full_disk.py.
"""

import json
import resource
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from gateway.app import Pace
from gateway.errors import StoreError
from tests.house import START, a_house
from tests.virtual_time import run_virtual

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
SIZE = "3m"


class Disk:
    """A small tmpfs at `folder`."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", folder], check=True)

    def fill(self):
        """Leave not a byte free."""
        with (self.folder / "filler").open("ab", buffering=0) as filler:
            try:
                while True:
                    filler.write(b"x" * 4096)
            except OSError:
                pass

    def empty(self):
        (self.folder / "filler").unlink()

    def make_readonly(self, *, readonly):
        mode = "remount,ro" if readonly else "remount,rw"
        subprocess.run(["mount", "-o", mode, self.folder], check=True)


async def problems(house):
    return (await house.api("GET", "/readyz"))[1].get("problems", [])


def names(lock):
    return [code.pin for code in lock.codes]


async def a_guest_leaves_and_another_comes(house):
    """The stay that ends in an hour, confirmed on both doors; and the one whose PIN is due then."""
    leaving = house.book(house.flat_101, -HOUR, 2 * HOUR)
    coming = house.book(house.flat_102, 3 * HOUR, 24 * HOUR)
    await house.reconciled()
    await house.pin_status(leaving, "active")
    assert len(names(house.street)) == len(names(house.apt_101)) == 1
    return leaving, coming


async def check_recovered(house, disk, leaving, coming):
    """There is room again: everything is caught up with, once."""
    disk.empty()
    await house.clock.sleep(600)
    assert await problems(house) == []
    await house.pin_status(coming, "active")
    await house.pin_status(leaving, "revoked")
    pin = await house.pin(coming)
    assert names(house.street) == names(house.apt_102) == [pin]
    assert (disk.folder / "gateway.db.reserve").stat().st_size == 256 * 1024
    assert house.notices.events().count("store.failing") == 1
    assert house.notices.events().count("store.works") == 1


async def fills_during_run(house, disk):
    async with house.running():
        leaving, coming = await a_guest_leaves_and_another_comes(house)
        disk.fill()
        await house.clock.sleep(20 * 60)
        await house.api("POST", "/api/admin/reconciliation/run")  # writes: the reserve is given up
        await house.clock.sleep(60)
        assert not (disk.folder / "gateway.db.reserve").exists()
        disk.fill()  # and what it left is used up too
        await house.clock.sleep(60 * 60)

        assert names(house.street) == names(house.apt_101) == [], (
            "the revocation must reach the lock"
        )
        assert names(house.apt_102) == [], "no create without its intent on disk"
        assert await problems(house) == ["store_full"]
        assert (await house.stay(leaving))["code"], "what is stored can still be read"
        await check_recovered(house, disk, leaving, coming)


async def full_before_cold_boot(house, disk):
    async with house.running():
        leaving, coming = await a_guest_leaves_and_another_comes(house)
    disk.fill()
    await house.clock.sleep(70 * 60)
    async with house.running():
        disk.fill()
        await house.clock.sleep(60)
        assert names(house.street) == names(house.apt_101) == []
        assert await problems(house) == ["store_full"]
        await check_recovered(house, disk, leaving, coming)


async def full_and_no_reserve_before_cold_boot(house, disk):
    async with house.running():
        leaving, coming = await a_guest_leaves_and_another_comes(house)
    (disk.folder / "gateway.db.reserve").unlink()
    disk.fill()
    await house.clock.sleep(70 * 60)
    async with house.running():
        await house.clock.sleep(60)
        assert names(house.street) == names(house.apt_101) == []
        assert names(house.apt_102) == []
        assert await problems(house) == ["store_full"]
        await check_recovered(house, disk, leaving, coming)


async def reports_errors(house, disk):
    """Every write beyond the first KiB of a file fails, as on a dying card."""
    async with house.running():
        leaving, coming = await a_guest_leaves_and_another_comes(house)
        (disk.folder / "filler").touch()
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1024, limits[1]))
        try:
            await house.clock.sleep(70 * 60)
            assert names(house.street) == names(house.apt_101) == []
            assert names(house.apt_102) == []
            assert await problems(house) == ["store_failing"]
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        await check_recovered(house, disk, leaving, coming)


async def fails_while_a_code_is_written(house, disk):
    """The locks' answers cannot be recorded; the codes go all the same when their time has come."""
    async with house.running():
        for lock in (house.street, house.apt_101):
            lock.faults.report_delay = 1.0
        passing = house.book(house.flat_101, -HOUR, 2 * HOUR)
        await house.reconciled()
        await house.until(lambda: house.street.codes and house.apt_101.codes)
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1024, limits[1]))
        try:
            await house.clock.sleep(50 * 60)
            assert len(names(house.street)) == len(names(house.apt_101)) == 1
            await house.clock.sleep(20 * 60)
            assert names(house.street) == []  # the slot of the other was never recorded
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        await house.clock.sleep(600)
        assert names(house.apt_101) == []
        await house.pin_status(passing, "revoked")


async def readonly_at_start(house, disk):
    """It refuses to start, says why, and starts once the disk can be written."""
    async with house.running():
        leaving, coming = await a_guest_leaves_and_another_comes(house)
    disk.make_readonly(readonly=True)
    with pytest.raises(StoreError, match="cannot be written"):
        async with house.running():
            pass
    disk.make_readonly(readonly=False)
    async with house.running():
        await house.clock.sleep(70 * 60)
        assert names(house.street) == names(house.apt_102) == [await house.pin(coming)]
        assert (await house.stay(leaving))["pinStatus"] == "revoked"


STORIES = {
    story.__name__: story
    for story in (
        fills_during_run,
        full_before_cold_boot,
        full_and_no_reserve_before_cold_boot,
        reports_errors,
        fails_while_a_code_is_written,
        readonly_at_start,
    )
}


def main():
    folder, story = Path(sys.argv[1]), STORIES[sys.argv[2]]
    disk = Disk(folder / "disk")
    failures = []

    async def live(clock):
        async with a_house(disk.folder, clock, pace=Pace(), policy={"revoke_after": "0h"}) as house:
            try:
                await story(house, disk)
            except AssertionError as failure:
                failures.append(failure)

    run_virtual(live, start=START)
    for failure in failures:
        raise failure
    with closing(sqlite3.connect(disk.folder / "gateway.db")) as database:
        (verdict,) = database.execute("PRAGMA integrity_check").fetchone()
        (unsettled,) = database.execute(
            "SELECT count(*) FROM placements WHERE evidence NOT IN ('confirmed', 'revoked')"
        ).fetchone()
    sys.stdout.write(json.dumps({"integrity": verdict, "unsettled": unsettled}))


if __name__ == "__main__":
    main()
