"""Locks under schedules of faults: whatever goes wrong, what is said and what is held stays right."""

import io
import os
from datetime import timedelta

import pytest

from gateway.domain.model import Addressing
from gateway.observability import configure_logging
from gateway.tuya.profiles import PROFILES
from tests.house import START, assert_keeps_secrets
from tests.street import HOUR, MINUTE, Street
from tests.virtual_time import run_virtual

SEEDS = int(os.environ.get("GATEWAY_SEEDS", "200"))
BATCH = 25
END = 24 * HOUR


async def shown(street):
    """What the API says of every door, by the name of its lock."""
    doors, page = {}, 1
    while True:
        _, body = await street.api("GET", f"/api/admin/reservations?page={page}")
        for stay in body["data"]:
            for one in stay["credentials"]:
                doors[one["lock"]] = one
        if len(doors) >= len(street.doors_) or not body["data"]:
            return doors
        page += 1


async def check(street):
    """What must hold at every moment."""
    said = await shown(street)
    for door in street.doors_:
        where = f"seed {door.schedule.seed}: {door.schedule}"
        pins = {code.pin for code in door.lock.codes}
        assert len(pins) <= 1, f"two PINs of one stay on a lock: {where}"
        door.pins |= pins
        one = said.get(door.name)
        now = street.clock.now().isoformat()[:19] + "Z"
        if one is not None and one["isActive"] and now < one["validUntil"]:
            assert one["evidence"] in {"confirmed", "observed"}, where
            pin = await street.pin(door.stay)  # None once the stay is withdrawn
            opens = any(door.lock.opens(one) for one in ({pin} if pin else door.pins))
            assert opens, f"confirmed, and does not open: {where}"


def check_creates(door):
    """Every create is within what the profile says of itself."""
    where = f"seed {door.schedule.seed}: {door.schedule}"
    match PROFILES[door.lock.profile].addressing:
        case Addressing.MEMBER:
            assert set(door.lock.creates.values()) <= {1}, f"a create sent twice: {where}"
            assert door.lock.duplicates == [], f"a second create of a PIN: {where}"
        case Addressing.SEQUENCE:
            again = [same for same in door.lock.duplicates if not same]
            assert again == [], f"a second number for a PIN: {where}"
        case Addressing.SLOT:
            assert len(door.lock.duplicates) <= door.lock.unheard_creates, where


def happenings(street):
    """What happens to which door, and how long after the start, in its order."""
    found = [(HOUR * hour, None, "check") for hour in range(1, 24)]
    for door in street.doors_:
        for fault in door.schedule.faults:
            found.append((fault.at, door, fault.kind))
            found.append((fault.at + fault.lasts, door, "heal"))
        found.append((door.schedule.change_at, door, door.schedule.change))
    return sorted(found, key=lambda one: (one[0], one[1].schedule.seed if one[1] else -1, one[2]))


async def happen(street, door, what, began):
    match what:
        case "check":
            await check(street)
        case "heal":
            door.heal()
        case "none":
            pass
        case "cancel":
            street.stays.change(door.stay, type="canceled")
        case "extend" | "shorten":
            length = 20 * HOUR if what == "extend" else 16 * HOUR
            street.rebook(door.stay, began - street.clock.now() + HOUR, length)
        case _:
            door.apply(what)


async def live_through(street):
    began = street.clock.now()
    for door in street.doors_:
        door.stay = street.book(door.listing, HOUR, 18 * HOUR)
    reconciled = False
    for after, door, what in happenings(street):
        if not reconciled and after > timedelta(0):
            await street.reconciled()
            reconciled = True
        wait = (began + after - street.clock.now()).total_seconds()
        if wait > 0:
            await street.clock.sleep(wait)
        await happen(street, door, what, began)
    await street.clock.sleep((began + END - street.clock.now()).total_seconds())
    for door in street.doors_:
        door.heal()
    await street.clock.sleep((30 * MINUTE).total_seconds())
    await check(street)
    for door in street.doors_:
        check_end(street, door)


def check_end(street, door):
    """What must hold once every stay is over and every lock was reachable for half an hour."""
    check_creates(door)
    where = f"seed {door.schedule.seed}: {door.schedule}"
    for pin in door.pins:
        assert not door.lock.opens(pin), f"it opens after its end: {where}"
    assert door.lock.codes == [] or street.told_stuck(door), f"kept after its end: {where}"


@pytest.mark.parametrize("first", range(0, SEEDS, BATCH))
def test_no_schedule_of_faults_doubles_a_pin_keeps_one_too_long_or_lies(tmp_path, first):
    failures = []
    log = io.StringIO()
    configure_logging(level="debug", format="json", stream=log)

    async def main(clock):
        street = Street(tmp_path, clock, seeds=range(first, first + BATCH))
        async with street.standing(), street.running():
            await street.first_run()
            try:
                await live_through(street)
            except AssertionError as failure:
                failures.append(failure)
        assert_keeps_secrets(log.getvalue(), street.secrets())

    run_virtual(main, start=START)
    for failure in failures:
        raise failure
