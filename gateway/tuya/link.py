"""One TCP connection to a peer: sign-in, frames out, frames in, acknowledgements in order."""

import asyncio
import json
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import structlog

from gateway.errors import (
    BadFrameError,
    LockUnreachableError,
    UndecipherableError,
    WrongKeyError,
)
from gateway.tuya import frames
from gateway.tuya.frames import Cipher, Frame, FrameReader, Version
from gateway.tuya.session import KeyExchange

AUTO = "auto"  # the address of a peer that is found by its broadcasts
CONNECT_SECONDS = 5.0
SIGN_IN_SECONDS = 5.0
_SILENT_BEATS = 3
_TOO_SOON = 0.1  # of the time between two heartbeats: a moment that is nearer is left out
_UNREAD = 2  # frames under another key after which the key is blamed
_WRONG_KEY = "wrong key? (it changes when a device is paired again)"
_SILENCE = f"answers nothing: {_WRONG_KEY}"
_UNREADABLE = f"sends what this key does not open: {_WRONG_KEY}"
_READ_BYTES = 65536

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """How to reach a peer. `address`: an IP address, a host name, or `AUTO`."""

    name: str
    device_id: str
    local_key: str = field(repr=False)
    address: str
    port: int
    version: Version
    heartbeat: float = 10.0  # seconds between two signs that keep the peer awake

    @property
    def is_local(self) -> bool:
        """Is it on this machine, where nothing moves?"""
        return self.address.startswith("127.") or self.address in {"localhost", "::1"}


@dataclass(frozen=True, slots=True)
class Refused:
    """The peer's answer to a command says no: a return code, or a text instead of JSON."""

    retcode: int
    text: str


Ack = Refused | None
Hear = Callable[[int, dict[str, Any]], None]


class Link:
    """A signed-in connection, from `open` to `close`."""

    def __init__(
        self, endpoint: Endpoint, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._endpoint = endpoint
        self._reader = reader
        self._writer = writer
        self._frames = FrameReader()
        self._waiting: deque[bytes] = deque()
        self._cipher = Cipher(endpoint.version, endpoint.local_key.encode("latin-1"))
        self._sequence = 0
        self._acks: deque[asyncio.Future[Ack]] = deque()
        self._heard = False  # has anything come that this key opens?
        self._unanswered = 0  # heartbeats since the last frame
        self._next_beat: asyncio.TimerHandle

    @classmethod
    async def open(cls, endpoint: Endpoint) -> "Link":
        """Connect and sign in.

        Raises:
            LockUnreachableError: no connection in time.
            WrongKeyError: the peer takes the connection and stays silent at sign-in.
        """
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                reader, writer = await asyncio.open_connection(endpoint.address, endpoint.port)
        except TimeoutError:
            raise LockUnreachableError(endpoint.name, "does not answer") from None
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise LockUnreachableError(endpoint.name, reason) from None
        link = cls(endpoint, reader, writer)
        try:
            if endpoint.version.negotiates:
                await link._sign_in()
        except BaseException:
            await link.close()
            raise
        return link

    async def _sign_in(self) -> None:
        exchange = KeyExchange(self._endpoint.version, self._endpoint.local_key.encode("latin-1"))
        self._write(frames.SESS_KEY_NEG_START, exchange.client_nonce)
        try:
            async with asyncio.timeout(SIGN_IN_SECONDS):
                answer = await self._answer_to_start()
            finish, key = exchange.answer(answer.payload)
        except (TimeoutError, BadFrameError):
            raise WrongKeyError(self._endpoint.name, f"silent at sign-in: {_WRONG_KEY}") from None
        except OSError:
            raise WrongKeyError(self._endpoint.name, f"hung up at sign-in: {_WRONG_KEY}") from None
        self._write(frames.SESS_KEY_NEG_FINISH, finish)
        self._cipher = Cipher(self._endpoint.version, key)

    async def _answer_to_start(self) -> Frame:
        while True:
            frame = self._cipher.decode(await self._next_frame())
            if frame.command == frames.SESS_KEY_NEG_RESP:
                return frame

    async def _next_frame(self) -> bytes:
        """Raises ConnectionResetError at the end of the stream."""
        while not self._waiting:
            data = await self._reader.read(_READ_BYTES)
            if not data:
                raise ConnectionResetError
            self._waiting.extend(self._frames.feed(data))
        return self._waiting.popleft()

    @property
    def closing(self) -> bool:
        """Has either side begun to close?"""
        return self._writer.is_closing()

    def send(self, command: int, body: dict[str, Any]) -> None:
        """Write one frame, once."""
        self._write(command, json.dumps(body, separators=(",", ":")).encode())

    def control(self, command: int, body: dict[str, Any]) -> "asyncio.Future[Ack]":
        """Write one command; the future is its acknowledgement, None if it was accepted.

        The future fails with LockUnreachableError if the connection goes first.
        """
        ack: asyncio.Future[Ack] = asyncio.get_running_loop().create_future()
        self._acks.append(ack)
        self.send(command, body)
        return ack

    def _write(self, command: int, payload: bytes) -> None:
        self._sequence += 1
        self._writer.write(self._cipher.encode(command, payload, self._sequence))

    async def listen(self, hear: Hear) -> None:
        """Hand JSON bodies with their command to `hear`, and keep the peer awake, until the end.

        Raises:
            LockUnreachableError: the connection has gone.
            WrongKeyError: 3.3 has no sign-in: nothing of what came could be read, or nothing came.
        """
        understood = self._heard = self._endpoint.version.negotiates
        unread = 0
        self._await_beat()
        try:
            while True:
                try:
                    raw = await self._next_frame()
                except OSError:
                    raise LockUnreachableError(
                        self._endpoint.name, "the connection was closed"
                    ) from None
                self._unanswered = 0
                try:
                    frame = self._cipher.decode(raw)
                    self._heard, understood = True, understood or bool(frame.payload)
                    self._take(frame, hear)
                except UndecipherableError:
                    unread += 1
                    if not understood and unread >= _UNREAD:
                        raise WrongKeyError(self._endpoint.name, _UNREADABLE) from None
                except BadFrameError as error:
                    _log.debug("frame.dropped", peer=self._endpoint.name, reason=str(error))
        finally:
            self._next_beat.cancel()

    def _await_beat(self) -> None:
        """All peers are kept awake at the same moments: one wake of the processor serves them all."""
        loop, pace = asyncio.get_running_loop(), self._endpoint.heartbeat
        beats = (loop.time() + pace * _TOO_SOON) // pace + 1
        self._next_beat = loop.call_at(beats * pace, self._beat)

    def _beat(self) -> None:
        """Keep the peer awake; one that has left several beats unanswered has gone."""
        name, device = self._endpoint.name, self._endpoint.device_id
        if self._unanswered >= _SILENT_BEATS:
            silent = LockUnreachableError(name, "has fallen silent")
            self._reader.set_exception(silent if self._heard else WrongKeyError(name, _SILENCE))
            return
        self._unanswered += 1
        self._await_beat()
        self.send(frames.HEART_BEAT, {"gwId": device, "devId": device})

    def _take(self, frame: Frame, hear: Hear) -> None:
        body = _json(frame.payload)
        if frame.command in {frames.CONTROL, frames.CONTROL_NEW}:
            self._acknowledge(frame, body)
        if body is not None:
            hear(frame.command, body)

    def _acknowledge(self, frame: Frame, body: dict[str, Any] | None) -> None:
        """Acknowledgements come in the order of the commands; sequence numbers prove nothing."""
        while self._acks:
            ack = self._acks.popleft()
            if ack.done():
                continue
            refused = frame.retcode != 0 or (frame.payload and body is None)
            text = frame.payload[:60].decode("latin-1") if refused and body is None else ""
            ack.set_result(Refused(frame.retcode, text) if refused else None)
            return

    async def close(self) -> None:
        """Close the socket; who waits for an acknowledgement learns that none will come."""
        for ack in self._acks:
            if not ack.done():
                ack.set_exception(LockUnreachableError(self._endpoint.name, "the connection went"))
        self._acks.clear()
        self._writer.close()
        with suppress(OSError):
            await self._writer.wait_closed()


def _json(payload: bytes) -> dict[str, Any] | None:
    if not payload:  # a heartbeat
        return None
    try:
        body = json.loads(payload)
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) else None
