"""Bytes of the data points that carry PINs, as pure functions. All integers are big-endian."""

import base64
import binascii
import struct
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, StrEnum

from gateway.domain.model import CodeAddress, Operation, Refusal, WeeklyHours, Window
from gateway.errors import BadReportError
from gateway.ports import Code

_PASSWORD = 0x01  # method type
_EVERYTHING = 0x00  # method type of "all of this member"
_PERMANENT = bytes.fromhex("386CD30072BC9B7F00000000000000173B")
_ALL_DAY = bytes(9)
_WEEKLY = 0x02  # repeat mode


class Digits(StrEnum):
    """How the digits of a PIN are written."""

    NUMERIC = "numeric"  # bytes 00..09
    ASCII = "ascii"


class Stage(Enum):
    """What a report says where it is neither yes nor a refusal."""

    UNDER_WAY = "under way"
    YES = "yes"


Verdict = Stage | Refusal


@dataclass(frozen=True, slots=True)
class Report:
    """What a report on a code tells. `of_pin` False: it is on a card, a finger or a face."""

    address: CodeAddress
    verdict: Verdict
    of_pin: bool = True


@dataclass(frozen=True, slots=True)
class ListPacket:
    """A piece of a lock's list: the `number`th one, or the last one, which tells their `count`.

    `slots` holds the slots of the listed codes with the member of each.
    """

    number: int
    slots: tuple[tuple[int, int], ...] = ()
    count: int | None = None


def to_base64(raw: bytes) -> str:
    """Raw bytes as they travel in JSON."""
    return base64.b64encode(raw).decode("ascii")


def from_base64(text: object) -> bytes:
    """Raw bytes from JSON; missing padding is forgiven.

    Raises:
        BadReportError: it is no base64 text.
    """
    if not isinstance(text, str):
        raise BadReportError("a raw data point that is no text")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise BadReportError("a raw data point that is no base64") from None


def validity(window: Window | None, weekly: WeeklyHours | None = None) -> bytes:
    """The 17-byte validity block. `window` None: permanent (ends in 2030)."""
    span = _PERMANENT[:8] if window is None else _span(window)
    if weekly is not None:
        days = sum(1 << day for day in weekly.days)
        hours = (weekly.start.hour, weekly.start.minute, weekly.end.hour, weekly.end.minute)
        return span + struct.pack(">BI4B", _WEEKLY, days, *hours)
    return _PERMANENT if window is None else span + _ALL_DAY


def _span(window: Window) -> bytes:
    return struct.pack(
        ">II", int(window.valid_from.timestamp()), int(window.valid_until.timestamp())
    )


def _digits(pin: str, digits: Digits) -> bytes:
    match digits:
        case Digits.NUMERIC:
            return bytes(int(digit) for digit in pin)
        case Digits.ASCII:
            return pin.encode("ascii")


class Layout(ABC):
    """How one family writes its requests and reads its reports."""

    message_id = False  # do requests end in two bytes that the report echoes?
    holds_weekly = True  # do requests carry hours of the week?

    @abstractmethod
    def create(self, address: CodeAddress, code: Code) -> bytes:
        """The request that adds a code."""

    @abstractmethod
    def modify(self, address: CodeAddress, code: Code) -> bytes:
        """The request that changes the window of a code."""

    @abstractmethod
    def delete(self, address: CodeAddress) -> bytes:
        """The request that deletes a code."""

    @abstractmethod
    def report(self, operation: Operation, raw: bytes) -> Report:
        """What a report on an operation tells.

        Raises:
            BadReportError: the layout does not explain it.
        """


_METHOD_REASONS = {
    0x00: Refusal.TIMEOUT,
    0x01: Refusal.FAILED,
    0x02: Refusal.DUPLICATE,
    0x03: Refusal.FULL,
    0x04: Refusal.INVALID,
    0x05: Refusal.INVALID,
    0x06: Refusal.UNSUPPORTED,
    0x07: Refusal.BUSY,
    0x08: Refusal.BUSY,
    0x09: Refusal.BUSY,
    0x0A: Refusal.WEAK,
    0xFE: Refusal.NOT_FOUND,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodLayout(Layout):
    """Unlock methods of a member: DP 1/2/3 of BLE, mk and video locks.

    `id_width`: bytes of a member or slot, 1 or 2.
    """

    id_width: int
    message_id: bool
    digits: Digits = Digits.NUMERIC

    def create(self, address: CodeAddress, code: Code) -> bytes:
        """See `Layout.create`; the lock allots the slot."""
        return self._request(address, code, slot=self._any)

    def modify(self, address: CodeAddress, code: Code) -> bytes:
        """See `Layout.modify`; the PIN goes along in full."""
        return self._request(address, code, slot=self._slot(address))

    def _request(self, address: CodeAddress, code: Code, *, slot: int) -> bytes:
        pin = _digits(code.pin, self.digits)
        return (
            bytes([_PASSWORD, 0, 0])
            + self._id(address.member)
            + self._id(slot)
            + validity(code.window, code.weekly)
            + bytes([0, len(pin)])
            + pin
            + _message_id(address, carried=self.message_id)
        )

    def delete(self, address: CodeAddress) -> bytes:
        """See `Layout.delete`; without a slot everything of the member goes."""
        if address.slot is None:
            return (
                bytes([_EVERYTHING, 0, 0]) + self._id(address.member) + self._id(self._any) + b"\0"
            )
        return bytes([_PASSWORD, 0, 0]) + self._id(address.member) + self._id(address.slot) + b"\1"

    def report(self, operation: Operation, raw: bytes) -> Report:
        """See `Layout.report`."""
        width = self.id_width
        short = 3 + 2 * width + 2
        if len(raw) not in {short, short + 2}:
            raise BadReportError(f"a report of {len(raw)} bytes")
        stage, result = raw[1], raw[short - 1]
        member = int.from_bytes(raw[3 : 3 + width])
        slot = int.from_bytes(raw[3 + width : 3 + 2 * width])
        address = CodeAddress(
            member=member,
            slot=None if slot == self._any else slot,
            message_id=int.from_bytes(raw[short:]) if len(raw) > short else None,
        )
        verdict = (
            _deleted(result) if operation is Operation.DELETE else _staged(operation, stage, result)
        )
        return Report(address, verdict, of_pin=raw[0] in {_PASSWORD, _EVERYTHING})

    @property
    def _any(self) -> int:
        return (1 << 8 * self.id_width) - 1

    def _slot(self, address: CodeAddress) -> int:
        if address.slot is None:
            raise ValueError("a code of unknown slot cannot be modified")
        return address.slot

    def _id(self, number: int | None) -> bytes:
        return (number or 0).to_bytes(self.id_width)


def _staged(operation: Operation, stage: int, result: int) -> Verdict:
    match stage:
        case 0xFF:
            return Stage.YES
        case 0xFD:
            return _METHOD_REASONS.get(result, Refusal.FAILED)
        case 0xFE:
            return Refusal.FAILED
        case 0xFC:
            return Stage.UNDER_WAY
        case 0x00 if operation is Operation.CREATE:
            return Stage.UNDER_WAY
        case 0x00:
            return Stage.YES if result == 0xFF else Refusal.FAILED  # noqa: PLR2004 - FF is yes
        case _:
            raise BadReportError(f"a report of stage {stage:02X}")


def _deleted(result: int) -> Verdict:
    match result:
        case 0xFF | 0x01:  # done; it does not exist
            return Stage.YES
        case _:
            return Refusal.FAILED


_TEMP_REASONS: dict[Operation, dict[int, Verdict]] = {
    Operation.CREATE: {0: Stage.YES, 1: Refusal.FAILED, 2: Refusal.FULL, 3: Refusal.DUPLICATE},
    Operation.MODIFY: {0: Stage.YES, 1: Refusal.FAILED, 2: Refusal.NOT_FOUND},
    Operation.DELETE: {0: Stage.YES, 1: Refusal.FAILED, 2: Stage.YES},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TemporaryLayout(Layout):
    """Temporary passwords by slot: DP 51/52/53 of BLE locks, 4/5/6 of keypads, 5/6/7 of mk locks.

    `id_width`: bytes of a slot, 1 or 2. `multi_use`: the type byte of a code that may be used more
    than once.
    """

    id_width: int = 1
    message_id: bool = False
    digits: Digits = Digits.NUMERIC
    multi_use: int = 1

    def create(self, address: CodeAddress, code: Code) -> bytes:
        """See `Layout.create`; the lock allots the slot."""
        return self._body(address, code)

    def modify(self, address: CodeAddress, code: Code) -> bytes:
        """See `Layout.modify`; a length of 0 would erase the PIN on some locks, so it goes along."""
        return self._slot(address) + self._body(address, code)

    def _body(self, address: CodeAddress, code: Code) -> bytes:
        pin = _digits(code.pin, self.digits)
        return (
            bytes([self.multi_use])
            + validity(code.window, code.weekly)
            + bytes([0, len(pin)])
            + pin
            + _message_id(address, carried=self.message_id)
        )

    def delete(self, address: CodeAddress) -> bytes:
        """See `Layout.delete`."""
        return self._slot(address)

    def report(self, operation: Operation, raw: bytes) -> Report:
        """See `Layout.report`."""
        width = self.id_width
        short = width + 1
        if len(raw) != short and not (self.message_id and len(raw) == short + 2):
            raise BadReportError(f"a report of {len(raw)} bytes")
        verdict = _TEMP_REASONS[operation].get(raw[width])
        if verdict is None:
            raise BadReportError(f"a report of result {raw[width]:02X}")
        refused = verdict is not Stage.YES and operation is Operation.CREATE
        address = CodeAddress(
            slot=None if refused else int.from_bytes(raw[:width]),
            message_id=int.from_bytes(raw[short:]) if len(raw) > short else None,
        )
        return Report(address, verdict)

    def _slot(self, address: CodeAddress) -> bytes:
        if address.slot is None:
            raise ValueError("a code of unknown slot cannot be addressed")
        return address.slot.to_bytes(self.id_width)


def _message_id(address: CodeAddress, *, carried: bool) -> bytes:
    return struct.pack(">H", address.message_id or 0) if carried else b""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListLayout:
    """The list of codes without their digits: DP 54 of BLE locks, 4 of mk locks, 7 of keypads.

    `asked`: the type of code to list, one per request. `id_width`: bytes of a slot or member.
    """

    asked: int
    id_width: int = 1

    def request(self) -> bytes:
        """The request for the list."""
        return bytes([self.asked])

    def packet(self, raw: bytes) -> ListPacket:
        """One piece of the answer.

        Raises:
            BadReportError: the layout does not explain it.
        """
        size = 2 * self.id_width + 2
        if len(raw) == 2 and raw[0] == 1:  # noqa: PLR2004 - end, count of the pieces before
            return ListPacket(number=raw[1], count=raw[1])
        if len(raw) < 2 or raw[0] != 0 or (len(raw) - 2) % size:  # noqa: PLR2004 - head of a piece
            raise BadReportError(f"a list of {len(raw)} bytes")
        return ListPacket(number=raw[1], slots=tuple(self._entries(raw[2:], size)))

    def _entries(self, raw: bytes, size: int) -> Iterator[tuple[int, int]]:
        width = self.id_width
        for start in range(0, len(raw), size):
            entry = raw[start : start + size]
            if entry[width] == self.asked:
                yield (
                    int.from_bytes(entry[:width]),
                    int.from_bytes(entry[width + 1 : 2 * width + 1]),
                )


_ZIGBEE_REASONS: dict[int, Verdict] = {
    0: Refusal.FAILED,
    1: Stage.YES,
    2: Refusal.DUPLICATE,
    3: Refusal.FULL,
}
_ZIGBEE_END = 0x7FFFFFFF


@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceLayout(Layout):
    """Passwords by a number of the sender: DP 24/25/26 of Zigbee locks.

    `gap`: bytes between the window and the PIN, the last one the one-time flag.
    """

    gap: int
    digits: Digits = Digits.ASCII
    holds_weekly = False

    def create(self, address: CodeAddress, code: Code) -> bytes:
        """See `Layout.create`."""
        span = struct.pack(">II", 0, _ZIGBEE_END) if code.window is None else _span(code.window)
        return self._words(address) + span + bytes(self.gap) + _digits(code.pin, self.digits)

    def modify(self, address: CodeAddress, code: Code) -> bytes:
        """See `Layout.modify`."""
        return self.create(address, code)

    def delete(self, address: CodeAddress) -> bytes:
        """See `Layout.delete`."""
        return self._words(address)

    def report(self, operation: Operation, raw: bytes) -> Report:
        """See `Layout.report`."""
        del operation  # one layout for all three
        if len(raw) != 7:  # noqa: PLR2004 - three words, result
            raise BadReportError(f"a report of {len(raw)} bytes")
        verdict = _ZIGBEE_REASONS.get(raw[6])
        if verdict is None:
            raise BadReportError(f"a report of result {raw[6]:02X}")
        return Report(CodeAddress(sequence=int.from_bytes(raw[:2])), verdict)

    def _words(self, address: CodeAddress) -> bytes:
        return struct.pack(">HHH", address.sequence or 0, 1, 0)
