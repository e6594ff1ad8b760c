from datetime import timedelta

import pytest

from gateway.store import retention
from gateway.store.database import Database
from gateway.store.moments import to_text
from tests.builders import utc

NOW = utc("2026-08-01 15:00")
DAY = timedelta(days=1)
LIMIT = NOW - 180 * DAY


@pytest.fixture
async def database(tmp_path):
    async with Database.open(tmp_path / "gateway.db") as opened:
        yield opened


async def add(session, name, ended, **credential):
    """A stay that ended then, with one credential, one code and one line of its story."""
    await session.execute(
        "INSERT INTO reservations (id, code, type, listing_id, check_in_date, check_out_date,"
        " check_in_at, check_out_at, first_seen_at, changed_at)"
        " VALUES (?1, ?1, 'booked', 'l', '2026-01-01', '2026-01-02', '2020-01-01T00:00:00Z', ?2, ?2, ?2)",
        (name, to_text(ended)),
    )
    values = {"revoked_at": to_text(ended), "follows": None, "taken_over_by": None} | credential
    await session.execute(
        "INSERT INTO credentials (id, reservation_id, lock, unit, valid_from, valid_until, wanted,"
        " revoked_at, follows, taken_over_by, created_at, updated_at)"
        " VALUES (?1 || '-a', ?1, 'a', 'u', '2020-01-01T00:00:00Z', ?2, 1, ?3, ?4, ?5, ?2, ?2)",
        (name, to_text(ended), values["revoked_at"], values["follows"], values["taken_over_by"]),
    )
    await session.execute(
        "INSERT INTO placements (credential_id, lock, device_id, pin_hash, evidence, sent_at, revoked_at)"
        " VALUES (?1 || '-a', 'a', 'd', x'00', 'revoked', ?2, ?2)",
        (name, to_text(ended)),
    )
    await session.execute(
        "INSERT INTO audit_log (at, actor, event, reservation_id, detail) VALUES (?2, 'g', 'e', ?1, '')",
        (name, to_text(ended)),
    )


async def names(database, table="reservations", column="id"):
    rows = await database.read(lambda session: session.all(f"SELECT {column} AS n FROM {table}"))
    return {row["n"] for row in rows}


async def test_an_old_stay_goes_whole_and_a_younger_one_stays(database):
    async def body(session):
        await add(session, "old", NOW - 181 * DAY)
        await add(session, "young", NOW - 179 * DAY)
        return await retention.forget_stays(session, LIMIT)

    assert await database.transaction(body) == 1

    assert await names(database) == {"young"}
    assert await names(database, "credentials") == {"young-a"}
    assert await names(database, "placements", "credential_id") == {"young-a"}
    assert await names(database, "audit_log", "reservation_id") == {"young"}


@pytest.mark.parametrize("reason", ["not revoked", "revoked lately", "on a lock", "a job"])
async def test_an_old_stay_of_which_something_may_be_on_a_lock_stays(database, reason):
    async def body(session):
        late = {"not revoked": None, "revoked lately": to_text(NOW - DAY)}
        more = {"revoked_at": late[reason]} if reason in late else {}
        await add(session, "old", NOW - 400 * DAY, **more)
        if reason == "on a lock":
            await session.execute("UPDATE placements SET evidence = 'unknown'")
        if reason == "a job":
            await session.execute(
                "INSERT INTO jobs (id, kind, credential_id, run_at) VALUES ('rev-old-a', 'rev', 'old-a', '')"
            )
        return await retention.forget_stays(session, LIMIT)

    assert await database.transaction(body) == 0
    assert await names(database) == {"old"}


async def test_stays_of_one_guest_in_a_row_go_one_after_the_other(database):
    async def body(session):
        await add(session, "first", NOW - 300 * DAY)
        await add(session, "second", NOW - 200 * DAY, follows="first-a")
        await add(session, "third", NOW - DAY, follows="second-a", revoked_at=None)
        await session.execute(
            "UPDATE credentials SET taken_over_by = 'second-a' WHERE id = 'first-a'"
        )
        return await retention.forget_stays(session, LIMIT)

    assert await database.transaction(body) == 1

    assert await names(database) == {"second", "third"}, "the one that an open stay follows stays"


async def test_many_go_in_small_steps(database):
    async def body(session):
        for number in range(retention.CHUNK + 5):
            await add(session, f"s{number}", NOW - 200 * DAY)

    await database.transaction(body)

    def step(session):
        return retention.forget_stays(session, LIMIT)

    assert await database.transaction(step) == retention.CHUNK
    assert await database.transaction(step) == 5
    assert await database.transaction(step) == 0


async def test_lines_of_the_story_of_no_stay_go_by_their_age(database):
    async def body(session):
        for at in (NOW - 181 * DAY, NOW - 179 * DAY):
            await session.execute(
                "INSERT INTO audit_log (at, actor, event, detail) VALUES (?, 'g', 'e', '')",
                (to_text(at),),
            )
        await add(session, "kept", NOW - 400 * DAY, revoked_at=None)
        return await retention.forget_audit(session, LIMIT)

    assert await database.transaction(body) == 1
    assert await names(database, "audit_log", "at") == {
        to_text(NOW - 179 * DAY),
        to_text(NOW - 400 * DAY),
    }
