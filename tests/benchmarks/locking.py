"""Row 5: a PIN for each of many locks at once, beside the slowest lock and beside tinytuya's `Device`."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import tinytuya

from gateway.app import Gateway, Paths
from gateway.clock import SystemClock
from gateway.config import Config
from gateway.domain import events
from gateway.domain.model import CodeAddress, Operation, Window
from gateway.ports import Code
from gateway.tuya.codec import to_base64
from gateway.tuya.profiles import PROFILES
from tests.benchmarks.account import an_account
from tests.benchmarks.doors import KEY, config_values, many_doors
from tests.benchmarks.measuring import Figure, median, spread, threads

_LEAD = 8  # seconds from the start until the PINs are due


class Issued:
    """A notifier that counts the PINs that a lock has confirmed."""

    def __init__(self):
        self.count = 0
        self.changed = asyncio.Event()

    async def tell(self, notice):
        if notice.event == events.PIN_ISSUED:
            self.count += 1
            self.changed.set()

    async def reached(self, count):
        """Wait until so many are confirmed."""
        async with asyncio.timeout(60):
            while self.count < count:
                self.changed.clear()
                await self.changed.wait()


@asynccontextmanager
async def a_gateway(folder, values, notifier):
    """The whole gateway in this process, all of its locks connected."""
    config = Config(**values)
    async with Gateway.running(
        config,
        Paths.of(config, folder=folder, environ={}),
        clock=SystemClock(),
        notifier=notifier,
    ) as gateway:
        locks = gateway._locks.locks.values()
        while not all(lock.reachable for lock in locks):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.05)
        yield gateway


async def arrivals(session, url, *, units, seconds):
    """Let guests arrive in so many units: when their PINs are due, and the policy that makes it so."""
    due = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=seconds)
    check_in = due.replace(second=0) + timedelta(minutes=1)
    body = {"units": units, "checkIn": check_in.isoformat()}
    async with session.post(f"{url}/arriving", json=body) as response:
        response.raise_for_status()
    return due, {"activate_before": check_in - due}


async def all_at_once(folder, url, peers, session):
    """Seconds from the moment at which all PINs are due until the last is confirmed; the threads meanwhile."""
    issued = Issued()
    values = config_values(f"{url}/arriving", peers)
    count = len(values["locks"])
    due, values["policy"] = await arrivals(session, url, units=count, seconds=_LEAD)
    async with a_gateway(folder, values, issued):
        if datetime.now(UTC) > due - timedelta(seconds=1):
            raise AssertionError("the start took too long")
        await issued.reached(count)
        return (datetime.now(UTC) - due).total_seconds(), threads()


# --- tinytuya ----------------------------------------------------------------------------------


def _create(profile, number):
    """A create of a PIN for a member of its own."""
    now = datetime.now(UTC)
    window = Window(valid_from=now - timedelta(days=1), valid_until=now + timedelta(days=1))
    address = CodeAddress(member=number, message_id=number)
    pin = f"{700000 + 7919 * (number % 37) + int(now.microsecond / 10) % 7000}"
    layout = PROFILES[profile].layout
    dp = PROFILES[profile].dps[Operation.CREATE]
    return dp, to_base64(layout.create(address, Code(pin=pin, window=window)))


def _devices(peer):
    """tinytuya's devices of one peer's locks, connected."""
    reached = {"port": peer["port"], "version": float(peer["version"]), "persist": True}
    first = peer["locks"][0]
    owner = tinytuya.Device(peer["name"], "127.0.0.1", KEY, **reached)
    owner.set_socketTimeout(5)
    owner.heartbeat(nowait=True)
    if first["cid"] is None:
        return [("mk_method", owner)]
    return [
        ("ble_method", tinytuya.Device(lock["device_id"], cid=lock["cid"], parent=owner))
        for lock in peer["locks"]
    ]


def _write(profile, device, number):
    """Seconds from the command to the lock's report."""
    dp, value = _create(profile, number)
    began = time.perf_counter()
    answer = device.set_value(dp, value)
    while not _reports(answer, dp):
        if time.perf_counter() - began > 5:
            raise AssertionError(f"no report: {answer}")
        answer = device.receive()
    return time.perf_counter() - began


def _reports(answer, dp):
    if not isinstance(answer, dict):
        return False
    dps = answer.get("dps") or (answer.get("data") or {}).get("dps") or {}
    return str(dp) in dps


def _sequence(devices, number):
    return [_write(profile, device, number) for profile, device in devices]


def in_sequence(peers, number):
    """One lock after the other: seconds in all, and those of the slowest."""
    devices = [one for peer in peers for one in _devices(peer)]
    began = time.perf_counter()
    each = _sequence(devices, number)
    seconds = time.perf_counter() - began
    _leave(devices)
    return seconds, max(each)


def in_threads(peers, number):
    """A thread a peer, which is as far as one connection a hub allows: seconds, and threads."""
    by_peer = [_devices(peer) for peer in peers]
    with ThreadPoolExecutor(len(peers)) as pool:
        began = time.perf_counter()
        waiting = [pool.submit(_sequence, devices, number) for devices in by_peer]
        most = threads()
        for one in waiting:
            one.result()
        seconds = time.perf_counter() - began
    for devices in by_peer:
        _leave(devices)
    return seconds, most


def _leave(devices):
    """Close their connections: a lock that has one takes no other."""
    for _, one in devices:
        (one.parent or one).close()


# --- the row -----------------------------------------------------------------------------------


async def many_locks(folder: Path, *, hubs, direct, rounds):
    """Row 5."""
    ours, slowest, sequence, threaded = [], [], [], []
    most = most_of_rival = 0
    async with (
        many_doors(hubs=hubs, direct=direct) as peers,
        an_account() as url,
        aiohttp.ClientSession() as session,
    ):
        for number in range(rounds):
            place = folder / f"doors-{number}"
            place.mkdir()
            seconds, used = await all_at_once(place, url, peers, session)
            ours.append(seconds)
            most = max(most, used)
            seconds, used = await asyncio.to_thread(in_threads, peers, 60 + number)
            threaded.append(seconds)
            most_of_rival = max(most_of_rival, used)
            if number == 0:
                seconds, slow = await asyncio.to_thread(in_sequence, peers, 80)
                sequence.append(seconds)
                slowest.append(slow)
    count = sum(len(peer["locks"]) for peer in peers)
    floor = median(slowest)
    of = f"{count} locks at once, the last PIN confirmed"
    return [
        _compared(of, ours, "the slowest lock, by tinytuya", floor, target=1.3),
        _compared(of, ours, "tinytuya, a thread a peer", median(threaded)),
        _compared(of, ours, "tinytuya, in sequence", median(sequence)),
        Figure(
            row=5,
            of="threads meanwhile",
            value=most,
            unit="threads",
            against="tinytuya, a thread a peer",
            other=most_of_rival,
            target=8,
        ),
    ]


def _compared(of, ours, against, other, target=None):
    value = median(ours)
    return Figure(
        row=5,
        of=of,
        value=1000 * value,
        unit="ms",
        spread=1000 * spread(ours),
        against=against,
        other=1000 * other,
        ratio=value / other,
        target=target,
    )
