"""What the services need of the world, as Protocols."""

from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Protocol

from gateway.domain.alerts import Obstacle
from gateway.domain.jobs import Job, JobKind
from gateway.domain.model import (
    Accommodation,
    Addressing,
    CodeAddress,
    Guest,
    Operation as Operation,  # noqa: PLC0414 - part of this contract
    Refusal,
    Reservation,
    WeeklyHours,
    Window,
)
from gateway.errors import MalformedReservationError

# --- Stays -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Stays holds the reservation under this id."""

    reservation: Reservation
    guest: Guest


@dataclass(frozen=True, slots=True, kw_only=True)
class Gone:
    """Stays answered 404 with a JSON body."""


class ReservationSource(Protocol):
    """Where reservations come from.

    Every method raises StaysUnavailableError (after the attempts) or StaysRefusedError.
    """

    def pages(
        self, start: date, end: date, *, listing_ids: tuple[str, ...] = ()
    ) -> AsyncIterator[tuple[Reservation | MalformedReservationError, ...]]:
        """All reservations of every type touching [start, end], page by page, to the empty page.

        Rows come as Stays sends them: duplicates and merely-touching stays included.
        """
        ...

    async def reservation(self, reservation_id: str) -> Found | Gone:
        """One reservation by its long or short id, with its guest (name and phone where told).

        Raises:
            MalformedReservationError: what came cannot be understood.
        """
        ...

    async def guest(self, client_id: str) -> Guest:
        """Name and phone of a client; an empty Guest where Stays does not know the client."""
        ...

    async def accommodation(self, listing_id: str) -> Accommodation | None:
        """One listing by its long or short id; None on a 404 with a JSON body."""
        ...

    async def accommodations(self) -> tuple[Accommodation, ...]:
        """All active listings of the account, to the empty page."""
        ...


# --- Locks -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class LockCapabilities:
    """What the profile of a lock can do; ranges are inclusive-exclusive like `range`."""

    addressing: Addressing
    pin_lengths: tuple[int, ...]
    can_modify: bool
    uses_message_id: bool
    holds_weekly: bool = False  # hours of the week within a window
    can_list: bool = False  # its family has a list; whether this lock answers is another matter
    member_range: range = range(0)
    sequence_range: range = range(0)
    report_deadline: float = 10.0  # seconds after which a silent lock makes `unknown`
    late_report_time: float = 120.0  # seconds in which a late report may still come


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """A PIN with its window, as it is to be written. `window` None: no limits (permanent).

    `weekly`: the hours in the window at which it opens, where the family can hold them.
    """

    pin: str = field(repr=False)
    window: Window | None
    weekly: WeeklyHours | None = None


@dataclass(frozen=True, slots=True)
class ListedCode:
    """A code in a lock's own list: the slot it has and the member it belongs to."""

    slot: int
    member: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmed:
    """The lock's own report says yes. `address` is completed by what the lock told (its slot)."""

    address: CodeAddress


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """The lock's own report, or the hub's retcode or error, says no."""

    reason: Refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """It was written (in part, perhaps) and no report told the outcome."""

    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NotSent:
    """Not a byte left: the connection went away first."""

    why: str


Outcome = Confirmed | Rejected | Unknown | NotSent


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """How long an operation took: seconds to the acknowledgement and to the lock's report.

    None: it did not come in time.
    """

    operation: Operation
    acknowledged: float | None
    reported: float | None


class LockDriver(Protocol):
    """One lock. Each operation sends its command at most once and never repeats it by itself.

    One operation is in flight at a time: another waits for its end.
    """

    @property
    def capabilities(self) -> LockCapabilities:
        """What the lock can do, by its profile and overrides."""
        ...

    @property
    def reachable(self) -> bool | None:
        """Is there a signed-in connection, and does the hub not call the lock offline?

        None before the first attempt has ended.
        """
        ...

    @property
    def last_answer(self) -> float | None:
        """`Clock.monotonic()` of the last thing this lock itself said; None if nothing yet."""
        ...

    @property
    def last_exchange(self) -> Exchange | None:
        """How long the last operation took; None before the first."""
        ...

    async def ready(self) -> None:
        """Return once the lock can take a command; try to connect at once if it cannot.

        Raises:
            LockUnreachableError: within 6 s.
            WrongKeyError: the peer is silent at sign-in.
        """
        ...

    async def create(self, address: CodeAddress, code: Code) -> Outcome:
        """Write a new code. `address` holds member or sequence, and message_id, as the profile uses."""
        ...

    async def modify(self, address: CodeAddress, code: Code) -> Outcome:
        """Change the window of a live code in place; `code` carries the full PIN."""
        ...

    async def delete(self, address: CodeAddress) -> Outcome:
        """Delete a code; by member where the slot is unknown and the profile can.

        "Does not exist" is a Confirmed.
        """
        ...

    async def list_codes(self) -> tuple[ListedCode, ...] | None:
        """The codes of our kind on the lock, anybody's; None if it did not tell them completely."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LockReached:
    """A connection to the lock is newly up (or the hub says that it is online again)."""

    lock: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LockLost:
    """The connection went away, or the hub says that the lock is offline."""

    lock: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeReported:
    """A report on a create, modify or delete that no operation in flight was waiting for.

    Late reports, duplicates, the phone app's traffic. `outcome` Confirmed or Rejected; `address`
    holds all the report tells (member, slot, sequence, message_id).
    """

    lock: str
    operation: Operation
    address: CodeAddress
    outcome: Confirmed | Rejected


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """The lock reports an opening by PIN; `slot` is the number it names."""

    lock: str
    slot: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusReported:
    """What a lock pushes of itself. None: not part of this report."""

    lock: str
    battery_percent: int | None = None
    battery_state: str | None = None
    alarm: str | None = None
    hijack: bool | None = None  # opened under duress
    doorbell: bool | None = None
    door: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockSeen:
    """A report carried the time of the lock's clock, or its hub's: seconds it is ahead of ours."""

    lock: str
    skew: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Contended:
    """Somebody else and we throw each other out of a peer; `over` once a connection has held."""

    lock: str
    peer: str
    over: bool


LockEvent = LockReached | LockLost | CodeReported | Opened | StatusReported | ClockSeen | Contended
LockListener = Callable[[LockEvent], None]


# --- People ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Something a person should know. `event` is one of gateway.domain.events.

    `detail` says in words what happened and what to do; no PIN, key or guest data in it.

    Attributes:
        subject: stay code, credential id, lock, hub, listing or "gateway".
        id: where set, the same notice told twice is to reach people once.
        over: a condition told before is over. again: it still holds, and matters more by now.
        unit, arrival, obstacles: of a stay, for the texts.
    """

    event: str
    at: datetime
    subject: str
    detail: str
    id: str | None = None
    over: bool = False
    again: bool = False
    unit: str | None = None
    arrival: datetime | None = None
    obstacles: tuple[Obstacle, ...] = ()


class Notifier(Protocol):
    """Tells people."""

    async def tell(self, notice: Notice) -> None:
        """Hand the notice on; never raises for a channel that does not work."""
        ...


# --- Jobs ------------------------------------------------------------------------------------


class JobBoard(Protocol):
    """The scheduler's mirror of the jobs table, told of changes after their commit."""

    def put(self, jobs: Iterable[Job]) -> None:
        """These jobs are new or have another due time."""
        ...

    def drop(self, ids: Iterable[str]) -> None:
        """These jobs are done or gone."""
        ...


# --- Whoever watches the gateway -------------------------------------------------------------


class Meter(Protocol):
    """Counts what happens, in memory alone. No name, code or PIN is told to it."""

    def reconciled(self, *, succeeded: bool, seconds: float) -> None:
        """A reconciliation has ended."""
        ...

    def operated(self, outcome: Outcome, exchange: Exchange) -> None:
        """A command was for a lock, and this came of it."""
        ...

    def confirmed(self, *, before_check_in: timedelta) -> None:
        """A door that was due before its stay's check-in has confirmed the stay's PIN at last."""
        ...

    def started(self, kind: JobKind, *, late: timedelta) -> None:
        """A job has begun, so long after it was due."""
        ...
