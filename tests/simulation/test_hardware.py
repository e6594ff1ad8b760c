"""Locks that are replaced, that leave the configuration, and that are retired."""

import itertools
from datetime import timedelta

from gateway.domain import events
from gateway.simulator.families import BleLock
from gateway.simulator.lock import Order
from gateway.store import jobs
from tests.house import START, UNHURRIED, a_house
from tests.virtual_time import run_virtual

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def over_starts(folder, *acts):
    """`acts` alternate: a story beside a gateway, what happens without one, the next story …"""
    failures = []

    async def main(clock):
        async with a_house(folder, clock, pace=UNHURRIED) as house:
            for story, between in itertools.zip_longest(acts[::2], acts[1::2]):
                async with house.running():
                    await house.until(house.status)
                    try:
                        await story(house)
                    except AssertionError as failure:
                        failures.append(failure)
                        return
                if between is not None:
                    between(house)

    run_virtual(main, start=START)
    for failure in failures:
        raise failure


async def arrived(house, flat, length=2 * DAY):
    await house.first_run()
    house.guest = house.book(flat, HOUR, length)
    await house.reconciled()
    await house.pin_status(house.guest, "active")
    house.guest_pin = await house.pin(house.guest)


def replaced(house):
    """Another lock hangs where apt-101 was; the configuration knows its ids."""
    house.old = house.apt_101
    house.apt_101 = BleLock(
        name="apt-101", device_id="d101-new", node_id="cid-new", clock=house.clock
    )
    house.apt_101.app_adds("918273", slot=40)  # somebody else's, in the old code's slot
    house.hub.take(house.apt_101)
    house.changes["apt-101"] = {"device_id": "d101-new", "node_id": "cid-new"}


def gone(house):
    """The lock of 101 is no longer in the configuration."""
    house.without.add("apt-101")


async def pending(house):
    rows = await house.gateway._database.read(jobs.all_jobs)
    return [row.id for row in rows if row.id.endswith("apt-101")]


def test_a_guest_gets_in_at_a_lock_that_was_replaced(tmp_path):
    async def before(house):
        await arrived(house, house.flat_101)

    async def after(house):
        await house.until(lambda: house.apt_101.opens(house.guest_pin))
        assert house.old.opens(house.guest_pin)  # nobody can reach it any more
        assert house.apt_101.opens("918273")
        await house.pin_status(house.guest, "active")
        assert house.notices.events().count(events.LOCK_REPLACED) == 1
        house.stays.change(house.guest, type="canceled")
        await house.reconciled()
        await house.until(lambda: not house.apt_101.opens(house.guest_pin))
        assert house.apt_101.opens("918273")
        code, body = await house.api("POST", "/api/admin/locks/apt-101/retire")
        assert (code, body["data"]) == (200, {"ended": 1})
        code, body = await house.api("POST", "/api/admin/locks/apt-101/retire")
        assert body["data"] == {"ended": 0}
        await house.pin_status(house.guest, "revoked")

    over_starts(tmp_path, before, replaced, after)


def test_a_replaced_lock_is_told_of_once_over_many_starts(tmp_path):
    async def before(house):
        await arrived(house, house.flat_101)

    async def after(house):
        await house.until(lambda: events.LOCK_REPLACED in house.notices.events())
        await house.pin_status(house.guest, "active")
        await house.clock.sleep(60)
        assert house.notices.events().count(events.LOCK_REPLACED) == 1

    over_starts(tmp_path, before, replaced, after, lambda _house: None, after)


def test_a_lock_that_leaves_the_configuration_keeps_its_revocation_until_it_is_retired(tmp_path):
    async def before(house):
        await arrived(house, house.flat_101)

    async def after(house):
        await house.reconciled()
        await house.clock.sleep(2 * 3600)
        assert (await pending(house)) != []
        shown = (await house.api("GET", "/api/admin/locks"))[1]["data"]
        (lost,) = [lock for lock in shown if lock["name"] == "apt-101"]
        assert (lost["configured"], lost["codes"]) == (False, 1)
        await house.pin_status(house.guest, "at_risk")
        code, body = await house.api("POST", "/api/admin/locks/apt-101/retire")
        assert (code, body["data"]) == (200, {"ended": 1})
        assert await pending(house) == []
        shown = (await house.api("GET", "/api/admin/locks"))[1]["data"]
        assert "apt-101" not in {lock["name"] for lock in shown}
        await house.pin_status(house.guest, "active")  # the street door

    over_starts(tmp_path, before, gone, after)


def test_a_lock_that_comes_back_into_the_configuration_is_cleared(tmp_path):
    async def before(house):
        await arrived(house, house.flat_101)
        house.stays.change(house.guest, type="canceled")

    async def meanwhile(house):
        await house.reconciled()
        assert house.apt_101.holds(house.guest_pin)
        assert not house.street.holds(house.guest_pin)

    async def after(house):
        await house.until(lambda: house.apt_101.codes == [])
        await house.pin_status(house.guest, "revoked")

    over_starts(tmp_path, before, gone, meanwhile, lambda house: house.without.clear(), after)


def test_a_name_that_was_never_a_locks_ends_nothing(tmp_path):
    async def before(house):
        await arrived(house, house.flat_101)

    async def after(house):
        code, body = await house.api("POST", "/api/admin/locks/nowhere/retire")
        assert (code, body["error"]["code"]) == (404, "not_found")
        await house.pin_status(house.guest, "active")

    over_starts(tmp_path, before, lambda _house: None, after)


def test_a_lock_mounted_while_stays_is_away_serves_the_guests_of_before(tmp_path):
    """It was taken out and retired with no run between, so nothing has withdrawn its guests."""

    async def before(house):
        await arrived(house, house.flat_101)
        house.coming = house.book(house.flat_101, 3 * DAY, 2 * DAY)
        await house.reconciled()
        house.stays.faults.hang_up = True

    async def after(house):
        await house.first_run()
        code, body = await house.api("POST", "/api/admin/locks/apt-101/retire")
        assert (code, body["data"]) == (200, {"ended": 1})

    def mounted(house):
        replaced(house)
        house.without.clear()

    async def at_last(house):
        house.stays.faults.hang_up = False
        await house.reconciled()
        await house.until(lambda: house.apt_101.opens(house.guest_pin))
        await house.pin_status(house.guest, "active")
        await house.clock.sleep((3 * DAY).total_seconds())
        assert house.apt_101.opens(await house.pin(house.coming))

    over_starts(tmp_path, before, gone, after, mounted, at_last)


def back_after_it_was_retired(folder, flat, lock, seen):
    """A stay is cancelled while its lock is away and called retired; then the lock is back."""

    async def before(house):
        await arrived(house, getattr(house, flat))

    async def meanwhile(house):
        house.stays.change(house.guest, type="canceled")
        await house.reconciled()
        code, body = await house.api("POST", f"/api/admin/locks/{lock}/retire")
        assert (code, body["data"]) == (200, {"ended": 1})
        await house.pin_status(house.guest, "revoked")

    over_starts(
        folder,
        before,
        lambda house: house.without.add(lock),
        meanwhile,
        lambda house: house.without.clear(),
        seen,
    )


def test_a_retired_lock_that_comes_back_is_cleared_of_the_codes_of_before(tmp_path):
    async def seen(house):
        assert house.apt_102.holds(house.guest_pin)
        await house.until(lambda: house.apt_102.codes == [])
        await house.pin_status(house.guest, "revoked")

    back_after_it_was_retired(tmp_path, "flat_102", "apt-102", seen)


def test_of_a_retired_lock_that_comes_back_no_slot_is_believed_and_a_person_is_told(tmp_path):
    async def seen(house):
        await house.clock.sleep(HOUR.total_seconds())
        assert house.notices.events().count(events.CREDENTIAL_REVOCATION_LATE) == 1
        assert house.apt_101.holds(house.guest_pin)
        await house.pin_status(house.guest, "at_risk")

    back_after_it_was_retired(tmp_path, "flat_101", "apt-101", seen)


def test_a_guest_keeps_the_pin_where_a_wrong_device_id_was_retired_and_put_right(tmp_path):
    async def before(house):
        await arrived(house, house.flat_101)

    def mistyped(house):
        house.changes["apt-101"] = {"device_id": "d1O1", "node_id": "cid-1O1"}

    async def meanwhile(house):
        await house.clock.sleep(600)
        code, body = await house.api("POST", "/api/admin/locks/apt-101/retire")
        assert (code, body["data"]) == (200, {"ended": 1})

    async def after(house):
        await house.clock.sleep(600)
        await house.pin_status(house.guest, "active")
        assert {code.pin for code in house.apt_101.codes} == {house.guest_pin}
        assert await house.pin(house.guest) == house.guest_pin

    over_starts(tmp_path, before, mistyped, meanwhile, lambda house: house.changes.clear(), after)


def test_a_late_report_is_that_of_a_code_on_the_hardware_of_now(tmp_path):
    """Both allot the same first slot; the code of before is not in it any more."""

    async def before(house):
        await arrived(house, house.flat_101)

    def renewed(house):
        house.apt_101 = BleLock(
            name="apt-101", device_id="d101-new", node_id="cid-new", clock=house.clock
        )
        house.apt_101.faults.report_delay = 20.0
        house.hub.take(house.apt_101)
        house.changes["apt-101"] = {"device_id": "d101-new", "node_id": "cid-new"}

    async def after(house):
        await house.clock.sleep(60)
        assert house.apt_101.opens(house.guest_pin)
        await house.pin_status(house.guest, "active")
        assert house.apt_101.writes == 1
        assert events.LOCK_FOREIGN_WRITER not in house.notices.events()
        house.apt_101.faults.report_delay = 0.0
        house.stays.change(house.guest, type="canceled")
        await house.reconciled()
        await house.until(lambda: house.apt_101.codes == [])

    over_starts(tmp_path, before, renewed, after)


def test_a_lock_that_was_reached_before_the_start_is_not_said_to_be_before_it_is_again(tmp_path):
    said = []

    async def reached(house):
        await house.until(lambda: reachable(house))

    async def reachable(house):
        _, locks = await house.api("GET", "/api/admin/locks")
        (known,) = [lock["reachable"] for lock in locks["data"] if lock["name"] == "apt-101"]
        said.append(known)
        return known

    def silent(house):
        """The hub takes connections and answers no sign-in for as long as the gateway waits."""
        house.hub.local_key = "another-key-0000"

    async def not_yet(house):
        assert await reachable(house) is None
        await house.until(lambda: is_false(house))

    async def is_false(house):
        return await reachable(house) is False

    async def still_not(house):
        assert await reachable(house) is False

    over_starts(tmp_path, reached, silent, not_yet, None, still_not)
    assert said[-1] is False


def back(house):
    """The lock of before hangs where it was."""
    house.apt_101 = house.old
    house.changes.clear()


def test_the_guest_of_a_lock_that_was_away_for_a_while_is_shown_as_the_lock_says(tmp_path):
    async def before(house):
        await arrived(house, house.flat_101)

    async def meanwhile(house):
        await house.until(lambda: house.apt_101.opens(house.guest_pin))
        await house.pin_status(house.guest, "active")

    async def after(house):
        await house.clock.sleep(600)
        assert house.apt_101.opens(house.guest_pin)
        await house.pin_status(house.guest, "active")
        doors = (await house.stay(house.guest))["credentials"]
        assert {door["evidence"] for door in doors} == {"confirmed"}

    over_starts(tmp_path, before, replaced, meanwhile, back, after)


def test_a_delete_that_was_never_heard_of_takes_no_new_guests_code_when_the_lock_is_back(tmp_path):
    async def before(house):
        await arrived(house, house.flat_101)
        house.apt_101.faults.order = Order.ACK_ONLY
        house.stays.change(house.guest, type="canceled")
        await house.reconciled()
        await house.until(lambda: not house.apt_101.codes)

    async def meanwhile(house):
        house.next = house.book(house.flat_101, HOUR, 2 * DAY)
        await house.reconciled()
        await house.pin_status(house.next, "active")

    def healed(house):
        back(house)
        house.apt_101.faults.order = Order.ACK_FIRST

    async def after(house):
        await house.clock.sleep(600)
        pin = await house.pin(house.next)
        assert house.apt_101.opens(pin)
        assert [code.pin for code in house.apt_101.codes] == [pin]
        await house.pin_status(house.next, "active")

    over_starts(tmp_path, before, replaced, meanwhile, healed, after)


def test_a_code_that_was_to_go_when_its_lock_was_replaced_goes_when_that_is_back(tmp_path):
    async def before(house):
        await arrived(house, house.flat_101)
        house.apt_101.faults.order = Order.SILENT
        house.stays.change(house.guest, type="canceled")
        house.apt_101.faults.refusals = [0x01] * 3
        await house.reconciled()
        assert house.apt_101.codes

    async def meanwhile(house):
        await house.clock.sleep(60)

    def healed(house):
        back(house)
        house.apt_101.faults.order = Order.ACK_FIRST
        house.apt_101.faults.refusals = []

    async def after(house):
        await house.until(lambda: not house.apt_101.codes)
        await house.pin_status(house.guest, "revoked")

    over_starts(tmp_path, before, replaced, meanwhile, healed, after)
