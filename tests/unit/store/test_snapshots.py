import asyncio
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from gateway.errors import StoreError
from gateway.store.database import Database


@pytest.fixture
async def database(tmp_path):
    async with Database.open(tmp_path / "gateway.db") as opened:
        yield opened


async def put(session, key):
    await session.execute("INSERT INTO meta (key, value) VALUES (?, 'x')", (key,))


async def has(session, key):
    return await session.one("SELECT 1 FROM meta WHERE key = ?", (key,)) is not None


async def test_a_snapshot_waits_for_no_transaction_and_shows_nothing_of_it_before_its_commit(
    database,
):
    written, go_on = asyncio.Event(), asyncio.Event()

    async def body(session):
        await put(session, "new")
        written.set()
        await go_on.wait()

    transaction = asyncio.ensure_future(database.transaction(body))
    await written.wait()
    during = await database.snapshot(lambda session: has(session, "new"))
    go_on.set()
    await transaction

    assert not during
    assert await database.snapshot(lambda session: has(session, "new"))


async def test_a_snapshot_is_of_one_moment(database):
    looked, committed = threading.Event(), threading.Event()

    async def body(session):
        before = await has(session, "new")
        looked.set()
        committed.wait()
        return before, await has(session, "new")

    reading = asyncio.ensure_future(database.snapshot(body))
    await asyncio.to_thread(looked.wait)
    await database.transaction(lambda session: put(session, "new"))
    committed.set()

    assert await reading == (False, False)


async def test_a_snapshot_cannot_write(database):
    with pytest.raises(StoreError, match="refused a read: attempt to write a readonly database"):
        await database.snapshot(lambda session: session.all("DELETE FROM meta"))

    assert await database.read(lambda session: has(session, "generation"))


async def test_a_body_that_fails_leaves_nothing_open(database):
    async def fails(session):
        await has(session, "new")
        raise LookupError("there is none")

    with pytest.raises(LookupError, match="there is none"):
        await database.snapshot(fails)
    await database.transaction(lambda session: put(session, "new"))

    assert await database.snapshot(lambda session: has(session, "new"))


async def test_a_body_that_waits_for_something_else_is_a_bug(database):
    async def waits(_session):
        await asyncio.sleep(0)

    with pytest.raises(RuntimeError, match="nothing but its session"):
        await database.snapshot(waits)


async def test_snapshots_do_not_keep_the_log_from_being_written_from_its_start(database, tmp_path):
    log = tmp_path / "gateway.db-wal"
    await database.transaction(lambda session: put(session, "new"))
    await database.snapshot(lambda session: has(session, "new"))
    size = log.stat().st_size

    await database.restart_log()
    await database.transaction(lambda session: put(session, "newer"))

    assert log.stat().st_size == size


async def test_nothing_is_left_open(tmp_path):
    def open_files():
        found = []
        for one in Path("/proc/self/fd").iterdir():
            with suppress(FileNotFoundError):  # that of the folder itself
                found.append(one.readlink())
        return [one for one in found if one.is_relative_to(tmp_path)]

    async with Database.open(tmp_path / "gateway.db") as database:
        await database.snapshot(lambda session: has(session, "new"))
        assert len(open_files()) == 6  # two of each connection, the log's index, the held lock
    assert open_files() == []
    assert not (tmp_path / "gateway.db-wal").exists()
    assert "snapshots_0" not in {thread.name for thread in threading.enumerate()}


@pytest.mark.parametrize("way", ["snapshot", "read"])
async def test_the_state_is_another_after_every_change_and_the_same_without_one(database, way):
    async def state():
        return await getattr(database, way)(lambda session: session.state())

    before = await state()
    await getattr(database, way)(lambda session: has(session, "new"))
    assert await state() == before
    await database.transaction(lambda session: put(session, "new"))
    assert await state() != before
    before = await state()
    await database.brief_transaction(lambda session: put(session, "newer"))
    assert await state() != before
