"""Codes under numbers of ours, on locks that call everything that went wrong a failure."""

from datetime import timedelta

import pytest

from gateway.domain import events
from gateway.simulator.lock import Push
from tests.house import living

DAY, HOUR = timedelta(days=1), timedelta(hours=1)


async def arrived(house):
    stay = house.book(house.flat_102, -HOUR, 3 * DAY)
    await house.reconciled()
    await house.pin_status(stay, "active")
    return stay, await house.pin(stay)


def watched(lock):
    """The codes that would open the door at any time in between, beside those it starts with."""
    known, seen = {code.pin for code in lock.codes}, []
    execute = lock.execute

    def watching(dp, raw):
        pushes = execute(dp, raw)
        seen.extend(code for code in lock.codes if code.pin not in known and lock.opens(code.pin))
        return pushes

    lock.execute = watching
    return seen


def test_a_delete_carried_out_but_not_heard_is_found_out(tmp_path):
    async def story(house):
        lock = house.apt_102
        stay, pin = await arrived(house)
        live = watched(lock)
        house.stays.change(stay, type="canceled")
        lock.faults.lose_next_report = True
        await house.reconciled()
        await house.clock.sleep(15 * 60)
        assert not lock.holds(pin)
        assert lock.codes == live == []
        assert (await house.stay(stay))["pinStatus"] == "revoked"
        assert events.CREDENTIAL_REVOCATION_LATE not in house.notices.events()

    living(tmp_path, story)


@pytest.mark.parametrize("lost", ["create", "delete"])
def test_what_asks_for_a_number_is_taken_off_again_whatever_is_lost(tmp_path, lost):
    async def story(house):
        lock = house.apt_102
        stay, pin = await arrived(house)
        live = watched(lock)
        house.stays.change(stay, type="canceled")
        lock.faults.lose_next_report = True
        lose_once_more(lock, lost)
        await house.reconciled()
        await house.clock.sleep(30 * 60)
        assert not lock.holds(pin)
        assert lock.codes == live == []
        assert (await house.stay(stay))["pinStatus"] == "revoked"

    living(tmp_path, story)


def lose_once_more(lock, lost):
    """The report of the next create is lost too, or that of the delete after it."""
    execute, asked = lock.execute, []

    def losing(dp, raw):
        if dp == lock.dps["create"]:
            asked.append(raw)
        if len(asked) == 1 and dp == lock.dps[lost]:
            lock.faults.lose_next_report = True
            asked.append(None)
        return execute(dp, raw)

    lock.execute = losing


def test_a_delete_that_the_lock_refuses_is_repeated_until_the_code_is_off(tmp_path):
    async def story(house):
        lock = house.apt_102
        stay, pin = await arrived(house)
        live = watched(lock)
        house.stays.change(stay, type="canceled")
        lock.faults.refusals = [0x00]
        await house.reconciled()
        await house.clock.sleep(60)
        assert lock.duplicates == [True]  # its number was taken still
        assert not lock.holds(pin)
        assert lock.codes == live == []
        assert (await house.stay(stay))["pinStatus"] == "revoked"

    living(tmp_path, story)


def test_a_lock_that_takes_no_ended_window_keeps_the_stay_at_risk_and_is_asked_ever_more_seldom(
    tmp_path,
):
    async def story(house):
        lock = house.apt_102
        stay, pin = await arrived(house)
        lock.takes_ended_windows = False
        house.stays.change(stay, type="canceled")
        lock.faults.lose_next_report = True
        await house.reconciled()
        await house.clock.sleep(2 * 3600)
        before = len(lock.received)
        await house.clock.sleep(3600)
        assert len(lock.received) - before <= 3600 // 240
        assert not lock.holds(pin)
        assert lock.codes == []
        assert (await house.stay(stay))["pinStatus"] == "at_risk"
        assert house.notices.events().count(events.CREDENTIAL_REVOCATION_LATE) == 1

    living(tmp_path, story)


def test_a_guest_who_comes_back_gets_in_while_the_lock_is_asked(tmp_path):
    async def story(house):
        lock = house.apt_102
        stay, pin = await arrived(house)
        lock.takes_ended_windows = False
        house.stays.change(stay, type="canceled")
        lock.faults.lose_next_report = True
        await house.reconciled()
        await house.clock.sleep(60)  # the number is asked for, and refused
        house.stays.change(stay, type="booked")
        await house.reconciled()
        await house.clock.sleep(60)
        assert lock.opens(pin)
        lock.takes_ended_windows = True
        await house.clock.sleep(600)
        assert lock.opens(pin)
        assert [code.pin for code in lock.codes] == [pin]
        assert (await house.stay(stay))["pinStatus"] == "active"

    living(tmp_path, story)


def test_a_pin_that_only_anothers_code_had_is_told_of(tmp_path):
    async def story(house):
        lock = house.apt_102
        stay = house.book(house.flat_102, 4 * HOUR, 3 * DAY)
        await house.reconciled()
        pin = await house.pin(stay)
        lock.app_adds(pin)
        lock.faults.lose_next_report = True  # "duplicate"; the repetition's is taken for ours
        await house.clock.sleep(3 * 3600)
        assert (await house.stay(stay))["pinStatus"] == "active"
        house.stays.change(stay, type="canceled")
        await house.reconciled()
        await house.clock.sleep(600)
        assert [code.sequence for code in lock.codes] == [999]
        assert (await house.stay(stay))["pinStatus"] == "revoked"
        assert house.notices.events().count(events.CODE_ELSEWHERE) == 1

    living(tmp_path, story, policy={"mint_ahead": "72h"})


def test_answers_that_come_after_the_repetition_are_ours(tmp_path):
    async def story(house):
        lock = house.apt_102
        lock.faults.report_delay = 50.0  # the deadline is at 2
        stay = house.book(house.flat_102, -HOUR, 3 * DAY)
        await house.reconciled()
        await house.clock.sleep(1800)
        assert len(lock.duplicates) > 1
        assert all(lock.duplicates)  # each under the same number
        assert lock.opens(await house.pin(stay))
        assert (await house.stay(stay))["pinStatus"] == "active"
        assert events.LOCK_FOREIGN_WRITER not in house.notices.events()

    living(tmp_path, story)


@pytest.mark.parametrize("delay", [12.0, 25.0, 60.0])
def test_a_lock_whose_answers_are_always_late_is_written_and_cleared(tmp_path, delay):
    async def story(house):
        lock = house.street  # members; the deadline is at 2
        lock.faults.report_delay = delay
        stay = house.book(house.flat_101, -HOUR, 3 * DAY)
        await house.reconciled()
        await house.clock.sleep(1800)
        pin = await house.pin(stay)
        assert lock.opens(pin)
        assert (await house.stay(stay))["pinStatus"] == "active"
        writes = lock.writes
        await house.clock.sleep(1800)
        assert lock.writes == writes
        house.stays.change(stay, type="canceled")
        await house.reconciled()
        await house.clock.sleep(1800)
        assert lock.codes == []
        assert (await house.stay(stay))["pinStatus"] == "revoked"
        assert events.LOCK_FOREIGN_WRITER not in house.notices.events()

    living(tmp_path, story)


def test_a_delete_of_a_live_code_that_we_did_not_ask_for_is_somebody_elses(tmp_path):
    async def story(house):
        lock = house.apt_102
        await arrived(house)
        (code,) = lock.codes
        words = code.sequence.to_bytes(2) + b"\x00\x01\x00\x00"
        lock.push(Push(lock.dps["delete"], words + b"\x01"))
        await house.until(lambda: events.LOCK_FOREIGN_WRITER in house.notices.events(), 120)

    living(tmp_path, story)
