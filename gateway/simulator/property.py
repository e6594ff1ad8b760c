"""A small property: a building of two flats, a house, their locks, and a Stays account."""

import ipaddress
import random  # noqa: TID251 - only as the type of what is injected
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Self

from gateway.clock import Clock
from gateway.simulator.broadcasts import Air
from gateway.simulator.families import BleLock, MkLock, ZigbeeLock
from gateway.simulator.lock import SimulatedLock
from gateway.simulator.peer import SimulatedPeer
from gateway.simulator.stays import SimulatedStays

_KEY = "simulated-key-16"
_TUYA_PORT = 6668


@dataclass(frozen=True, slots=True, kw_only=True)
class Lan:
    """A network to stand in instead of loopback.

    Stays is served on `address` over TLS, the peers on the addresses that follow it, on Tuya's own
    port; they broadcast themselves.
    """

    address: str
    tls: ssl.SSLContext

    def of_peer(self, number: int) -> str:
        """The address of a peer."""
        return str(ipaddress.ip_address(self.address) + 1 + number)

    @property
    def air(self) -> Air:
        """Where its broadcasts go."""
        local = self.address.startswith("127.")
        return Air(to="127.255.255.255" if local else "255.255.255.255")


class SimulatedProperty:
    """Everything outside the gateway, on loopback or in a network."""

    def __init__(self, *, clock: Clock, draw: random.Random, lan: Lan | None = None) -> None:
        self._lan = lan
        air = None if lan is None else lan.air
        self.stays = SimulatedStays(draw)
        self.street = MkLock(name="street-door", device_id="sim-street", clock=clock, capacity=500)
        self.apt_101 = BleLock(name="apt-101", device_id="sim-101", node_id="cid-101", clock=clock)
        self.apt_102 = ZigbeeLock(
            name="apt-102", device_id="sim-102", node_id="cid-102", clock=clock
        )
        self.street_peer = SimulatedPeer(
            name="street-door",
            device_id="sim-street",
            product="simkeypadmk00001",
            air=air,
            local_key=_KEY,
            version="3.3",
            locks=[self.street],
            clock=clock,
        )
        self.hub = SimulatedPeer(
            name="hub-1",
            device_id="sim-hub",
            product="simhubble0000001",
            air=air,
            local_key=_KEY,
            version="3.4",
            locks=[self.apt_101],
            clock=clock,
        )
        self.hub_2 = SimulatedPeer(
            name="hub-2",
            device_id="sim-hub-2",
            product="simhubzigbee0001",
            air=air,
            local_key=_KEY,
            version="3.5",
            locks=[self.apt_102],
            clock=clock,
        )
        self.house = MkLock(name="house", device_id="sim-house", clock=clock, capacity=500)
        self.house_peer = SimulatedPeer(
            name="house",
            device_id="sim-house",
            product="simkeypadmk00002",
            air=air,
            local_key=_KEY,
            version="3.5",
            locks=[self.house],
            clock=clock,
        )
        self.flat_101 = self.stays.add_listing("Apto 101")
        self.flat_102 = self.stays.add_listing("Apto 102")
        self.casa = self.stays.add_listing("Casa do Jardim")

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Self]:
        """Serve all of it inside the block.

        Raises:
            OSError: an address is not this machine's, or a port is taken.
        """
        lan = self._lan
        async with AsyncExitStack() as stack:
            if lan is None:
                await stack.enter_async_context(self.stays.serving())
            else:
                stays = self.stays.serving(host=lan.address, tls=lan.tls)
                await stack.enter_async_context(stays)
            for number, peer in enumerate(self.peers):
                if lan is None:
                    await stack.enter_async_context(peer.serving())
                else:
                    serving = peer.serving(_TUYA_PORT, host=lan.of_peer(number))
                    await stack.enter_async_context(serving)
            yield self

    @property
    def peers(self) -> tuple[SimulatedPeer, ...]:
        """All that can be connected to, in the order of their addresses."""
        return (self.street_peer, self.hub, self.hub_2, self.house_peer)

    def lock(self, name: str) -> SimulatedLock | None:
        """The lock of a name; None if there is none."""
        locks = (lock for peer in self.peers for lock in peer.locks)
        return next((lock for lock in locks if lock.name == name), None)

    def peer(self, name: str) -> SimulatedPeer | None:
        """The peer of a name; None if there is none."""
        return next((peer for peer in self.peers if peer.name == name), None)

    def doors_of(self, listing: str) -> tuple[SimulatedLock, ...]:
        """The doors that a stay on a listing opens."""
        if listing == self.casa:
            return (self.house,)
        return self.street, self.apt_101 if listing == self.flat_101 else self.apt_102

    def config_toml(self, *, http_port: int = 8080) -> str:
        """The configuration that goes with it; in a network the peers are to be found."""
        address = "127.0.0.1" if self._lan is None else "auto"
        return f"""\
[site]
name = "Simulated property"
timezone = "America/Sao_Paulo"

[stays]
url = "{self.stays.url}"
client_id = "{self.stays.client_id}"
client_secret = "{self.stays.client_secret}"

[http]
host = "127.0.0.1"
port = {http_port}

[[hubs]]
name = "hub-1"
device_id = "sim-hub"
local_key = "{_KEY}"
address = "{address}"
port = {self.hub.port}
version = "3.4"

[[hubs]]
name = "hub-2"
device_id = "sim-hub-2"
local_key = "{_KEY}"
address = "{address}"
port = {self.hub_2.port}
version = "3.5"

[[locks]]
name = "street-door"
profile = "mk_method"
device_id = "sim-street"
local_key = "{_KEY}"
address = "{address}"
port = {self.street_peer.port}
version = "3.3"
shared = true

[[locks]]
name = "apt-101"
profile = "ble_temp"
hub = "hub-1"
device_id = "sim-101"
node_id = "cid-101"

[[locks]]
name = "apt-102"
profile = "zigbee_temp27"
hub = "hub-2"
device_id = "sim-102"
node_id = "cid-102"

[[locks]]
name = "house"
profile = "mk_method"
device_id = "sim-house"
local_key = "{_KEY}"
address = "{address}"
port = {self.house_peer.port}
version = "3.5"

[[listings]]
stays_id = "{self.stays.listings[self.flat_101]["id"]}"
name = "Apto 101"
locks = ["street-door", "apt-101"]

[[listings]]
stays_id = "{self.flat_102}"
name = "Apto 102"
locks = ["street-door", "apt-102"]

[[listings]]
stays_id = "{self.casa}"
name = "Casa do Jardim"
locks = ["house"]
"""
