"""Nights of the store: backups, what is forgotten, and how little an idle house writes."""

import struct
import sys
from datetime import timedelta

from gateway.app import Pace
from gateway.domain import events
from gateway.store import backup
from tests.builders import utc
from tests.house import START, UNHURRIED, a_house, at, living
from tests.virtual_time import run_virtual

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
FRAME, PAGE = 4096 + 24, 4096


def backups(folder):
    return [one.name for one in backup.kept(folder / "backups")]


def test_there_is_a_backup_of_the_start_and_of_every_night_in_the_sites_own_time(tmp_path):
    async def story(house):
        await house.clock.sleep(900)
        assert backups(tmp_path) == ["gateway-20260202T151000Z.db"]
        await at(house, utc("2026-02-03 07:00"))  # 04:00 in São Paulo
        assert len(backups(tmp_path)) == 1
        await at(house, utc("2026-02-03 09:00"))
        assert len(backups(tmp_path)) == 2
        await at(house, utc("2026-02-20 09:00"))
        kept = backups(tmp_path)
        assert kept[0].startswith("gateway-20260220T0")
        assert len(kept) == 8  # seven days, and the newest of the week before
        assert (tmp_path / "gateway.db-wal").stat().st_size < 1024 * 1024
        assert events.BACKUP_FAILED not in house.notices.events()

    living(tmp_path, story)


def test_after_a_restart_in_the_day_no_second_backup_is_made(tmp_path):
    async def main(clock):
        async with a_house(tmp_path, clock, pace=UNHURRIED) as house:
            for _ in range(2):
                async with house.running():
                    await house.clock.sleep(3 * 3600)

    run_virtual(main, start=START)
    assert len(backups(tmp_path)) == 1


def test_a_stay_is_forgotten_half_a_year_after_it_ended_and_not_before(tmp_path):
    known = {}

    def run(when, story):
        async def main(clock):
            async with a_house(tmp_path, clock, pace=UNHURRIED) as house, house.running():
                await house.first_run()
                await story(house)

        run_virtual(main, start=when)

    async def stays(house):
        known["stay"] = house.book(house.flat_101, -HOUR, 3 * HOUR)
        await house.reconciled()
        await house.pin_status(known["stay"], "active")
        await house.clock.sleep((2 * DAY).total_seconds())
        await house.pin_status(known["stay"], "revoked")

    async def looks(house):
        await house.clock.sleep(900)
        known["found"] = await house.stay(known["stay"])

    run(START, stays)
    run(START + 179 * DAY, looks)
    assert known["found"]["audit"]
    run(START + 184 * DAY, looks)
    assert known["found"] is None


class Commits:
    """What is appended to the write-ahead log of a database, by its file."""

    def __init__(self, database):
        self._log = database.with_name(database.name + "-wal")
        self._seen = self._now()

    def _now(self):
        """What tells one log from the next, and the pages of each of its commits."""
        data = self._log.read_bytes()
        salt, commits, pages = data[16:24], [], []
        for start in range(32, len(data) - FRAME + 1, FRAME):
            page, size = struct.unpack(">II", data[start : start + 8])
            if data[start + 8 : start + 16] != salt:
                break  # of the log before
            pages.append(page)
            if size:
                commits.append(pages)
                pages = []
        return salt, commits

    def new(self):
        """The pages of each commit since the last look."""
        (salt, before), (now, commits) = self._seen, self._now()
        self._seen = now, commits
        return commits[len(before) :] if now == salt else commits


async def written_in(house, folder, hours):
    """The pages of each commit, and the bytes of every other file by its new content."""
    log, found = Commits(folder / "gateway.db"), []
    before = other_files(folder)
    for _ in range(hours * 60):
        await house.clock.sleep(60)
        found += log.new()
    after = other_files(folder)
    others = sum(size for name, (size, when) in after.items() if before.get(name) != (size, when))
    return found, others


def most_bytes(commits, others):
    """As if each page were brought into the database by itself."""
    return sum(map(len, commits)) * (FRAME + PAGE) + others


def other_files(folder):
    """Size and time of every file that is no part of the database."""
    return {
        str(one): (one.stat().st_size, one.stat().st_mtime_ns)
        for one in folder.rglob("*")
        if one.is_file() and one.name not in {"gateway.db", "gateway.db-wal", "gateway.db-shm"}
    }


def test_an_idle_hour_writes_no_more_than_100_kib(tmp_path, capsys):
    found = {}

    async def main(clock):
        async with a_house(tmp_path, clock, pace=Pace()) as house, house.running():
            stay = house.book(house.flat_101, -HOUR, 9 * DAY)
            house.book(house.flat_102, 3 * DAY, 2 * DAY)
            await house.reconciled()
            await house.pin_status(stay, "active")
            await house.clock.sleep(1200)  # past the first backup
            found["idle"] = await written_in(house, tmp_path, 1)
            house.stays.cancel(stay)
            found["busy"] = await written_in(house, tmp_path, 1)

    run_virtual(main, start=START)
    commits, others = found["idle"]
    idle, busy = most_bytes(commits, others), most_bytes(*found["busy"])
    with capsys.disabled():
        sys.stdout.write(f" {idle / 1024:.0f} KiB idle, {busy / 1024:.0f} with a cancellation ")
    assert [len(pages) for pages in commits] == [1, 2] * 2, "a run opens, and closes with the mark"
    assert others == 0
    assert idle <= 100 * 1024
    assert busy > idle
