"""Databases of every schema that shipped go on with today's."""

import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import aiosqlite
import pytest

from gateway.store.database import Database
from gateway.store.schema import migrations, upgrade
from tests.builders import utc
from tests.house import UNHURRIED, a_house
from tests.virtual_time import run_virtual

DUMPS = sorted((Path(__file__).parent / "databases").glob("*.sql"))
COUNTED = (
    "reservations",
    "credentials",
    "placements",
    "jobs",
    "reconciliation_logs",
    "audit_log",
    "lock_status",
)


def version_of(dump):
    return int(dump.stem)


def restore(dump, path):
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(dump.read_text())


def rows(path):
    with closing(sqlite3.connect(path)) as connection:
        return {
            table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            for table in COUNTED
        }


def schema(path):
    """Tables with their columns in order, indexes, triggers: what the statements that made them come to."""
    with closing(sqlite3.connect(path)) as connection:
        tables = connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        ).fetchall()
        columns = {
            name: connection.execute(f"PRAGMA table_xinfo({name})").fetchall() for (name,) in tables
        }
        keys = {
            name: connection.execute(f"PRAGMA foreign_key_list({name})").fetchall()
            for (name,) in tables
        }
        beside = connection.execute(
            "SELECT name, tbl_name, sql FROM sqlite_master WHERE type IN ('index', 'trigger') ORDER BY name"
        ).fetchall()
        strict = connection.execute("SELECT name, strict FROM pragma_table_list ORDER BY name")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        return columns, keys, beside, strict.fetchall(), version


def test_every_schema_that_was_followed_by_another_has_a_dump():
    assert {version_of(dump) for dump in DUMPS} >= set(range(1, len(migrations())))


@pytest.mark.parametrize("dump", DUMPS, ids=lambda dump: dump.stem)
async def test_an_upgrade_keeps_every_row_and_ends_with_the_schema_of_a_fresh_database(
    tmp_path, dump
):
    old, fresh = tmp_path / "old.db", tmp_path / "fresh.db"
    restore(dump, old)
    before = rows(old)
    assert all(before.values())

    async with Database.open(old) as database:
        assert database.recovery is None
    async with Database.open(fresh):
        pass

    assert schema(old) == schema(fresh)
    after = rows(old)
    assert after == before
    with closing(sqlite3.connect(old)) as connection:
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


@pytest.mark.parametrize("dump", DUMPS, ids=lambda dump: dump.stem)
def test_the_gateway_runs_on_an_upgraded_database(tmp_path, dump):
    restore(dump, tmp_path / "gateway.db")

    async def main(clock):
        async with a_house(tmp_path, clock, pace=UNHURRIED) as house, house.running():
            stay = house.book(house.flat_101, -timedelta(hours=1), timedelta(days=1))
            assert (await house.reconciled())["status"] == "success"
            await house.pin_status(stay, "active")
            _, body = await house.api("GET", "/api/admin/reservations")
            assert body["total"] > 1

    run_virtual(main, start=utc("2026-02-02 19:00"))


async def test_a_migration_that_fails_leaves_no_trace(tmp_path):
    path = tmp_path / "gateway.db"
    async with Database.open(path):
        pass
    before = schema(path)
    broken = "CREATE TABLE half (x INTEGER) STRICT; INSERT INTO half VALUES (1); SELECT nowhere();"
    connection = await aiosqlite.connect(path, isolation_level=None)
    try:
        with pytest.raises(sqlite3.OperationalError):
            await upgrade(connection, (*migrations(), broken))
    finally:
        await connection.close()

    assert schema(path) == before
    async with Database.open(path) as database:
        assert database.recovery is None
