"""Keeps one connection to one peer, a hub or a lock of its own, and spreads what it hears."""

import asyncio
import random  # noqa: TID251 - only as the type of what is injected
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, Protocol

import structlog

from gateway.clock import Clock
from gateway.domain import events
from gateway.errors import LockUnreachableError, WrongKeyError
from gateway.tuya import frames
from gateway.tuya.discovery import Sighting
from gateway.tuya.frames import Version
from gateway.tuya.link import AUTO, Ack, Endpoint, Link

_FIRST_PAUSE = 5.0
_LONGEST_PAUSE = 300.0
_SETTLED_SECONDS = 30.0  # a connection that held this long clears the failures before it
_CUT_SHORT = 3  # connections in a row that were cut short: somebody else uses the peer
_HOLD_SECONDS = 5.0  # how long a connection to such a peer must hold before it is used
_LOST_AFTER = 3  # failures in a row after which a peer is looked for by its broadcasts
_AWAY_SECONDS = 300.0  # how long after a hub called a lock offline it is asked again

_AN_EPOCH = 1_600_000_000  # smaller ones are seconds since the peer started: it has no time

_log = structlog.get_logger()


class Subscriber(Protocol):
    """What a lock does with what its connection hears. `cid` None: the peer itself."""

    cid: str | None

    def on_up(self) -> None:
        """The connection is signed in."""
        ...

    def on_down(self, why: str) -> None:
        """The connection has gone, or could not be made."""
        ...

    def on_dps(self, dps: dict[int, Any], sent_at: int | None) -> None:
        """Data points were reported; `sent_at` in Unix seconds, where the peer knows the time."""
        ...

    def on_contended(self, *, over: bool) -> None:
        """Somebody else and we throw each other out; or that is over."""
        ...

    def on_online(self, *, online: bool) -> None:
        """The hub says whether it can reach the lock."""
        ...


class Connection:
    """One peer. Its connection is made again whenever it goes, with growing pauses."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        clock: Clock,
        jitter: random.Random,
        find: Callable[..., Awaitable[Sighting]] | None,
    ) -> None:
        """`find`: see `Discovery.find`. None: the peer is where the configuration says."""
        self.endpoint = endpoint
        # Held around a command until it is acknowledged: a hub's errors do not name the lock.
        self.turn = asyncio.Lock()
        self._clock = clock
        self._jitter = jitter
        self._find = find
        self._present = endpoint  # as it was found, where that differs from the configuration
        self._subscribers: dict[str | None, Subscriber] = {}
        self._link: Link | None = None
        self._up_at = 0.0
        self._asking: asyncio.TimerHandle | None = None  # the hub, for the locks that were away
        self._failures = 0
        self._cut_short = 0
        self._contended = False
        self.looking = False  # for its broadcasts, at this moment
        self._hurry = asyncio.Event()
        self._attempts = 0
        self._attempted = asyncio.Condition()
        self._error: LockUnreachableError | None = None

    def subscribe(self, subscriber: Subscriber) -> None:
        """Let a lock hear what concerns its cid; while connected it is told so at once."""
        self._subscribers[subscriber.cid] = subscriber
        if self.up:
            subscriber.on_up()
            self.ask_online()

    def unsubscribe(self, subscriber: Subscriber) -> None:
        """The lock hears nothing more."""
        del self._subscribers[subscriber.cid]

    @property
    def up(self) -> bool:
        """Is there a signed-in connection?"""
        return self._link is not None and not self._link.closing

    async def run(self) -> None:
        """Keep the connection until cancelled."""
        while True:
            began = self._clock.monotonic()
            self._up_at = began
            try:
                await self._connect_and_listen()
            except LockUnreachableError as error:
                await self._failed(error)
            if self._clock.monotonic() - began > _SETTLED_SECONDS:
                self._failures = 0
            pause = min(_FIRST_PAUSE * 2.0 ** min(self._failures, 10), _LONGEST_PAUSE)
            if isinstance(self._error, WrongKeyError):
                pause = _LONGEST_PAUSE
            self._failures += 1
            try:
                async with asyncio.timeout(pause * self._jitter.uniform(0.8, 1.2)):
                    await self._hurry.wait()
            except TimeoutError:
                pass

    async def _connect_and_listen(self) -> None:
        self._hurry.clear()
        await self._look_around()
        link = await Link.open(self._present)
        self._link = link
        self._up_at = self._clock.monotonic()
        loop = asyncio.get_running_loop()
        settling = loop.call_later(_SETTLED_SECONDS, self._settle)
        try:
            await self._is_up()
            await link.listen(self._hear)
        except WrongKeyError:
            raise
        except LockUnreachableError:
            self._count_cut(self._clock.monotonic() - self._up_at)
            raise
        finally:
            settling.cancel()
            self._link = None
            await link.close()

    async def _look_around(self) -> None:
        """Find a peer whose address is not configured, or that is not where it was.

        Raises:
            LockUnreachableError: an "auto" one was not heard.
        """
        unknown = self._present.address == AUTO
        if self._find is None or not (unknown or self._failures >= _LOST_AFTER):
            return
        self.looking = True
        try:
            sighting = await self._find(self.endpoint.device_id, name=self.endpoint.name)
        except LockUnreachableError:
            if unknown:
                raise
            return
        finally:
            self.looking = False
        self._present = self._as_seen(sighting)

    def _as_seen(self, sighting: Sighting) -> Endpoint:
        seen = replace(self._present, address=sighting.address)
        if sighting.version in set(Version):
            seen = replace(seen, version=Version(sighting.version))
        known = (self.endpoint.address, self.endpoint.version)
        if seen != self._present and known[0] != AUTO:
            _log.warning(
                events.LOCK_MOVED,
                peer=self.endpoint.name,
                address=seen.address,
                version=seen.version,
                detail="it broadcasts another address or version: correct config.toml",
            )
        return seen

    def _settle(self) -> None:
        """A connection that holds ends what went before."""
        self._cut_short = 0
        if self._contended:
            self._contended = False
            self._tell_contended()

    def _count_cut(self, held: float) -> None:
        self._cut_short = self._cut_short + 1 if held < _SETTLED_SECONDS else 0
        if self._cut_short >= _CUT_SHORT and not self._contended:
            self._contended = True
            self._tell_contended()

    def _tell_contended(self) -> None:
        for subscriber in self._subscribers.values():
            subscriber.on_contended(over=not self._contended)

    async def _is_up(self) -> None:
        if self._error is not None:
            _log.info(events.LOCK_REACHED, peer=self.endpoint.name)
        self._error = None
        for subscriber in self._subscribers.values():
            subscriber.on_up()
        self.ask_online()
        await self._count_attempt()

    def ask_online(self) -> None:
        """Ask a hub which of its locks it reaches; a lock of its own is asked nothing."""
        if self._link is not None and None not in self._subscribers:
            question = {"reqType": "subdev_online_stat_query", "data": {"cids": []}}
            self._link.send(frames.LAN_EXT_STREAM, question)

    async def _failed(self, error: LockUnreachableError) -> None:
        if self._error is None or type(self._error) is not type(error):
            event = (
                events.LOCK_WRONG_KEY if isinstance(error, WrongKeyError) else "lock.unreachable"
            )
            _log.warning(event, peer=self.endpoint.name, reason=error.reason)
        self._error = error
        for subscriber in self._subscribers.values():
            subscriber.on_down(error.reason)
        await self._count_attempt()

    async def _count_attempt(self) -> None:
        async with self._attempted:
            self._attempts += 1
            self._attempted.notify_all()

    async def ready(self) -> None:
        """Return once signed in; without a connection one is attempted at once.

        Raises:
            LockUnreachableError, WrongKeyError: the attempt failed.
        """
        if not self.up:
            async with self._attempted:
                before = self._attempts
                self._hurry.set()
                await self._attempted.wait_for(lambda: self._attempts > before)
        if self._contended:
            await self._clock.sleep(self._up_at + _HOLD_SECONDS - self._clock.monotonic())
        if not self.up:
            raise self._error or LockUnreachableError(self.endpoint.name, "not connected")

    def control(self, cid: str | None, dps: dict[str, Any]) -> "asyncio.Future[Ack]":
        """Send one command, once; see `Link.control`.

        Raises:
            LockUnreachableError: nothing was sent.
        """
        link = self._link
        if link is None or link.closing:
            raise LockUnreachableError(self.endpoint.name, "the connection has gone")
        command, body = self._envelope(cid, dps)
        return link.control(command, body)

    def _envelope(self, cid: str | None, dps: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        epoch = int(self._clock.now().timestamp())
        if self._present.version.negotiates:
            data: dict[str, Any] = {"dps": dps}
            if cid is None:
                return frames.CONTROL_NEW, {"protocol": 5, "t": epoch, "data": data}
            data = {"cid": cid, "ctype": 0, "dps": dps}
            return frames.CONTROL_NEW, {"protocol": 5, "t": epoch, "data": data, "cid": cid}
        if cid is not None:
            return frames.CONTROL, {"t": epoch, "cid": cid, "dps": dps}
        device = self.endpoint.device_id
        return frames.CONTROL, {"devId": device, "uid": device, "t": str(epoch), "dps": dps}

    def _hear(self, command: int, body: dict[str, Any]) -> None:
        data = body.get("data")
        inner = data if isinstance(data, dict) else body
        if command == frames.LAN_EXT_STREAM:
            self._hear_online(inner)
            return
        dps = inner.get("dps")
        subscriber = self._subscribers.get(inner.get("cid") or body.get("cid"))
        if subscriber is None or not isinstance(dps, dict):
            return
        moment = body.get("t")
        sent_at = moment if isinstance(moment, int) and moment > _AN_EPOCH else None
        known = {int(dp): value for dp, value in dps.items() if str(dp).isdecimal()}
        subscriber.on_dps(known, sent_at)

    def _hear_online(self, lists: dict[str, Any]) -> None:
        """Nearby counts as online: a lock asleep answers when it is written to.

        A hub need not tell by itself that a lock is back, so it is asked for those that were away.
        """
        for state, online in (("offline", False), ("nearby", True), ("online", True)):
            cids = lists.get(state)
            for cid in cids if isinstance(cids, list) else []:
                subscriber = self._subscribers.get(cid) if isinstance(cid, str) else None
                if subscriber is not None:
                    subscriber.on_online(online=online)
                    if not online and self._asking is None:
                        loop = asyncio.get_running_loop()
                        self._asking = loop.call_later(_AWAY_SECONDS, self._ask_again)

    def _ask_again(self) -> None:
        self._asking = None
        self.ask_online()
