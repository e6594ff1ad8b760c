"""Valid values with defaults: override what matters to the test."""

from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

from gateway.domain.model import (
    LockSettings,
    Policy,
    Property,
    Reservation,
    ReservationType,
    Unit,
)
from gateway.domain.policy import Stay

SAO_PAULO = ZoneInfo("America/Sao_Paulo")


def utc(text: str) -> datetime:
    """'2026-02-05 18:00' as an instant in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def a_reservation(**changes) -> Reservation:
    values = {
        "id": "6938aaaaaaaaaaaaaaaaaaaa",
        "code": "AB12C",
        "type": ReservationType.BOOKED,
        "listing_id": "6908aaaaaaaaaaaaaaaaaaaa",
        "check_in_date": date(2026, 2, 5),
        "check_in_time": time(15),
        "check_out_date": date(2026, 2, 8),
        "check_out_time": time(11),
    }
    return Reservation(**(values | changes))


def a_unit(**changes) -> Unit:
    values = {
        "name": "Apto 101",
        "stays_ids": ("6908aaaaaaaaaaaaaaaaaaaa",),
        "locks": ("apt-101",),
        "zone": SAO_PAULO,
        "check_in_time": time(15),
        "check_out_time": time(11),
    }
    return Unit(**(values | changes))


def a_lock(name: str = "apt-101", **changes) -> LockSettings:
    return LockSettings(**({"name": name, "device_id": f"device-of-{name}"} | changes))


def a_property(*, units=None, locks=None, policy=None) -> Property:
    return Property(
        units=units or (a_unit(),),
        locks=locks or (a_lock(),),
        policy=policy or Policy(),
        zone=SAO_PAULO,
    )


def a_stay(reservation_id: str, check_in: str, check_out: str, **changes) -> Stay:
    """Times in UTC; the dates are those of the same text."""
    values = {
        "reservation_id": reservation_id,
        "check_in_date": utc(check_in).date(),
        "check_out_date": utc(check_out).date(),
        "check_in_at": utc(check_in),
        "check_out_at": utc(check_out),
    }
    return Stay(**(values | changes))
