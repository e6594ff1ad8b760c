"""What a person does to a stay's PIN, seen at the doors."""

from datetime import timedelta

import pytest

from gateway.domain import events
from gateway.simulator.lock import Order
from tests.house import START, UNHURRIED, a_house, at, living
from tests.virtual_time import run_virtual

HOUR, DAY, MINUTE = timedelta(hours=1), timedelta(days=1), timedelta(minutes=1)


async def act(house, stay, what, *, expected=202, **body):
    """Ask for an act; what the API answers."""
    path = f"/api/admin/reservations/{stay}/{what}"
    status, answer = await house.api("POST", path, json=body or None)
    assert status == expected, answer
    return answer.get("data") or answer["error"]


async def settled(house, stay, wanted="active"):
    await house.pin_status(stay, wanted)
    await house.clock.sleep(30)


async def inside(house, listing=None):
    """A guest who is inside, and the PIN that opens both doors."""
    stay = house.book(listing or house.flat_101, -HOUR, 3 * DAY)
    await house.reconciled()
    await settled(house, stay)
    pin = await house.pin(stay)
    assert house.street.opens(pin)
    return stay, pin


def held(lock):
    return {code.pin for code in lock.codes}


# --- reissue ---------------------------------------------------------------------------------------


def test_a_reissued_pin_is_on_every_door_and_the_old_one_on_none(tmp_path):
    async def story(house):
        stay, old = await inside(house)
        await act(house, stay, "reissue-pin", reason="told to a neighbour")
        await settled(house, stay)
        new = await house.pin(stay)
        assert new != old
        assert held(house.street) == held(house.apt_101) == {new}

    living(tmp_path, story)


def test_the_old_pin_opens_everywhere_until_the_new_one_is_on_every_door(tmp_path):
    async def story(house):
        stay, old = await inside(house)
        house.apt_101.online = False
        await act(house, stay, "reissue-pin")
        await house.clock.sleep((2 * HOUR).total_seconds())
        new = await house.pin(stay)
        assert held(house.street) == {old, new}
        assert held(house.apt_101) == {old}
        shown = await house.stay(stay)
        assert shown["pinStatus"] == "at_risk"  # the PIN that the guest is told fails at one door
        doors = {door["lock"]: door for door in shown["credentials"]}
        assert doors["street"]["isActive"]
        assert not doors["apt-101"]["isActive"]
        assert house.street.opens(old)
        house.apt_101.online = True
        await house.clock.sleep(600)
        await settled(house, stay)
        assert held(house.street) == held(house.apt_101) == {new}

    living(tmp_path, story)


def test_a_door_that_refuses_the_new_pin_keeps_the_old_one_everywhere(tmp_path):
    async def story(house):
        stay, old = await inside(house)
        house.apt_101.capacity = 1
        await act(house, stay, "reissue-pin")
        await house.clock.sleep((2 * HOUR).total_seconds())
        assert held(house.apt_101) == {old}
        assert old in held(house.street)
        door = (await house.stay(stay))["credentials"][0]
        assert (door["lock"], door["reason"]) == ("apt-101", "full")
        house.apt_101.capacity = 10
        await house.clock.sleep(600)
        await settled(house, stay)
        assert held(house.street) == held(house.apt_101) == {await house.pin(stay)}

    living(tmp_path, story)


@pytest.mark.parametrize("lock", ["street", "apt_101"])
def test_a_reissue_in_the_middle_of_a_crash_ends_with_one_new_pin(tmp_path, lock):
    async def main(clock):
        async with a_house(tmp_path, clock, pace=UNHURRIED) as house:
            async with house.running():
                await house.first_run()
                stay, old = await inside(house)
                getattr(house, lock).faults.order = Order.SILENT
                await act(house, stay, "reissue-pin")
                await house.until(lambda: getattr(house, lock).writes > 1, seconds=120)
            getattr(house, lock).faults.order = Order.ACK_FIRST
            assert old in held(house.street) & held(house.apt_101)
            async with house.running():
                await house.clock.sleep(600)
                await settled(house, stay)
                new = await house.pin(stay)
                assert new != old
                assert held(house.street) == held(house.apt_101) == {new}

    run_virtual(main, start=START)


def test_a_pin_reissued_twice_leaves_the_last_one_alone(tmp_path):
    async def story(house):
        stay, old = await inside(house)
        house.apt_101.online = False
        await act(house, stay, "reissue-pin")
        await house.clock.sleep(60)
        between = await house.pin(stay)
        await act(house, stay, "reissue-pin")
        await house.clock.sleep(60)
        assert old in held(house.street)
        house.apt_101.online = True
        await house.clock.sleep(400)  # the longest pause between two attempts is over
        await settled(house, stay)
        last = await house.pin(stay)
        assert len({old, between, last}) == 3
        assert held(house.street) == held(house.apt_101) == {last}

    living(tmp_path, story)


def test_a_pin_reissued_before_the_arrival_is_the_only_one_ever_written(tmp_path):
    async def story(house):
        stay = house.book(house.flat_101, 2 * DAY, 2 * DAY)
        await house.reconciled()
        await act(house, stay, "reissue-pin")
        promised = await house.pin(stay)
        await house.clock.sleep(60)
        assert house.street.writes == house.apt_101.writes == 0
        await at(house, START + 2 * DAY - HOUR)
        assert held(house.street) == held(house.apt_101) == {promised}

    living(tmp_path, story)


def test_a_stay_extended_with_the_same_guest_does_not_inherit_a_pin_that_was_reissued(tmp_path):
    async def story(house):
        first = house.book(house.flat_101, -HOUR, DAY, partner_code="HM1")
        second = house.book(house.flat_101, DAY - HOUR, 2 * DAY, partner_code="HM1")
        await house.reconciled()
        await settled(house, first)
        old = await house.pin(first)
        await act(house, first, "reissue-pin")
        await settled(house, first)
        new = await house.pin(first)
        await at(house, START + DAY + HOUR)
        assert await house.pin(second) == new
        assert not house.apt_101.opens(old)
        assert house.apt_101.opens(new)

    living(tmp_path, story, policy={"mint_ahead": "72h"})


@pytest.mark.parametrize("type_", ["canceled", "reserved", "blocked"])
def test_a_stay_without_a_right_to_a_pin_gets_none_by_a_reissue(tmp_path, type_):
    async def story(house):
        stay = house.book(house.flat_101, HOUR, 2 * DAY, type=type_)
        await house.reconciled()
        problem = await act(house, stay, "reissue-pin", expected=409)
        assert problem["code"] == "no_right_to_pin"
        await house.clock.sleep(60)
        assert house.street.codes == []

    living(tmp_path, story)


# --- revoke ----------------------------------------------------------------------------------------


def test_a_guest_inside_whose_pin_is_revoked_stays_out_whatever_runs(tmp_path):
    async def story(house):
        stay, pin = await inside(house)
        await act(house, stay, "revoke-pin", reason="did not pay")
        await settled(house, stay, "revoked")
        assert house.street.codes == house.apt_101.codes == []
        await house.reconciled()
        await act(house, stay, "reprocess")
        house.rebook(stay, -HOUR, 5 * DAY)
        await house.reconciled()
        house.stays.cancel(stay)
        await house.reconciled()
        house.stays.change(stay, type="booked")
        await house.reconciled()
        await house.clock.sleep(DAY.total_seconds())
        assert house.street.codes == house.apt_101.codes == []
        assert not house.street.opens(pin)
        story = (await house.stay(stay))["audit"]
        (revoked,) = [one for one in story if one["event"] == events.PIN_REVOKED]
        assert revoked["actor"] == "tester"
        assert "did not pay" in revoked["detail"]

    living(tmp_path, story)


def test_a_reissue_lifts_the_block_with_another_pin(tmp_path):
    async def story(house):
        stay, old = await inside(house)
        await act(house, stay, "revoke-pin")
        await settled(house, stay, "revoked")
        await act(house, stay, "reissue-pin")
        await settled(house, stay)
        new = await house.pin(stay)
        assert new != old
        assert held(house.street) == held(house.apt_101) == {new}
        await house.reconciled()
        await house.clock.sleep(60)
        assert held(house.street) == {new}

    living(tmp_path, story)


def test_a_revoked_pin_goes_from_a_dead_door_as_soon_as_it_is_back_although_it_was_reissued(
    tmp_path,
):
    async def story(house):
        stay, old = await inside(house)
        house.apt_101.online = False
        await act(house, stay, "revoke-pin")
        await house.clock.sleep(60)
        assert (held(house.street), held(house.apt_101)) == (set(), {old})
        await act(house, stay, "reissue-pin")
        await house.clock.sleep(60)
        house.street.online = False  # so the new one is not on every door
        house.apt_101.online = True
        await house.until(lambda: old not in held(house.apt_101), seconds=1200)
        house.street.online = True
        await house.clock.sleep(400)
        await settled(house, stay)
        assert held(house.street) == held(house.apt_101) == {await house.pin(stay)}

    living(tmp_path, story)


def test_a_stay_revoked_before_its_arrival_never_gets_a_pin(tmp_path):
    async def story(house):
        stay = house.book(house.flat_101, DAY, 2 * DAY)
        await house.reconciled()
        await act(house, house.stays.code(stay), "revoke-pin")
        await at(house, START + 2 * DAY)
        assert house.street.writes == house.apt_101.writes == 0

    living(tmp_path, story)


def test_a_block_outlives_a_restart(tmp_path):
    async def main(clock):
        async with a_house(tmp_path, clock, pace=UNHURRIED) as house:
            async with house.running():
                await house.first_run()
                stay, _ = await inside(house)
                house.apt_101.online = False
                await act(house, stay, "revoke-pin")
                await house.clock.sleep(60)
            house.apt_101.online = True
            async with house.running():
                await settled(house, stay, "revoked")
                assert house.street.codes == house.apt_101.codes == []

    run_virtual(main, start=START)


def test_the_same_guests_next_stay_does_not_go_on_with_a_revoked_pin(tmp_path):
    async def story(house):
        first = house.book(house.flat_101, -HOUR, DAY, partner_code="HM1")
        second = house.book(house.flat_101, DAY - HOUR, 2 * DAY, partner_code="HM1")
        await house.reconciled()
        await settled(house, first)
        old = await house.pin(first)
        await act(house, first, "revoke-pin")
        await settled(house, first, "revoked")
        await at(house, START + DAY + HOUR)
        assert await house.pin(second) not in {old, None}
        assert held(house.street) == held(house.apt_101) == {await house.pin(second)}

    living(tmp_path, story)


def test_a_code_that_the_same_guests_next_stay_has_taken_over_goes_by_revoking_either(tmp_path):
    async def story(house):
        first = house.book(house.flat_101, -HOUR, DAY, partner_code="HM1")
        second = house.book(house.flat_101, DAY - HOUR, 2 * DAY, partner_code="HM1")
        await house.reconciled()
        await at(house, START + DAY - 90 * MINUTE)
        await house.pin_status(second, "active")
        problem = await act(house, first, "reissue-pin", expected=409)
        assert house.stays.code(second) in problem["message"]
        await act(house, first, "revoke-pin")
        await settled(house, second, "revoked")
        assert house.street.codes == house.apt_101.codes == []

    living(tmp_path, story)


def test_a_code_that_went_on_through_three_stays_goes_for_all_of_them_by_revoking_the_first(
    tmp_path,
):
    async def story(house):
        stays = []
        for start, length in ((-4, DAY), (-3, 2 * DAY), (-2, 3 * DAY)):
            stays.append(house.book(house.flat_101, start * HOUR, length, partner_code="HM1"))
            await house.reconciled()
            await house.clock.sleep(60)
        for stay in stays:
            await house.pin_status(stay, "active")
        await act(house, stays[0], "revoke-pin")
        for stay in stays:
            await settled(house, stay, "revoked")
        await house.clock.sleep(3600)
        assert house.street.codes == house.apt_101.codes == []

    living(tmp_path, story)


def test_revoking_does_not_count_for_the_brake(tmp_path):
    async def story(house):
        stays = [
            house.book(listing, start * DAY - HOUR, DAY - HOUR)
            for listing in (house.flat_101, house.flat_102)
            for start in (0,)
        ]
        stays += [house.book(house.flat_101, -HOUR, DAY), house.book(house.flat_102, -HOUR, DAY)]
        await house.reconciled()
        for stay in stays:
            await settled(house, stay)
        for stay in stays:
            await act(house, stay, "revoke-pin")
        await house.reconciled()
        await house.clock.sleep(60)
        assert house.street.codes == []
        assert events.BRAKE_HELD not in house.notices.events()

    living(tmp_path, story)


# --- reprocess -------------------------------------------------------------------------------------


def test_reprocess_tries_a_door_at_once_that_waits_after_failures(tmp_path):
    async def story(house):
        house.apt_101.faults.refusals = [1] * 12
        stay = house.book(house.flat_101, -HOUR, 2 * DAY)
        await house.reconciled()
        await house.clock.sleep((20 * MINUTE).total_seconds())
        house.apt_101.faults.refusals = []
        assert house.apt_101.codes == []
        began = house.clock.monotonic()
        await act(house, stay, "reprocess")
        await house.until(lambda: house.apt_101.codes)
        assert house.clock.monotonic() - began < 5

    living(tmp_path, story)


def test_reprocess_sends_a_confirmed_code_once_more_in_place(tmp_path):
    async def story(house):
        stay, pin = await inside(house)
        house.street.forget(house.street.codes[0].slot)
        house.apt_101.forget(house.apt_101.codes[0].slot)
        assert not house.street.opens(pin)
        await act(house, stay, "reprocess")
        await house.until(lambda: house.street.opens(pin) and house.apt_101.opens(pin), seconds=300)
        assert held(house.street) == held(house.apt_101) == {pin}

    living(tmp_path, story)


def test_reprocess_leaves_a_code_alone_that_its_lock_cannot_change_in_place(tmp_path):
    async def story(house):
        stay, pin = await inside(house)
        writes = house.apt_101.writes
        await act(house, stay, "reprocess")
        await house.clock.sleep(HOUR.total_seconds())
        assert house.apt_101.writes == writes
        assert house.apt_101.opens(pin)
        assert (await house.stay(stay))["pinStatus"] == "active"

    living(tmp_path, story, overrides_101={"can_modify": False})


# --- what is answered ------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["reprocess", "revoke-pin", "reissue-pin"])
def test_acts_on_nobody_or_with_a_senseless_body_do_nothing(tmp_path, what):
    async def story(house):
        stay, pin = await inside(house)
        assert (await act(house, "ZZ99Z", what, expected=404))["code"] == "not_found"
        for body in (b"[]", b"{", b'{"reason": 7}', b'{"reason": "%s"}' % (b"x" * 201)):
            path = f"/api/admin/reservations/{stay}/{what}"
            assert (await house.api("POST", path, data=body))[0] == 400
        await house.clock.sleep(60)
        assert held(house.street) == held(house.apt_101) == {pin}

    living(tmp_path, story)


def test_a_reason_is_kept_without_what_might_be_a_pin(tmp_path):
    async def story(house):
        stay, pin = await inside(house)
        await act(house, stay, "revoke-pin", reason=f"said {pin} to\n all, call +55 11 91234-5678")
        story = (await house.stay(stay))["audit"]
        (detail,) = [one["detail"] for one in story if one["event"] == events.PIN_REVOKED]
        assert "said **** to all" in detail
        assert not any(part in detail for part in (pin, "9123", "5678"))

    living(tmp_path, story)
