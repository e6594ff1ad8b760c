"""The main job from end to end: Stays over HTTP, locks over TCP, SQLite on disk, the API."""

from datetime import datetime, timedelta

import pytest

from tests.house import a_house

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture
async def house(tmp_path):
    async with a_house(tmp_path) as house:
        yield house


async def test_a_stay_checking_in_within_two_hours_has_one_pin_on_all_its_doors(house):
    stay = house.book(house.flat_101, HOUR, 3 * DAY)
    async with house.running():
        run = await house.first_run()
        shown = await house.pin_status(stay, "active")
        pin = await house.pin(stay)

        assert run["stats"]["created"] == 1
        assert house.street.try_pin(pin)
        assert house.apt_101.try_pin(pin)
        assert not house.apt_102.try_pin(pin)
        assert [door["evidence"] for door in shown["credentials"]] == ["confirmed", "confirmed"]
        assert list(house.street.creates.values()) == [1]
        assert list(house.apt_101.creates.values()) == [1]


async def test_the_window_on_the_lock_is_the_specs(house):
    stay = house.book(house.flat_102, HOUR, 3 * DAY)
    async with house.running():
        shown = await house.pin_status(stay, "active")

    (held,) = house.apt_102.codes
    door = next(one for one in shown["credentials"] if one["lock"] == "apt-102")
    check_in = int(house_time(shown["checkIn"]))
    check_out = int(house_time(shown["checkOut"]))
    assert (held.start, held.end) == (check_in - 7200, check_out + 86400)
    assert (house_time(door["validFrom"]), house_time(door["validUntil"])) == (held.start, held.end)


def house_time(text):
    return int(datetime.fromisoformat(text).timestamp())


async def test_a_cancelled_stay_loses_its_pin(house):
    stay = house.book(house.flat_101, HOUR, 3 * DAY)
    async with house.running():
        await house.pin_status(stay, "active")
        pin = await house.pin(stay)
        house.stays.cancel(stay)
        await house.reconciled()
        await house.pin_status(stay, "revoked")

        assert not house.street.try_pin(pin)
        assert not house.apt_101.try_pin(pin)
        assert house.street.codes == house.apt_101.codes == []


async def test_an_extended_stay_keeps_its_pin_and_its_code_gets_the_new_window(house):
    stay = house.book(house.flat_102, -HOUR, 1 * DAY)
    async with house.running():
        await house.pin_status(stay, "active")
        pin = await house.pin(stay)
        house.rebook(stay, -HOUR, 4 * DAY)
        await house.reconciled()
        await house.until(
            lambda: house.apt_102.codes[0].end > house.clock.now().timestamp() + 4 * 86400
        )
        await house.pin_status(stay, "active")

        assert await house.pin(stay) == pin
        assert sum(house.apt_102.creates.values()) == 1


async def test_45_reservations_3_created_12_updated_give_exactly_these_stats(house):
    for number in range(42):
        house.book(house.flat_101 if number % 2 else house.flat_102, (3 + number) * DAY, 20 * HOUR)
    async with house.running():
        first = await house.first_run()
        for reservation in list(house.stays.reservations)[:12]:
            house.stays.change(reservation, checkOutTime="09:30")
        for number in range(3):
            house.book(house.flat_101, (50 + number) * DAY, 20 * HOUR)
        second = await house.reconciled()
        third = await house.reconciled()

    nothing = {"fetched": 45, "created": 0, "updated": 0, "orphaned": 0, "deleted": 0, "errors": 0}
    assert first["stats"]["created"] == 42
    assert second["stats"] == nothing | {"created": 3, "updated": 12}
    assert third["stats"] == nothing


async def test_a_dead_lock_delays_no_other_and_gets_its_pin_when_it_is_back(house):
    await house.door.cut()
    stay = house.book(house.flat_101, HOUR, 3 * DAY)
    async with house.running():
        await house.until(lambda: house.apt_101.codes)
        await house.pin_status(stay, "at_risk")
        assert house.street.codes == []
        await house.door.restore()
        await house.pin_status(stay, "active")

    assert list(house.street.creates.values()) == [1]


async def test_everything_survives_a_restart(house):
    stay = house.book(house.flat_101, HOUR, 3 * DAY)
    async with house.running():
        await house.pin_status(stay, "active")
        pin = await house.pin(stay)
    async with house.running():
        await house.pin_status(stay, "active")
        assert await house.pin(stay) == pin

    assert list(house.street.creates.values()) == [1]
