"""Who did what when: what is kept, what is found, and that nothing rewrites it."""

import sqlite3
from contextlib import closing
from datetime import timedelta

import pytest

from gateway.domain import events
from gateway.errors import StoreError
from gateway.store import audit, retention
from gateway.store.database import Database
from tests.builders import utc
from tests.house import START, at, living

HOUR, DAY, MINUTE = timedelta(hours=1), timedelta(days=1), timedelta(minutes=1)
AUDIT = "/api/admin/audit"


async def found(house, query=""):
    status, body = await house.api("GET", f"{AUDIT}?{query}")
    assert status == 200, body
    return body


def test_the_trail_is_searched_by_stay_lock_event_actor_and_time(tmp_path):
    async def story(house):
        stay = house.book(house.flat_101, -HOUR, 3 * DAY)
        other = house.book(house.flat_102, -HOUR, 3 * DAY)
        await house.reconciled()
        await house.pin_status(stay, "active")
        await house.pin_status(other, "active")
        await at(house, START + HOUR)
        code = house.stays.code(stay)
        await house.api(
            "POST", f"/api/admin/reservations/{code}/revoke-pin", json={"reason": "why"}
        )
        await house.pin_status(stay, "revoked")

        everything = await found(house)
        times = [row["id"] for row in everything["data"]]
        assert times == sorted(times, reverse=True)
        mine = await found(house, f"reservation={code}")
        assert mine == await found(house, f"reservation={stay}")
        assert {row["reservationId"] for row in mine["data"]} == {stay}
        assert {row["code"] for row in mine["data"]} == {code}
        at_lock = (await found(house, "lock=apt-102"))["data"]
        assert {row["credentialId"] for row in at_lock} == {f"{house.stays.code(other)}-apt-102"}
        (revoked,) = (await found(house, f"event={events.PIN_REVOKED}"))["data"]
        assert (revoked["actor"], revoked["at"][:16]) == ("tester", "2026-02-02T16:00")
        assert revoked["detail"].endswith("(why)")
        by_person = (await found(house, "actor=tester"))["data"]
        assert {row["event"] for row in by_person} == {events.PIN_REVOKED, events.RECONCILE_ASKED}
        later = await found(house, f"reservation={code}&from=2026-02-02T16:00:00Z")
        before = await found(house, f"reservation={code}&to=2026-02-02T16:00:00Z")
        assert later["total"] + before["total"] == mine["total"]
        assert later["total"] > 0
        assert before["total"] > 0
        assert (await found(house, "reservation=ZZ99Z"))["total"] == 0

    living(tmp_path, story)


def test_the_trail_is_read_fifty_a_page(tmp_path):
    async def story(house):
        for _ in range(55):
            await house.reconciled()
        query = f"event={events.RECONCILE_ASKED}"
        first, second = await found(house, query), await found(house, f"{query}&page=2")
        assert (len(first["data"]), first["total"], first["page"]) == (50, 55, 1)
        assert (len(second["data"]), second["page"]) == (5, 2)

    living(tmp_path, story)


@pytest.mark.parametrize("query", ["page=0", "from=yesterday", "lock=", f"actor={'x' * 201}"])
def test_a_search_that_makes_no_sense_is_answered_400(tmp_path, query):
    async def story(house):
        assert (await house.api("GET", f"{AUDIT}?{query}"))[0] == 400

    living(tmp_path, story)


async def add(session, moment):
    await audit.append(session, at=moment, actor="tester", event="pin.revealed", detail="shown")


async def test_no_row_of_the_trail_is_rewritten_and_only_old_ones_go(tmp_path):
    async with Database.open(tmp_path / "gateway.db") as database:

        async def body(session):
            for day in (1, 20, 60, 61):
                await add(session, utc("2026-01-01 00:00") + day * DAY)

        await database.transaction(body)
        with pytest.raises(StoreError, match="not rewritten"):
            await database.transaction(
                lambda session: session.execute("UPDATE audit_log SET actor = 'nobody'")
            )
        everything = await database.transaction(delete_all)
        await database.transaction(
            lambda session: retention.forget_audit(session, utc("2026-02-15 00:00"))
        )
        rest = await database.transaction(delete_all)
    assert (everything, rest) == (0, 0)
    with closing(sqlite3.connect(tmp_path / "gateway.db")) as connection:
        left = connection.execute("SELECT at, actor FROM audit_log ORDER BY id").fetchall()
    assert left == [("2026-03-02T00:00:00Z", "tester"), ("2026-03-03T00:00:00Z", "tester")]


async def delete_all(session):
    return await session.execute("DELETE FROM audit_log")
