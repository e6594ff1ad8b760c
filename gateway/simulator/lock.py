"""A simulated lock: its codes, its clock, its keypad, and how it misbehaves on demand."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from gateway.clock import Clock


class Order(StrEnum):
    """In which order a device answers a command."""

    ACK_FIRST = "ack first"
    PUSH_FIRST = "push first"
    PUSH_ONLY = "push only"
    ACK_ONLY = "ack only"
    SILENT = "silent"


@dataclass(slots=True, kw_only=True)
class Held:
    """A code in the lock's memory. Times are Unix seconds; `uses` 0: without limit."""

    pin: str = field(repr=False)
    slot: int
    start: int
    end: int
    member: int | None = None
    sequence: int | None = None


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
    report_delay: float = 0.0  # seconds
    lose_next_report: bool = False
    duplicate_next_report: bool = False
    refusals: list[int] = field(default_factory=list)  # reason bytes for the next commands
    hang_up_on_next: str | None = None  # "executed" or "not executed"


class SimulatedLock(ABC):
    """What all families share. Assert on `codes`, `received`, `creates` and `openings`."""

    profile = ""
    create_dp = 0
    pin_length = 6

    def __init__(
        self,
        *,
        name: str,
        device_id: str,
        clock: Clock,
        node_id: str | None = None,
        capacity: int = 10,
    ) -> None:
        self.name = name
        self.device_id = device_id
        self.node_id = node_id
        self.capacity = capacity
        self.skew = timedelta(0)
        self.online = True
        self.faults = Faults()
        self.codes: list[Held] = []
        self.received: list[tuple[int, bytes]] = []
        self.creates: Counter[bytes] = Counter()
        self.openings: list[Opening] = []
        self.push: Callable[[Push], None] = lambda _push: None
        self._clock = clock

    @property
    def own_time(self) -> datetime:
        """What the lock's own clock shows."""
        return self._clock.now() + self.skew

    def execute(self, dp: int, raw: bytes) -> list[Push]:
        """Carry out a written data point; the reports that follow."""
        self.received.append((dp, raw))
        if dp == self.create_dp:
            self.creates[raw] += 1
        return self._execute(dp, raw)

    @abstractmethod
    def _execute(self, dp: int, raw: bytes) -> list[Push]:
        """Carry out a data point of the family."""

    @abstractmethod
    def _opening(self, held: Held) -> Push:
        """How the family reports an opening."""

    def try_pin(self, pin: str) -> bool:
        """Somebody types a PIN: does the door open? The lock reports an opening."""
        now = int(self.own_time.timestamp())
        for held in self.codes:
            if held.pin == pin and held.start <= now < held.end:
                report = self._opening(held)
                number = report.value if isinstance(report.value, int) else None
                self.openings.append(Opening(self._clock.now(), number))
                self.push(report)
                return True
        self.openings.append(Opening(self._clock.now(), None))
        return False

    def refusal(self) -> int | None:
        """The reason of the next refusal that was asked for."""
        return self.faults.refusals.pop(0) if self.faults.refusals else None

    def holds(self, pin: str) -> bool:
        """Is the PIN in memory?"""
        return any(held.pin == pin for held in self.codes)
