"""The simulated locks, driven by tinytuya's own Device: a client that we did not write."""

import asyncio

import pytest
import tinytuya

from gateway.clock import SystemClock
from gateway.simulator.families import FAMILIES
from tests.site import KEY, a_peer

# mk DP 1 create, member 3, message id 0105, PIN 483920, from the reference; its window is 2026-01-01.
CREATE = "AQAAAAP//2lVuQBpVwqAAAAAAAAAAAAAAAYECAMJAgABBQ=="
versions = pytest.mark.parametrize("version", ["3.3", "3.4", "3.5"])


def drive(port, version, cid, value):
    """In a thread: connect, write DP 1 once, and gather what comes back."""
    device = tinytuya.Device(
        "lock-1" if cid is None else "hub-1",
        "127.0.0.1",
        KEY,
        version=float(version),
        port=port,
        connection_timeout=2,
        connection_retry_limit=1,
        persist=True,
    )
    try:
        target = device if cid is None else tinytuya.Device("lock-1", cid=cid, parent=device)
        return [target.set_value("1", value, nowait=False), *(device.receive() for _ in range(3))]
    finally:
        device.close()


@versions
@pytest.mark.parametrize("hub", [False, True])
async def test_tinytuyas_own_device_writes_a_code_and_hears_the_report(version, hub):
    peer, lock = a_peer("mk_method", version, hub=hub, clock=SystemClock())
    async with peer.serving():
        heard = await asyncio.to_thread(drive, peer.port, version, lock.node_id, CREATE)

    assert [held.pin for held in lock.codes] == ["483920"]
    assert list(lock.creates.values()) == [1]
    reports = [str(one) for one in heard]
    assert any("Af8AAAMAAQAAAQU=" in one for one in reports)  # complete, member 3, slot 1, 0105


async def test_a_code_opens_only_inside_its_window_by_the_locks_own_clock():
    peer, lock = a_peer("mk_method", "3.3", hub=False, clock=SystemClock())
    async with peer.serving():
        await asyncio.to_thread(drive, peer.port, "3.3", None, CREATE)
        (held,) = lock.codes
        inside = held.start + 60

        assert not lock.try_pin("483920")  # its window ended long ago
        lock.skew = lock.skew + (
            lock.own_time.fromtimestamp(inside, lock.own_time.tzinfo) - lock.own_time
        )
        assert lock.try_pin("483920")
        assert not lock.try_pin("000000")


def test_a_code_of_a_limited_number_of_uses_opens_that_often_and_keeps_its_slot():
    """DP 51 create for two uses (byte 18), by the reference's layout."""
    lock = FAMILIES["ble_temp"](
        name="apt-101", device_id="lock-1", node_id="c", clock=SystemClock()
    )
    request = bytes.fromhex(
        "01" + "00000000" + "FFFFFFFF" + "00" * 9 + "02" + "06" + "040803090200"
    )
    lock.execute(51, request)

    assert [lock.try_pin("483920") for _ in range(3)] == [True, True, False]
    assert [held.slot for held in lock.codes] == [40]
