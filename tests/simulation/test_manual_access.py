"""PINs for people whom Stays does not know, seen at the doors."""

from datetime import UTC, datetime, timedelta

import pytest

from gateway.domain import events
from gateway.simulator.families import MkLock
from tests.house import START, UNHURRIED, ZONE, a_house, at, living
from tests.virtual_time import run_virtual

HOUR, DAY, MINUTE = timedelta(hours=1), timedelta(days=1), timedelta(minutes=1)
ACCESS = "/api/admin/access"


def text(moment):
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


async def give(house, start, length, *, expected=201, **changes):
    """Give access from `start` (from START) for `length`; what the API answers."""
    body = {
        "kind": "guest",
        "name": "Somebody",
        "locks": ["street", "apt-101"],
        "from": text(START + start),
        "until": text(START + start + length),
    } | changes
    status, answer = await house.api("POST", ACCESS, json=body)
    assert status == expected, answer
    return answer["data"] if expected == 201 else answer["error"]["message"]


async def change(house, access, *, expected=200, **changes):
    status, answer = await house.api("PATCH", f"{ACCESS}/{access['code']}", json=changes)
    assert status == expected, answer
    return answer.get("data") or answer["error"]["message"]


async def take(house, access):
    status, answer = await house.api("DELETE", f"{ACCESS}/{access['id']}")
    assert status == 202, answer


def held(lock):
    return {code.pin for code in lock.codes}


def ends(lock, pin):
    """When the lock itself ends the code of a PIN."""
    (code,) = [code for code in lock.codes if code.pin == pin]
    return datetime.fromtimestamp(code.end, UTC)


# --- guests ----------------------------------------------------------------------------------------


def test_a_guest_between_two_stays_takes_part_in_the_turnover_of_the_unit(tmp_path):
    async def story(house):
        before = house.book(house.flat_101, -DAY, 2 * DAY)
        after = house.book(house.flat_101, 3 * DAY, 2 * DAY)
        await house.reconciled()
        await house.pin_status(before, "active")
        leaving = await house.pin(before)
        await house.clock.sleep(30)
        assert ends(house.apt_101, leaving) == START + 2 * DAY
        access = await give(house, DAY + 4 * HOUR, DAY)
        assert access["code"][0] == "M"
        assert len(access["code"]) == 6
        await house.clock.sleep(30)  # the guest before yields at once, without a run
        assert ends(house.apt_101, leaving) == START + DAY + 2 * HOUR
        await at(house, START + DAY + 3 * HOUR)
        between = await house.pin(access["id"])
        assert held(house.street) == held(house.apt_101) == {between}
        assert between != leaving
        assert ends(house.apt_101, between) == START + 3 * DAY - 2 * HOUR
        await at(house, START + 3 * DAY - HOUR)
        assert held(house.apt_101) == {await house.pin(after)}

    living(tmp_path, story)


def test_a_guest_is_never_looked_up_missed_or_counted_by_a_run(tmp_path):
    async def story(house):
        stays = [
            house.book(house.flat_101, -DAY, 3 * DAY),
            house.book(house.flat_102, 0 * DAY, DAY),
        ]
        await house.reconciled()
        access = await give(house, 2 * DAY + HOUR, DAY)
        house.stays.requests.clear()
        run = await house.reconciled()
        assert run["stats"] == dict.fromkeys(run["stats"], 0) | {"fetched": 2}
        assert run["message"] is None
        assert not [path for path in house.stays.requests if access["id"] in path]
        await house.reconciled()
        for stay in stays:
            house.stays.cancel(stay)
        await house.reconciled()
        await at(house, START + 2 * DAY)
        await house.reconciled()
        pin = await house.pin(access["id"])
        assert held(house.street) == held(house.apt_101) == {pin}
        assert events.BRAKE_HELD not in house.notices.events()

    living(tmp_path, story)


def test_a_guest_who_overlaps_a_stay_is_told_of_and_both_keep_their_pins(tmp_path):
    async def story(house):
        stay = house.book(house.flat_101, -DAY, 3 * DAY)
        await house.reconciled()
        access = await give(house, -HOUR, DAY)
        await house.clock.sleep(60)
        assert house.notices.events().count(events.STAY_OVERLAP) == 1
        pins = {await house.pin(stay), await house.pin(access["id"])}
        assert len(pins) == 2
        assert held(house.street) == held(house.apt_101) == pins
        await house.reconciled()
        assert house.notices.events().count(events.STAY_OVERLAP) == 1

    living(tmp_path, story)


def test_access_is_given_changed_and_taken_while_stays_is_down(tmp_path):
    async def story(house):
        house.stays.faults.status = 503
        access = await give(house, 0 * HOUR, DAY)
        await house.clock.sleep(60)
        pin = await house.pin(access["id"])
        assert held(house.street) == held(house.apt_101) == {pin}
        await change(house, access, until=text(START + 2 * DAY))
        await house.clock.sleep(60)
        assert ends(house.apt_101, pin) == START + 3 * DAY
        await take(house, access)
        await house.clock.sleep(60)
        assert house.street.codes == house.apt_101.codes == []

    living(tmp_path, story)


def test_access_goes_on_over_a_restart(tmp_path):
    async def main(clock):
        async with a_house(tmp_path, clock, pace=UNHURRIED) as house:
            async with house.running():
                await house.first_run()
                access = await give(house, HOUR, DAY, kind="staff")
                pin = await house.pin(access["id"])
            async with house.running():
                await at(house, START + HOUR + MINUTE)
                assert held(house.street) == {pin}

    run_virtual(main, start=START)


def test_a_guest_loses_the_door_for_the_next_stay_and_not_before_the_check_out(tmp_path):
    async def story(house):
        access = await give(house, 0 * HOUR, DAY)
        await house.clock.sleep(60)
        pin = await house.pin(access["id"])
        house.book(house.flat_101, DAY + HOUR, DAY)
        await house.reconciled()
        await house.clock.sleep(60)
        assert ends(house.apt_101, pin) == START + DAY

    living(tmp_path, story)


# --- staff -----------------------------------------------------------------------------------------


def test_staff_come_and_go_through_every_turnover(tmp_path):
    async def story(house):
        house.book(house.flat_101, -DAY, 2 * DAY)
        house.book(house.flat_101, DAY + HOUR, 2 * DAY)
        await house.reconciled()
        access = await give(
            house, 0 * DAY, 10 * DAY, kind="staff", locks=["street", "apt-101", "apt-102"]
        )
        pin = await house.pin(access["code"])
        for hours in (1, 23, 25, 60, 120, 239):
            await at(house, START + timedelta(hours=hours))
            assert all(lock.opens(pin) for lock in (house.street, house.apt_101, house.apt_102)), (
                hours
            )
        guests = [code for code in house.apt_101.codes if code.pin != pin]
        assert guests == []
        await at(house, START + 10 * DAY + MINUTE)
        assert house.street.codes == house.apt_101.codes == house.apt_102.codes == []
        assert events.STAY_OVERLAP not in house.notices.events()

    living(tmp_path, story)


def test_staff_open_from_and_until_the_very_moments_that_were_asked_for(tmp_path):
    async def story(house):
        await give(house, 2 * HOUR, 3 * HOUR, kind="staff")
        await at(house, START + 2 * HOUR - timedelta(seconds=30))
        assert house.street.writes == 0
        await at(house, START + 2 * HOUR + MINUTE)
        assert {datetime.fromtimestamp(code.start, UTC) for code in house.street.codes} == {
            START + 2 * HOUR
        }
        assert {datetime.fromtimestamp(code.end, UTC) for code in house.street.codes} == {
            START + 5 * HOUR
        }

    living(tmp_path, story)


def test_staff_open_at_their_weekly_hours_alone_in_the_locks_zone(tmp_path):
    async def story(house):  # START is a Monday, noon where the house stands
        house.street.zone = house.apt_101.zone = ZONE
        weekly = {"days": ["mon", "wed"], "from": "08:00", "until": "13:00"}
        access = await give(house, -HOUR, 20 * DAY, kind="staff", weekly=weekly)
        assert access["weekly"] == weekly
        pin = await house.pin(access["id"])
        await house.clock.sleep(60)
        assert house.street.opens(pin)
        assert house.apt_101.opens(pin)
        await at(house, START + HOUR + MINUTE)
        assert not house.street.opens(pin)
        assert not house.apt_101.opens(pin)
        await at(house, START + DAY)
        assert not house.street.opens(pin)
        await at(house, START + 2 * DAY)
        assert house.street.opens(pin)
        later = {"days": ["wed"], "from": "18:00", "until": "20:00"}
        await change(house, access, weekly=later)
        await house.clock.sleep(60)
        assert not house.street.opens(pin)
        await at(house, START + 2 * DAY + 7 * HOUR)
        assert house.street.opens(pin)
        assert house.apt_101.opens(pin)
        await change(house, access, weekly=None)
        await at(house, START + 3 * DAY)
        assert house.street.opens(pin)
        assert house.apt_101.opens(pin)
        assert held(house.street) == held(house.apt_101) == {pin}

    living(tmp_path, story)


def test_weekly_hours_are_refused_where_a_lock_cannot_keep_them_or_for_guests(tmp_path):
    async def story(house):
        weekly = {"days": ["mon"], "from": "08:00", "until": "12:00"}
        why = await give(
            house, HOUR, DAY, kind="staff", locks=["apt-102"], weekly=weekly, expected=400
        )
        assert why.startswith("apt-102 cannot keep weekly hours")
        why = await give(house, HOUR, DAY, weekly=weekly, expected=400)
        assert "for staff" in why
        await house.clock.sleep(2 * HOUR.total_seconds())
        assert house.apt_102.writes == house.street.writes == 0

    living(tmp_path, story)


# --- changes ---------------------------------------------------------------------------------------


def test_other_doors_get_the_same_pin_and_those_left_lose_it(tmp_path):
    async def story(house):
        access = await give(house, -HOUR, 5 * DAY, kind="staff")
        await house.clock.sleep(60)
        pin = await house.pin(access["id"])
        await change(house, access, locks=["street", "apt-102"])
        await house.clock.sleep(60)
        assert held(house.street) == held(house.apt_102) == {pin}
        assert house.apt_101.codes == []
        await change(house, access, locks=["street", "apt-101"])
        await house.clock.sleep(60)
        assert held(house.street) == held(house.apt_101) == {pin}
        assert house.apt_102.codes == []

    living(tmp_path, story)


def test_staff_lose_a_door_at_once_even_if_a_new_one_is_dead(tmp_path):
    async def story(house):
        access = await give(house, -HOUR, 5 * DAY, kind="staff", locks=["street"])
        await house.clock.sleep(60)
        await house.hub.cut()
        await change(house, access, locks=["apt-102"])
        await house.clock.sleep(60)
        assert house.street.codes == []

    living(tmp_path, story)


def test_a_guest_keeps_the_old_door_until_the_new_one_has_confirmed(tmp_path):
    async def story(house):
        access = await give(house, -HOUR, 5 * DAY)
        await house.clock.sleep(60)
        pin = await house.pin(access["id"])
        house.apt_102.online = False
        await change(house, access, locks=["apt-102"])
        await house.clock.sleep(600)
        assert held(house.apt_101) == {pin}
        house.apt_102.online = True
        await house.clock.sleep(600)
        assert held(house.apt_102) == {pin}
        assert house.apt_101.codes == house.street.codes == []

    living(tmp_path, story)


def test_access_that_is_over_is_extended_with_its_pin(tmp_path):
    async def story(house):
        access = await give(house, -HOUR, 2 * HOUR, kind="staff")
        await house.clock.sleep(60)
        pin = await house.pin(access["id"])
        await at(house, START + 2 * HOUR)
        assert house.street.codes == []
        await change(house, access, until=text(START + DAY))
        await house.clock.sleep(60)
        assert held(house.street) == held(house.apt_101) == {pin}

    living(tmp_path, story)


def test_access_taken_before_its_time_never_reaches_a_door(tmp_path):
    async def story(house):
        access = await give(house, DAY, DAY)
        await take(house, access)
        await at(house, START + 2 * DAY)
        assert house.street.writes == house.apt_101.writes == 0
        status, _ = await house.api("DELETE", f"{ACCESS}/{access['id']}")
        assert status == 404
        await change(house, access, name="Another", expected=404)

    living(tmp_path, story)


def test_access_is_taken_from_a_dead_door_as_soon_as_it_is_back(tmp_path):
    async def story(house):
        access = await give(house, -HOUR, DAY, kind="staff")
        await house.clock.sleep(60)
        house.apt_101.online = False
        await take(house, access)
        await house.clock.sleep(600)
        assert (house.street.codes, len(house.apt_101.codes)) == ([], 1)
        house.apt_101.online = True
        await house.until(lambda: not house.apt_101.codes, seconds=600)

    living(tmp_path, story)


def test_a_pin_of_access_can_be_revoked_and_reissued_like_that_of_a_stay(tmp_path):
    async def story(house):
        access = await give(house, -HOUR, 5 * DAY, kind="staff")
        await house.clock.sleep(60)
        old = await house.pin(access["code"])
        path = f"/api/admin/reservations/{access['code']}"
        assert (await house.api("POST", f"{path}/revoke-pin"))[0] == 202
        await house.clock.sleep(60)
        await house.reconciled()
        await change(house, access, until=text(START + 9 * DAY))
        await house.clock.sleep(60)
        assert house.street.codes == house.apt_101.codes == []
        assert (await house.api("POST", f"{path}/reissue-pin"))[0] == 202
        await house.clock.sleep(60)
        new = await house.pin(access["code"])
        assert new != old
        assert held(house.street) == held(house.apt_101) == {new}

    living(tmp_path, story)


def test_no_two_people_have_pins_of_which_one_begins_with_the_other(tmp_path):
    async def story(house):
        given = [await give(house, 0 * DAY, 5 * DAY, kind="staff") for _ in range(30)]
        pins = [await house.pin(one["id"]) for one in given]
        assert len(set(pins)) == 30
        assert len({one["code"] for one in given}) == 30

    living(tmp_path, story)


# --- what is shown ---------------------------------------------------------------------------------


def test_access_is_listed_without_its_pin_and_every_change_is_in_its_story(tmp_path):
    async def story(house):
        access = await give(house, -HOUR, 5 * DAY, kind="staff", name="  The  Cleaner ")
        await house.clock.sleep(60)
        pin = await house.pin(access["id"])
        status, listed = await house.api("GET", ACCESS)
        assert (status, listed["total"], listed["page"]) == (200, 1, 1)
        (one,) = listed["data"]
        assert (one["name"], one["kind"], one["unit"], one["pinStatus"]) == (
            "The Cleaner",
            "staff",
            None,
            "active",
        )
        assert pin not in str(listed)
        await change(house, access, name="Another", reason="she left")
        await take(house, access)
        assert (await house.api("GET", ACCESS))[1]["total"] == 0
        story = (await house.stay(access["id"]))["audit"]
        mine = [one for one in story if one["event"].startswith("access.")]
        assert [one["event"] for one in mine] == ["access.given", "access.changed", "access.taken"]
        assert {one["actor"] for one in mine} == {"tester"}
        assert "she left" in mine[1]["detail"]
        assert not any("Cleaner" in one["detail"] for one in story)

    living(tmp_path, story)


def test_name_and_phone_are_erased_after_the_retention(tmp_path):
    async def story(house):
        access = await give(house, -HOUR, DAY, kind="staff", phone="+55 11 99999-0000")
        await at(house, START + DAY + 20 * HOUR)
        somebody = {"name": "Somebody", "phone": "+55 11 99999-0000"}
        assert (await house.stay(access["id"]))["guest"] == somebody
        await at(house, START + 2 * DAY + 8 * HOUR)
        assert (await house.stay(access["id"]))["guest"] == {"name": None, "phone": None}

    living(tmp_path, story, store={"retention_days": 1})


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"kind": "owner"}, "kind"),
        ({"name": " "}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"name": 7}, "name"),
        ({"phone": "call me"}, "phone is a number"),
        ({"phone": 5511999990000}, "phone is null or a text"),
        ({"locks": []}, "locks"),
        ({"locks": "street"}, "locks"),
        ({"locks": ["cellar"]}, "locks"),
        ({"locks": ["apt-101", "apt-102"]}, "no unit has all these locks"),
        ({"locks": ["street"]}, "these doors are of several units"),
        ({"unit": "Apto 103"}, "these doors are of several units"),
        ({"from": "2026-02-03"}, "until is after from"),
        ({"until": None}, "until"),
        ({"until": "2027-02-05T00:00:00Z"}, "from and until"),
        ({"from": "2026-01-01", "until": "2026-02-01"}, "until has passed"),
        ({"until": "tomorrow"}, "until"),
        ({"weekly": {"days": ["mon"]}}, "weekly"),
        ({"pin": "123456"}, "'pin' is none of"),
    ],
)
def test_what_cannot_be_given_is_refused_with_what_would_do(tmp_path, changes, why):
    async def story(house):
        assert (await give(house, -HOUR, 2 * HOUR, expected=400, **changes)).startswith(why)
        assert (await house.api("GET", ACCESS))[1]["total"] == 0

    living(tmp_path, story)


def test_a_unit_is_named_where_the_doors_do_not_tell_it(tmp_path):
    async def story(house):
        access = await give(house, -HOUR, DAY, locks=["street"], unit="Apto 102")
        assert access["unit"] == "Apto 102"
        await house.clock.sleep(60)
        assert isinstance(house.street, MkLock)
        assert held(house.street) == {await house.pin(access["id"])}
        assert house.apt_102.codes == []

    living(tmp_path, story)
