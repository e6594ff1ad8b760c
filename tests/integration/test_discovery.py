"""Finding devices by their broadcasts, over real UDP on loopback."""

import asyncio
import random
import socket
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from gateway.clock import SystemClock
from gateway.errors import CannotListenError, LockUnreachableError
from gateway.simulator.broadcasts import Air, Announced
from gateway.simulator.families import MkLock
from gateway.simulator.peer import SimulatedPeer
from gateway.tuya.connection import Connection
from gateway.tuya.discovery import Discovery
from gateway.tuya.frames import Version
from gateway.tuya.link import Endpoint
from tests.lan.ports import a_mouth, free_ports
from tests.site import KEY
from tests.virtual_time import run_virtual

EVERYBODY = "127.255.255.255"
ADDRESSES = [f"127.0.0.{last}" for last in (1, 61, 62, 63, 64)]
pytestmark = pytest.mark.allow_hosts(ADDRESSES)


def air_of(ports):
    return Air(to=EVERYBODY, plain_port=ports[0], encrypted_port=ports[1], asked_port=ports[2])


def a_device(device_id, version, air, clock):
    lock = MkLock(name=device_id, device_id=device_id, clock=clock)
    return SimulatedPeer(
        name=device_id,
        device_id=device_id,
        local_key=KEY,
        version=version,
        locks=[lock],
        clock=clock,
        product="product1",
        air=air,
    )


def test_devices_of_every_version_are_heard_where_they_are():
    async def main(clock):
        ports = free_ports()
        versions = ("3.1", "3.3", "3.4", "3.5")
        async with AsyncExitStack() as stack:
            for version, host in zip(versions, ADDRESSES[1:], strict=True):
                device = a_device(f"device-{version}", version, air_of(ports), clock)
                await stack.enter_async_context(device.serving(host=host))
            seen = await Discovery(ports).sightings(6)

        assert [(one.device_id, one.address, one.version, one.product) for one in seen] == [
            (f"device-{version}", host, version, "product1")
            for version, host in zip(versions, ADDRESSES[1:], strict=True)
        ]

    run_virtual(main)


def test_a_device_without_power_is_not_heard_and_what_it_does_not_hear_is_told():
    async def main(clock):
        ports = free_ports()
        device = a_device("device-1", "3.3", air_of(ports), clock)
        async with device.serving():
            await device.cut()
            began = clock.monotonic()
            with pytest.raises(LockUnreachableError, match="street: not heard on the network"):
                await Discovery(ports).find("device-1", name="street")
            assert clock.monotonic() - began == pytest.approx(8, abs=0.5)

    run_virtual(main)


@asynccontextmanager
async def silent_unless_asked(device_id, ports):
    """A device of 3.5 that answers questions and broadcasts where nobody listens."""
    (elsewhere,) = free_ports()[:1]
    air = Air(to=EVERYBODY, encrypted_port=elsewhere, asked_port=ports[2])
    device = a_device(device_id, "3.5", air, SystemClock())
    async with device.serving(host="127.0.0.61"):
        yield


async def test_devices_that_speak_only_when_asked_are_all_found_at_once():
    ports = free_ports()
    discovery = Discovery(ports)
    async with AsyncExitStack() as stack:
        for number in range(12):
            await stack.enter_async_context(silent_unless_asked(f"device-{number}", ports))
        found = await asyncio.gather(
            *(discovery.find(f"device-{number}", name=f"lock-{number}") for number in range(12))
        )

    assert {one.device_id for one in found} == {f"device-{number}" for number in range(12)}


async def test_ports_are_shared_with_whoever_shares_them_in_either_way():
    ports = free_ports()
    for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):
        with a_mouth() as other:
            other.setsockopt(socket.SOL_SOCKET, option, 1)
            other.bind(("", ports[1]))
            assert await Discovery(ports).sightings(0.01) == ()


async def test_a_port_that_is_not_shared_is_told_and_nothing_stays_open():
    ports = free_ports()
    discovery = Discovery(ports)
    with a_mouth() as other:
        other.bind(("", ports[1]))
        with pytest.raises(CannotListenError, match=f"UDP port {ports[1]}.*another program"):
            await discovery.sightings(0.01)
        with pytest.raises(LockUnreachableError, match="street: cannot listen"):
            await discovery.find("device-1", name="street")
        with a_mouth() as first:
            first.bind(("", ports[0]))  # the one that could be opened was closed again
    assert await discovery.sightings(0.01) == ()


async def test_garbage_between_broadcasts_and_two_devices_of_one_id_confuse_nothing():
    ports = free_ports()
    told = [
        Announced(device_id="twin", address=address, version="3.3", product="")
        for address in ("192.168.1.7", "192.168.1.8")
    ]
    listening = asyncio.ensure_future(Discovery(ports).sightings(0.3))
    await asyncio.sleep(0)
    with a_mouth() as mouth:
        for data in (b"", b"\0" * 900, b"{}", told[0].datagram()[:-9], b"\0\0\x55\xaa" * 9):
            mouth.sendto(data, (EVERYBODY, ports[1]))
        for one in told:
            mouth.sendto(one.datagram(), (EVERYBODY, ports[1]))
    seen = await listening

    assert [one.address for one in seen] == ["192.168.1.7", "192.168.1.8"]


def connected(endpoint, find, clock):
    class Lock:
        cid = None
        ups = 0

        def on_up(self):
            Lock.ups += 1

        def on_down(self, why):
            pass

    connection = Connection(endpoint, clock=clock, jitter=random.Random(1), find=find)
    connection.subscribe(Lock())
    return connection, Lock


def endpoint_at(address, port, version="3.4"):
    return Endpoint(
        name="street",
        device_id="device-1",
        local_key=KEY,
        address=address,
        port=port,
        version=Version(version),
    )


@pytest.mark.parametrize("configured", ["auto", "127.0.0.1"])
def test_a_lock_with_another_address_is_found_again_and_the_connection_follows(configured):
    async def main(clock):
        ports = free_ports()
        device = a_device("device-1", "3.4", air_of(ports), clock)
        async with device.serving():
            endpoint = endpoint_at(configured, device.port)
            connection, lock = connected(endpoint, Discovery(ports).find, clock)
            running = asyncio.ensure_future(connection.run())
            await clock.sleep(20)
            assert (lock.ups, device.accepted) == (1, 1)

            await device.move("127.0.0.62")
            await clock.sleep(180)

            assert connection.up
            assert (lock.ups, device.accepted) == (2, 2)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    run_virtual(main)


def test_a_lock_whose_version_changed_is_found_again():
    async def main(clock):
        ports = free_ports()
        device = a_device("device-1", "3.3", air_of(ports), clock)
        async with device.serving():
            endpoint = endpoint_at("127.0.0.1", device.port, version="3.5")
            connection, lock = connected(endpoint, Discovery(ports).find, clock)
            running = asyncio.ensure_future(connection.run())
            await clock.sleep(3600)
            assert connection.up
            assert lock.ups == 1
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    run_virtual(main)


def test_a_lock_that_is_where_the_configuration_says_is_never_looked_for():
    async def main(clock):
        device = a_device("device-1", "3.4", None, clock)
        asked = []

        async def find(device_id, *, name):
            asked.append(device_id)
            raise LockUnreachableError(name, "not heard")

        async with device.serving():
            endpoint = endpoint_at("127.0.0.1", device.port)
            connection, _ = connected(endpoint, find, clock)
            running = asyncio.ensure_future(connection.run())
            await clock.sleep(20)
            assert connection.up
            assert asked == []

            await device.cut()
            await clock.sleep(120)
            assert asked  # lost for good: now it is
            await device.restore()
            await clock.sleep(300)
            assert connection.up  # not heard, and still tried where it was
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    run_virtual(main)
