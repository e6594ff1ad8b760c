"""Brief transactions share a commit: what each caller may rely on all the same."""

import asyncio
import resource
import sqlite3
from contextlib import closing, contextmanager
from contextvars import ContextVar

import pytest

from gateway.errors import StoreError
from gateway.store import generation
from gateway.store.database import Database
from gateway.store.generation import GenerationFile

MANY = 100
CALLER = ContextVar("caller")


@pytest.fixture
async def database(tmp_path):
    async with Database.open(tmp_path / "gateway.db") as opened:
        yield opened


@contextmanager
def a_disk_that_fails():
    """Every write beyond the first KiB of a file fails, so every commit does."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def putting(key):
    return lambda session: session.execute("INSERT INTO meta (key, value) VALUES (?, 'x')", (key,))


async def all_of(*calls):
    """The answer or the error of each, all begun at the same moment; fails where one has none."""
    async with asyncio.timeout(60):
        return await asyncio.gather(*calls, return_exceptions=True)


def on_disk(tmp_path):
    """What another connection, which sees only what is committed, finds."""
    with closing(sqlite3.connect(tmp_path / "gateway.db")) as connection:
        rows = connection.execute("SELECT key FROM meta").fetchall()
    return {key for (key,) in rows} - {"clean_stop", "generation"}


def commits(tmp_path):
    """How many commits the write-ahead log holds."""
    log = (tmp_path / "gateway.db-wal").read_bytes()
    page_size = int.from_bytes(log[8:12], "big")
    salt = log[16:24]
    frames = [log[at : at + 24] for at in range(32, len(log), 24 + page_size)]
    return sum(frame[8:16] == salt and frame[4:8] != bytes(4) for frame in frames)


async def test_those_that_wait_at_the_same_moment_are_committed_together(database, tmp_path):
    await database.restart_log()
    await all_of(*(database.transaction(putting(f"alone-{n}")) for n in range(20)))
    assert commits(tmp_path) == 20
    await database.restart_log()

    await all_of(*(database.brief_transaction(putting(f"{n}")) for n in range(MANY)))

    assert 1 <= commits(tmp_path) <= MANY / 20
    assert len(on_disk(tmp_path)) == 20 + MANY


async def test_reads_that_wait_at_the_same_moment_leave_turns_to_others_in_between(database):
    turns = 0

    async def other():
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    async def body(session):
        await session.one("SELECT 1")
        return turns

    task = asyncio.ensure_future(other())
    seen = await all_of(*(database.brief_read(body) for _ in range(MANY)))
    task.cancel()

    assert len(set(seen)) == MANY


async def test_each_goes_on_only_once_its_own_is_on_the_disk(database, tmp_path):
    async def caller(number):
        await database.brief_transaction(putting(f"{number}"))
        return f"{number}" in on_disk(tmp_path)

    assert await all_of(*(caller(number) for number in range(MANY))) == [True] * MANY


async def test_one_that_raises_is_taken_back_alone(database, tmp_path):
    async def raises(session):
        await putting("in vain")(session)
        raise RuntimeError("in the middle")

    async def is_refused(session):
        await putting("in vain too")(session)
        await session.execute("INSERT INTO nowhere VALUES (1)")

    first, second, third, fourth, fifth = await all_of(
        database.brief_transaction(putting("before")),
        database.brief_transaction(raises),
        database.brief_transaction(putting("between")),
        database.brief_transaction(is_refused),
        database.brief_transaction(putting("after")),
    )

    assert [first, third, fifth] == [1, 1, 1]
    assert isinstance(second, RuntimeError)
    assert isinstance(fourth, StoreError)
    assert on_disk(tmp_path) == {"before", "between", "after"}


async def test_where_the_commit_fails_every_caller_learns_it_and_nothing_is_kept(
    database, tmp_path
):
    with a_disk_that_fails():
        answers = await all_of(*(database.brief_transaction(putting(f"{n}")) for n in range(MANY)))

    assert [type(answer) for answer in answers] == [StoreError] * MANY
    assert on_disk(tmp_path) == set()
    assert database.condition == "store_failing"
    await database.brief_transaction(putting("later"))
    assert on_disk(tmp_path) == {"later"}


async def test_where_the_database_is_full_only_what_was_acknowledged_is_kept(database, tmp_path):
    async def large(session):
        await session.execute("INSERT INTO meta (key, value) VALUES ('large', hex(zeroblob(1e6)))")

    pages = await database.read(lambda session: session.one("PRAGMA page_count"))
    await database.read(lambda session: session.all(f"PRAGMA max_page_count = {pages[0] + 10}"))
    bodies = [putting("0"), putting("1"), large, putting("3"), large, putting("5")]

    answers = await all_of(*(database.brief_transaction(body) for body in bodies))

    assert isinstance(answers[2], StoreError)
    assert isinstance(answers[4], StoreError)
    kept = {f"{n}" for n, answer in enumerate(answers) if not isinstance(answer, StoreError)}
    assert on_disk(tmp_path) == kept


async def test_an_interruption_is_told_to_all_whose_part_it_takes_back(database, tmp_path):
    async def interrupted(_session):
        raise asyncio.CancelledError

    bodies = [putting("0"), putting("1"), interrupted, putting("3")]
    answers = await all_of(*(database.brief_transaction(body) for body in bodies))

    assert [type(answer) for answer in answers[:3]] == [
        asyncio.CancelledError,
        StoreError,
        StoreError,
    ]
    assert answers[3] == 1
    assert on_disk(tmp_path) == {"3"}


async def test_nobody_reads_what_is_not_committed(database):
    seen = []

    async def reads(read):
        for _ in range(20):
            seen.append(
                await read(lambda session: session.one("SELECT * FROM meta WHERE key = 'x'"))
            )
            await asyncio.sleep(0)

    async def writes(number):
        for _ in range(number):
            await asyncio.sleep(0)
        return await database.brief_transaction(putting("x"))

    with a_disk_that_fails():
        answers = await all_of(
            *(writes(number) for number in range(20)),
            *(reads(database.read) for _ in range(3)),
            *(reads(database.brief_read) for _ in range(3)),
        )

    assert [type(answer) for answer in answers[:20]] == [StoreError] * 20
    assert seen == [None] * 120


@pytest.mark.parametrize("turns", range(12))
async def test_a_stop_while_commits_fail_leaves_nobody_waiting(tmp_path, turns):
    keys, tasks = range(80), []
    async with asyncio.timeout(60):
        async with Database.open(tmp_path / "gateway.db") as database:
            with a_disk_that_fails():
                for key in keys:
                    call = database.transaction if key % 4 == 0 else database.brief_transaction
                    tasks.append(asyncio.ensure_future(call(putting(key))))
                for _ in range(turns):
                    await asyncio.sleep(0)
                for task in tasks[::3]:
                    task.cancel()
        await asyncio.wait(tasks)

    kept = {int(key) for key in on_disk(tmp_path)}
    for key, task in zip(keys, tasks, strict=True):
        failed = task.cancelled() or isinstance(task.exception(), StoreError)
        assert failed or key in kept


async def test_who_comes_after_the_end_is_refused(tmp_path):
    async with Database.open(tmp_path / "gateway.db") as database:
        pass

    answers = await all_of(
        database.brief_transaction(putting("late")),
        database.transaction(putting("late")),
        database.brief_read(putting("late")),
        database.read(putting("late")),
    )

    assert [type(answer) for answer in answers] == [StoreError] * 4


async def test_a_body_that_waits_for_something_else_is_refused_alone(database, tmp_path):
    async def waits(session):
        await putting("in vain")(session)
        await asyncio.sleep(0)

    first, second = await all_of(
        database.brief_transaction(waits), database.brief_transaction(putting("kept"))
    )

    assert isinstance(first, RuntimeError)
    assert second == 1
    assert on_disk(tmp_path) == {"kept"}


async def test_a_body_runs_in_the_context_of_its_own_caller(database):
    async def caller(number):
        CALLER.set(number)

        async def body(_session):
            return CALLER.get()

        return await database.brief_transaction(body)

    callers = [asyncio.ensure_future(caller(number)) for number in range(MANY)]

    assert await all_of(*callers) == list(range(MANY))


async def test_the_generation_counts_what_was_kept_alone_and_is_on_the_disk_before_the_callers_go_on(
    database, tmp_path
):
    file = GenerationFile(tmp_path / "gateway.db")
    began = file.read()

    async def fails(session):
        await generation.advance(session)
        raise RuntimeError("in the middle")

    async def caller():
        await database.brief_transaction(generation.advance)
        return file.read() - began

    counted = await all_of(*(caller() for _ in range(3)), database.brief_transaction(fails))

    assert counted[:3] == [3, 3, 3]
    assert await database.read(generation.kept) == file.read() == began + 3
