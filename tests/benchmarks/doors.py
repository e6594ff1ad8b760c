"""Many simulated locks in a process of their own, each answering after a while; and their configuration."""

import asyncio
import json
import sys
from contextlib import AsyncExitStack, asynccontextmanager

from gateway.clock import SystemClock
from gateway.simulator.families import BleMethodLock, MkLock
from gateway.simulator.peer import SimulatedPeer
from tests.benchmarks.account import listing

KEY = "benchmark-key-16"
BEHIND = 8
ANSWER_SECONDS = 0.3


def _peers(hubs, direct):
    clock = SystemClock()
    for number in range(hubs):
        behind = [
            BleMethodLock(
                name=f"hub-{number}-lock-{one}",
                device_id=f"d-{number}-{one}",
                node_id=f"cid-{number}-{one}",
                clock=clock,
                capacity=1000,
            )
            for one in range(BEHIND)
        ]
        yield _peer(f"hub-{number}", "3.4", behind, clock)
    for number in range(direct):
        name = f"door-{number}"
        yield _peer(
            name, "3.5", [MkLock(name=name, device_id=name, clock=clock, capacity=1000)], clock
        )


def _peer(name, version, locks, clock):
    for lock in locks:
        lock.faults.report_delay = ANSWER_SECONDS
    return SimulatedPeer(
        name=name,
        device_id=name,
        local_key=KEY,
        version=version,
        locks=locks,
        clock=clock,
        idle_seconds=300,  # tinytuya sends no heartbeats by itself
    )


async def _main(hubs, direct):
    peers = list(_peers(hubs, direct))
    async with AsyncExitStack() as stack:
        for peer in peers:
            await stack.enter_async_context(peer.serving())
        sys.stdout.write(json.dumps([_described(peer) for peer in peers]) + "\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


def _described(peer):
    locks = [
        {"name": one.name, "device_id": one.device_id, "cid": one.node_id} for one in peer.locks
    ]
    return {"name": peer.name, "version": peer.version, "port": peer.port, "locks": locks}


@asynccontextmanager
async def many_doors(*, hubs, direct):
    """Served inside the block: what each peer is, with its locks."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.benchmarks.doors", str(hubs), str(direct)),
        stdout=asyncio.subprocess.PIPE,
        limit=2**20,
    )
    try:
        yield json.loads(await process.stdout.readline())
    finally:
        process.kill()
        await process.wait()


def config_values(url, peers, *, port=0):
    """The configuration of a property with a unit for each of these locks."""
    values = {
        "site": {"timezone": "America/Sao_Paulo"},
        "stays": {"url": url, "client_id": "client", "client_secret": "benchmark-secret"},
        "http": {"host": "127.0.0.1", "port": port},
        "hubs": [],
        "locks": [],
        "listings": [],
    }
    for peer in peers:
        reached = {
            "local_key": KEY,
            "address": "127.0.0.1",
            "port": peer["port"],
            "version": peer["version"],
        }
        is_hub = peer["locks"][0]["cid"] is not None
        if is_hub:
            values["hubs"].append({"name": peer["name"], "device_id": peer["name"]} | reached)
        for lock in peer["locks"]:
            own = (
                {"profile": "ble_method", "hub": peer["name"], "node_id": lock["cid"]}
                if is_hub
                else {"profile": "mk_method"} | reached
            )
            values["locks"].append({"name": lock["name"], "device_id": lock["device_id"]} | own)
    for number, lock in enumerate(values["locks"]):
        unit = {"stays_id": listing(number), "name": f"Unit {number}", "locks": [lock["name"]]}
        values["listings"].append(unit)
    return values


if __name__ == "__main__":
    asyncio.run(_main(*map(int, sys.argv[1:])))
