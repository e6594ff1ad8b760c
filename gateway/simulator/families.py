"""The lock families: how each reads requests and writes reports."""

import struct

from gateway.simulator.lock import Held, Push, SimulatedLock

_FAR_FUTURE = 2**32 - 1


def _digits(raw: bytes) -> str | None:
    """A PIN written as bytes 00..09, None if it is none."""
    return "".join(map(str, raw)) if all(byte <= 9 for byte in raw) else None  # noqa: PLR2004


def _times(block: bytes) -> tuple[int, int]:
    """Start and end of a 17-byte validity block."""
    start, end = struct.unpack(">II", block[:8])
    return int(start), int(end)


class MkLock(SimulatedLock):
    """A Wi-Fi access controller: DP 1/2/3, two-byte ids, a message id echoed, many slots."""

    profile = "mk_method"
    create_dp = 1

    def _execute(self, dp: int, raw: bytes) -> list[Push]:
        match dp:
            case 1:
                return self._create(raw)
            case 2:
                return self._delete(raw)
            case 3:
                return self._modify(raw)
            case _:
                return []

    def _create(self, raw: bytes) -> list[Push]:
        member, pin, (start, end), uuid = self._read(raw)
        started = self._report(raw, stage=0x00, slot=0xFFFF, uuid=uuid)
        reason = self.refusal()
        if reason is None and pin is None:
            reason = 0x04
        if reason is None and any(held.pin == pin for held in self.codes):
            reason = 0x02
        if reason is None and len(self.codes) >= self.capacity:
            reason = 0x03
        if reason is not None:
            failed = self._report(raw, stage=0xFD, slot=0xFFFF, uuid=uuid, result=reason)
            return [Push(1, started), Push(1, failed)]
        slot = next(n for n in range(1, 0xFFFF) if all(held.slot != n for held in self.codes))
        self.codes.append(Held(pin=pin or "", slot=slot, start=start, end=end, member=member))
        done = self._report(raw, stage=0xFF, slot=slot, uuid=uuid)
        return [Push(1, started), Push(1, done)]

    def _modify(self, raw: bytes) -> list[Push]:
        member, pin, (start, end), uuid = self._read(raw)
        slot = int.from_bytes(raw[5:7])
        held = next((one for one in self.codes if (one.slot, one.member) == (slot, member)), None)
        reason = self.refusal()
        if held is None or reason is not None:
            return [Push(3, self._report(raw, stage=0x00, slot=slot, uuid=uuid, result=0x00))]
        held.start, held.end = start, end
        held.pin = pin or held.pin
        return [Push(3, self._report(raw, stage=0x00, slot=slot, uuid=uuid, result=0xFF))]

    def _delete(self, raw: bytes) -> list[Push]:
        member, slot, style = int.from_bytes(raw[3:5]), int.from_bytes(raw[5:7]), raw[7]
        if self.refusal() is not None:
            return [Push(2, raw[:8] + b"\x00")]
        gone = [
            held
            for held in self.codes
            if held.member == member and (style == 0 or held.slot == slot)
        ]
        self.codes = [held for held in self.codes if held not in gone]
        return [Push(2, raw[:8] + (b"\xff" if gone else b"\x01"))]

    def _read(self, raw: bytes) -> tuple[int, str | None, tuple[int, int], bytes]:
        count = raw[25]
        return (
            int.from_bytes(raw[3:5]),
            _digits(raw[26 : 26 + count]),
            _times(raw[7:24]),
            raw[26 + count :],
        )

    def _report(self, raw: bytes, *, stage: int, slot: int, uuid: bytes, result: int = 0) -> bytes:
        return (
            raw[:1]
            + bytes([stage])
            + raw[2:5]
            + struct.pack(">H", slot)
            + bytes([0, result])
            + uuid
        )

    def _opening(self, held: Held) -> Push:
        return Push(11, struct.pack(">H", held.slot))


class BleLock(SimulatedLock):
    """A BLE lock behind a hub: temporary passwords DP 51/52/53 in slots 40 and up."""

    profile = "ble_temp"
    create_dp = 51
    first_slot = 40

    def _execute(self, dp: int, raw: bytes) -> list[Push]:
        match dp:
            case 51:
                return [Push(51, self._create(raw))]
            case 52:
                return [Push(52, self._delete(raw[0]))]
            case 53:
                return [Push(53, self._modify(raw))]
            case _:
                return []

    def _create(self, raw: bytes) -> bytes:
        pin = _digits(raw[20 : 20 + raw[19]])
        start, end = _times(raw[1:18])
        reason = self.refusal()
        if reason is not None or pin is None:
            return bytes([0xFF, reason or 0x01])
        if any(held.pin == pin for held in self.codes):
            return bytes([0xFF, 0x03])
        taken = {held.slot for held in self.codes}
        free = [
            n for n in range(self.first_slot, self.first_slot + self.capacity) if n not in taken
        ]
        if not free:
            return bytes([0xFF, 0x02])
        self.codes.append(Held(pin=pin, slot=free[0], start=start, end=end))
        return bytes([free[0], 0x00])

    def _delete(self, slot: int) -> bytes:
        if self.refusal() is not None:
            return bytes([slot, 0x01])
        before = len(self.codes)
        self.codes = [held for held in self.codes if held.slot != slot]
        return bytes([slot, 0x00 if len(self.codes) < before else 0x02])

    def _modify(self, raw: bytes) -> bytes:
        held = next((one for one in self.codes if one.slot == raw[0]), None)
        if held is None or self.refusal() is not None:
            return bytes([raw[0], 0x02 if held is None else 0x01])
        held.start, held.end = _times(raw[2:19])
        held.pin = _digits(raw[21 : 21 + raw[20]]) or ""  # a length of 0 erases, as in Tuya's SDK
        return bytes([raw[0], 0x00])

    def _opening(self, held: Held) -> Push:
        return Push(55, held.slot)


class ZigbeeLock(SimulatedLock):
    """A Zigbee lock behind a hub: DP 24/25/26, 27 bytes, the sender's numbers, ASCII digits."""

    profile = "zigbee_temp27"
    create_dp = 24

    def _execute(self, dp: int, raw: bytes) -> list[Push]:
        match dp:
            case 24:
                return [Push(24, raw[:6] + bytes([self._create(raw)]))]
            case 25:
                return [Push(25, raw[:6] + bytes([self._delete(raw)]))]
            case 26:
                return [Push(26, raw[:6] + bytes([self._update(raw)]))]
            case _:
                return []

    def _create(self, raw: bytes) -> int:
        sequence = int.from_bytes(raw[:2])
        reason = self.refusal()
        if reason is not None or len(raw) not in {21, 27}:
            return reason or 0x00
        pin = raw[-6:].decode("ascii", "replace")
        if any(held.sequence == sequence or held.pin == pin for held in self.codes):
            return 0x02
        if len(self.codes) >= self.capacity:
            return 0x03
        start, end = struct.unpack(">II", raw[6:14])
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
        if held is None or self.refusal() is not None:
            return 0x00
        held.start, held.end = struct.unpack(">II", raw[6:14])
        held.pin = raw[-6:].decode("ascii", "replace")
        return 0x01

    def _opening(self, held: Held) -> Push:
        return Push(3, held.slot)
