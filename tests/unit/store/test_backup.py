import asyncio
import os
import signal
import sqlite3
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gateway.domain import events
from gateway.errors import StoreError
from gateway.store import backup
from gateway.store.database import Database
from gateway.store.integrity import put_back
from tests.builders import utc

NOW = utc("2026-02-02 15:00")


def named(moment):
    return Path(f"gateway-{moment:%Y%m%dT%H%M%SZ}.db")


def test_of_many_nights_seven_days_and_four_weeks_are_kept():
    nights = [named(NOW - timedelta(days=day)) for day in range(60)]
    kept = [one for one in nights if one not in backup.surplus(nights)]

    assert kept[:7] == nights[:7]
    weeks = [backup.made_at(one).isocalendar()[:2] for one in kept]
    assert len(set(weeks)) == 4
    assert len(kept) <= 7 + 3


def test_only_what_has_a_backups_name_is_one(tmp_path):
    assert backup.newest_at(tmp_path / "absent") is None
    for name in (named(NOW - timedelta(days=40)).name, named(NOW).name):
        (tmp_path / name).touch()
    for other in ("gateway-zz.db", "gateway-20991301T000000Z.db", "purpose.new"):
        (tmp_path / other).touch()

    assert backup.newest_at(tmp_path) == NOW
    assert [one.name for one in backup.kept(tmp_path)] == [
        named(NOW).name,
        named(NOW - timedelta(days=40)).name,
    ]


def test_of_several_in_one_day_the_newest_is_kept():
    day = [named(NOW + timedelta(hours=hour)) for hour in range(4)]

    assert backup.surplus(day) == [day[2], day[1], day[0]]


@pytest.mark.parametrize(
    ("newest", "due"),
    [
        (None, True),
        (datetime(2026, 2, 2, 4, 29, tzinfo=UTC), True),
        (datetime(2026, 2, 2, 4, 30, tzinfo=UTC), False),
        (datetime(2026, 2, 1, 12, tzinfo=UTC), True),
    ],
)
def test_one_is_due_once_the_night_has_passed(newest, due):
    assert backup.is_due(newest, datetime(2026, 2, 2, 15, tzinfo=UTC)) == due


def test_before_the_night_that_of_the_last_night_is_enough():
    early = datetime(2026, 2, 2, 3, tzinfo=UTC)

    assert not backup.is_due(datetime(2026, 2, 1, 5, tzinfo=UTC), early)
    assert backup.is_due(datetime(2026, 2, 1, 4, tzinfo=UTC), early)


async def test_a_backup_is_one_whole_file_for_its_owner_that_knows_that_it_is_a_copy(tmp_path):
    path = tmp_path / "gateway.db"
    async with Database.open(path) as database:
        await database.transaction(
            lambda session: session.execute("INSERT INTO meta VALUES ('k', 'v')")
        )
        made = await backup.make(database, tmp_path / "backups", NOW)

    assert [one.name for one in (tmp_path / "backups").iterdir()] == ["gateway-20260202T150000Z.db"]
    assert made.stat().st_mode & 0o777 == 0o600
    with closing(sqlite3.connect(made)) as connection:
        facts = dict(connection.execute("SELECT key, value FROM meta"))
    assert facts["k"] == "v"
    assert facts["copied_at"] == "2026-02-02T15:00:00Z"

    made.replace(path)  # without the daemon's doing, and in the same generation
    async with Database.open(path) as database:
        assert database.recovery.event == events.STORE_RESTORED


async def test_where_there_is_no_room_for_one_the_older_ones_stay(tmp_path):
    folder = tmp_path / "backups"
    async with Database.open(tmp_path / "gateway.db") as database:
        await backup.make(database, folder, NOW)
        (folder / "night.new").mkdir()  # nothing can be written there
        with pytest.raises(StoreError, match="no backup"):
            await backup.make(database, folder, NOW + timedelta(days=1))
    assert named(NOW).name in {one.name for one in folder.iterdir()}


async def test_a_copy_that_is_handed_out_leaves_nothing_behind(tmp_path):
    async with Database.open(tmp_path / "gateway.db") as database:
        with await backup.copy_out(database, tmp_path / "backups", NOW) as file:
            assert file.read(15) == b"SQLite format 3"
    assert list((tmp_path / "backups").iterdir()) == []


@pytest.mark.parametrize(
    ("content", "why"),
    [(None, "no file"), (b"", "no whole backup"), (b"x" * 9999, "no whole backup")],
)
async def test_what_is_no_whole_backup_takes_nothing_s_place(tmp_path, content, why):
    path, candidate = tmp_path / "gateway.db", tmp_path / "candidate.db"
    async with Database.open(path):
        pass
    before = path.read_bytes()
    if content is not None:
        candidate.write_bytes(content)

    with pytest.raises(StoreError, match=why):
        put_back(candidate, path, NOW)

    assert path.read_bytes() == before
    assert list(tmp_path.glob("*.aside")) == []


MAKER = """
import asyncio, sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from gateway.store import backup
from gateway.store.database import Database

async def main(folder):
    async with Database.open(folder / "gateway.db") as database:
        await database.transaction(lambda session: session.execute_many(
            "INSERT INTO audit_log (at, actor, event, detail) VALUES ('', 'a', 'b', ?)",
            [("x" * 500,)] * 2000))
        moment = datetime(2026, 2, 2, tzinfo=UTC)
        print("ready", flush=True)
        while True:
            await backup.make(database, folder / "backups", moment)
            print("made", flush=True)
            moment += timedelta(days=1)

asyncio.run(main(Path(sys.argv[1])))
"""


@pytest.mark.timeout(180)
async def test_killed_at_any_moment_every_named_backup_is_whole(tmp_path):
    named_ones = 0
    for number in range(12):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", MAKER, str(tmp_path)),
            stdout=asyncio.subprocess.PIPE,
            env={"PATH": os.environ["PATH"]},
        )
        for _ in range(1 + number % 3):  # while the first, second or third one is made
            await process.stdout.readline()
        await asyncio.sleep(0.003 * number)  # the moment of the kill
        process.send_signal(signal.SIGKILL)
        await process.wait()
        for one in backup.kept(tmp_path / "backups")[:1]:
            with closing(sqlite3.connect(one)) as connection:
                assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            named_ones += 1
        (tmp_path / "gateway.db").unlink(missing_ok=True)
        for one in tmp_path.glob("gateway.db*"):
            one.unlink()
    assert named_ones >= 8  # in the rounds that waited for one
