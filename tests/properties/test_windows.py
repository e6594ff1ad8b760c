from datetime import timedelta

from hypothesis import given, strategies as st

from gateway.domain.model import Policy
from gateway.domain.policy import Stay, same_guest, windows
from tests.builders import utc

START = utc("2026-02-01 00:00")


@st.composite
def stays_of_a_unit(draw) -> list[Stay]:
    stays = []
    for number in range(draw(st.integers(1, 7))):
        check_in = START + timedelta(hours=draw(st.integers(0, 24 * 20)))
        check_out = check_in + timedelta(hours=draw(st.integers(1, 24 * 6)))
        stays.append(
            Stay(
                reservation_id=f"r{number}",
                check_in_date=check_in.date(),
                check_out_date=check_out.date(),
                check_in_at=check_in,
                check_out_at=check_out,
                client_id=draw(st.sampled_from([None, "c1", "c2"])),
                partner_code=draw(st.sampled_from([None, "p1"])),
            )
        )
    return stays


policies = st.builds(
    Policy,
    activate_before=st.integers(0, 48).map(lambda hours: timedelta(hours=hours)),
    revoke_after=st.integers(0, 72).map(lambda hours: timedelta(hours=hours)),
)


@given(stays_of_a_unit(), policies)
def test_no_clamp_cuts_into_a_stays_own_nights(stays, policy):
    found = windows(stays, policy)

    for stay in stays:
        window = found[stay.reservation_id]
        assert window.valid_from <= stay.check_in_at
        assert window.valid_until >= stay.check_out_at


@given(stays_of_a_unit(), policies)
def test_no_window_is_wider_than_the_policy(stays, policy):
    found = windows(stays, policy)

    for stay in stays:
        window = found[stay.reservation_id]
        assert window.valid_from >= stay.check_in_at - policy.activate_before
        assert window.valid_until <= stay.check_out_at + policy.revoke_after


@given(stays_of_a_unit(), policies)
def test_no_two_windows_overlap_unless_the_stays_do_or_the_guest_is_the_same(stays, policy):
    found = windows(stays, policy)

    for one in stays:
        for other in stays:
            if one is other or same_guest(one, other):
                continue
            truly = one.check_in_at < other.check_out_at and other.check_in_at < one.check_out_at
            a, b = found[one.reservation_id], found[other.reservation_id]
            if not truly:
                assert a.valid_until <= b.valid_from or b.valid_until <= a.valid_from


@given(stays_of_a_unit(), policies, st.randoms())
def test_the_order_in_which_stays_come_changes_nothing(stays, policy, random):
    shuffled = list(stays)
    random.shuffle(shuffled)

    assert windows(shuffled, policy) == windows(stays, policy)
