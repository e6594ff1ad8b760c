"""A TCP peer that speaks Tuya's local protocol: a hub with locks behind it, or one lock alone."""

import asyncio
import base64
import json
import os
import socket
import struct
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, nullcontext, suppress
from datetime import datetime
from functools import partial
from typing import Any, Self

from gateway.clock import Clock
from gateway.simulator import framing
from gateway.simulator.broadcasts import Air, Announced, Announcer
from gateway.simulator.framing import Framing, Received
from gateway.simulator.lock import Order, Push, SimulatedLock

_FIRST_SEQUENCE = 56221  # devices of 3.4 and 3.5 count for themselves


def _reports(lock: SimulatedLock, dp: int, raw: bytes) -> list[Push]:
    """Let the lock carry out a request; what of its reports is to be heard."""
    faults = lock.faults
    try:
        pushes = lock.execute(dp, raw)
    except (ValueError, IndexError, struct.error):  # a request the family does not read
        pushes = []
    if faults.lose_next_report:
        faults.lose_next_report = False
        pushes = []
    if faults.duplicate_next_report:
        faults.duplicate_next_report = False
        pushes = [*pushes, *pushes]
    spoil, faults.spoil_next_report = faults.spoil_next_report, None
    if spoil is not None:
        pushes = [_spoilt(push, spoil) for push in pushes]
    return [] if faults.order in {Order.ACK_ONLY, Order.SILENT} else pushes


def _spoilt(push: Push, how: str) -> Push:
    value = push.value
    if not isinstance(value, bytes):
        return push
    match how:
        case "truncated":
            return Push(push.dp, value[:-1])
        case "no base64":
            return Push(push.dp, "%" + base64.b64encode(value).decode())
        case _:  # the number in it is another's
            return Push(push.dp, bytes(byte ^ 0x15 for byte in value[:5]) + value[5:])


class SimulatedPeer:
    """Serves on an address of this machine. A lock without `node_id` is the peer itself.

    `drops_oldest`: one client too many throws out the one that was first; else it is refused.
    `splits_frames`, `sends_garbage`: how the stream is cut. `tells_time`: its reports carry the
    time of its clock; else, as without the Internet, the seconds since it started. `online_lists`:
    how many answers it takes a hub to say which of its locks it reaches. With `air` it announces
    itself, while it has power, as `product`.
    """

    def __init__(
        self,
        *,
        name: str,
        device_id: str,
        local_key: str,
        version: str,
        locks: Iterable[SimulatedLock],
        clock: Clock,
        most_clients: int = 3,
        idle_seconds: float = 30.0,
        product: str = "",
        air: Air | None = None,
    ) -> None:
        self.name = name
        self.device_id = device_id
        self.local_key = local_key
        self.version = version
        self.locks = tuple(locks)
        self.product = product
        self.host = "127.0.0.1"
        self.port = 0
        self.accepted = 0
        self.online_lists = 1
        self._clock = clock
        self._most_clients = most_clients
        self.idle_seconds = idle_seconds
        self.drops_oldest = False
        self.splits_frames = False
        self.sends_garbage = False
        self.tells_time = False
        self._server: asyncio.Server | None = None
        self._clients: list[_Client] = []
        self._tasks = asyncio.TaskGroup()
        self._announcer = None if air is None else Announcer(air, clock)
        for lock in self.locks:
            self._listen_to(lock)

    def take(self, lock: SimulatedLock) -> None:
        """Another lock is paired with it."""
        self.locks = (*self.locks, lock)
        self._listen_to(lock)

    def _listen_to(self, lock: SimulatedLock) -> None:
        lock.push = lambda push: self.push(lock, push)

    @asynccontextmanager
    async def serving(self, port: int = 0, *, host: str = "127.0.0.1") -> AsyncIterator[Self]:
        """Serve inside the block; `port` 0 takes a free one.

        Raises:
            OSError: `host` is no address of this machine, or the port is taken.
        """
        self.host, self.port = host, port
        air = nullcontext() if self._announcer is None else self._announcer.announcing()
        async with self._tasks, air:
            await self.restore()
            try:
                yield self
            finally:
                await self.cut()

    @property
    def accepting(self) -> bool:
        """Does it take connections?"""
        return self._server is not None

    async def cut(self) -> None:
        """The device loses its power: every connection goes, none can be made."""
        self._announce(None)
        if self._server is not None:
            self._server.close()
            self._server = None
        clients = tuple(self._clients)
        for client in clients:
            client.hang_up()
        await asyncio.gather(*(client.gone.wait() for client in clients))

    async def restore(self) -> None:
        """The device is back, on the same port, its codes kept."""
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, self.host, self.port)
            self.port = self._server.sockets[0].getsockname()[1]
        told = Announced(
            device_id=self.device_id,
            address=self.host,
            version=self.version,
            product=self.product,
        )
        self._announce(told)

    async def wake(self, seconds: float) -> None:
        """Somebody touches a lock that sleeps to save its battery: it is there for a while."""
        await self.restore()
        await self._clock.sleep(seconds)
        await self.cut()

    async def move(self, host: str) -> None:
        """The device gets another address: it is gone from the old one."""
        await self.cut()
        self.host = host
        await self.restore()

    def _announce(self, told: Announced | None) -> None:
        if self._announcer is not None:
            self._announcer.told = told

    def push(self, lock: SimulatedLock, push: Push) -> None:
        """Report a data point to every client."""
        value = push.value
        text = base64.b64encode(value).decode() if isinstance(value, bytes) else value
        self.broadcast(lock.node_id, {str(push.dp): text})

    def broadcast(self, cid: str | None, dps: dict[str, Any]) -> None:
        """Push data points to every client, of ours or not."""
        for client in tuple(self._clients):
            client.push(cid, dps)

    def lock_of(self, cid: str | None) -> SimulatedLock | None:
        """The lock under a cid, None: the peer itself; None if there is none."""
        return next((lock for lock in self.locks if lock.node_id == cid), None)

    def own_time(self, cid: str | None) -> datetime:
        """What the clock behind a report shows."""
        lock = self.lock_of(cid)
        return self._clock.now() if lock is None else lock.own_time

    def later(self, seconds: float, lock: SimulatedLock, pushes: list[Push]) -> None:
        """Report after a while."""
        self._tasks.create_task(self._push_later(seconds, lock, pushes))

    async def _push_later(self, seconds: float, lock: SimulatedLock, pushes: list[Push]) -> None:
        await self._clock.sleep(seconds)
        for push in pushes:
            self.push(lock, push)

    def when_awake(self, lock: SimulatedLock, act: Callable[[], None]) -> None:
        """Let a lock act once it is awake, one request after the other."""
        if lock.faults.latency > 0 or lock.turn.locked():
            self._tasks.create_task(self._act_when_awake(lock, act))
        else:
            act()

    async def _act_when_awake(self, lock: SimulatedLock, act: Callable[[], None]) -> None:
        async with lock.turn:
            await self._clock.sleep(lock.faults.latency)
            act()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        client = _Client(self, reader, writer)
        if len(self._clients) >= self._most_clients:
            if not self.drops_oldest:
                client.hang_up()
                return
            self._clients[0].hang_up()
        self._clients.append(client)
        try:
            await client.talk()
        finally:
            self._clients.remove(client)
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
            client.gone.set()


class _Client:
    """One connection of a client."""

    def __init__(
        self, peer: SimulatedPeer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._peer = peer
        self.gone = asyncio.Event()
        self._reader = reader
        self._writer = writer
        self._framing = Framing(peer.version, peer.local_key.encode())
        self._sequence = _FIRST_SEQUENCE
        self._source = 0
        self._signed_in = peer.version == "3.3"
        self._nonces = (b"", b"")

    def hang_up(self) -> None:
        """Close at once, with a reset."""
        if not self._writer.is_closing():  # else the client was faster
            own: socket.socket = self._writer.get_extra_info("socket")
            own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    async def talk(self) -> None:
        """Answer until the client goes, falls silent or has the wrong key."""
        with suppress(OSError, TimeoutError):
            while True:
                async with asyncio.timeout(self._peer.idle_seconds):
                    data = await self._reader.read(65536)
                if not data:
                    return
                try:
                    for frame in self._framing.feed(data):
                        self._answer(frame)
                except PermissionError:
                    continue  # another key: silence

    def _answer(self, frame: Received) -> None:
        if frame.command in {framing.START, framing.FINISH}:
            self._sign_in(frame)
            return
        if not self._signed_in:
            return
        match frame.command:
            case framing.HEARTBEAT:
                self._send(framing.HEARTBEAT, b"", answers=frame)
            case framing.CONTROL | framing.CONTROL_NEW:
                self._control(frame)
            case framing.QUERY | framing.QUERY_NEW:
                self._query(frame)
            case framing.LAN_EXT:
                self._online(frame)
            case _:
                pass

    def _sign_in(self, frame: Received) -> None:
        key = self._peer.local_key.encode()
        if frame.command == framing.START:
            device_nonce = os.urandom(16)
            self._nonces = (frame.payload[:16], device_nonce)
            answer = device_nonce + framing.proof(key, frame.payload[:16])
            self._send(framing.ANSWER, answer, answers=frame)
        elif frame.payload[:32] == framing.proof(key, self._nonces[1]):
            self._framing.key = framing.session_key(self._peer.version, key, *self._nonces)
            self._signed_in = True

    def _control(self, frame: Received) -> None:
        body = json.loads(frame.payload)
        data = body.get("data") if isinstance(body.get("data"), dict) else body
        cid = data.get("cid", body.get("cid"))
        lock = self._peer.lock_of(cid)
        if lock is None or not lock.online:
            self._send(frame.command, b"device offline", answers=frame, retcode=1)
            return
        for dp, value in data["dps"].items():
            if isinstance(value, str):
                self._write(lock, int(dp), base64.b64decode(value), frame)

    def _write(self, lock: SimulatedLock, dp: int, raw: bytes, frame: Received) -> None:
        faults = lock.faults
        hang_up, faults.hang_up_on_next = faults.hang_up_on_next, None
        error, faults.error_next = faults.error_next, None
        if error is not None:
            self._send(frame.command, error.encode(), answers=frame, retcode=1)
            return
        if hang_up == "not executed":
            self.hang_up()
            return
        if dp == lock.dps["create"] and (hang_up is not None or faults.hide_reports):
            lock.unheard_creates += 1
        if hang_up is not None:
            self.hang_up()
        elif faults.order in {Order.ACK_FIRST, Order.ACK_ONLY}:
            self._send(frame.command, b"", answers=frame)
        self._peer.when_awake(lock, partial(self._carry_out, lock, dp, raw, frame))

    def _carry_out(self, lock: SimulatedLock, dp: int, raw: bytes, frame: Received) -> None:
        faults = lock.faults
        pushes = _reports(lock, dp, raw)
        if faults.report_delay > 0:
            self._peer.later(faults.report_delay, lock, pushes)
        else:
            for push in pushes:
                self._peer.push(lock, push)
        if faults.order is Order.PUSH_FIRST:
            self._send(frame.command, b"", answers=frame)

    def _query(self, frame: Received) -> None:
        if any(lock.node_id is None for lock in self._peer.locks):
            self._send(frame.command, b"json obj data unvalid", answers=frame, retcode=1)
        else:
            self._send(frame.command, b'{"dps":{}}', answers=frame)

    def _online(self, frame: Received) -> None:
        behind = [lock for lock in self._peer.locks if lock.node_id is not None]
        for start in range(self._peer.online_lists):
            lists: dict[str, list[str | None]] = {"online": [], "nearby": [], "offline": []}
            for lock in behind[start :: self._peer.online_lists]:
                reached = "nearby" if lock.nearby else "online"
                lists[reached if lock.online else "offline"].append(lock.node_id)
            body = {"reqType": "subdev_online_stat_report", "data": lists}
            self._send(framing.LAN_EXT, json.dumps(body).encode(), answers=frame)

    def push(self, cid: str | None, dps: dict[str, Any]) -> None:
        """Report data points to this client."""
        if not self._signed_in:
            return
        data: dict[str, Any] = {"dps": dps} if cid is None else {"dps": dps, "cid": cid}
        moment = self._sequence - _FIRST_SEQUENCE + 400  # no wall clock here
        if self._peer.tells_time:
            moment = int(self._peer.own_time(cid).timestamp())
        if self._peer.version == "3.3":
            body = {**data, "t": moment}
        else:
            body = {"protocol": 4, "t": moment, "data": data}
        self._send(framing.STATUS, json.dumps(body, separators=(",", ":")).encode())

    def _send(
        self, command: int, payload: bytes, *, answers: Received | None = None, retcode: int = 0
    ) -> None:
        if self._writer.is_closing():
            return
        self._sequence += 1
        self._source += 1
        echoed = answers is not None and self._peer.version == "3.3"
        sequence = answers.sequence if echoed and answers is not None else self._sequence
        raw = self._framing.encode(
            command, payload, sequence=sequence, source=self._source, retcode=retcode
        )
        if self._peer.sends_garbage:
            raw = b"\x00\x00\x55" + raw
        if not self._peer.splits_frames:
            self._writer.write(raw)
            return
        for byte in raw:
            self._writer.write(bytes([byte]))
