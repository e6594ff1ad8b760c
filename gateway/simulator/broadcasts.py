"""How a simulated device makes itself known: UDP broadcasts, and answers to who asks."""

import asyncio
import binascii
import hashlib
import json
import os
import socket
import struct
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.clock import Clock
from gateway.simulator.framing import Framing, ecb_encrypt, pad

UDP, UDP_NEW, ASKED, UDP_34 = 0x00, 0x13, 0x25, 0x23
_KEY = hashlib.md5(b"yGAdlopoPVldABfn", usedforsecurity=False).digest()
_EVERY = 5.0  # seconds
_OLD, _OLD_END = b"\x00\x00\x55\xaa", b"\x00\x00\xaa\x55"


@dataclass(frozen=True, slots=True, kw_only=True)
class Air:
    """Where broadcasts go. `to`: the broadcast address of a network, or of loopback."""

    to: str
    plain_port: int = 6666
    encrypted_port: int = 6667
    asked_port: int = 7000


@dataclass(frozen=True, slots=True, kw_only=True)
class Announced:
    """What a device tells of itself."""

    device_id: str
    address: str
    version: str
    product: str

    def body(self) -> Mapping[str, Any]:
        """The fields in the order, and with the misspelling, of real devices."""
        told = {
            "ip": self.address,
            "gwId": self.device_id,
            "active": 2,
            "ablilty": 0,
            "encrypt": self.version != "3.1",
            "productKey": self.product,
            "version": self.version,
        }
        return told | ({} if self.version in {"3.1", "3.3"} else {"token": True, "wf_cfg": True})

    def datagram(self) -> bytes:
        """The broadcast, in the frame of its version."""
        payload = json.dumps(self.body(), separators=(",", ":")).encode()
        match self.version:
            case "3.1":
                return _old_frame(UDP, payload)
            case "3.3":
                return _old_frame(UDP_NEW, ecb_encrypt(_KEY, pad(payload)))
            case "3.4":
                return _old_frame(UDP_34, ecb_encrypt(_KEY, pad(payload)))
            case _:
                return _new_frame(UDP_NEW, payload)

    def answer(self) -> bytes:
        """What a device of 3.5 says to who asked."""
        return _new_frame(ASKED, json.dumps(self.body(), separators=(",", ":")).encode())


def _old_frame(command: int, body: bytes) -> bytes:
    raw = struct.pack(">4sIIII", _OLD, 0, command, 4 + len(body) + 8, 0) + body
    return raw + struct.pack(">I", binascii.crc32(raw)) + _OLD_END


def _new_frame(command: int, payload: bytes) -> bytes:
    head = struct.pack(">HIII", 0, 0, command, 12 + 4 + len(payload) + 16)
    iv = os.urandom(12)
    sealed = AESGCM(_KEY).encrypt(iv, bytes(4) + payload, head)
    return b"\x00\x00\x66\x99" + head + iv + sealed + b"\x00\x00\x99\x66"


def asker(data: bytes) -> str | None:
    """The address to which a question wants its answer; None if it is no question."""
    try:
        received = next(Framing("3.5", _KEY).feed(data))
        body = json.loads(received.payload)
    except (PermissionError, InvalidTag, StopIteration, ValueError):
        return None
    address = body.get("ip") if isinstance(body, dict) else None
    return address if received.command == ASKED and isinstance(address, str) else None


class Announcer:
    """Announces one device every 5 s while `told` has something to tell; answers if it is 3.5."""

    def __init__(self, air: Air, clock: Clock) -> None:
        self._air = air
        self._clock = clock
        self.told: Announced | None = None

    @asynccontextmanager
    async def announcing(self) -> AsyncIterator[None]:
        """Make oneself known inside the block."""
        loop = asyncio.get_running_loop()
        ear = _ear(self._air)
        loop.add_reader(ear, self._hear, ear)
        try:
            async with asyncio.TaskGroup() as tasks:
                speaking = tasks.create_task(self._speak())
                yield
                speaking.cancel()
        finally:
            loop.remove_reader(ear)
            ear.close()

    async def _speak(self) -> None:
        while True:
            if (told := self.told) is not None:
                plain = told.version == "3.1"
                port = self._air.plain_port if plain else self._air.encrypted_port
                _say(told, told.datagram(), (self._air.to, port))
            await self._clock.sleep(_EVERY)

    def _hear(self, ear: socket.socket) -> None:
        with suppress(OSError):
            address = asker(ear.recv(2048))
            told = self.told
            if address is not None and told is not None and told.version == "3.5":
                _say(told, told.answer(), (address, self._air.asked_port))


def _ear(air: Air) -> socket.socket:
    """On loopback, bound to the broadcast address: answers to one's own host pass it by."""
    ear = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):
        ear.setsockopt(socket.SOL_SOCKET, option, 1)
    ear.setblocking(False)
    ear.bind((air.to if air.to.startswith("127.") else "", air.asked_port))
    return ear


def _say(told: Announced, data: bytes, to: tuple[str, int]) -> None:
    """From the device's own address; a network that is down hears nothing."""
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mouth:
        mouth.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        mouth.bind((told.address, 0))
        mouth.sendto(data, to)
