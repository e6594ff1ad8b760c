"""Days of the whole gateway in virtual time: what happens at which second."""

from datetime import timedelta

import pytest

from gateway.domain import events
from gateway.simulator.lock import Order
from tests.house import START, UNHURRIED, a_house, at, living
from tests.virtual_time import run_virtual

HOUR, DAY, MINUTE, SECOND = (
    timedelta(hours=1),
    timedelta(days=1),
    timedelta(minutes=1),
    timedelta(seconds=1),
)


def test_a_pin_is_issued_two_hours_before_check_in_and_revoked_24_hours_after_check_out(tmp_path):
    async def story(house):
        stay = house.book(house.flat_101, 2 * DAY, 3 * DAY)
        await house.reconciled()
        check_in, check_out = START + 2 * DAY, START + 5 * DAY

        await at(house, check_in - 2 * HOUR - SECOND)
        assert house.street.codes == house.apt_101.codes == []
        assert (await house.stay(stay))["pinStatus"] == "planned"
        await at(house, check_in - 2 * HOUR + SECOND)
        pin = await house.pin(stay)
        assert house.street.try_pin(pin)
        assert house.apt_101.try_pin(pin)
        assert (await house.stay(stay))["pinStatus"] == "active"
        await at(house, check_out + DAY - SECOND)
        assert house.street.try_pin(pin)
        await at(house, check_out + DAY + SECOND)
        assert house.street.codes == house.apt_101.codes == []
        assert (await house.stay(stay))["pinStatus"] == "revoked"
        assert sum(house.street.creates.values()) == sum(house.apt_101.creates.values()) == 1

    living(tmp_path, story)


def test_at_a_turnover_the_leaving_guests_pin_goes_when_the_arriving_guests_lives(tmp_path):
    async def story(house):
        leaving = house.book(house.flat_101, -DAY, 2 * DAY)
        arriving = house.book(house.flat_101, DAY + 4 * HOUR, 3 * DAY)
        await house.reconciled()
        first = await house.pin(leaving)
        await at(house, START + DAY + 2 * HOUR - SECOND)
        assert house.apt_101.try_pin(first)
        await at(house, START + DAY + 2 * HOUR + SECOND)
        second = await house.pin(arriving)
        assert house.apt_101.try_pin(second)
        assert not house.apt_101.try_pin(first)
        assert first != second

    living(tmp_path, story)


def test_a_lock_dead_for_two_days_is_cleared_within_six_minutes_of_its_return(tmp_path):
    async def story(house):
        stay = house.book(house.flat_101, -DAY, 2 * DAY)
        await house.reconciled()
        pin = await house.pin(stay)
        await house.door.cut()
        await at(house, START + 4 * DAY)
        assert house.street.holds(pin)
        assert (await house.stay(stay))["pinStatus"] == "at_risk"
        await house.door.restore()
        await house.clock.sleep(6 * 60)
        assert not house.street.holds(pin)
        assert (await house.stay(stay))["pinStatus"] == "revoked"

    living(tmp_path, story)


def test_without_stays_for_days_pins_are_issued_and_revoked_on_time(tmp_path):
    async def story(house):
        stay = house.book(house.flat_102, 2 * DAY, 2 * DAY)
        await house.reconciled()
        house.stays.faults.status = 503
        await at(house, START + 2 * DAY)
        pin = await house.pin(stay)
        assert house.apt_102.try_pin(pin)
        await at(house, START + 5 * DAY + SECOND)
        assert not house.apt_102.holds(pin)
        assert (await house.status())["lastRun"]["status"] == "failed"
        assert house.notices.events().count(events.RECONCILE_FAILED) == 1

    living(tmp_path, story)


def test_the_reconciliation_runs_by_its_cron_and_the_status_tells_the_schedulers_next(tmp_path):
    async def story(house):
        assert (await house.status())["nextRun"] == "2026-02-02T15:30:00Z"
        await at(house, START + 30 * MINUTE + SECOND)
        status = await house.status()
        assert status["lastRun"]["startedAt"] == "2026-02-02T15:30:00Z"
        assert status["nextRun"] == "2026-02-02T16:00:00Z"

    living(tmp_path, story)


def test_a_lock_that_keeps_to_windows_is_written_a_day_ahead_and_active_only_then(tmp_path):
    async def story(house):
        stay = house.book(house.flat_101, 2 * DAY, DAY)
        await house.reconciled()
        await at(house, START + DAY)
        assert len(house.street.codes) == 0
        shown = await house.stay(stay)
        assert [door["evidence"] for door in shown["credentials"]] == ["planned", "planned"]

    living(tmp_path, story)


@pytest.mark.parametrize("faults", [{"lose_next_report": True}, {"hang_up_on_next": "executed"}])
def test_a_lost_report_ends_in_one_working_code_on_every_family(tmp_path, faults):
    async def story(house):
        for lock in (house.street, house.apt_101, house.apt_102):
            for name, value in faults.items():
                setattr(lock.faults, name, value)
        first = house.book(house.flat_101, HOUR, DAY)
        second = house.book(house.flat_102, HOUR, DAY)
        await house.reconciled()
        await house.clock.sleep(600)
        for stay, flat in ((first, house.apt_101), (second, house.apt_102)):
            pin = await house.pin(stay)
            assert flat.try_pin(pin)
            assert house.street.try_pin(pin)
            assert [held.pin for held in flat.codes] == [pin]
        assert len(house.street.codes) == 2
        # member: cleared and written anew; sequence: the same number again; slot: once again
        assert max(house.apt_102.creates.values()) == 2
        assert max(house.apt_101.creates.values()) == 2

    living(tmp_path, story)


def test_a_report_that_comes_late_confirms_what_was_unknown_without_another_write(tmp_path):
    async def story(house):
        house.apt_101.faults.report_delay = 30.0
        stay = house.book(house.flat_101, HOUR, DAY)
        await house.reconciled()
        await house.clock.sleep(20)
        doors = {door["lock"]: door for door in (await house.stay(stay))["credentials"]}
        assert doors["apt-101"]["evidence"] == "unknown"
        await house.clock.sleep(20)
        await house.pin_status(stay, "active")
        assert list(house.apt_101.creates.values()) == [1]

    living(tmp_path, story)


async def reason_of(house, stay):
    doors = (await house.stay(stay))["credentials"]
    return next(door["reason"] for door in doors if door["lock"] == "apt-101")


def test_a_stay_moved_ahead_has_nothing_against_it_once_the_late_report_of_its_delete_came(
    tmp_path,
):
    async def story(house):
        stay = house.book(house.flat_101, HOUR, 2 * DAY)
        await house.reconciled()
        await house.pin_status(stay, "active")
        house.apt_101.faults.report_delay = 30.0
        house.rebook(stay, 3 * DAY, 2 * DAY)
        await house.reconciled()
        await house.clock.sleep(20)
        assert "in time" in await reason_of(house, stay)
        await house.clock.sleep(90)
        assert house.apt_101.codes == []
        assert await reason_of(house, stay) is None
        await at(house, START + 3 * DAY - 4 * HOUR)
        assert (await house.stay(stay))["pinStatus"] == "planned"
        assert events.PIN_AT_RISK not in house.notices.events()

    living(tmp_path, story)


def test_a_lock_that_shows_that_it_is_back_gets_its_pin_at_once(tmp_path):
    async def story(house):
        inside = house.book(house.flat_102, -HOUR, 2 * DAY)
        await house.reconciled()
        await house.pin_status(inside, "active")
        house.apt_102.online = False
        await house.hub.cut()
        await house.hub.restore()
        await house.clock.sleep(30)
        coming = house.book(house.flat_102, -30 * MINUTE, 3 * DAY)
        await house.reconciled()
        await house.clock.sleep(1800)  # by now the pauses are five minutes long
        house.apt_102.online = True
        assert house.apt_102.try_pin(await house.pin(inside))  # its hub passes the report on
        await house.clock.sleep(5)
        assert len(house.apt_102.codes) == 2
        await house.pin_status(coming, "active")

    living(tmp_path, story)


def test_after_a_kill_nothing_is_called_sent_that_nobody_waits_for(tmp_path):
    async def main(clock):
        async with a_house(tmp_path, clock, pace=UNHURRIED) as house:
            house.apt_101.faults.report_delay = 3600.0
            stay = house.book(house.flat_101, HOUR, DAY)
            async with house.running():
                await house.until(lambda: house.apt_101.codes)
            async with house.running():
                await house.clock.sleep(5)
                doors = {door["lock"]: door for door in (await house.stay(stay))["credentials"]}
                assert doors["apt-101"]["evidence"] == "unknown"

    run_virtual(main, start=START)


def test_a_pin_refused_before_any_door_has_confirmed_is_replaced_on_all_doors(tmp_path):
    async def story(house):
        house.apt_101.faults.refusals = [0x03]
        await house.door.cut()
        stay = house.book(house.flat_101, HOUR, DAY)
        await house.reconciled()
        await house.clock.sleep(60)
        await house.door.restore()
        await house.clock.sleep(6 * 60)
        pin = await house.pin(stay)
        assert [held.pin for held in house.street.codes] == [pin]
        assert [held.pin for held in house.apt_101.codes] == [pin]

    living(tmp_path, story)


def test_a_pin_refused_after_another_door_has_confirmed_is_replaced_on_that_door_alone(tmp_path):
    async def story(house):
        house.apt_101.faults.refusals = [0x03]
        await house.hub.cut()
        stay = house.book(house.flat_101, HOUR, DAY)
        await house.reconciled()
        await house.clock.sleep(60)
        first = house.street.codes[0].pin
        await house.hub.restore()
        await house.clock.sleep(6 * 60)
        doors = await house.doors(stay)
        assert doors["street"] == first != doors["apt-101"]
        assert [held.pin for held in house.street.codes] == [first]
        assert [held.pin for held in house.apt_101.codes] == [doors["apt-101"]]
        assert await house.pin(stay) is None

    living(tmp_path, story)


def test_after_three_other_pins_a_refusing_lock_puts_the_stay_at_risk(tmp_path):
    async def story(house):
        house.apt_102.faults.refusals = [0x02] * 100
        stay = house.book(house.flat_102, HOUR, DAY)
        await house.reconciled()
        await house.clock.sleep(60)
        assert len({raw[-6:] for raw in house.apt_102.creates}) == 4
        assert (await house.stay(stay))["pinStatus"] == "at_risk"
        await house.clock.sleep(6 * 60)
        assert house.notices.events().count(events.PIN_AT_RISK) == 1
        house.apt_102.faults.refusals = []
        await house.clock.sleep(6 * 60)
        assert (await house.stay(stay))["pinStatus"] == "active"

    living(tmp_path, story)


def test_attempts_that_fail_alike_are_told_of_once(tmp_path):
    async def story(house):
        house.apt_101.faults.refusals = [1] * 100
        stay = house.book(house.flat_101, HOUR, DAY)
        await house.reconciled()
        await house.clock.sleep(2 * 3600)
        told = [one["event"] for one in (await house.stay(stay))["audit"]]
        assert told.count(events.CREDENTIAL_REJECTED) == 1
        assert len(house.apt_101.faults.refusals) < 80

    living(tmp_path, story)


def test_a_full_lock_takes_the_code_once_a_slot_is_free(tmp_path):
    async def story(house):
        house.apt_101.capacity = 1
        leaving = house.book(house.flat_101, -DAY, 2 * DAY)
        arriving = house.book(house.flat_101, DAY + HOUR, DAY)
        await house.reconciled()
        first = await house.pin(leaving)
        assert house.apt_101.holds(first)
        await at(house, START + DAY + 2 * MINUTE)
        second = await house.pin(arriving)
        assert house.apt_101.try_pin(second)

    living(tmp_path, story)


def test_a_relocated_guest_keeps_the_old_door_until_the_new_one_is_confirmed(tmp_path):
    async def story(house):
        stay = house.book(house.flat_101, -DAY, 4 * DAY)
        await house.reconciled()
        pin = await house.pin(stay)
        house.apt_102.online = False
        await house.hub.cut()
        await house.hub.restore()
        await house.clock.sleep(30)
        house.stays.change(stay, _idlisting=house.flat_102)
        await house.reconciled()
        await house.clock.sleep(60)
        assert house.apt_101.try_pin(pin)
        house.apt_102.online = True
        await house.clock.sleep(600)
        assert house.apt_102.try_pin(pin)
        assert not house.apt_101.holds(pin)
        assert house.street.try_pin(pin)
        assert sum(house.street.creates.values()) == 1

    living(tmp_path, story)


def test_a_relocated_guest_leaves_the_old_door_although_one_in_common_never_answered(tmp_path):
    async def main(clock):
        async with a_house(tmp_path, clock, pace=UNHURRIED) as house:
            house.changes["apt-101"] = {"shared": True}
            house.settings["listings"] = [
                {"stays_id": house.flat_101, "name": "A", "locks": ["apt-101", "street"]},
                {"stays_id": house.flat_102, "name": "B", "locks": ["apt-101", "apt-102"]},
            ]
            async with house.running():
                await house.first_run()
                house.apt_101.faults.order = Order.ACK_ONLY
                stay = house.book(house.flat_101, -DAY, 4 * DAY)
                await house.reconciled()
                await house.clock.sleep(600)
                house.apt_101.faults.order = Order.PUSH_FIRST
                pin = await house.pin(stay)
                assert house.street.try_pin(pin)
                house.stays.change(stay, _idlisting=house.flat_102)
                await house.reconciled()
                await house.clock.sleep(60)
                assert house.apt_102.try_pin(pin)
                assert house.apt_101.try_pin(pin)
                assert not house.street.holds(pin)
                assert (await house.stay(stay))["pinStatus"] == "at_risk"

    run_virtual(main, start=START)


def test_a_lock_that_was_away_at_the_start_and_is_back_puts_nobody_at_risk(tmp_path):
    async def story(house):
        house.apt_101.online = False
        await house.hub.cut()
        await house.hub.restore()
        await house.clock.sleep(60)
        stay = house.book(house.flat_101, 20 * HOUR, 2 * DAY)
        await house.reconciled()
        assert (await house.stay(stay))["pinStatus"] == "at_risk"
        house.apt_101.online = True
        await house.clock.sleep(600)
        assert (await house.stay(stay))["pinStatus"] == "planned"

    living(tmp_path, story)


def test_the_same_guest_staying_on_keeps_pin_and_code(tmp_path):
    async def story(house):
        first = house.book(house.flat_102, -DAY, 2 * DAY)
        client = house.stays.reservations[first]["_idclient"]
        second = house.book(house.flat_102, DAY, 2 * DAY, client=client)
        await house.reconciled()
        pin = await house.pin(first)
        await at(house, START + DAY + HOUR)
        assert await house.pin(second) == pin
        assert house.apt_102.try_pin(pin)
        await at(house, START + 3 * DAY)
        assert house.apt_102.try_pin(pin)
        assert sum(house.apt_102.creates.values()) == 1
        await at(house, START + 4 * DAY + SECOND)
        assert not house.apt_102.holds(pin)

    living(tmp_path, story)


def _the_same_guest_books_again(house, first, start, length):
    client = house.stays.reservations[first]["_idclient"]
    return house.book(house.flat_102, start, length, client=client)


def test_the_same_guest_keeps_the_pin_when_the_next_stay_is_cancelled_after_it_took_it_over(
    tmp_path,
):
    async def story(house):
        first = house.book(house.flat_102, -DAY, 4 * DAY)
        second = _the_same_guest_books_again(house, first, DAY, 4 * DAY)
        await house.reconciled()
        pin = await house.pin(first)
        await at(house, START + DAY + HOUR)
        house.stays.cancel(second)
        await house.reconciled()
        await house.clock.sleep(60)
        assert house.apt_102.try_pin(pin)
        assert house.street.try_pin(pin)
        assert (await house.stay(first))["pinStatus"] == "active"
        await at(house, START + 4 * DAY - SECOND)
        assert house.apt_102.try_pin(pin)
        await at(house, START + 4 * DAY + SECOND)
        assert not house.apt_102.holds(pin)

    living(tmp_path, story)


def test_the_same_guests_stay_within_another_takes_nothing_from_it(tmp_path):
    async def story(house):
        first = house.book(house.flat_102, -DAY, 4 * DAY)
        second = _the_same_guest_books_again(house, first, HOUR, 6 * HOUR)
        await house.reconciled()
        pin = await house.pin(first)
        await at(house, START + DAY + 9 * HOUR)  # the window of the second has ended
        assert await house.pin(second) in {None, pin}
        assert house.apt_102.try_pin(pin)
        await at(house, START + 4 * DAY + SECOND)
        assert not house.apt_102.holds(pin)

    living(tmp_path, story)


def test_changed_dates_leave_the_pin_although_the_same_guests_next_stay_shares_it(tmp_path):
    async def story(house):
        first = house.book(house.flat_102, -DAY, 2 * DAY)
        second = _the_same_guest_books_again(house, first, DAY, 2 * DAY)
        await house.reconciled()
        pin = await house.pin(first)
        await at(house, START + DAY - HOUR)  # by now the next stay has its PIN
        assert await house.pin(second) == pin
        house.rebook(first, -2 * DAY, 2 * DAY + 2 * HOUR)
        await house.reconciled()
        await house.clock.sleep(60)
        assert await house.pin(first) == pin
        assert [held.pin for held in house.apt_102.codes] == [pin]

    living(tmp_path, story)


def test_a_lock_that_gave_neither_reports_nor_its_list_is_asked_for_the_list_again(tmp_path):
    async def story(house):
        inside = house.book(house.flat_101, -DAY, 3 * DAY)
        await house.reconciled()
        await house.clock.sleep(31 * 60)  # its list has shown that code by now
        house.apt_101.faults.order = Order.SILENT
        coming = house.book(house.flat_101, -HOUR, 2 * DAY)
        await house.reconciled()
        await house.clock.sleep(20 * 60)
        assert events.PIN_AT_RISK in house.notices.events()
        first = await house.pin(inside)
        house.apt_101.codes = [held for held in house.apt_101.codes if held.pin == first]
        house.apt_101.faults.order = Order.ACK_FIRST
        await house.clock.sleep(45 * 60)
        assert house.apt_101.try_pin(await house.pin(coming))

    living(tmp_path, story)
