"""The words of the domain as values. Times are aware and in UTC unless a name says otherwise."""

from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from gateway.domain.value import value


class ReservationType(StrEnum):
    """`type` of a reservation, as Stays writes it."""

    RESERVED = "reserved"
    BOOKED = "booked"
    CONTRACT = "contract"
    BLOCKED = "blocked"
    MAINTENANCE = "maintenance"
    CANCELED = "canceled"

    @property
    def entitled(self) -> bool:
        """Does a reservation of this type have a right to a PIN?"""
        return self in _ENTITLED


_ENTITLED = frozenset({ReservationType.BOOKED, ReservationType.CONTRACT})


class Origin(StrEnum):
    """Who asks for the PINs of a reservation."""

    STAYS = "stays"
    CANARY = "canary"  # a technician, to try a lock
    GUEST = "guest"  # a person, for a guest whom Stays does not know
    STAFF = "staff"  # a person, for somebody who works here


@value
class Reservation:
    """One reservation as Stays shows it: dates and times are wall clock where the unit stands.

    `check_in_time` and `check_out_time` are None where Stays gives none (the unit's default holds).
    """

    id: str
    code: str
    type: ReservationType
    listing_id: str
    check_in_date: date
    check_in_time: time | None
    check_out_date: date
    check_out_time: time | None
    client_id: str | None = None
    partner_code: str | None = None
    channel: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Guest:
    """Who stays. Personal data: never in a repr, log or metric."""

    name: str | None = field(default=None, repr=False)
    phone: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Accommodation:
    """A listing as Stays names it: long id, short code, internal name."""

    id: str
    code: str | None
    name: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """What a guest rents: one `[[listings]]` entry.

    `stays_ids` holds the ids of the configuration, short or long.
    """

    name: str
    stays_ids: tuple[str, ...]
    locks: tuple[str, ...]
    zone: ZoneInfo
    check_in_time: time
    check_out_time: time


class WindowMode(StrEnum):
    """How much of a window is written to a lock."""

    FULL = "full"
    END = "end"  # start in the past: for a lock whose clock runs behind
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class LockSettings:
    """What the configuration says of one lock, beyond how to reach it."""

    name: str
    device_id: str
    node_id: str | None = None
    hub: str | None = None
    pin_lengths: tuple[int, ...] = (6,)  # lengths the lock takes, the preferred one first
    keypad: str = "0123456789"  # the digits it has
    shared: bool = False
    window_mode: WindowMode = WindowMode.FULL
    trust_window: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """`[policy]` of the configuration."""

    activate_before: timedelta = timedelta(hours=2)
    revoke_after: timedelta = timedelta(hours=24)
    yield_to_next_guest: bool = True
    program_ahead: timedelta = timedelta(hours=24)
    pin_length: int = 6
    mint_ahead: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Property:
    """The units, the locks and the rules of one site, with its zone and its usual times."""

    units: tuple[Unit, ...]
    locks: tuple[LockSettings, ...]
    policy: Policy
    zone: ZoneInfo
    check_in_time: time = time(15)
    check_out_time: time = time(11)

    def lock(self, name: str) -> LockSettings | None:
        """The lock of that name, None where the configuration no longer has it."""
        return next((lock for lock in self.locks if lock.name == name), None)

    def unit(self, name: str) -> Unit | None:
        """The unit of that name, None where the configuration no longer has it."""
        return next((unit for unit in self.units if unit.name == name), None)


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Window:
    """[valid_from, valid_until): the time a PIN may open a door."""

    valid_from: datetime
    valid_until: datetime

    def __post_init__(self) -> None:
        if self.valid_from >= self.valid_until:
            raise ValueError(f"a window that ends before it begins: {self}")

    def holds(self, moment: datetime) -> bool:
        """Is the window open at that moment?"""
        return self.valid_from <= moment < self.valid_until


@dataclass(frozen=True, slots=True, kw_only=True)
class WeeklyHours:
    """The hours of some days of the week, in the lock's own zone. `days`: 0 is Sunday, 6 Saturday."""

    days: frozenset[int]
    start: time
    end: time


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a person asked for when giving manual access.

    `unit`: the one whose turnover a guest takes part in; None for staff, whose window is their own.
    """

    unit: str | None
    locks: tuple[str, ...]
    weekly: WeeklyHours | None = None


class Asked(StrEnum):
    """What a person asked for a code that is or may be on a lock."""

    REMOVE = "remove"  # at once, whatever is entitled to it by then
    REWRITE = "rewrite"  # once more as it is, where the lock can take that in place


class Evidence(StrEnum):
    """How far we know a code is on its lock."""

    PLANNED = "planned"  # nothing was sent
    SENT = "sent"  # committed before the first byte left; no answer yet
    CONFIRMED = "confirmed"  # the lock's own report
    OBSERVED = "observed"  # the lock reported an opening with it
    UNKNOWN = "unknown"
    REJECTED = "rejected"  # the lock refused it, with a reason
    REVOKING = "revoking"  # a delete was sent and not yet confirmed
    REVOKED = "revoked"


class Refusal(StrEnum):
    """Why a lock said no."""

    DUPLICATE = "duplicate"
    WEAK = "weak"
    INVALID = "invalid"
    FULL = "full"
    BUSY = "busy"
    TIMEOUT = "timeout"
    NOT_FOUND = "not_found"
    UNSUPPORTED = "unsupported"
    FAILED = "failed"

    @property
    def blames_pin(self) -> bool:
        """Would another PIN be taken?"""
        return self in {Refusal.DUPLICATE, Refusal.WEAK, Refusal.INVALID}


class Addressing(StrEnum):
    """What names a code on a lock, so that it can be changed or deleted."""

    MEMBER = "member"  # a member of ours, and the slot the lock allots
    SEQUENCE = "sequence"  # a number of ours
    SLOT = "slot"  # the slot the lock allots, nothing else


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeAddress:
    """Where one code is on a lock. What a profile does not use is None.

    member, slot: unsigned, 1 or 2 bytes by profile. sequence: 16 bits. message_id: the 2-byte uuid
    the lock echoes. `slot` is None until the lock has told it.
    """

    member: int | None = None
    slot: int | None = None
    sequence: int | None = None
    message_id: int | None = None


class Operation(StrEnum):
    """What is asked of a lock."""

    CREATE = "create"
    MODIFY = "modify"
    DELETE = "delete"
