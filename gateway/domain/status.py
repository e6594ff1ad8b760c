"""How a stay's PIN stands, in one word."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from gateway.domain.model import Evidence, ReservationType, Window

ARRIVAL_NEAR = timedelta(hours=24)
REVOCATION_LATE = timedelta(hours=1)
NO_SLOT = "the lock never told the slot of this code"  # begins a reason that only a person can end

_ON_LOCK = frozenset({Evidence.CONFIRMED, Evidence.OBSERVED})
_MAY_BE_ON_LOCK = _ON_LOCK | {Evidence.SENT, Evidence.UNKNOWN, Evidence.REVOKING}


class PinStatus(StrEnum):
    """Worst first."""

    UNMAPPED = "unmapped"
    AT_RISK = "at_risk"
    ACTIVE = "active"
    REVOKED = "revoked"
    PLANNED = "planned"
    NONE = "none"


class StayStatus(StrEnum):
    """What Stays' type means for people."""

    CONFIRMED = "confirmed"
    PENDING = "pending"
    CANCELLED = "cancelled"
    BLOCKED = "blocked"
    COMPLETED = "completed"


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorState:
    """One credential as far as its status goes. `written`: its window on the lock, None: no limits."""

    window: Window
    check_in_at: datetime
    written: Window | None = None
    wanted: bool
    evidence: Evidence
    revoked: bool
    taken_over: bool = False
    withdrawn_at: datetime | None = None
    reason: str | None = None
    unreachable: bool = False
    clock_trusted: bool = True

    def is_active(self, now: datetime) -> bool:
        """Does the PIN open this door now, by the lock's own word?"""
        if self.revoked or (self.taken_over and self.window.valid_until <= now):
            return False
        if self.written is not None and not self.written.holds(now):
            return False
        return self.window.valid_from <= now and self.evidence in _ON_LOCK

    def may_open(self) -> bool:
        """Is it on the lock, for all we know?"""
        return not self.revoked and not self.taken_over and self.evidence in _MAY_BE_ON_LOCK

    def is_at_risk(self, now: datetime) -> bool:
        """Is the guest kept out, about to be, or still let in too long?"""
        return self.is_late(now) or self.would_fail(now)

    def is_late(self, now: datetime) -> bool:
        """Is its deletion overdue?"""
        ends = self.ends_at
        if self.revoked or self.taken_over or ends is None:
            return False
        hopeless = self.reason is not None and self.reason.startswith(NO_SLOT)
        late_at = ends if hopeless else ends + REVOCATION_LATE
        return now >= late_at and self.evidence in _MAY_BE_ON_LOCK

    @property
    def ends_at(self) -> datetime | None:
        """From when on nothing of it should be on the lock."""
        return self.window.valid_until if self.wanted else self.withdrawn_at

    def would_fail(self, now: datetime) -> bool:
        """Is the guest kept out, or about to be?"""
        if self.revoked or self.taken_over or not self.wanted or now >= self.window.valid_until:
            return False
        if self.evidence in _ON_LOCK:  # what stands in the way of its new window, if anything
            return self.reason is not None
        if now >= self.window.valid_from:
            return True
        near = now >= self.check_in_at - ARRIVAL_NEAR
        return near and (self.unreachable or not self.clock_trusted or self.reason is not None)


def pin_status(
    doors: tuple[DoorState, ...], *, mapped: bool, entitled: bool, held: bool, now: datetime
) -> PinStatus:
    """The worst that holds for a stay."""
    if entitled and not mapped:
        return PinStatus.UNMAPPED
    if held or any(door.is_at_risk(now) for door in doors):
        return PinStatus.AT_RISK
    wanted = [door for door in doors if door.wanted and not door.revoked]
    if wanted and all(door.is_active(now) for door in wanted):
        return PinStatus.ACTIVE
    if doors and not wanted:
        if any(door.may_open() for door in doors):
            return PinStatus.ACTIVE  # withdrawn, but no lock has confirmed that it is gone
        issued = any(door.evidence is not Evidence.PLANNED for door in doors)
        return PinStatus.REVOKED if issued else PinStatus.NONE
    return PinStatus.PLANNED if wanted else PinStatus.NONE


def stay_status(
    type_: ReservationType, *, deleted: bool, check_out_at: datetime, now: datetime
) -> StayStatus:
    """What the reservation is for people."""
    match type_:
        case _ if deleted:
            return StayStatus.CANCELLED
        case ReservationType.CANCELED:
            return StayStatus.CANCELLED
        case ReservationType.RESERVED:
            return StayStatus.PENDING
        case ReservationType.BLOCKED | ReservationType.MAINTENANCE:
            return StayStatus.BLOCKED
        case ReservationType.BOOKED | ReservationType.CONTRACT:
            return StayStatus.COMPLETED if check_out_at <= now else StayStatus.CONFIRMED
