"""Stays of one guest that follow or overlap each other: one PIN goes on, whichever of them ends."""

import sqlite3
from contextlib import closing
from datetime import timedelta

import pytest

from tests.house import living

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


async def both_inside(house, first, second):
    """One guest with two stays, a start and a length each; the later one has taken the code over."""
    stays = []
    for span in (first, second):
        stays.append(house.book(house.flat_101, *span, partner_code="HM1"))
        await house.reconciled()
        await house.pin_status(stays[0], "active")
    await house.clock.sleep(60)
    (code,), (other,) = house.apt_101.codes, house.street.codes
    assert code.pin == other.pin
    return *stays, code.pin


async def goes_on(house, pin, length):
    """For so long the guest is tried at both doors every two hours."""
    for _ in range(length // (2 * HOUR)):
        await house.clock.sleep((2 * HOUR).total_seconds())
        assert house.street.opens(pin)
        assert house.apt_101.opens(pin)


@pytest.mark.parametrize("second", [(-HOUR / 2, DAY), (HOUR, DAY / 2)], ids=["twice", "inside"])
@pytest.mark.parametrize("change", ["cancelled", "gone", "moved"])
def test_a_later_stay_that_is_taken_back_leaves_the_guest_inside(tmp_path, second, change):
    async def story(house):
        first, later, pin = await both_inside(house, (-HOUR, DAY), second)
        if change == "cancelled":
            house.stays.cancel(later)
        elif change == "gone":
            house.stays.delete(later)
        else:
            house.rebook(later, 20 * DAY, DAY)
        await house.reconciled()
        await house.reconciled()
        await house.clock.sleep(60)
        if change == "moved":
            found = (await house.api("GET", f"/api/admin/reservations/{later}"))[1]["data"]
            for door in found["credentials"]:
                assert door["nextAttemptAt"] == door["validFrom"]
        await goes_on(house, pin, DAY / 2)
        assert await house.pin(first) == pin
        await house.pin_status(first, "active")
        await house.clock.sleep((DAY / 2 + HOUR).total_seconds())
        assert house.street.codes == house.apt_101.codes == []
        await house.pin_status(first, "revoked")

    living(tmp_path, story, policy={"revoke_after": "1h"})


def test_a_later_stay_that_ends_first_leaves_the_guest_inside(tmp_path):
    async def story(house):
        first, later, pin = await both_inside(house, (-HOUR, DAY), (HOUR, DAY / 4))
        await house.pin_status(later, "active")
        await goes_on(house, pin, 3 * DAY / 4)
        await house.pin_status(first, "active")
        await house.pin_status(later, "revoked")
        await house.clock.sleep((DAY / 2).total_seconds())
        assert house.street.codes == house.apt_101.codes == []

    living(tmp_path, story, policy={"revoke_after": "1h"})


def test_a_stay_that_is_deleted_after_its_end_is_called_so_though_its_code_goes_on(tmp_path):
    async def story(house):
        first = house.book(house.flat_101, -HOUR, 2 * HOUR, partner_code="HM1")
        later = house.book(house.flat_101, 3 * HOUR, DAY, partner_code="HM1")
        await house.reconciled()
        await house.clock.sleep((2 * HOUR).total_seconds())
        await house.pin_status(later, "active")
        await house.pin_status(first, "active")
        house.stays.delete(first)
        await house.reconciled()
        await house.pin_status(first, "revoked")
        await house.pin_status(later, "active")
        assert house.apt_101.opens(await house.pin(later))

    living(tmp_path, story)


@pytest.mark.parametrize("lengths", [(DAY / 4, DAY), (DAY, DAY / 4)], ids=["short", "long"])
def test_of_two_stays_that_begin_together_the_longer_has_the_code(tmp_path, lengths):
    async def story(house):
        stays = [
            house.book(house.flat_101, 3 * HOUR, length, partner_code="HM1") for length in lengths
        ]
        shorter, longer = stays if lengths[0] < lengths[1] else reversed(stays)
        await house.reconciled()
        await house.reconciled()  # which of two new ones follows the other is seen by the second
        await house.clock.sleep((3 * HOUR).total_seconds())
        pin = await house.pin(longer)
        assert pin == await house.pin(shorter)
        for stay in stays:
            await house.pin_status(stay, "active")
        with closing(sqlite3.connect(tmp_path / "gateway.db")) as database:
            left = database.execute("SELECT count(*) FROM jobs WHERE kind = 'gen'").fetchone()
        assert left == (0,)
        await goes_on(house, pin, 3 * DAY / 4)
        await house.pin_status(shorter, "revoked")
        await house.pin_status(longer, "active")
        for lock in (house.street, house.apt_101):
            assert list(lock.creates.values()) == [1]

    living(tmp_path, story, policy={"revoke_after": "1h"})


def test_a_later_stay_that_gets_another_pin_gives_it_to_the_one_before(tmp_path):
    async def story(house):
        first, later, old = await both_inside(house, (-HOUR, DAY), (-HOUR / 2, DAY))
        await house.api("POST", f"/api/admin/reservations/{later}/reissue-pin")
        await house.clock.sleep(60)
        new = await house.pin(later)
        assert new != old
        assert await house.pin(first) == new
        await house.pin_status(first, "active")
        assert not house.street.opens(old)

        house.stays.cancel(later)
        await house.reconciled()
        await house.clock.sleep(60)
        await goes_on(house, new, DAY / 2)
        await house.pin_status(first, "active")

    living(tmp_path, story)


def test_the_guest_who_stays_on_is_let_in_by_a_lock_whose_clock_runs_behind(tmp_path):
    async def story(house):
        house.street.skew = -HOUR / 60
        first = house.book(house.flat_101, -HOUR, 3 * HOUR, partner_code="HM1")
        later = house.book(house.flat_101, 4 * HOUR, DAY, partner_code="HM1")
        await house.reconciled()
        await house.pin_status(first, "active")
        pin = await house.pin(first)
        await house.clock.sleep(60)
        (code,) = house.street.codes
        begin, until = code.start, code.end
        for _ in range(24 * 60):
            await house.clock.sleep(10)
            assert house.street.opens(pin)
        await house.pin_status(later, "active")
        (code,) = house.street.codes
        assert (code.start, code.pin) == (begin, pin)
        assert code.end > until

    living(tmp_path, story)


def test_the_code_of_a_stay_shortened_to_its_end_goes_on_as_that_of_the_stay_that_replaces_it(
    tmp_path,
):
    async def story(house):
        first = house.book(house.flat_101, -4 * HOUR, DAY, partner_code="HM1")
        await house.reconciled()
        await house.pin_status(first, "active")
        pin = await house.pin(first)
        house.rebook(first, -4 * HOUR, 2 * HOUR)
        later = house.book(house.flat_101, -2 * HOUR, DAY, partner_code="HM1")
        await house.reconciled()
        await house.clock.sleep(60)
        await house.pin_status(later, "active")
        assert await house.pin(later) == pin
        for lock in (house.street, house.apt_101):
            assert lock.opens(pin)
            assert list(lock.creates.values()) == [1], "it was moved, not deleted and written again"

    living(tmp_path, story, policy={"revoke_after": "1h"})


def test_a_stay_that_follows_a_short_one_inside_a_long_one_goes_on_with_the_long_ones_code(
    tmp_path,
):
    async def story(house):
        spans = ((-HOUR, DAY), (HOUR, 4 * HOUR), (9 * HOUR, 2 * DAY))
        stays = []
        for span in spans:
            stays.append(house.book(house.flat_101, *span, partner_code="HM1"))
            await house.reconciled()
        await house.pin_status(stays[0], "active")
        pin = await house.pin(stays[0])
        await house.clock.sleep((6 * HOUR + HOUR / 2).total_seconds())
        await house.pin_status(stays[1], "revoked")
        await goes_on(house, pin, 2 * DAY)
        assert await house.pin(stays[2]) == pin
        for lock in (house.street, house.apt_101):
            assert lock.duplicates == []
            assert list(lock.creates.values()) == [1]

    living(tmp_path, story, policy={"revoke_after": "1h"})


def test_the_first_of_three_stays_that_comes_back_to_life_keeps_the_pin_that_the_last_one_has(
    tmp_path,
):
    async def story(house):
        stays = []
        for start, length in ((-4, DAY), (-3, 2 * DAY), (-2, 3 * DAY)):
            stays.append(house.book(house.flat_101, start * HOUR, length, partner_code="HM1"))
            await house.reconciled()
            await house.clock.sleep(60)
        pin = await house.pin(stays[2])
        assert [await house.pin(one) for one in stays] == [pin] * 3
        house.stays.cancel(stays[0])
        await house.reconciled()
        await house.clock.sleep(60)
        house.stays.change(stays[0], type="booked")
        await house.reconciled()
        await house.clock.sleep(600)
        assert [await house.pin(one) for one in stays] == [pin] * 3
        for one in stays:
            await house.pin_status(one, "active")
        assert house.street.duplicates == house.apt_101.duplicates == []

    living(tmp_path, story)


def test_a_later_stay_that_moves_away_on_a_lock_that_may_be_written_early_leaves_the_guest_inside(
    tmp_path,
):
    async def story(house):
        house.changes |= {name: {"trust_window": True} for name in ("street", "apt-101")}
        await house.gateway.reload(house.config())
        first, later, pin = await both_inside(house, (-HOUR, DAY), (-HOUR / 2, 2 * DAY))
        house.rebook(later, 2 * DAY, DAY)
        await house.reconciled()
        await house.clock.sleep(60)
        await goes_on(house, pin, DAY)
        assert await house.pin(first) == pin

    living(tmp_path, story, policy={"program_ahead": "72h"})


def test_of_two_pins_that_are_due_at_the_same_moment_the_first_stays_is_minted_first(tmp_path):
    async def story(house):
        later = house.book(house.flat_101, 2 * DAY, DAY, partner_code="HM1")
        await house.reconciled()
        first = house.book(house.flat_101, DAY, DAY, partner_code="HM1")
        await house.reconciled()
        await house.reconciled()
        house.settings["policy"] = {"mint_ahead": "96h"}
        await house.gateway.reload(house.config())
        await house.clock.sleep(60)
        pin = await house.pin(first)
        assert pin is not None
        assert await house.pin(later) == pin

    living(tmp_path, story)
