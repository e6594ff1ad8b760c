"""A simulated lock: its codes, its clock, its keypad, and how it misbehaves on demand."""

import asyncio
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from enum import StrEnum

from gateway.clock import Clock

_ENTRIES_A_PACKET = 20
_WEEKLY = 0x02


class Order(StrEnum):
    """In which order a device answers a command."""

    ACK_FIRST = "ack first"
    PUSH_FIRST = "push first"
    PUSH_ONLY = "push only"
    ACK_ONLY = "ack only"
    SILENT = "silent"


@dataclass(slots=True, kw_only=True)
class Held:
    """A code in the lock's memory. Times are Unix seconds; an empty `pin` never matches."""

    pin: str = field(repr=False)
    slot: int
    start: int
    end: int
    weekly: bytes = b""  # the nine bytes after start and end, where they say anything
    uses: int = 0  # openings that are left, counted by those that were given some; 0: no limit
    member: int | None = None
    sequence: int | None = None

    def holds(self, moment: datetime) -> bool:
        """Is it inside its window, and inside its hours of the week? `moment` in the lock's zone."""
        if not self.start <= int(moment.timestamp()) < self.end:
            return False
        if not self.weekly or self.weekly[0] != _WEEKLY:
            return True
        day = (moment.weekday() + 1) % 7  # bit 0 is Sunday
        start, end = tuple(self.weekly[5:7]), tuple(self.weekly[7:9])
        return bool(self.weekly[4] >> day & 1) and start <= (moment.hour, moment.minute) < end


@dataclass(frozen=True, slots=True)
class Opening:
    """The keypad was used; `number` is what the lock reports of the code, None: refused."""

    at: datetime
    number: int | None


@dataclass(frozen=True, slots=True)
class Push:
    """A data point that the lock reports: raw bytes or a plain value."""

    dp: int
    value: bytes | int | str | bool


@dataclass(slots=True)
class Faults:
    """What goes wrong. Those with `next` in their name go wrong once."""

    order: Order = Order.ACK_FIRST
    latency: float = 0.0  # seconds until it wakes, or the radio gets through, and it carries out
    report_delay: float = 0.0  # seconds from then until it reports
    lose_next_report: bool = False
    duplicate_next_report: bool = False
    spoil_next_report: str | None = None  # "truncated", "no base64" or "other number"
    error_next: str | None = None  # the hub answers this text, with return code 1 and no cid
    refusals: list[int] = field(default_factory=list)  # reason bytes for the next commands
    hang_up_on_next: str | None = None  # "executed" or "not executed"

    @property
    def hide_reports(self) -> bool:
        """Will the next report not be heard, not be understood, or come late?"""
        return (
            self.order in {Order.ACK_ONLY, Order.SILENT}
            or self.latency > 0
            or self.report_delay > 0
            or self.lose_next_report
            or self.spoil_next_report is not None
        )


class SimulatedLock(ABC):
    """What all families share. Assert on `codes`, `received`, `creates` and `openings`.

    `unheard_creates` counts those whose report nobody could hear or understand in time.
    A family names its data points in `dps`; `strict` False takes digits of the other writing and
    then never matches them; `two_stage` False leaves out the report that a create has begun.
    """

    profile = ""
    dps: Mapping[str, int] = {}
    opening_dp: int | None = None
    alarm_dp: int | None = None
    first_slot = 0
    writes_ascii = False
    listed_type = 0x00
    width = 1

    def __init__(
        self,
        *,
        name: str,
        device_id: str,
        clock: Clock,
        node_id: str | None = None,
        capacity: int = 10,
        dps: Mapping[str, int] | None = None,
        writes_ascii: bool | None = None,
    ) -> None:
        """`dps`, `writes_ascii`: what this model does differently from its family."""
        self.name = name
        self.device_id = device_id
        self.node_id = node_id
        self.capacity = capacity
        self.dps = {**type(self).dps, **(dps or {})}
        if writes_ascii is not None:
            self.writes_ascii = writes_ascii
        self.strict = True
        self.two_stage = True
        self.keeps_to_windows = True
        self.list_is_silent_when_empty = True
        self.alarms_when_refusing = False
        self.skew = timedelta(0)
        self.zone: tzinfo = UTC
        self.online = True
        self.nearby = False  # heard by its hub, asleep until it is written to
        self.turn = asyncio.Lock()  # it carries out one request after the other
        self.faults = Faults()
        self.codes: list[Held] = []
        self.remote_keys: dict[bytes, bytes] = {}  # by member
        self.received: list[tuple[int, bytes]] = []
        self.creates: Counter[bytes] = Counter()
        self.duplicates: list[bool] = []
        self.unheard_creates = 0
        self.openings: list[Opening] = []
        self.push: Callable[[Push], None] = lambda _push: None
        self._clock = clock

    @property
    def own_time(self) -> datetime:
        """What the lock's own clock shows."""
        return self._clock.now() + self.skew

    @property
    def writes(self) -> int:
        """How many requests it received, those for its list left out."""
        return sum(dp != self.dps.get("list") for dp, _ in self.received)

    def execute(self, dp: int, raw: bytes) -> list[Push]:
        """Carry out a written data point; the reports that follow."""
        self.received.append((dp, raw))
        operation = next((name for name, number in self.dps.items() if number == dp), None)
        if operation is None:
            return []
        if operation == "create":
            self.creates[raw] += 1
        return self._execute(operation, raw)

    def note_duplicate(self, *, same_number: bool) -> None:
        """A create came for a PIN that the lock holds; under the same number of the sender?"""
        self.duplicates.append(same_number)

    @abstractmethod
    def _execute(self, operation: str, raw: bytes) -> list[Push]:
        """Carry out an operation of the family: "create", "delete", "modify" or "list"."""

    def _opening(self, held: Held) -> Push | None:
        """How the family reports an opening."""
        return None if self.opening_dp is None else Push(self.opening_dp, held.slot)

    def opens(self, pin: str) -> bool:
        """Would the door open?"""
        return self._matching(pin) is not None

    def _matching(self, pin: str) -> Held | None:
        now = self.own_time.astimezone(self.zone)
        return next(
            (
                held
                for held in self.codes
                if held.pin and held.pin == pin and (held.holds(now) or not self.keeps_to_windows)
            ),
            None,
        )

    def try_pin(self, pin: str) -> bool:
        """Somebody types a PIN: does the door open? The lock reports an opening."""
        held = self._matching(pin)
        if held is not None:
            self._count_use(held)
            report = self._opening(held)
            self.openings.append(Opening(self._clock.now(), held.slot))
            if report is not None:
                self.push(report)
            return True
        self.openings.append(Opening(self._clock.now(), None))
        if self.alarms_when_refusing and self.alarm_dp is not None:
            self.push(Push(self.alarm_dp, "wrong_password"))
        return False

    def _count_use(self, held: Held) -> None:
        """The last of a limited number of openings: the code stays in its slot and opens no more."""
        if held.uses == 1:
            held.pin = ""
        held.uses = max(0, held.uses - 1)

    def app_adds(self, pin: str, *, slot: int | None = None) -> Held:
        """Somebody adds a code of their own with Tuya's app, without limits."""
        held = Held(
            pin=pin,
            slot=self.free_slot() if slot is None else slot,
            start=0,
            end=2**32 - 1,
            member=1,
            sequence=999,
        )
        self.codes.append(held)
        return held

    def forget(self, slot: int) -> None:
        """A code goes without a word: deleted at the lock, or by a reset."""
        self.codes = [held for held in self.codes if held.slot != slot]

    def free_slot(self) -> int:
        """The lowest number that no code has."""
        taken = {held.slot for held in self.codes}
        return next(n for n in range(self.first_slot, self.first_slot + 1000) if n not in taken)

    def digits(self, raw: bytes) -> str | None:
        """A PIN as it was written; None: refused. Lax locks keep what they will never match."""
        if self.writes_ascii:
            good = raw.isdigit()
            pin = raw.decode("ascii", "replace")
        else:
            good = all(byte <= 9 for byte in raw)  # noqa: PLR2004
            pin = "".join(map(str, raw))
        if good:
            return pin
        return None if self.strict else ""

    def refusal(self) -> int | None:
        """The reason of the next refusal that was asked for."""
        return self.faults.refusals.pop(0) if self.faults.refusals else None

    def holds(self, pin: str) -> bool:
        """Is the PIN in memory?"""
        return any(held.pin == pin for held in self.codes)

    def _list(self, raw: bytes) -> list[Push]:
        """The codes without their digits, in packets of 20, then their count."""
        dp = self.dps["list"]
        if raw != bytes([self.listed_type]):
            return [Push(dp, b"\x01\x00")]
        entries = [
            held.slot.to_bytes(self.width)
            + bytes([self.listed_type])
            + (held.member or 0).to_bytes(self.width)
            + b"\x01"
            for held in self.codes
        ]
        if not entries:
            return [] if self.list_is_silent_when_empty else [Push(dp, b"\x01\x00")]
        packets = [
            entries[at : at + _ENTRIES_A_PACKET] for at in range(0, len(entries), _ENTRIES_A_PACKET)
        ]
        pushes = [
            Push(dp, bytes([0, number]) + b"".join(packet)) for number, packet in enumerate(packets)
        ]
        return [*pushes, Push(dp, bytes([1, len(packets)]))]
