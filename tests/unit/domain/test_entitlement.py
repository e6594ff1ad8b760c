from dataclasses import replace
from datetime import date, timedelta

from gateway.domain.entitlement import Because, Known, Planned, derive_in_steps
from gateway.domain.model import Policy, ReservationType, Window
from gateway.domain.policy import stay_of
from tests.builders import a_lock, a_property, a_reservation, a_unit, utc

NOW = utc("2026-02-05 12:00")  # check-in 18:00, check-out 2026-02-08 14:00
WINDOW = Window(valid_from=utc("2026-02-05 16:00"), valid_until=utc("2026-02-09 14:00"))
UNIT_101 = a_unit()
UNIT_102 = a_unit(name="Apto 102", stays_ids=("listing-102",), locks=("street-door", "apt-102"))
SITE = a_property(
    units=(UNIT_101, UNIT_102),
    locks=(a_lock("apt-101"), a_lock("apt-102"), a_lock("street-door", shared=True)),
)


def derive(known, planned, site, now):
    """What all steps come to."""
    steps = derive_in_steps(known, planned, site, now)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def a_known(number: int = 1, unit=UNIT_101, **changes) -> Known:
    reservation = a_reservation(
        id=f"id-{number}", code=f"AB{number:02d}C", **changes.pop("reservation", {})
    )
    values = {
        "reservation": reservation,
        "unit": unit.name if unit else None,
        "stay": stay_of(reservation, unit) if unit else None,
    }
    return Known(**(values | changes))


def a_planned(number: int = 1, lock: str = "apt-101", **changes) -> Planned:
    values = {
        "id": f"AB{number:02d}C-{lock}",
        "reservation_id": f"id-{number}",
        "lock": lock,
        "unit": "Apto 101",
        "window": WINDOW,
        "wanted": True,
        "ended": False,
        "on_lock": False,
        "follows": None,
        "has_rev": True,
    }
    return Planned(**(values | changes))


def test_a_new_stay_wants_a_credential_on_each_of_its_doors():
    changes = derive([a_known(unit=UNIT_102)], [], SITE, NOW)

    assert [(want.id, want.window) for want in changes.wants] == [
        ("AB01C-street-door", WINDOW),
        ("AB01C-apt-102", WINDOW),
    ]


def test_an_unchanged_stay_changes_nothing():
    changes = derive([a_known()], [a_planned()], SITE, NOW)

    assert (changes.wants, changes.withdrawals) == ((), ())


def test_a_hold_a_block_or_an_unmapped_listing_has_no_right_to_a_pin():
    for type_ in (ReservationType.RESERVED, ReservationType.BLOCKED, ReservationType.MAINTENANCE):
        assert derive([a_known(reservation={"type": type_})], [], SITE, NOW).wants == ()
    assert derive([a_known(unit=None)], [], SITE, NOW).wants == ()


def test_a_stay_already_over_when_first_seen_gets_no_pin():
    late = utc("2026-02-08 14:00")

    assert derive([a_known(over=True)], [], SITE, late).wants == ()
    # nor when the unit's default check-out time is moved to later afterwards
    assert derive([a_known(over=True)], [], SITE, late - timedelta(hours=1)).wants == ()


def test_a_stay_in_progress_when_first_seen_gets_one():
    changes = derive([a_known()], [], SITE, utc("2026-02-06 12:00"))

    assert [want.id for want in changes.wants] == ["AB01C-apt-101"]


def test_a_cancelled_stay_loses_every_credential_at_once():
    cancelled = a_known(reservation={"type": ReservationType.CANCELED}, holds_placement=True)
    changes = derive([cancelled], [a_planned(on_lock=True)], SITE, NOW)

    (withdrawal,) = changes.withdrawals
    assert (withdrawal.because, withdrawal.at) == (Because.CANCELLED, NOW)


def test_a_relocated_stay_wants_the_new_doors_and_leaves_the_old_ones():
    changes = derive(
        [a_known(unit=UNIT_102, holds_placement=True)], [a_planned(on_lock=True)], SITE, NOW
    )

    assert {want.id for want in changes.wants} == {"AB01C-street-door", "AB01C-apt-102"}
    (withdrawal,) = changes.withdrawals
    assert (withdrawal.id, withdrawal.because) == ("AB01C-apt-101", Because.MOVED)
    assert withdrawal.at == WINDOW.valid_until


def test_the_old_door_of_a_relocated_stay_goes_at_the_latest_when_another_guest_comes():
    relocated = a_known(1, unit=UNIT_102, holds_placement=True)
    next_guest = a_known(2)
    changes = derive([relocated, next_guest], [a_planned(on_lock=True)], SITE, NOW)

    (withdrawal,) = changes.withdrawals
    assert withdrawal.at == WINDOW.valid_from


def test_a_reactivated_stay_is_wanted_again():
    gone = a_planned(wanted=False, ended=True)
    changes = derive([a_known(reopened=True)], [gone], SITE, NOW)

    assert [(want.id, want.new) for want in changes.wants] == [("AB01C-apt-101", False)]


def test_a_window_that_has_ended_is_not_reopened_by_a_neighbours_cancellation():
    shortened = replace(WINDOW, valid_until=utc("2026-02-08 16:00"))
    ended = a_planned(window=shortened, ended=True)
    after = utc("2026-02-08 17:00")

    assert derive([a_known()], [ended], SITE, after).wants == ()
    assert len(derive([a_known(reopened=True)], [ended], SITE, after).wants) == 1


def test_a_persons_revocation_is_lifted_by_no_run():
    changes = derive([a_known(blocked=True, reopened=True)], [a_planned(on_lock=True)], SITE, NOW)

    assert changes.wants == ()
    assert [each.because for each in changes.withdrawals] == [Because.PERSON]


def test_a_booking_that_moves_a_neighbours_window_rewrites_the_neighbour():
    nights = {
        "check_in_date": utc("2026-02-08 00:00").date(),
        "check_out_date": utc("2026-02-10 00:00").date(),
    }
    changes = derive([a_known(1), a_known(2, reservation=nights)], [a_planned(1)], SITE, NOW)

    windows = {want.id: want.window for want in changes.wants}
    assert windows["AB01C-apt-101"].valid_until == windows["AB02C-apt-101"].valid_from


def cancelled(number: int, **changes) -> Known:
    units = {"reservation": {"type": ReservationType.CANCELED}, "holds_placement": True}
    return a_known(number, **(units | changes))


def holders(count: int, lost: int, **changes):
    known = [cancelled(n, **changes) for n in range(lost)]
    known += [a_known(n, holds_placement=True) for n in range(lost, count)]
    return known, [a_planned(n, on_lock=True) for n in range(count)]


def test_the_brake_holds_a_run_that_takes_the_doors_from_more_than_two_and_30_percent():
    site = a_property(policy=Policy(yield_to_next_guest=False))
    far = utc("2026-02-04 12:00")

    held = derive(*holders(10, 4), site, far)
    assert held.held == {"id-0", "id-1", "id-2", "id-3"}
    assert held.withdrawals == ()
    passing = derive(*holders(10, 3), site, far)
    assert passing.held == frozenset()
    assert len(passing.withdrawals) == 3
    assert derive(*holders(2, 2), site, far).held == frozenset()
    assert len(derive(*holders(3, 3), site, far).held) == 3


def test_stays_without_a_code_on_a_door_are_under_no_brake():
    planned = [a_planned(n) for n in range(4)]
    changes = derive([cancelled(n, holds_placement=False) for n in range(4)], planned, SITE, NOW)

    assert changes.held == frozenset()
    assert len(changes.withdrawals) == 4


def test_held_cancellations_go_when_two_further_runs_read_them_again():
    once = derive(*holders(3, 3, held_reads=0, read_again=True), SITE, NOW)
    twice = derive(*holders(3, 3, held_reads=1, read_again=True), SITE, NOW)

    assert len(once.held) == 3
    assert twice.released == {"id-0", "id-1", "id-2"}
    assert len(twice.withdrawals) == 3


def test_a_held_deletion_waits_for_a_person():
    changes = derive(*holders(3, 3, held_reads=5, read_again=True, deleted=True), SITE, NOW)

    assert len(changes.held) == 3


def test_a_held_stay_goes_at_once_when_another_guests_window_starts():
    known, planned = holders(3, 3, held_reads=0)
    newcomer = a_known(9)

    assert derive([*known, newcomer], planned, SITE, NOW).released == frozenset()
    started = derive([*known, newcomer], planned, SITE, WINDOW.valid_from + timedelta(seconds=1))
    assert started.released == {"id-0", "id-1", "id-2"}


def test_a_held_stay_stays_held_when_another_guest_of_its_time_has_left():
    known, planned = holders(3, 3, held_reads=0)
    nights = {"check_in_date": date(2026, 2, 5), "check_out_date": date(2026, 2, 6)}
    left = a_known(9, reservation=nights)
    site = a_property(policy=Policy(revoke_after=timedelta(0)))

    assert derive([*known, left], planned, site, utc("2026-02-07 12:00")).released == frozenset()


def guests_of_102(count: int):
    """Stays inside with codes on both doors of the unit."""
    known = [a_known(n, unit=UNIT_102, holds_placement=True) for n in range(count)]
    doors = ("street-door", "apt-102")
    planned = [
        a_planned(n, lock, unit="Apto 102", on_lock=True) for n in range(count) for lock in doors
    ]
    return known, planned


def with_doors(*locks: str):
    return replace(SITE, units=(UNIT_101, replace(UNIT_102, locks=locks)))


def test_the_brake_holds_a_door_that_the_configuration_takes_from_many_stays():
    site = with_doors("apt-102")
    changes = derive(*guests_of_102(3), site, NOW)

    assert changes.held == {"id-0", "id-1", "id-2"}
    assert changes.withdrawals == ()
    few = derive(*guests_of_102(2), site, NOW)
    assert few.held == frozenset()
    assert {one.lock for one in few.withdrawals} == {"street-door"}


def test_a_held_stay_that_keeps_its_place_still_follows_its_dates():
    known, planned = guests_of_102(3)
    longer = {"check_out_date": utc("2026-02-10 00:00").date()}
    known[0] = a_known(0, unit=UNIT_102, holds_placement=True, reservation=longer)
    changes = derive(known, planned, with_doors("apt-102"), NOW)

    assert len(changes.held) == 3
    assert {one.lock for one in changes.wants if one.reservation_id == "id-0"} == {
        "street-door",
        "apt-102",
    }


def test_another_door_in_place_of_one_is_a_move_and_not_held():
    changes = derive(*guests_of_102(3), with_doors("apt-101", "apt-102"), NOW)

    assert changes.held == frozenset()
    assert {one.because for one in changes.withdrawals} == {Because.MOVED}


def test_a_relocation_by_stays_does_not_count():
    _, planned = guests_of_102(3)
    moved = [a_known(n, holds_placement=True) for n in range(3)]

    assert derive(moved, planned, SITE, NOW).held == frozenset()


def test_what_was_held_goes_on_when_the_door_is_back():
    known, planned = guests_of_102(3)
    held = [replace(one, held_reads=0) for one in known]

    assert derive(held, planned, SITE, NOW).released == {"id-0", "id-1", "id-2"}
