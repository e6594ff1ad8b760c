"""Finds devices on the LAN by their broadcasts."""

import asyncio
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.errors import BadFrameError, LockUnreachableError
from gateway.tuya.frames import Cipher, Version, split
from gateway.tuya.link import Endpoint

PLAIN_PORT, ENCRYPTED_PORT = 6666, 6667
_KEY = hashlib.md5(b"yGAdlopoPVldABfn", usedforsecurity=False).digest()
_SEARCH_SECONDS = 8.0  # devices broadcast every few seconds


@dataclass(frozen=True, slots=True)
class Sighting:
    """A device seen on the LAN."""

    device_id: str
    address: str
    version: str


def read_broadcast(data: bytes, sender: str) -> Sighting | None:
    """What a broadcast tells; None if it is none of Tuya's."""
    for raw in split(data):
        for version in (Version.V33, Version.V35):
            try:
                payload = Cipher(version, _KEY).decode(raw).payload
            except BadFrameError:
                continue
            body = _json(payload)
            if body is not None and isinstance(body.get("gwId"), str):
                address = body.get("ip") if isinstance(body.get("ip"), str) else sender
                return Sighting(body["gwId"], str(address), str(body.get("version", "")))
    return None


def _json(payload: bytes) -> Mapping[str, Any] | None:
    try:
        body = json.loads(payload)
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) else None


class _Ears(asyncio.DatagramProtocol):
    def __init__(self, device_id: str, found: "asyncio.Future[str]") -> None:
        self._device_id = device_id
        self._found = found

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        sighting = read_broadcast(data, addr[0])
        if sighting and sighting.device_id == self._device_id and not self._found.done():
            self._found.set_result(sighting.address)


async def locate(endpoint: Endpoint) -> str:
    """The address of an endpoint: as configured, or for "auto" as it broadcasts itself.

    Raises:
        LockUnreachableError: it was not heard.
    """
    if endpoint.address != "auto":
        return endpoint.address
    loop = asyncio.get_running_loop()
    found: asyncio.Future[str] = loop.create_future()
    transports = []
    try:
        for port in (PLAIN_PORT, ENCRYPTED_PORT):
            transport, _ = await loop.create_datagram_endpoint(
                lambda: _Ears(endpoint.device_id, found),
                local_addr=("0.0.0.0", port),  # noqa: S104 - broadcasts come to every address
                reuse_port=True,
            )
            transports.append(transport)
        async with asyncio.timeout(_SEARCH_SECONDS):
            return await found
    except TimeoutError:
        raise LockUnreachableError(endpoint.name, "not heard on the network") from None
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise LockUnreachableError(endpoint.name, f"cannot listen for it: {reason}") from None
    finally:
        for transport in transports:
            transport.close()
