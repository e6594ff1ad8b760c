"""One word for a stay: nothing is shown as working, or as gone, that no lock has confirmed."""

from datetime import timedelta

import pytest

from gateway.domain.model import Evidence, Window
from gateway.domain.status import DoorState, PinStatus, pin_status
from tests.builders import utc

START, END = utc("2026-02-05 16:00"), utc("2026-02-09 14:00")
ARRIVAL = START + timedelta(hours=2)
INSIDE = utc("2026-02-06 12:00")
ON_LOCK = [Evidence.CONFIRMED, Evidence.OBSERVED]
UNSURE = [Evidence.SENT, Evidence.UNKNOWN, Evidence.REVOKING]


def a_door(evidence=Evidence.CONFIRMED, **changes):
    values = {
        "window": Window(valid_from=START, valid_until=END),
        "check_in_at": ARRIVAL,
        "wanted": True,
        "evidence": evidence,
        "revoked": False,
    }
    return DoorState(**(values | changes))


def status(*doors, now=INSIDE, mapped=True, entitled=True, held=False):
    return pin_status(doors, mapped=mapped, entitled=entitled, held=held, now=now)


def withdrawn(evidence, **changes):
    return a_door(evidence, wanted=False, withdrawn_at=INSIDE, **changes)


@pytest.mark.parametrize("evidence", ON_LOCK)
def test_a_stay_is_active_once_every_lock_has_confirmed_and_its_time_has_come(evidence):
    assert status(a_door(evidence), a_door()) is PinStatus.ACTIVE
    assert status(a_door(evidence), now=START) is PinStatus.ACTIVE
    assert status(a_door(evidence), now=START - timedelta(seconds=1)) is PinStatus.PLANNED


@pytest.mark.parametrize("evidence", [*UNSURE, Evidence.PLANNED, Evidence.REJECTED])
def test_one_door_unconfirmed_after_its_time_puts_the_stay_at_risk(evidence):
    assert status(a_door(), a_door(evidence)) is PinStatus.AT_RISK


@pytest.mark.parametrize("evidence", [*ON_LOCK, *UNSURE])
def test_a_withdrawn_stay_is_not_revoked_before_every_lock_has_confirmed_it(evidence):
    gone = withdrawn(Evidence.REVOKED, revoked=True)
    assert status(withdrawn(evidence), gone, entitled=False) is PinStatus.ACTIVE
    assert status(gone, gone, entitled=False) is PinStatus.REVOKED


def test_a_withdrawn_stay_that_no_lock_ever_held_has_none():
    assert status(withdrawn(Evidence.PLANNED), entitled=False) is PinStatus.NONE


def test_a_deletion_an_hour_late_puts_the_stay_at_risk():
    door = withdrawn(Evidence.CONFIRMED)
    later = INSIDE + timedelta(hours=1)
    assert status(door, entitled=False, now=later) is PinStatus.AT_RISK
    assert status(a_door(), now=END + timedelta(hours=1)) is PinStatus.AT_RISK


def test_a_lock_that_holds_an_old_window_puts_the_stay_at_risk():
    assert status(a_door(reason="busy")) is PinStatus.AT_RISK


def test_an_arrival_within_a_day_at_a_lock_that_fails_is_at_risk():
    door = a_door(Evidence.PLANNED, unreachable=True)
    assert status(door, now=ARRIVAL - timedelta(hours=24)) is PinStatus.AT_RISK
    assert status(door, now=ARRIVAL - timedelta(hours=24, seconds=1)) is PinStatus.PLANNED


def test_the_brake_puts_a_stay_at_risk():
    assert status(a_door(), held=True) is PinStatus.AT_RISK


def test_an_entitled_stay_without_a_unit_is_unmapped():
    assert status(mapped=False) is PinStatus.UNMAPPED
    assert status(mapped=False, entitled=False) is PinStatus.NONE
