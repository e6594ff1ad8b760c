import asyncio
import random
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import aiosqlite
import pytest

from gateway.derivation import Derivation
from gateway.errors import StoreBusyError, StoreError, StoreNewerError
from gateway.minting import Mint
from gateway.store import reservations
from gateway.store.database import Database
from gateway.store.secretbox import SecretBox
from gateway.store.session import BESIDE_THE_DOORS, Session
from tests.builders import a_property


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


async def test_a_statement_for_no_row_is_not_even_prepared(database):
    await database.transaction(lambda session: session.execute_many("is no SQL", []))

    with pytest.raises(StoreError):
        await database.transaction(lambda session: session.execute_many("is no SQL", [()]))


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


# --- whether anything has changed that matters to a door -------------------------------------------

A_STAY = (
    "INSERT INTO reservations (id, code, type, listing_id, check_in_date, check_out_date,"
    " check_in_at, check_out_at, first_seen_at, changed_at) VALUES ('one', 'AB12C', 'booked', 'L',"
    " '2026-02-01', '2026-02-03', '2026-02-01T18:00:00Z', '2026-02-03T14:00:00Z', '', '')"
)


async def version(database):
    return await database.read(lambda session: session.version())


@pytest.mark.parametrize("method", ["execute", "insert", "all", "one"])
@pytest.mark.parametrize(
    "sql",
    [
        A_STAY,
        "INSERT OR REPLACE INTO stays_accommodations (id) VALUES ('L')",
        "WITH one (n) AS (SELECT 1) DELETE FROM reservations WHERE (SELECT n FROM one)",
        "UPDATE reservations SET unit = unit",
        "DELETE FROM reservations",
        "DELETE FROM reservations RETURNING id",
    ],
)
async def test_a_write_that_may_matter_to_a_door_changes_the_version(database, method, sql):
    if "INSERT" not in sql:
        await database.transaction(lambda session: session.execute(A_STAY))
    before = await version(database)
    await database.transaction(lambda session: getattr(session, method)(sql))
    assert await version(database) != before


async def test_one_of_many_rows_that_is_refused_has_changed_the_version_all_the_same(database):
    before = await version(database)
    rows = [("L",), ("L",)]
    with pytest.raises(StoreError):
        await database.transaction(
            lambda session: session.execute_many(
                "INSERT INTO stays_accommodations (id) VALUES (?)", rows
            )
        )
    assert await version(database) != before


async def test_what_is_rolled_back_changes_the_version_and_is_not_taken_for_what_was_seen(database):
    seen = []

    async def body(session):
        await session.execute(A_STAY)
        seen.append(await session.version())
        raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        await database.transaction(body)
    assert await version(database) not in seen


async def test_another_connection_changes_the_version(database, tmp_path):
    before = await version(database)
    with sqlite3.connect(tmp_path / "gateway.db") as other:
        other.execute(A_STAY)
    other.close()
    assert await version(database) != before


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM reservations",
        "UPDATE reservations SET unit = NULL",  # there is none
        "INSERT INTO meta (key, value) VALUES ('clock.mark', 'x')",
        "INSERT INTO lock_status (lock) VALUES ('apt-101')",
        "INSERT INTO audit_log (at, actor, event, detail) VALUES ('', '', '', '')",
    ],
)
async def test_what_matters_to_no_door_leaves_the_version(database, sql):
    before = await version(database)
    await database.transaction(lambda session: session.execute(sql))
    assert await version(database) == before


async def test_nothing_that_a_derivation_reads_is_taken_for_being_beside_the_doors(tmp_path):
    read = set()

    def note(action, table, *_):
        if action == sqlite3.SQLITE_READ:
            read.add(table)
        return sqlite3.SQLITE_OK

    async with Database.open(tmp_path / "gateway.db"):
        pass
    now = datetime(2026, 2, 1, tzinfo=UTC)
    site = a_property()
    box = SecretBox.load(tmp_path / "pin.key")
    derivation = Derivation(
        site=site,
        mint=Mint(site=site, box=box),
        board=None,
        wake=None,
        notifier=None,
    )
    async with aiosqlite.connect(tmp_path / "gateway.db") as connection:
        connection.row_factory = aiosqlite.Row
        await connection.set_authorizer(note)
        session = Session(connection)
        await reservations.current_ids(session, now)
        await reservations.accommodations(session)
        await derivation.decide(session, None, now, changed={"one"})
    assert {"reservations", "credentials", "placements", "jobs", "access"} <= read
    assert not read & set(BESIDE_THE_DOORS)


async def test_no_trigger_and_no_cascade_leads_from_beside_the_doors_to_them(database):
    marks = ", ".join(f"'{one}'" for one in BESIDE_THE_DOORS)
    triggers = await database.read(
        lambda session: session.all(
            f"SELECT sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name IN ({marks})"
        )
    )
    assert triggers
    for row in triggers:
        assert "raise(" in row["sql"]
        assert not any(word in row["sql"] for word in ("INSERT INTO", "DELETE FROM", " SET "))
    tables = await database.read(
        lambda session: session.all("SELECT name FROM sqlite_master WHERE type = 'table'")
    )
    for table in tables:
        keys = await database.read(
            lambda session, table=table: session.all(f"PRAGMA foreign_key_list ({table['name']})")
        )
        for key in keys:
            if key["table"] in BESIDE_THE_DOORS:
                assert key["on_delete"] == key["on_update"] == "NO ACTION"
