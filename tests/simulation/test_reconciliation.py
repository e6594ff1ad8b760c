"""What a reconciliation makes of what Stays says, and of what it does not say."""

import sqlite3
from datetime import timedelta

import pytest

from gateway.domain import events
from tests.house import START, UNHURRIED, a_house, at, living
from tests.virtual_time import run_virtual

HOUR, DAY, MINUTE = timedelta(hours=1), timedelta(days=1), timedelta(minutes=1)


async def statuses(house, stays):
    return [(await house.stay(one))["pinStatus"] for one in stays]


LOOKED = 90  # seconds after which what holds was told


def told(house, event):
    return [notice for notice in house.notices.told if notice.event == event]


# --- when Stays fails ------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [{"status": 503}, {"status": 429}, {"hang_up": True}])
def test_an_unreachable_stays_is_asked_three_times_and_told_of_after_the_second_run(
    tmp_path, fault
):
    async def story(house):
        stay = house.book(house.flat_101, HOUR, 2 * DAY)
        await house.reconciled()
        house.stays.faults = type(house.stays.faults)(**fault)
        house.stays.requests.clear()
        run = await house.reconciled()
        assert run["status"] == "failed"
        assert house.stays.requests["booking/reservations"] == 3
        await house.clock.sleep(LOOKED)
        assert told(house, events.RECONCILE_FAILED) == []
        await house.reconciled()
        await house.reconciled()
        await house.clock.sleep(LOOKED)
        assert len(told(house, events.RECONCILE_FAILED)) == 1
        assert await statuses(house, [stay]) == ["active"]

    living(tmp_path, story)


@pytest.mark.parametrize("fault", [{"status": 401}, {"status": 403}, {"html": True}])
def test_a_refusing_stays_is_not_asked_again_and_told_of_at_once(tmp_path, fault):
    async def story(house):
        stay = house.book(house.flat_101, HOUR, 2 * DAY)
        await house.reconciled()
        house.stays.faults = type(house.stays.faults)(**fault)
        house.stays.requests.clear()
        run = await house.reconciled()
        assert run["status"] == "failed"
        assert "[stays]" in run["message"] or "Stays" in run["message"]
        assert house.stays.requests["booking/reservations"] == 1
        await house.clock.sleep(LOOKED)
        assert len(told(house, events.RECONCILE_FAILED)) == 1
        assert await statuses(house, [stay]) == ["active"]

    living(tmp_path, story)


@pytest.mark.parametrize("fault", [{"empty": True}, {"last_page_lost": True}])
def test_an_empty_or_short_list_is_noted_and_revokes_nothing(tmp_path, fault):
    async def story(house):
        stays = [house.book(house.flat_101, HOUR, 2 * DAY), house.book(house.flat_102, HOUR, DAY)]
        await house.reconciled()
        house.stays.faults = type(house.stays.faults)(**fault)
        run = await house.reconciled()
        assert run["status"] == "success"
        assert "2 missing from the list, looked up by id" in run["message"]
        assert run["stats"]["deleted"] == run["stats"]["updated"] == 0
        assert await statuses(house, stays) == ["active", "active"]

    living(tmp_path, story)


def test_a_renamed_account_that_answers_404_to_everything_revokes_nothing(tmp_path):
    async def story(house):
        stay = house.book(house.flat_101, DAY, 2 * DAY)
        await house.reconciled()
        await at(house, START + DAY - HOUR)
        house.stays.reservations.clear()
        house.stays.listings.clear()
        for _ in range(3):
            run = await house.reconciled()
            assert run["stats"]["deleted"] == 0
            assert "nothing vouches for that answer" in run["message"]
        assert await statuses(house, [stay]) == ["active"]

    living(tmp_path, story)


def test_one_malformed_reservation_keeps_what_it_has_and_the_others_go_on(tmp_path):
    async def story(house):
        broken = house.book(house.flat_101, HOUR, 2 * DAY)
        await house.reconciled()
        house.stays.change(broken, checkOutDate="soon")
        other = house.book(house.flat_102, HOUR, DAY)
        run = await house.reconciled()
        assert run["status"] == "success"
        assert (run["stats"]["errors"], run["stats"]["created"]) == (1, 1)
        assert broken in run["message"]
        await house.clock.sleep(60)
        assert await statuses(house, [broken, other]) == ["active", "active"]

    living(tmp_path, story)


def test_a_check_out_before_the_check_in_is_malformed(tmp_path):
    async def story(house):
        stay = house.book(house.flat_101, HOUR, 2 * DAY)
        house.stays.change(stay, checkOutDate=house.stays.reservations[stay]["checkInDate"])
        house.stays.change(stay, checkOutTime="00:30")
        run = await house.reconciled()
        assert run["stats"]["errors"] == 1
        assert await house.stay(stay) is None

    living(tmp_path, story)


# --- what only Stays' clear word takes away --------------------------------------------------------


def test_a_deleted_future_stay_loses_its_jobs_once_its_listing_vouches_for_the_404(tmp_path):
    async def story(house):
        stay = house.book(house.flat_101, 5 * DAY, 2 * DAY)
        await house.reconciled()
        house.stays.delete(stay)
        run = await house.reconciled()
        assert run["stats"] == run["stats"] | {"deleted": 1, "orphaned": 4, "updated": 0}
        assert (await house.stay(stay))["status"] == "cancelled"
        assert (await house.reconciled())["stats"]["deleted"] == 0

    living(tmp_path, story)


def test_a_guest_inside_loses_the_pin_by_a_404_only_at_the_second_run_in_a_row(tmp_path):
    async def story(house):
        stay = house.book(house.flat_101, -DAY, 3 * DAY)
        await house.reconciled()
        await house.clock.sleep(10)
        gone = house.stays.reservations.pop(stay)
        assert (await house.reconciled())["stats"]["deleted"] == 0
        assert len(told(house, events.STAY_MISSING)) == 1
        house.stays.reservations[stay] = gone
        await house.reconciled()
        house.stays.delete(stay)
        assert (await house.reconciled())["stats"]["deleted"] == 0
        assert await statuses(house, [stay]) == ["active"]
        assert (await house.reconciled())["stats"]["deleted"] == 1
        await house.clock.sleep(10)
        assert await statuses(house, [stay]) == ["revoked"]
        assert house.street.codes == house.apt_101.codes == []

    living(tmp_path, story)


def test_a_guest_inside_missed_once_is_gone_although_the_next_stay_has_the_code_by_then(tmp_path):
    async def story(house):
        stay = house.book(house.flat_101, -DAY, DAY + 2 * HOUR, partner_code="HM1")
        house.book(house.flat_101, 3 * HOUR, 2 * DAY, partner_code="HM1")
        await house.reconciled()
        await house.clock.sleep(10)
        pin = await house.pin(stay)
        house.stays.delete(stay)
        assert (await house.reconciled())["stats"]["deleted"] == 0
        await at(house, START + 2 * HOUR + MINUTE)
        assert (await house.reconciled())["stats"]["deleted"] == 1
        await house.clock.sleep(60)
        assert await statuses(house, [stay]) == ["revoked"]
        assert house.apt_101.try_pin(pin)
        assert sum(house.apt_101.creates.values()) == 1

    living(tmp_path, story, stays={"schedule": "0 12 * * *"})


@pytest.mark.parametrize("type_", ["canceled", "blocked", "maintenance", "reserved"])
def test_another_type_takes_the_pin_away(tmp_path, type_):
    async def story(house):
        stay = house.book(house.flat_101, HOUR, 2 * DAY)
        await house.reconciled()
        await house.clock.sleep(10)
        house.stays.change(stay, type=type_)
        run = await house.reconciled()
        assert run["stats"]["updated"] == 1
        await house.clock.sleep(10)
        assert await statuses(house, [stay]) == ["revoked"]
        assert house.street.codes == house.apt_101.codes == []

    living(tmp_path, story)


def test_booked_that_becomes_contract_changes_nothing_at_the_door(tmp_path):
    async def story(house):
        stay = house.book(house.flat_101, HOUR, 2 * DAY)
        await house.reconciled()
        await house.clock.sleep(10)
        before = house.street.writes, house.apt_101.writes, await house.pin(stay)
        house.stays.change(stay, type="contract")
        await house.reconciled()
        await house.clock.sleep(HOUR.total_seconds())
        after = house.street.writes, house.apt_101.writes, await house.pin(stay)
        assert before == after

    living(tmp_path, story)


def test_a_hold_gets_no_pin_until_it_is_booked(tmp_path):
    async def story(house):
        stay = house.book(house.flat_101, HOUR, 2 * DAY, type="reserved")
        await house.reconciled()
        await house.clock.sleep(60)
        assert house.street.codes == []
        assert (await house.stay(stay))["status"] == "pending"
        house.stays.change(stay, type="booked")
        await house.reconciled()
        await house.clock.sleep(10)
        assert await statuses(house, [stay]) == ["active"]

    living(tmp_path, story)


def test_a_reactivated_stay_gets_its_old_pin_back(tmp_path):
    async def story(house):
        stay = house.book(house.flat_101, HOUR, 2 * DAY)
        await house.reconciled()
        await house.clock.sleep(10)
        pin = await house.pin(stay)
        house.stays.cancel(stay)
        await house.reconciled()
        await house.clock.sleep(10)
        assert not house.apt_101.try_pin(pin)
        house.stays.change(stay, type="booked")
        await house.reconciled()
        await house.clock.sleep(10)
        assert house.apt_101.try_pin(pin)
        assert house.street.try_pin(pin)

    living(tmp_path, story)


def test_a_stay_already_over_gets_no_pin_and_one_in_progress_gets_one(tmp_path):
    async def story(house):
        over = house.book(house.flat_101, -3 * DAY, 2 * DAY)
        inside = house.book(house.flat_102, -DAY, 2 * DAY)
        await house.reconciled()
        await house.clock.sleep(60)
        assert await statuses(house, [over, inside]) == ["none", "active"]
        assert house.apt_101.codes == []

    living(tmp_path, story)


# --- moves -----------------------------------------------------------------------------------------


def test_a_stay_moved_into_the_future_is_deleted_now_and_gets_the_same_pin_then(tmp_path):
    async def story(house):
        stay = house.book(house.flat_101, HOUR, 2 * DAY)
        await house.reconciled()
        await house.clock.sleep(10)
        pin = await house.pin(stay)
        house.rebook(stay, 5 * DAY, 2 * DAY)
        await house.reconciled()
        await house.clock.sleep(10)
        assert house.street.codes == house.apt_101.codes == []
        await at(house, START + 5 * DAY)
        assert house.street.try_pin(pin)
        assert house.apt_101.try_pin(pin)

    living(tmp_path, story)


def test_a_booking_that_shortens_a_neighbours_window_rewrites_it_on_the_lock(tmp_path):
    async def story(house):
        leaving = house.book(house.flat_102, -DAY, DAY + 4 * HOUR)
        await house.reconciled()
        await house.clock.sleep(10)
        assert house.apt_102.codes[0].end == int((START + 28 * HOUR).timestamp())
        house.book(house.flat_102, 10 * HOUR, DAY)
        run = await house.reconciled()
        await house.clock.sleep(10)
        assert (run["stats"]["created"], run["stats"]["updated"]) == (1, 0)
        assert house.apt_102.codes[0].end == int((START + 8 * HOUR).timestamp())
        assert await statuses(house, [leaving]) == ["active"]

    living(tmp_path, story)


def test_two_stays_that_truly_overlap_keep_their_pins_and_are_told_once(tmp_path):
    async def story(house):
        stays = [house.book(house.flat_101, -HOUR, DAY), house.book(house.flat_101, -HOUR, 2 * DAY)]
        await house.reconciled()
        await house.reconciled()
        await house.clock.sleep(LOOKED)
        pins = [await house.pin(one) for one in stays]
        assert len(set(pins)) == 2
        assert all(house.apt_101.try_pin(pin) for pin in pins)
        assert len(told(house, events.STAY_OVERLAP)) == 1

    living(tmp_path, story)


# --- guests ----------------------------------------------------------------------------------------


def test_guests_of_mapped_stays_are_read_in_the_background_and_change_no_stat(tmp_path):
    async def story(house):
        stay = house.book(house.flat_101, HOUR, 2 * DAY, guest="Guest Seven")
        elsewhere = house.stays.add_listing("Elsewhere")
        stranger = house.book(elsewhere, HOUR, 2 * DAY)
        await house.reconciled()
        await house.clock.sleep(10)
        guest = (await house.stay(stay))["guest"]
        assert guest["name"] == "Guest Seven"
        assert guest["phone"].startswith("+55")
        assert (await house.stay(stranger))["guest"] == {"name": None, "phone": None}
        assert house.stays.requests[f"booking/reservations/{stranger}"] == 0
        assert (await house.reconciled())["stats"]["updated"] == 0

    living(tmp_path, story)


def test_an_unmapped_listing_is_told_once_and_shown(tmp_path):
    async def story(house):
        elsewhere = house.stays.add_listing("Elsewhere")
        stays = [house.book(elsewhere, HOUR, DAY), house.book(elsewhere, 3 * DAY, DAY)]
        run = await house.reconciled()
        await house.reconciled()
        assert run["stats"]["created"] == 2
        assert await statuses(house, stays) == ["unmapped", "unmapped"]
        await house.clock.sleep(LOOKED)
        assert [notice.subject for notice in told(house, events.LISTING_UNMAPPED)] == [elsewhere]

    living(tmp_path, story)


# --- the brake -------------------------------------------------------------------------------------


async def three_guests(house):
    """Three stays that hold placements, all cancelled at once."""
    stays = [
        house.book(house.flat_101, -HOUR, 3 * DAY),
        house.book(house.flat_101, -HOUR, 4 * DAY),
        house.book(house.flat_102, -HOUR, 3 * DAY),
    ]
    await house.reconciled()
    await house.clock.sleep(20)
    assert await statuses(house, stays) == ["active"] * 3
    for stay in stays:
        house.stays.cancel(stay)
    return stays


async def decided(house, decision):
    body = {"action": decision}
    return await house.api("POST", "/api/admin/reconciliation/held", json=body)


def test_a_run_that_would_take_too_many_doors_holds_them_all_and_tells(tmp_path):
    async def story(house):
        stays = await three_guests(house)
        run = await house.reconciled()
        await house.clock.sleep(LOOKED)
        assert run["status"] == "success"
        assert "the brake holds" in run["message"]
        assert len(told(house, events.BRAKE_HELD)) == 1
        assert await statuses(house, stays) == ["at_risk"] * 3
        assert len(house.street.codes) == 3
        _, held = await house.api("GET", "/api/admin/reconciliation/held")
        assert {one["id"] for one in held["data"]["held"]} == set(stays)

    living(tmp_path, story)


def test_two_cancellations_at_once_are_under_no_brake(tmp_path):
    async def story(house):
        stays = await three_guests(house)
        house.stays.change(stays[0], type="booked")
        await house.reconciled()
        await house.clock.sleep(20)
        assert await statuses(house, stays) == ["active", "revoked", "revoked"]

    living(tmp_path, story)


def test_what_the_brake_holds_goes_when_the_admin_confirms(tmp_path):
    async def story(house):
        stays = await three_guests(house)
        await house.reconciled()
        assert (await decided(house, "confirm"))[0] == 200
        await house.clock.sleep(20)
        assert await statuses(house, stays) == ["revoked"] * 3
        assert house.street.codes == []

    living(tmp_path, story)


def test_what_the_admin_rejects_keeps_its_pin_until_its_own_end(tmp_path):
    async def story(house):
        stays = await three_guests(house)
        await house.reconciled()
        assert (await decided(house, "reject"))[0] == 200
        for _ in range(4):
            await house.reconciled()
        assert len(house.street.codes) == 3
        await at(house, START + 4 * DAY - HOUR - MINUTE)
        assert len(house.street.codes) == 3
        await at(house, START + 4 * DAY - HOUR + MINUTE)
        assert house.street.codes == []
        assert await statuses(house, stays) == ["revoked"] * 3

    living(tmp_path, story)


def test_held_cancellations_go_when_two_further_runs_read_them_again(tmp_path):
    async def story(house):
        stays = await three_guests(house)
        await house.reconciled()
        await house.reconciled()
        await house.clock.sleep(20)
        assert len(house.street.codes) == 3
        await house.reconciled()
        await house.clock.sleep(20)
        assert await statuses(house, stays) == ["revoked"] * 3

    living(tmp_path, story)


def test_a_held_stay_goes_at_once_when_another_guests_window_on_its_unit_starts(tmp_path):
    async def story(house):
        stays = await three_guests(house)
        house.book(house.flat_101, 6 * HOUR, DAY)
        await house.reconciled()
        house.stays.faults.status = 503
        await at(house, START + 4 * HOUR + MINUTE)
        house.stays.faults.status = None
        await house.reconciled()
        await house.clock.sleep(20)
        assert (await statuses(house, stays))[:2] == ["revoked", "revoked"]

    living(tmp_path, story)


def test_a_listing_that_leaves_the_configuration_is_revoked_like_a_cancelled_one(tmp_path):
    async def main(clock):
        async with a_house(tmp_path, clock, pace=UNHURRIED) as house:
            async with house.running():
                await house.first_run()
                stay = house.book(house.flat_101, HOUR, 2 * DAY)
                await house.reconciled()
                await house.clock.sleep(20)
                assert len(house.street.codes) == 1
            house.settings["listings"] = house.config_values()["listings"][1:]
            async with house.running():
                await house.reconciled()
                await house.clock.sleep(60)
                assert house.street.codes == house.apt_101.codes == []
                assert await statuses(house, [stay]) == ["unmapped"]

    run_virtual(main, start=START)


# --- the store -------------------------------------------------------------------------------------


def test_orphans_that_cannot_be_removed_are_noted_and_removed_by_the_next_run(tmp_path):
    def on_disk(statement):
        with sqlite3.connect(tmp_path / "gateway.db") as database:
            database.execute(statement)
        database.close()

    async def main(clock):
        async with a_house(tmp_path, clock, pace=UNHURRIED) as house:
            stay = house.book(house.flat_101, 5 * DAY, 2 * DAY)
            async with house.running():
                await house.first_run()
            house.stays.cancel(stay)
            on_disk(
                "CREATE TRIGGER stuck BEFORE DELETE ON jobs"
                " BEGIN SELECT RAISE(ABORT, 'disk I/O error'); END"
            )
            async with house.running():
                run = await house.reconciled()
                assert run["status"] == "success"
                assert "orphaned jobs stay for now" in run["message"]
                assert run["stats"]["orphaned"] == 0
            on_disk("DROP TRIGGER stuck")
            async with house.running():
                await house.reconciled()
                await house.clock.sleep(60)
            with sqlite3.connect(tmp_path / "gateway.db") as database:
                assert database.execute("SELECT count(*) FROM jobs").fetchone() == (0,)
            database.close()

    run_virtual(main, start=START)


def test_a_run_cut_off_by_a_kill_is_closed_as_failed_at_the_next_start(tmp_path):
    async def main(clock):
        async with a_house(tmp_path, clock, pace=UNHURRIED) as house:
            async with house.running():
                await house.first_run()
            with sqlite3.connect(tmp_path / "gateway.db") as database:
                database.execute(
                    "INSERT INTO reconciliation_logs (id, started_at, created_at, status)"
                    " VALUES ('cut-off', '2026-02-02T14:00:00Z', '2026-02-02T14:00:00Z', 'pending')"
                )
            database.close()
            async with house.running():
                await house.reconciled()
                _, runs = await house.api("GET", "/api/admin/reconciliation/runs")
                cut_off = next(run for run in runs["data"] if run["id"] == "cut-off")
                assert cut_off["status"] == "failed"
                assert "pending" not in {run["status"] for run in runs["data"][1:]}

    run_virtual(main, start=START)


# --- what is counted, and what is kept -------------------------------------------------------------


def test_stays_that_merely_touch_the_window_of_stays_are_not_fetched(tmp_path):
    async def story(house):
        today = START.date()  # lookback 2 days, horizon 60
        for days, nights in [(-4, 2), (60, 1)]:  # out on the first day, in on the last
            house.stays.book(house.flat_101, today + days * DAY, today + days * DAY + nights * DAY)
        run = await house.reconciled()
        assert (run["stats"]["fetched"], run["stats"]["created"]) == (0, 0)
        for days, nights in [(-4, 3), (59, 1)]:
            house.stays.book(house.flat_102, today + days * DAY, today + days * DAY + nights * DAY)
        run = await house.reconciled()
        assert (run["stats"]["fetched"], run["stats"]["created"]) == (2, 2)

    living(tmp_path, story)


def test_a_row_that_comes_on_two_pages_is_fetched_once(tmp_path):
    async def story(house):
        for number in range(25):
            house.book(house.flat_101, (number + 1) * DAY, 20 * HOUR)
        house.stays.most = 20
        house.stays.faults.repeat_rows = True
        run = await house.reconciled()
        assert (run["stats"]["fetched"], run["stats"]["created"]) == (25, 25)

    living(tmp_path, story)


def test_a_stay_whose_dates_turn_to_nonsense_keeps_its_nights_against_its_neighbour(tmp_path):
    async def story(house):
        inside = house.book(house.flat_101, -HOUR, DAY)  # out at 14:00 UTC tomorrow
        house.book(house.flat_101, DAY, DAY)  # in at 15:00
        await house.reconciled()
        await house.pin_status(inside, "active")
        row = house.stays.reservations[inside]
        house.stays.change(inside, checkOutDate=row["checkInDate"], checkOutTime="09:00")
        run = await house.reconciled()
        assert run["stats"]["errors"] == 1
        assert "check-out is not after its check-in" in run["message"]
        _, body = await house.api("GET", "/api/admin/reservations")
        first, second = body["data"]
        assert (first["pinStatus"], first["checkOut"]) == ("active", "2026-02-03T14:00:00Z")
        assert {door["validFrom"] for door in second["credentials"]} == {"2026-02-03T14:00:00Z"}

    living(tmp_path, story)
