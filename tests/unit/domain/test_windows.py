from datetime import date, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from gateway.domain.model import Policy, Window, WindowMode
from gateway.domain.policy import instant, overlapping, stay_of, window_to_write, windows
from gateway.errors import MalformedReservationError
from tests.builders import a_reservation, a_stay, a_unit, utc

POLICY = Policy()


def test_a_pin_opens_two_hours_before_check_in_until_24_hours_after_check_out():
    one = a_stay("a", "2026-02-05 18:00", "2026-02-08 14:00")

    assert windows([one], POLICY)["a"] == Window(
        valid_from=utc("2026-02-05 16:00"), valid_until=utc("2026-02-09 14:00")
    )


def test_a_guest_who_left_keeps_the_door_only_until_the_next_guests_pin_lives():
    leaving = a_stay("a", "2026-02-05 18:00", "2026-02-08 14:00")
    arriving = a_stay("b", "2026-02-08 18:00", "2026-02-10 14:00")

    found = windows([leaving, arriving], POLICY)

    assert found["a"].valid_until == found["b"].valid_from == utc("2026-02-08 16:00")


def test_a_pin_never_opens_before_the_guest_before_has_left():
    leaving = a_stay("a", "2026-02-05 18:00", "2026-02-08 17:00")
    arriving = a_stay("b", "2026-02-08 18:00", "2026-02-10 14:00")

    found = windows([leaving, arriving], POLICY)

    assert found["b"].valid_from == utc("2026-02-08 17:00")
    assert found["a"].valid_until == utc("2026-02-08 17:00")


def test_two_stays_that_truly_overlap_both_keep_their_own_nights():
    first = a_stay("a", "2026-02-05 18:00", "2026-02-09 14:00")
    second = a_stay("b", "2026-02-08 18:00", "2026-02-10 14:00")

    found = windows([first, second], POLICY)

    assert found["a"].valid_until >= first.check_out_at
    assert found["b"].valid_from <= second.check_in_at
    assert overlapping([first, second]) == (("a", "b"),)


def test_without_yielding_a_pin_lives_24_hours_on_beside_the_next_guest():
    leaving = a_stay("a", "2026-02-05 18:00", "2026-02-08 14:00")
    arriving = a_stay("b", "2026-02-08 18:00", "2026-02-10 14:00")

    found = windows([leaving, arriving], Policy(yield_to_next_guest=False))

    assert found["a"].valid_until == utc("2026-02-09 14:00")
    assert found["b"].valid_from == utc("2026-02-08 16:00")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"client_id": "c1"}, {"client_id": "c1"}),
        ({"partner_code": "HM1"}, {"partner_code": "HM1"}),
    ],
)
def test_the_same_guest_staying_on_yields_to_nobody(one, other):
    first = a_stay("a", "2026-02-05 18:00", "2026-02-08 14:00", **one)
    second = a_stay("b", "2026-02-08 18:00", "2026-02-10 14:00", **other)

    found = windows([first, second], POLICY)

    assert found["a"].valid_until == utc("2026-02-09 14:00")
    assert found["b"].valid_from == utc("2026-02-08 16:00")
    assert overlapping([first, second]) == ()


def test_the_same_client_coming_back_a_day_later_is_another_guest():
    first = a_stay("a", "2026-02-05 18:00", "2026-02-08 14:00", client_id="c1")
    second = a_stay("b", "2026-02-09 12:00", "2026-02-10 14:00", client_id="c1")

    assert windows([first, second], POLICY)["a"].valid_until == utc("2026-02-09 10:00")


def test_times_of_the_reservation_win_over_those_of_the_unit():
    stay = stay_of(a_reservation(check_in_time=time(13), check_out_time=None), a_unit())

    assert stay.check_in_at == utc("2026-02-05 16:00")
    assert stay.check_out_at == utc("2026-02-08 14:00")


def test_a_check_out_not_after_check_in_is_malformed():
    same_day = a_reservation(
        check_in_date=date(2026, 2, 5),
        check_out_date=date(2026, 2, 5),
        check_in_time=time(15),
        check_out_time=time(15),
    )

    with pytest.raises(MalformedReservationError, match="not after"):
        stay_of(same_day, a_unit())


LISBON = ZoneInfo(
    "Europe/Lisbon"
)  # 2026-10-25: 02:00 WEST -> 01:00 WET; 2026-03-29: 01:00 -> 02:00


def test_in_a_fold_check_in_is_the_earlier_and_check_out_the_later_instant():
    day = date(2026, 10, 25)

    assert instant(day, time(1, 30), LISBON, later=False) == utc("2026-10-25 00:30")
    assert instant(day, time(1, 30), LISBON, later=True) == utc("2026-10-25 01:30")


@pytest.mark.parametrize("later", [False, True])
def test_a_time_that_never_comes_is_the_instant_after_the_gap(later):
    assert instant(date(2026, 3, 29), time(1, 30), LISBON, later=later) == utc("2026-03-29 01:00")


def test_a_window_is_written_whole_with_an_old_start_or_not_at_all():
    window = Window(valid_from=utc("2026-02-05 16:00"), valid_until=utc("2026-02-09 14:00"))

    assert window_to_write(window, WindowMode.FULL) == window
    end_only = window_to_write(window, WindowMode.END)
    assert end_only is not None
    assert end_only.valid_until == window.valid_until
    assert end_only.valid_from < window.valid_from - timedelta(hours=12)
    assert window_to_write(window, WindowMode.NONE) is None
