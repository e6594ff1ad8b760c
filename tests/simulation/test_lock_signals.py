"""What locks tell of themselves, and what their lists show, in a whole house."""

from datetime import timedelta

import pytest

from gateway.domain import events
from gateway.simulator.lock import Order, Push
from tests.house import at, living

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


async def arrived(house, flat):
    """A stay whose PIN is on its doors."""
    stay = house.book(flat, HOUR, 2 * DAY)
    await house.reconciled()
    await house.pin_status(stay, "active")
    return stay, await house.pin(stay)


async def a_lock(house, name):
    return (await house.api("GET", f"/api/admin/locks/{name}"))[1]["data"]


def evidence(stay, lock):
    return next(one["evidence"] for one in stay["credentials"] if one["lock"] == lock)


def told(house, event):
    return house.notices.events().count(event)


def test_the_first_opening_with_a_pin_tells_that_the_guest_is_there(tmp_path):
    async def story(house):
        stay, pin = await arrived(house, house.flat_101)
        for _ in range(2):
            assert house.street.try_pin(pin)
            assert house.apt_101.try_pin(pin)
            await house.clock.sleep(60)
        shown = await house.stay(stay)
        assert {evidence(shown, "street"), evidence(shown, "apt-101")} == {"observed"}
        assert told(house, events.CREDENTIAL_OBSERVED) == 2
        assert (await a_lock(house, "apt-101"))["openedAt"] is not None

    living(tmp_path, story)


def test_an_opening_with_a_code_of_nobody_is_only_noted(tmp_path):
    async def story(house):
        await arrived(house, house.flat_101)
        house.apt_101.app_adds("918273")
        assert house.apt_101.try_pin("918273")
        await house.clock.sleep(5)
        assert told(house, events.CREDENTIAL_OBSERVED) == 0
        assert told(house, events.CODE_REVOKED_USED) == 0

    living(tmp_path, story)


def test_a_deleted_code_that_still_opens_is_deleted_again_where_its_number_is_ours(tmp_path):
    async def story(house):
        stay, pin = await arrived(house, house.flat_102)
        (kept,) = house.apt_102.codes
        house.stays.change(stay, type="canceled")
        await house.reconciled()
        await house.pin_status(stay, "revoked")
        house.apt_102.codes = [kept]  # it said "deleted" and kept it
        assert house.apt_102.try_pin(pin)
        await house.until(lambda: house.apt_102.codes == [])
        await house.pin_status(stay, "revoked")
        assert told(house, events.CODE_REVOKED_USED) == 1

    living(tmp_path, story)


def test_a_deleted_code_that_still_opens_is_told_where_its_slot_may_be_anothers(tmp_path):
    async def story(house):
        stay, pin = await arrived(house, house.flat_101)
        (kept,) = house.apt_101.codes
        house.stays.change(stay, type="canceled")
        await house.reconciled()
        await house.pin_status(stay, "revoked")
        writes = house.apt_101.writes
        house.apt_101.codes = [kept]
        assert house.apt_101.try_pin(pin)
        await house.until(lambda: told(house, events.CODE_REVOKED_USED) == 1)
        await house.clock.sleep(600)
        assert house.apt_101.writes == writes

    living(tmp_path, story)


def test_a_guest_whose_slot_was_never_told_is_not_taken_for_the_one_who_had_it_before(tmp_path):
    async def story(house):
        gone, _ = await arrived(house, house.flat_101)
        (kept,) = house.apt_101.codes
        house.stays.change(gone, type="canceled")
        await house.reconciled()
        await house.pin_status(gone, "revoked")
        house.apt_101.faults.lose_next_report = True
        stay = house.book(house.flat_101, HOUR, DAY)
        await house.reconciled()
        await house.clock.sleep(600)
        (code,) = house.apt_101.codes
        assert code.slot == kept.slot
        assert house.apt_101.try_pin(await house.pin(stay))
        await house.clock.sleep(60)
        assert told(house, events.CODE_REVOKED_USED) == 0

    no_list = {"create": 51, "delete": 52, "modify": 53, "list": 99}
    living(tmp_path, story, model_101={"dps": no_list})


def test_a_wrong_code_beside_a_pin_that_was_never_used_is_told_once(tmp_path):
    async def story(house):
        stay, pin = await arrived(house, house.flat_101)
        house.apt_101.alarms_when_refusing = True
        house.apt_101.skew = -3 * HOUR  # its clock lies behind the window
        for _ in range(3):
            assert not house.apt_101.try_pin(pin)
        await house.clock.sleep(90)
        assert told(house, events.CODE_REFUSED) == 1
        assert stay is not None

    living(tmp_path, story)


def test_battery_hijack_doorbell_door_and_tamper_are_kept_and_told_once(tmp_path):
    async def story(house):
        lock = house.apt_101
        for dp, value in ((8, 12), (8, 11), (22, True), (24, True), (21, "pry"), (21, "pry")):
            lock.push(Push(dp, value))
        house.apt_102.push(Push(8, "open"))
        await house.clock.sleep(90)
        shown = await a_lock(house, "apt-101")
        assert shown["battery"]["percent"] == 11
        assert shown["alarm"] == "pry"
        assert shown["hijackedAt"] is not None
        assert shown["doorbellAt"] is not None
        assert (await a_lock(house, "apt-102"))["door"] == "open"
        for event in (
            events.BATTERY_LOW,
            events.LOCK_HIJACK,
            events.LOCK_DOORBELL,
            events.LOCK_ALARM,
        ):
            assert told(house, event) == 1

    living(tmp_path, story)


@pytest.mark.parametrize(("minutes", "alerts"), [(-10, 1), (1, 0), (10, 1)])
def test_a_clock_that_is_off_is_shown_and_told_past_two_minutes(tmp_path, minutes, alerts):
    async def story(house):
        house.hub.tells_time = True
        house.apt_101.skew = timedelta(minutes=minutes)
        for _ in range(3):
            house.apt_101.push(Push(8, 80))
            await house.clock.sleep(60)
        assert abs((await a_lock(house, "apt-101"))["clockSkew"] - 60 * minutes) <= 1
        assert told(house, events.LOCK_CLOCK_OFF) == alerts

    living(tmp_path, story)


def test_the_uptime_of_a_peer_without_a_clock_is_no_time(tmp_path):
    async def story(house):
        for _ in range(3):
            house.apt_101.push(Push(8, 80))
            await house.clock.sleep(60)
        assert (await a_lock(house, "apt-101"))["clockSkew"] is None

    living(tmp_path, story)


def test_a_code_that_the_lock_lost_is_written_again_and_foreign_ones_stay(tmp_path):
    async def story(house):
        stay, pin = await arrived(house, house.flat_101)
        house.apt_101.app_adds("918273")
        await at(house, house.clock.now() + HOUR)  # the list was asked for once by now
        assert (await a_lock(house, "apt-101"))["foreignCodes"] == 1
        house.apt_101.forget(house.apt_101.codes[0].slot)
        assert not house.apt_101.try_pin(pin)
        await house.clock.sleep(25 * 3600)
        assert house.apt_101.try_pin(pin)
        assert house.apt_101.holds("918273")
        assert told(house, events.LOCK_CODE_MISSING) == 1
        assert (await house.stay(stay))["pinStatus"] == "active"

    living(tmp_path, story)


def test_a_list_that_never_showed_a_code_of_ours_proves_nothing(tmp_path):
    async def story(house):
        house.apt_101.listed_type = 0x00  # whatever type is asked for: "nothing"
        _, pin = await arrived(house, house.flat_101)
        await house.clock.sleep(25 * 3600)
        assert house.apt_101.try_pin(pin)
        assert sum(house.apt_101.creates.values()) == 1

    living(tmp_path, story)


async def listed_once(house):
    """The lock's list was seen, with a code of an earlier guest in it."""
    earlier, _ = await arrived(house, house.flat_101)
    await house.clock.sleep(7200)
    assert (await a_lock(house, "apt-101"))["listedAt"] is not None
    return earlier


def test_a_create_without_a_report_is_found_in_the_list_and_never_repeated(tmp_path):
    async def story(house):
        earlier = await listed_once(house)
        house.rebook(earlier, -2 * DAY, DAY)  # the earlier guest leaves, the next one comes
        stay = house.book(house.flat_101, HOUR, 2 * DAY)
        house.apt_101.faults.lose_next_report = True
        await house.reconciled()
        await house.clock.sleep(600)
        shown = await house.stay(stay)
        assert evidence(shown, "apt-101") == "confirmed"
        assert house.apt_101.try_pin(await house.pin(stay))
        assert max(house.apt_101.creates.values()) == 1

    living(tmp_path, story)


def test_a_create_that_the_list_does_not_show_is_sent_once_more(tmp_path):
    async def story(house):
        await listed_once(house)
        house.apt_101.faults.hang_up_on_next = "not executed"
        stay = house.book(house.flat_101, 3 * DAY, 2 * DAY)
        await house.reconciled()
        house.apt_101.faults.hang_up_on_next = None
        await at(house, house.clock.now() + 3 * DAY - 3 * HOUR)
        house.apt_101.faults.hang_up_on_next = "not executed"
        await at(house, house.clock.now() + 2 * HOUR)
        shown = await house.stay(stay)
        assert evidence(shown, "apt-101") == "confirmed"
        assert house.apt_101.try_pin(await house.pin(stay))

    living(tmp_path, story)


def test_where_the_list_stays_silent_the_create_is_repeated_once_with_the_same_pin(tmp_path):
    async def story(house):
        house.apt_101.faults.lose_next_report = True
        del house.apt_101.dps["list"]
        stay = house.book(house.flat_101, HOUR, 2 * DAY)
        await house.reconciled()
        await house.clock.sleep(900)
        assert list(house.apt_101.creates.values()) == [2]
        assert house.apt_101.try_pin(await house.pin(stay))
        assert len(house.apt_101.codes) == 1

    living(tmp_path, story)


def test_a_strangers_code_on_a_full_lock_is_never_taken_for_the_one_that_was_not_heard_of(tmp_path):
    async def story(house):
        house.apt_101.app_adds("918273", slot=200)
        house.apt_101.capacity = 1
        house.apt_101.faults.order = Order.ACK_ONLY
        stay = house.book(house.flat_101, -HOUR, DAY)
        await house.reconciled()
        await house.clock.sleep(3600)
        house.apt_101.faults.order = Order.ACK_FIRST
        for _ in range(4):  # a list a day
            await house.clock.sleep(86400)
            assert house.apt_101.holds("918273")
        assert (await a_lock(house, "apt-101"))["listedAt"] is not None
        assert (await house.stay(stay))["pinStatus"] != "active"

    living(tmp_path, story)


def test_a_hub_that_somebody_else_uses_too_is_told_of_once_and_still_served(tmp_path):
    async def story(house):
        for _ in range(6):  # the phone app throws us out again and again
            await house.hub.cut()
            await house.hub.restore()
            await house.clock.sleep(15)
        assert told(house, events.HUB_CONTENDED) == 1
        stay, _ = await arrived(house, house.flat_101)
        assert house.apt_101.faults.order is Order.ACK_FIRST
        assert (await house.stay(stay))["pinStatus"] == "active"

    living(tmp_path, story)
