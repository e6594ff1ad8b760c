"""Finds devices on the LAN by their broadcasts."""

import asyncio
import fcntl
import hashlib
import ipaddress
import json
import re
import socket
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinytuya.core import PREFIX_6699_VALUE, TuyaMessage, pack_message

from gateway.errors import BadFrameError, CannotListenError, LockUnreachableError
from gateway.tuya.frames import PREFIX_6699_BIN, Cipher, Version, split

PORTS = (6666, 6667, 7000)  # in the clear, encrypted, where answers to a question come
SEARCH_SECONDS = 8.0  # devices broadcast every few seconds
_ASK_AGAIN = 3.0
_ASK = 0x25  # devices of 3.5 may tell of themselves only when asked
_KEY = hashlib.md5(b"yGAdlopoPVldABfn", usedforsecurity=False).digest()
_OLD, _NEW = Cipher(Version.V33, _KEY), Cipher(Version.V35, _KEY)
_HEAD, _TAIL = 20, 8  # bytes around the body of an old frame
_MOST_BYTES = 4096
_WORD = re.compile(r"[!-~]{1,64}")  # what ids, versions and product keys are made of
_ADDRESS_OF, _BROADCAST_OF = 0x8915, 0x8919  # SIOCGIFADDR, SIOCGIFBRDADDR
_LOOPBACK = ("127.0.0.1", "127.255.255.255")


@dataclass(frozen=True, slots=True, order=True)
class Sighting:
    """A device seen on the LAN. `version` and `product` (its key) are empty where not told."""

    device_id: str
    address: str
    version: str
    product: str = ""


def read_broadcast(data: bytes, sender: str) -> Sighting | None:
    """What a broadcast tells; None if it is none of Tuya's."""
    body = _json(data)
    if body is None:
        body = next((found for raw in split(data) if (found := _open(raw)) is not None), None)
    device_id = _word(body, "gwId")
    if body is None or not device_id:
        return None
    return Sighting(
        device_id=device_id,
        address=_address(body.get("ip")) or sender,
        version=_word(body, "version"),
        product=_word(body, "productKey"),
    )


def _open(raw: bytes) -> Mapping[str, Any] | None:
    new = raw.startswith(PREFIX_6699_BIN)
    if not new and (body := _json(raw[_HEAD:-_TAIL])) is not None:
        return body
    try:
        payload = (_NEW if new else _OLD).decode(raw).payload
    except BadFrameError:
        return None
    return _json(payload.rstrip(b"\0"))


def _json(payload: bytes) -> Mapping[str, Any] | None:
    try:
        body = json.loads(payload)
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) else None


def _word(body: Mapping[str, Any] | None, key: str) -> str:
    value = None if body is None else body.get(key)
    return value if isinstance(value, str) and _WORD.fullmatch(value) else ""


def _address(value: Any) -> str:
    """A device without an address yet tells 0.0.0.0."""
    try:
        address = ipaddress.IPv4Address(value if isinstance(value, str) else "")
    except ValueError:
        return ""
    return "" if address.is_unspecified or address.is_multicast else str(address)


def question(address: str) -> bytes:
    """The broadcast that asks devices of 3.5 to tell `address` of themselves."""
    body = json.dumps({"from": "app", "ip": address}, separators=(",", ":")).encode()
    message = TuyaMessage(1, _ASK, None, body, 0, True, PREFIX_6699_VALUE, True)
    return bytes(pack_message(message, hmac_key=_KEY))


class Discovery:
    """Listens while somebody is interested; all who are share its sockets, and so every answer."""

    def __init__(self, ports: tuple[int, int, int] = PORTS) -> None:
        self._ports = ports
        self._hearers: list[Callable[[Sighting], None]] = []
        self._ears: list[socket.socket] = []
        self._asking: asyncio.TimerHandle | None = None

    @contextmanager
    def _listening(self, hear: Callable[[Sighting], None]) -> Iterator[None]:
        """Hand every broadcast to `hear` inside the block, and keep asking.

        Raises:
            CannotListenError: a port is taken by a program that does not share it.
        """
        if not self._hearers:
            self._open()
        self._hearers.append(hear)
        try:
            yield
        finally:
            self._hearers.remove(hear)
            if not self._hearers:
                self._close()

    def _open(self) -> None:
        loop = asyncio.get_running_loop()
        for port in self._ports:
            try:
                ear = _ear(port)
            except OSError as error:
                self._close()
                reason = error.strerror or type(error).__name__
                raise CannotListenError(
                    f"cannot listen for broadcasts on UDP port {port}: {reason}: another program"
                    " that looks for Tuya devices may hold it (ss -ulnp shows which): stop it"
                ) from None
            self._ears.append(ear)
            loop.add_reader(ear, self._hear, ear)
        self._ask()

    def _close(self) -> None:
        if self._asking is not None:
            self._asking.cancel()
            self._asking = None
        for ear in self._ears:
            asyncio.get_running_loop().remove_reader(ear)
            ear.close()
        self._ears.clear()

    def _hear(self, ear: socket.socket) -> None:
        with suppress(OSError):
            data, sender = ear.recvfrom(_MOST_BYTES)
            sighting = read_broadcast(data, sender[0])
            if sighting is not None:
                for hear in tuple(self._hearers):
                    hear(sighting)

    def _ask(self) -> None:
        for address, network in _networks():
            with suppress(OSError):  # a network that is down hears nothing
                self._ears[-1].sendto(question(address), (network, self._ports[-1]))
        self._asking = asyncio.get_running_loop().call_later(_ASK_AGAIN, self._ask)

    async def find(self, device_id: str, *, name: str) -> Sighting:
        """The device as it broadcasts itself.

        Raises:
            LockUnreachableError: it was not heard. `name` is what it is called in the configuration.
        """
        found: asyncio.Future[Sighting] = asyncio.get_running_loop().create_future()

        def hear(sighting: Sighting) -> None:
            if sighting.device_id == device_id and not found.done():
                found.set_result(sighting)

        try:
            with self._listening(hear):
                async with asyncio.timeout(SEARCH_SECONDS):
                    return await found
        except TimeoutError:
            raise LockUnreachableError(name, "not heard on the network") from None
        except CannotListenError as error:
            raise LockUnreachableError(name, str(error)) from None

    async def sightings(self, seconds: float) -> tuple[Sighting, ...]:
        """What is heard within some seconds, by device id; a device twice if it tells two things.

        Raises:
            CannotListenError: a port is taken by a program that does not share it.
        """
        seen: set[Sighting] = set()
        with self._listening(seen.add):
            await asyncio.sleep(seconds)
        return tuple(sorted(seen))


def _ear(port: int) -> socket.socket:
    """Whoever else listens may have set one option or the other: both share with both."""
    ear = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT, socket.SO_BROADCAST):
            ear.setsockopt(socket.SOL_SOCKET, option, 1)
        ear.setblocking(False)
        ear.bind(("", port))
    except BaseException:
        ear.close()
        raise
    return ear


def _interfaces() -> list[str]:
    """Their names; socket.if_nameindex needs a netlink socket, which a service may not have."""
    try:
        return [path.name for path in Path("/sys/class/net").iterdir()]
    except OSError:
        return []


def _networks() -> Iterator[tuple[str, str]]:
    """Our address in each IPv4 network, with the broadcast address there."""
    yield _LOOPBACK
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for interface in _interfaces():
            named = struct.pack("256s", interface.encode()[:15])
            with suppress(OSError):  # it has no address
                own, network = (
                    socket.inet_ntoa(fcntl.ioctl(probe, request, named)[20:24])
                    for request in (_ADDRESS_OF, _BROADCAST_OF)
                )
                if network not in {own, "0.0.0.0"}:  # noqa: S104 - compared, not bound
                    yield own, network
