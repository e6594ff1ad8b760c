"""The log of reconciliations."""

from datetime import timedelta

import pytest

from gateway.errors import StoreError
from gateway.store import runs
from gateway.store.database import Database
from tests.builders import utc

START = utc("2026-02-02 15:00")


@pytest.fixture
async def database(tmp_path):
    async with Database.open(tmp_path / "gateway.db") as opened:
        yield opened


def opening(run_id):
    return lambda session: runs.open_run(session, run_id, START)


def closing(run_id):
    return lambda session: runs.close_run(
        session,
        run_id,
        completed_at=START + timedelta(seconds=1),
        duration_ms=1000,
        status="success",
        message=None,
        stats=runs.Stats(fetched=3),
    )


async def statuses(database):
    found = await database.read(
        lambda session: session.all("SELECT id, status FROM reconciliation_logs ORDER BY number")
    )
    return [tuple(row) for row in found]


async def test_the_database_allows_one_open_run(database):
    await database.transaction(opening("first"))

    with pytest.raises(StoreError, match="still pending"):
        await database.transaction(opening("second"))

    assert await statuses(database) == [("first", "pending")]


async def test_a_run_is_closed_once(database):
    await database.transaction(opening("first"))
    await database.transaction(closing("first"))
    await database.transaction(opening("second"))
    await database.transaction(closing("first"))

    assert await statuses(database) == [("first", "success"), ("second", "pending")]


async def test_what_a_killed_process_left_open_has_failed(database):
    for run_id in ("first", "second"):
        await database.transaction(opening(run_id))
        await database.transaction(closing(run_id))
    await database.transaction(opening("third"))

    for closed in (1, 0):
        assert closed == await database.transaction(
            lambda session: runs.close_interrupted(session, START)
        )

    assert await statuses(database) == [
        ("first", "success"),
        ("second", "success"),
        ("third", "failed"),
    ]
