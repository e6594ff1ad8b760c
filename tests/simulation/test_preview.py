"""The plan of a reconciliation is what the next one does, and changes nothing itself."""

import random
import sqlite3
from datetime import timedelta

import pytest

from tests.house import START, at, living

HOUR, DAY, MINUTE = timedelta(hours=1), timedelta(days=1), timedelta(minutes=1)
PLAN = "/api/admin/reconciliation/plan"


async def planned(house):
    status, body = await house.api("GET", PLAN)
    assert status == 200, body
    return body["data"]


def stored(house):
    """Everything the database holds but the log of runs, and its credentials by id."""
    with sqlite3.connect(house.folder / "gateway.db") as database:
        database.row_factory = sqlite3.Row
        tables = ("reservations", "credentials", "placements", "jobs", "audit_log", "access")
        everything = {
            table: [tuple(row) for row in database.execute(f"SELECT * FROM {table} ORDER BY 1")]
            for table in tables
        }
        rows = {
            row["id"]: (row["wanted"], row["valid_from"], row["valid_until"], row["unit"])
            for row in database.execute("SELECT * FROM credentials")
        }
    database.close()
    return everything, rows


def assert_is_what_was_done(plan, before, after):
    """Each credential changed as planned, and no other one did."""
    doors = {door["id"]: door for stay in plan["stays"] for door in stay["doors"]}
    changed = {one for one in before.keys() | after.keys() if before.get(one) != after.get(one)}
    assert changed <= doors.keys()
    for id_, door in doors.items():
        wanted, valid_from, valid_until, _ = after[id_]
        match door["action"]:
            case "issue" | "move":
                assert wanted == 1
                assert door["after"] == {"validFrom": valid_from, "validUntil": valid_until}
                assert id_ in changed
            case "mend":
                assert (wanted, door["before"]) == (1, door["after"])
            case "revoke" | "drop":
                assert wanted == 0
                assert before[id_][0] == 1


def happen(house, draw, stays):
    """Something changes at Stays."""
    listing = draw.choice([house.flat_101, house.flat_102])
    kind = draw.choice(["book", "book", "book", "move", "cancel", "delete", "type", "back", "bad"])
    if kind == "book" or not stays:
        start = draw.randrange(-30, 24 * 8) * HOUR
        who = draw.choice([{}, {"partner_code": f"HM{draw.randrange(3)}"}])
        stays.append(house.book(listing, start, draw.randrange(1, 80) * HOUR, **who))
        return
    stay = draw.choice(stays)
    if kind == "delete":
        stays.remove(stay)
        house.stays.delete(stay)
    elif kind == "move":
        house.rebook(stay, draw.randrange(-20, 24 * 8) * HOUR, draw.randrange(1, 80) * HOUR)
    elif kind == "cancel":
        house.stays.cancel(stay)
    elif kind == "bad":
        house.stays.change(stay, checkInTime="late")
    else:
        house.stays.change(
            stay, type="booked" if kind == "back" else draw.choice(["reserved", "contract"])
        )


@pytest.mark.parametrize("seed", range(12))
def test_the_next_run_does_what_was_planned_and_nothing_else(tmp_path, seed):
    async def story(house):
        draw, stays = random.Random(seed), []
        for _ in range(6):
            for _ in range(draw.randrange(1, 6)):
                happen(house, draw, stays)
            if draw.random() < 0.3:
                await house.api(
                    "POST",
                    "/api/admin/access",
                    json={
                        "kind": "guest",
                        "name": "Somebody",
                        "locks": ["street", "apt-101"],
                        "until": (house.clock.now() + draw.randrange(5, 90) * HOUR).isoformat(),
                    },
                )
            await house.clock.sleep(60)
            plan = await planned(house)
            everything, before = stored(house)
            await planned(house)
            assert stored(house)[0] == everything
            run = await house.reconciled()
            after = stored(house)[1]
            assert_is_what_was_done(plan, before, after)
            counted = {name: run["stats"][name] for name in plan["stats"]}
            assert counted == plan["stats"]
            again = await planned(house)
            left = [door for stay in again["stays"] for door in stay["doors"]]
            # a 404 of a guest inside counts the second time; a stay is linked to one it was read with
            assert {door["why"] for door in left if door["action"] != "mend"} <= {
                "Stays no longer knows it"
            }
            await house.clock.sleep(draw.randrange(1, 5) * HOUR.total_seconds())

    living(tmp_path, story, stays={"schedule": "0 0 1 1 *"})


def test_a_plan_says_why_and_shows_no_pin(tmp_path):
    async def story(house):
        leaving = house.book(house.flat_102, -DAY, DAY + 4 * HOUR)
        gone = house.book(house.flat_101, HOUR, DAY)
        await house.reconciled()
        await house.clock.sleep(60)
        arriving = house.book(house.flat_102, 10 * HOUR, DAY)
        house.stays.cancel(gone)
        plan = await planned(house)
        found = {
            (stay["id"], door["lock"]): (stay["change"], door["action"], door["why"])
            for stay in plan["stays"]
            for door in stay["doors"]
        }
        beside = "a stay beside it, or a rule, changed"
        assert found == {
            (leaving, "street"): ("unchanged", "move", beside),
            (leaving, "apt-102"): ("unchanged", "move", beside),
            (arriving, "street"): ("created", "issue", "it is new at Stays"),
            (arriving, "apt-102"): ("created", "issue", "it is new at Stays"),
            (gone, "street"): ("updated", "revoke", "at Stays it is canceled"),
            (gone, "apt-101"): ("updated", "revoke", "at Stays it is canceled"),
        }
        assert not any(
            pin in str(plan) for pin in (await house.pin(leaving), await house.pin(gone))
        )
        assert house.street.writes == 2

    living(tmp_path, story)


def test_a_plan_shows_whom_the_brake_would_hold(tmp_path):
    async def story(house):
        stays = [
            house.book(listing, -start * HOUR, DAY)
            for listing in (house.flat_101, house.flat_102)
            for start in (1, 2)
        ]
        await house.reconciled()
        await house.clock.sleep(60)
        for stay in stays:
            house.stays.cancel(stay)
        plan = await planned(house)
        assert len(plan["held"]) >= 3
        assert "the brake holds" in plan["notes"][0]
        assert (await house.api("GET", "/api/admin/reconciliation/held"))[1]["data"]["held"] == []

    living(tmp_path, story)


@pytest.mark.parametrize(
    ("fault", "code"), [({"status": 503}, "stays_unavailable"), ({"html": True}, "stays_refused")]
)
def test_without_stays_there_is_no_plan_and_it_says_why(tmp_path, fault, code):
    async def story(house):
        await at(house, START + MINUTE)
        house.stays.faults = type(house.stays.faults)(**fault)
        status, body = await house.api("GET", PLAN)
        assert (status, body["error"]["code"]) == (503, code)

    living(tmp_path, story)
