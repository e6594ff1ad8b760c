import asyncio
import random
import sqlite3
from pathlib import Path

import pytest

from gateway.errors import StoreBusyError, StoreError, StoreNewerError
from gateway.store.database import Database


@pytest.fixture
async def database(tmp_path):
    async with Database.open(tmp_path / "gateway.db") as opened:
        yield opened


async def put(session, key):
    await session.execute("INSERT INTO meta (key, value) VALUES (?, 'x')", (key,))


async def keys(database):
    rows = await database.read(lambda session: session.all("SELECT key FROM meta"))
    return {row["key"] for row in rows} - {"clean_stop", "generation"}


async def test_a_transaction_is_kept_whole_or_not_at_all(database):
    async def fails_halfway(session):
        await put(session, "first")
        raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        await database.transaction(fails_halfway)

    assert await keys(database) == set()


@pytest.mark.parametrize("kind", ["transaction", "brief_transaction"])
async def test_cancelled_transactions_never_leave_a_half_or_wedge_the_connection(database, kind):
    source = random.Random(7)
    acknowledged = set()
    transact = getattr(database, kind)

    async def pair(number):
        async def body(session):
            await put(session, f"{number}-a")
            await put(session, f"{number}-b")

        await transact(body)
        acknowledged.add(number)

    async def cancelled_somewhere(number):
        task = asyncio.ensure_future(pair(number))
        for _ in range(source.randrange(12)):
            await asyncio.sleep(0)
        if source.random() < 0.5:
            task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    for batch in range(50):
        await asyncio.gather(*(cancelled_somewhere(batch * 20 + n) for n in range(20)))

    found = await keys(database)
    for number in range(1000):
        assert (f"{number}-a" in found) == (f"{number}-b" in found)
    assert acknowledged <= {int(key.split("-")[0]) for key in found}
    assert acknowledged


async def test_a_refused_statement_is_a_store_error_and_the_next_transaction_works(database):
    with pytest.raises(StoreError, match="refused a write"):
        await database.transaction(
            lambda session: session.execute("INSERT INTO nowhere VALUES (1)")
        )

    await database.transaction(lambda session: put(session, "later"))

    assert await keys(database) == {"later"}


async def test_a_savepoint_that_fails_leaves_the_rest_of_the_transaction(database):
    async def body(session):
        await put(session, "kept")
        with pytest.raises(StoreError):
            async with session.savepoint():
                await put(session, "taken back")
                await session.execute("DELETE FROM nowhere")

    await database.transaction(body)

    assert await keys(database) == {"kept"}


async def test_a_second_process_on_the_file_is_refused_at_once(database, tmp_path):
    with pytest.raises(StoreBusyError, match="another gateway"):
        async with Database.open(tmp_path / "gateway.db"):
            pass


async def test_a_database_of_a_newer_gateway_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "gateway.db"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()

    with pytest.raises(StoreNewerError, match="newer gateway"):
        async with Database.open(path):
            pass


async def test_opening_twice_changes_nothing(tmp_path):
    path = tmp_path / "gateway.db"
    schemas = []
    for _ in range(2):
        async with Database.open(path) as database:
            rows = await database.read(
                lambda session: session.all("SELECT name, sql FROM sqlite_master ORDER BY name")
            )
            schemas.append([tuple(row) for row in rows])

    assert schemas[0] == schemas[1]


async def test_the_file_keeps_to_what_survives_a_power_cut_and_to_its_owner(database, tmp_path):
    async def pragma(name):
        row = await database.read(lambda session: session.one(f"PRAGMA {name}"))
        return row[0]

    assert await pragma("journal_mode") == "wal"
    assert await pragma("synchronous") == 2
    assert await pragma("foreign_keys") == 1
    assert (tmp_path / "gateway.db").stat().st_mode & 0o077 == 0


async def test_a_database_that_does_not_keep_to_them_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    with pytest.raises(StoreError, match=r"journal_mode is memory instead of wal: .*local disk"):
        async with Database.open(Path(":memory:")):  # SQLite keeps no log of it
            pass


async def test_a_job_of_a_kind_that_nobody_knows_cannot_be_written(database):
    async def body(session):
        await session.execute("PRAGMA defer_foreign_keys = ON")
        await session.execute(
            "INSERT INTO jobs (id, kind, credential_id, run_at) VALUES (?, ?, 'x', ?)",
            ("run-x", "pickle", "2026-02-01T12:00:00Z"),
        )

    with pytest.raises(StoreError, match="CHECK constraint failed: kind"):
        await database.transaction(body)
