"""Finds devices on the LAN by their broadcasts."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from tinytuya.core import PREFIX_6699_VALUE, TuyaMessage, pack_message

from gateway.errors import BadFrameError, LockUnreachableError
from gateway.tuya.frames import Cipher, Version, split

PLAIN_PORT, ENCRYPTED_PORT, ASKED_PORT = 6666, 6667, 7000
SEARCH_SECONDS = 8.0  # devices broadcast every few seconds
_ASK_AGAIN = 3.0
_ASK = 0x25  # devices of 3.5 may tell of themselves only when asked
_KEY = hashlib.md5(b"yGAdlopoPVldABfn", usedforsecurity=False).digest()


@dataclass(frozen=True, slots=True)
class Sighting:
    """A device seen on the LAN. `product` is the key of its product, empty where not told."""

    device_id: str
    address: str
    version: str
    product: str = ""


def read_broadcast(data: bytes, sender: str) -> Sighting | None:
    """What a broadcast tells; None if it is none of Tuya's."""
    body = _json(data)
    if body is None:
        body = next((found for raw in split(data) if (found := _open(raw)) is not None), None)
    if body is None or not isinstance(body.get("gwId"), str):
        return None
    address = body.get("ip") if isinstance(body.get("ip"), str) else sender
    return Sighting(
        device_id=body["gwId"],
        address=str(address),
        version=str(body.get("version", "")),
        product=str(body.get("productKey", "")),
    )


def _open(raw: bytes) -> Mapping[str, Any] | None:
    for version in (Version.V33, Version.V35):
        try:
            payload = Cipher(version, _KEY).decode(raw).payload
        except BadFrameError:
            continue
        if (body := _json(payload)) is not None:
            return body
    return None


def _json(payload: bytes) -> Mapping[str, Any] | None:
    try:
        body = json.loads(payload)
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) else None


def question() -> bytes:
    """The broadcast that asks devices of 3.5 to tell of themselves."""
    body = json.dumps({"from": "app"}, separators=(",", ":")).encode()
    message = TuyaMessage(1, _ASK, None, body, 0, True, PREFIX_6699_VALUE, True)
    return bytes(pack_message(message, hmac_key=_KEY))


class _Ears(asyncio.DatagramProtocol):
    def __init__(self, hear: Callable[[Sighting], None]) -> None:
        self._hear = hear

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        sighting = read_broadcast(data, addr[0])
        if sighting is not None:
            self._hear(sighting)


@asynccontextmanager
async def listening(hear: Callable[[Sighting], None]) -> AsyncIterator[None]:
    """Hand every broadcast to `hear` inside the block, and keep asking.

    Raises:
        OSError: a port is taken by a program that does not share it.
    """
    loop = asyncio.get_running_loop()
    async with AsyncExitStack() as stack:
        transports = []
        for port in (PLAIN_PORT, ENCRYPTED_PORT, ASKED_PORT):
            transport, _ = await loop.create_datagram_endpoint(
                lambda: _Ears(hear),
                local_addr=("0.0.0.0", port),  # noqa: S104 - broadcasts come to every address
                reuse_port=True,
                allow_broadcast=True,
            )
            stack.callback(transport.close)
            transports.append(transport)
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        asking = tasks.create_task(_ask(transports[-1]))
        stack.callback(asking.cancel)
        yield


async def _ask(transport: asyncio.DatagramTransport) -> None:
    while True:
        transport.sendto(question(), ("255.255.255.255", ASKED_PORT))
        await asyncio.sleep(_ASK_AGAIN)


async def find(device_id: str, *, name: str) -> Sighting:
    """The device as it broadcasts itself.

    Raises:
        LockUnreachableError: it was not heard. `name` is what it is called in the configuration.
    """
    found: asyncio.Future[Sighting] = asyncio.get_running_loop().create_future()

    def hear(sighting: Sighting) -> None:
        if sighting.device_id == device_id and not found.done():
            found.set_result(sighting)

    try:
        async with asyncio.timeout(SEARCH_SECONDS), listening(hear):
            return await found
    except TimeoutError:
        raise LockUnreachableError(name, "not heard on the network") from None
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise LockUnreachableError(name, f"cannot listen for it: {reason}") from None


async def sightings(seconds: float) -> tuple[Sighting, ...]:
    """Every device heard within some seconds, by device id.

    Raises:
        OSError: see `listening`.
    """
    seen: dict[str, Sighting] = {}

    def hear(sighting: Sighting) -> None:
        seen[sighting.device_id] = sighting

    async with listening(hear):
        await asyncio.sleep(seconds)
    return tuple(seen[device_id] for device_id in sorted(seen))
