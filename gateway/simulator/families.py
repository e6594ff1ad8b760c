"""The lock families: how each reads requests and writes reports."""

import struct
from collections.abc import Mapping
from dataclasses import dataclass

from gateway.simulator.lock import Held, Push, SimulatedLock


@dataclass(frozen=True, slots=True)
class _Validity:
    """A 17-byte validity block and the byte behind it: how often the code may be used."""

    start: int
    end: int
    weekly: bytes
    uses: int

    @classmethod
    def read(cls, block: bytes) -> "_Validity":
        start, end = struct.unpack(">II", block[:8])
        return cls(int(start), int(end), block[8:17], block[17])

    def give(self, held: Held) -> None:
        held.start, held.end, held.weekly, held.uses = self.start, self.end, self.weekly, self.uses


class MethodLock(SimulatedLock):
    """Unlock methods of members, data points 1/2/3: ids of `width` bytes, a message id of 2 or 0."""

    dps: Mapping[str, int] = {"create": 1, "delete": 2, "modify": 3}
    width = 1
    message_id_bytes = 0
    listed_type = 0x01

    def _execute(self, operation: str, raw: bytes) -> list[Push]:
        match operation:
            case "create":
                return [Push(self.dps["create"], report) for report in self._create(raw)]
            case "delete":
                return [Push(self.dps["delete"], self._delete(raw))]
            case "modify":
                return [Push(self.dps["modify"], self._modify(raw))]
            case _:
                return self._list(raw)

    @property
    def _any(self) -> bytes:
        return b"\xff" * self.width

    def _create(self, raw: bytes) -> list[bytes]:
        member, pin, validity, message_id = self._read(raw)
        started = self._report(raw, stage=0x00, slot=self._any, message_id=message_id)
        reason = self.refusal()
        if reason is None and pin is None:
            reason = 0x04
        if reason is None and any(held.pin == pin for held in self.codes):
            self.note_duplicate(same_number=any(held.member == member for held in self.codes))
            reason = 0x02
        if reason is None and len(self.codes) >= self.capacity:
            reason = 0x03
        if reason is not None:
            failed = self._report(
                raw, stage=0xFD, slot=self._any, message_id=message_id, result=reason
            )
            return [started, failed] if self.two_stage else [failed]
        slot = self.free_slot()
        held = Held(pin=pin or "", slot=slot, start=0, end=0, member=member)
        validity.give(held)
        self.codes.append(held)
        done = self._report(raw, stage=0xFF, slot=slot.to_bytes(self.width), message_id=message_id)
        return [started, done] if self.two_stage else [done]

    def _modify(self, raw: bytes) -> bytes:
        member, pin, validity, message_id = self._read(raw)
        number = raw[3 + self.width : 3 + 2 * self.width]
        slot = int.from_bytes(number)
        held = next((one for one in self.codes if (one.slot, one.member) == (slot, member)), None)
        if held is None or self.refusal() is not None:
            return self._report(raw, stage=0x00, slot=number, message_id=message_id, result=0x00)
        validity.give(held)
        held.pin = pin or held.pin
        return self._report(raw, stage=0x00, slot=number, message_id=message_id, result=0xFF)

    def _delete(self, raw: bytes) -> bytes:
        width = self.width
        request = raw[: 4 + 2 * width]
        member = int.from_bytes(raw[3 : 3 + width])
        slot = int.from_bytes(raw[3 + width : 3 + 2 * width])
        whole_member = raw[3 + 2 * width] == 0
        if self.refusal() is not None:
            return request + b"\x00"
        gone = [
            held
            for held in self.codes
            if held.member == member and (whole_member or held.slot == slot)
        ]
        self.codes = [held for held in self.codes if held not in gone]
        return request + (b"\xff" if gone else b"\x01")

    def _read(self, raw: bytes) -> tuple[int, str | None, _Validity, bytes]:
        window = 3 + 2 * self.width
        count = raw[window + 18]
        end = window + 19 + count
        if len(raw) != end + self.message_id_bytes:
            raise ValueError(f"a request of {len(raw)} bytes")
        return (
            int.from_bytes(raw[3 : 3 + self.width]),
            self.digits(raw[window + 19 : end]),
            _Validity.read(raw[window : window + 18]),
            raw[end:],
        )

    def _report(
        self, raw: bytes, *, stage: int, slot: bytes, message_id: bytes, result: int = 0
    ) -> bytes:
        head = raw[:1] + bytes([stage]) + raw[2 : 3 + self.width]
        return head + slot + bytes([0, result]) + message_id


class MkLock(MethodLock):
    """A Wi-Fi access controller: two-byte ids, a message id echoed, many slots, a remote key."""

    profile = "mk_method"
    dps: Mapping[str, int] = {**MethodLock.dps, "set key": 8, "use key": 9}
    width = 2
    message_id_bytes = 2
    first_slot = 1
    opening_dp: int = 11
    alarm_dp = 23

    def _execute(self, operation: str, raw: bytes) -> list[Push]:
        if operation not in {"set key", "use key"}:
            return super()._execute(operation, raw)
        member = raw[1:3]
        if operation == "set key":
            self.remote_keys[member] = raw[13:21]
            return [Push(self.dps[operation], b"\x00" + member)]
        right = self.remote_keys.get(member) == raw[3:11]
        return [Push(self.dps[operation], (b"\x00" if right else b"\x02") + member)]

    def _opening(self, held: Held) -> Push:
        return Push(self.opening_dp, struct.pack(">H", held.slot))


class BleMethodLock(MethodLock):
    """A BLE lock that takes the PINs of members; it lists them."""

    profile = "ble_method"
    dps: Mapping[str, int] = {"create": 1, "delete": 2, "modify": 3, "list": 54}
    opening_dp = 13
    alarm_dp = 21


class VideoLock(MethodLock):
    """A Wi-Fi video lock: one-byte ids and a message id."""

    profile = "video_method"
    message_id_bytes = 2
    opening_dp = 13


class TemporaryLock(SimulatedLock):
    """Temporary passwords by slot, the number of which the lock allots."""

    width = 1
    message_id_bytes = 0
    listed_type = 0x05

    def _execute(self, operation: str, raw: bytes) -> list[Push]:
        match operation:
            case "create":
                return [Push(self.dps["create"], self._create(raw))]
            case "delete":
                return [Push(self.dps["delete"], self._delete(raw))]
            case "modify":
                return [Push(self.dps["modify"], self._modify(raw))]
            case _:
                return self._list(raw)

    def _create(self, raw: bytes) -> bytes:
        pin, validity, message_id = self._read(raw)
        reason = self.refusal()
        if reason is None and pin is None:
            reason = 0x01
        if reason is None and any(held.pin == pin for held in self.codes):
            self.note_duplicate(same_number=True)
            reason = 0x03
        if reason is None and len(self.codes) >= self.capacity:
            reason = 0x02
        if reason is not None:
            return b"\xff" * self.width + bytes([reason]) + message_id
        slot = self.free_slot()
        held = Held(pin=pin or "", slot=slot, start=0, end=0)
        validity.give(held)
        self.codes.append(held)
        return slot.to_bytes(self.width) + b"\x00" + message_id

    def _delete(self, raw: bytes) -> bytes:
        slot = int.from_bytes(raw[: self.width])
        if self.refusal() is not None:
            return raw[: self.width] + b"\x01"
        before = len(self.codes)
        self.codes = [held for held in self.codes if held.slot != slot]
        return raw[: self.width] + (b"\x00" if len(self.codes) < before else b"\x02")

    def _modify(self, raw: bytes) -> bytes:
        number = raw[: self.width]
        pin, validity, message_id = self._read(raw[self.width :])
        held = next((one for one in self.codes if one.slot == int.from_bytes(number)), None)
        if held is None or self.refusal() is not None:
            return number + (b"\x02" if held is None else b"\x01") + message_id
        validity.give(held)
        held.pin = pin or ""  # a length of 0 erases, as in Tuya's SDK
        return number + b"\x00" + message_id

    def _read(self, raw: bytes) -> tuple[str | None, _Validity, bytes]:
        end = 20 + raw[19]
        if len(raw) != end + self.message_id_bytes:
            raise ValueError(f"a request of {len(raw)} bytes")
        return self.digits(raw[20:end]), _Validity.read(raw[1:19]), raw[end:]


class BleLock(TemporaryLock):
    """A BLE lock behind a hub: slots 40 and up, and a list."""

    profile = "ble_temp"
    dps: Mapping[str, int] = {"create": 51, "delete": 52, "modify": 53, "list": 54}
    first_slot = 40
    opening_dp = 55
    alarm_dp = 21


class AsciiBleLock(BleLock):
    """The same, with ASCII digits."""

    profile = "ble_temp_ascii"
    writes_ascii = True


class BleKeypad(TemporaryLock):
    """A BLE keypad beside a lock."""

    profile = "ble_keypad"
    dps: Mapping[str, int] = {"create": 4, "delete": 5, "modify": 6, "list": 7}


class MkTemporaryLock(TemporaryLock):
    """A Wi-Fi access controller by its temporary passwords: two-byte slots and a message id."""

    profile = "mk_temp"
    dps: Mapping[str, int] = {"create": 5, "delete": 6, "modify": 7}
    width = 2
    message_id_bytes = 2
    first_slot = 1
    opening_dp: int = 16
    alarm_dp = 23

    def _opening(self, held: Held) -> Push:
        return Push(self.opening_dp, struct.pack(">H", held.slot))


class ZigbeeLock(SimulatedLock):
    """A Zigbee lock behind a hub: the sender's numbers, ASCII digits, a request of `length` bytes."""

    profile = "zigbee_temp27"
    dps: Mapping[str, int] = {"create": 24, "delete": 25, "modify": 26}
    length = 27
    writes_ascii = True
    opening_dp = 3
    alarm_dp = 9
    takes_ended_windows = True

    def _execute(self, operation: str, raw: bytes) -> list[Push]:
        match operation:
            case "create":
                result = self._create(raw)
            case "delete":
                result = self._delete(raw)
            case _:
                result = self._update(raw)
        return [Push(self.dps[operation], raw[:6] + bytes([result]))]

    def _create(self, raw: bytes) -> int:
        sequence = int.from_bytes(raw[:2])
        reason = self.refusal()
        pin = self.digits(raw[-6:])
        if reason is not None or len(raw) != self.length or pin is None:
            return reason or 0x00
        if any(held.sequence == sequence or held.pin == pin for held in self.codes):
            self.note_duplicate(same_number=any(held.sequence == sequence for held in self.codes))
            return 0x02
        if len(self.codes) >= self.capacity:
            return 0x03
        start, end = struct.unpack(">II", raw[6:14])
        if end <= self.own_time.timestamp() and not self.takes_ended_windows:
            return 0x00
        self.codes.append(Held(pin=pin, slot=sequence, start=start, end=end, sequence=sequence))
        return 0x01

    def _delete(self, raw: bytes) -> int:
        sequence = int.from_bytes(raw[:2])
        if self.refusal() is not None or all(held.sequence != sequence for held in self.codes):
            return 0x00
        self.codes = [held for held in self.codes if held.sequence != sequence]
        return 0x01

    def _update(self, raw: bytes) -> int:
        sequence = int.from_bytes(raw[:2])
        held = next((one for one in self.codes if one.sequence == sequence), None)
        pin = self.digits(raw[-6:])
        if held is None or pin is None or len(raw) != self.length or self.refusal() is not None:
            return 0x00
        held.start, held.end = struct.unpack(">II", raw[6:14])
        held.pin = pin
        return 0x01


class DocumentedZigbeeLock(ZigbeeLock):
    """The same, with the request as Tuya documents it."""

    profile = "zigbee_temp21"
    length = 21


FAMILIES: Mapping[str, type[SimulatedLock]] = {
    family.profile: family
    for family in (
        MkLock,
        MkTemporaryLock,
        BleLock,
        AsciiBleLock,
        BleMethodLock,
        BleKeypad,
        VideoLock,
        ZigbeeLock,
        DocumentedZigbeeLock,
    )
}
