"""May the wall clock be trusted?"""

from datetime import timedelta

import pytest
from hypothesis import given, strategies as st

from gateway.domain.trust import NTP_GRACE, TOLERANCE, Doubt, Evidence, Witness, judge
from tests.builders import utc

NOW = utc("2026-06-01 12:00")
BUILT = utc("2026-01-01 00:00")
SECOND, MINUTE, DAY, YEAR = (
    timedelta(seconds=1),
    timedelta(minutes=1),
    timedelta(days=1),
    timedelta(days=365),
)


def verdict(**changes):
    return judge(Evidence(**({"wall": NOW, "built": BUILT} | changes)))


NTP, STAYS, PERSON, RTC = Witness.NTP, Witness.STAYS, Witness.PERSON, Witness.RTC


@pytest.mark.parametrize(
    ("changes", "trusted", "witnesses", "doubts"),
    [
        # nothing is known: a container, a test
        ({}, True, (), ()),
        ({"mark": NOW - YEAR, "steady": NOW}, True, (), ()),
        ({"mark": NOW + TOLERANCE}, True, (), ()),
        # each doubt by itself
        ({"wall": BUILT - SECOND}, False, (), (Doubt.BEHIND_BUILD,)),
        ({"wall": BUILT}, True, (), ()),
        ({"mark": NOW + TOLERANCE + SECOND}, False, (), (Doubt.BEHIND_MARK,)),
        ({"steady": NOW + TOLERANCE + SECOND}, False, (), (Doubt.STEPPED,)),
        ({"steady": NOW - TOLERANCE - SECOND}, False, (), (Doubt.STEPPED,)),
        ({"ntp_expected": True}, False, (), (Doubt.UNSYNCHRONISED,)),
        ({"ntp_expected": True, "uptime": NTP_GRACE}, True, (), ()),
        ({"said": {STAYS: NOW + DAY}}, False, (), (Doubt.STAYS_DISAGREES,)),
        ({"stays_expected": True, "mark": NOW - DAY}, False, (), (Doubt.STAYS_NOT_HEARD,)),
        ({"stays_expected": True, "mark": NOW - MINUTE}, True, (), ()),
        ({"stays_expected": True}, True, (), ()),
        # a witness overrules what speaks against it
        ({"steady": NOW - DAY, "said": {NTP: NOW}}, True, (NTP,), (Doubt.STEPPED,)),
        ({"mark": NOW + YEAR, "said": {STAYS: NOW}}, True, (STAYS,), (Doubt.BEHIND_MARK,)),
        ({"mark": NOW + YEAR, "said": {PERSON: NOW}}, True, (PERSON,), (Doubt.BEHIND_MARK,)),
        ({"steady": NOW - DAY, "rtc": NOW}, True, (RTC,), (Doubt.STEPPED,)),
        ({"ntp_expected": True, "rtc": NOW}, True, (RTC,), (Doubt.UNSYNCHRONISED,)),
        ({"said": {NTP: NOW, STAYS: NOW - DAY}}, True, (NTP,), (Doubt.STAYS_DISAGREES,)),
        # one that said it of another time does not
        ({"steady": NOW - DAY, "said": {NTP: NOW - DAY}}, False, (), (Doubt.STEPPED,)),
        ({"steady": NOW - DAY, "rtc": NOW - DAY}, False, (), (Doubt.STEPPED,)),
        # a clock with an empty battery vouches for nothing, nor does one against Stays
        ({"mark": NOW + DAY, "rtc": NOW}, False, (), (Doubt.BEHIND_MARK,)),
        ({"said": {STAYS: NOW - YEAR}, "rtc": NOW}, False, (), (Doubt.STAYS_DISAGREES,)),
    ],
)
def test_what_vouches_and_what_speaks_against(changes, trusted, witnesses, doubts):
    found = verdict(**changes)
    assert (found.trusted, found.witnesses, found.doubts) == (trusted, witnesses, doubts)


def test_an_rtc_alone_makes_nobody_sure():
    assert verdict(said={STAYS: NOW}).sure
    assert not verdict(rtc=NOW).sure
    assert not verdict().sure


near = st.timedeltas(-TOLERANCE, TOLERANCE)
any_time = st.one_of(st.none(), st.timedeltas(-10 * YEAR, 10 * YEAR).map(lambda by: NOW + by))


@given(
    witness=st.sampled_from([NTP, STAYS, PERSON]),
    apart=near,
    mark=any_time,
    steady=any_time,
    rtc=any_time,
)
def test_one_who_knows_the_time_from_elsewhere_is_enough(witness, apart, mark, steady, rtc):
    found = verdict(
        said={witness: NOW + apart}, mark=mark, steady=steady, rtc=rtc, ntp_expected=True
    )
    assert found.trusted
    assert found.sure


@given(
    by=st.timedeltas(TOLERANCE + SECOND, 10 * YEAR),
    ahead=st.booleans(),
    mark=any_time,
    rtc=any_time,
)
def test_a_clock_that_stays_contradicts_is_never_trusted_on_an_rtcs_word(by, ahead, mark, rtc):
    found = verdict(said={STAYS: NOW - by if ahead else NOW + by}, mark=mark, rtc=rtc)
    assert not found.trusted
    assert found.witnesses == ()
