"""One port for plain HTTP and TLS: the first byte tells which a client speaks."""

import asyncio
import socket
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from aiohttp import web

_TLS_HANDSHAKE = 0x16
_FIRST_BYTE_SECONDS = 5.0
_HANDSHAKE_SECONDS = 5.0
_KEEP_ALIVE_SECONDS = 15.0
_SHUTDOWN_SECONDS = 3.0
_MOST_CONNECTIONS = 64
_MOST_OF_ONE_ADDRESS = 8
_BACKLOG = 64


class Listener:
    """Serves an application on one port."""

    def __init__(
        self,
        app: web.Application,
        *,
        tls: ssl.SSLContext | None,
        is_local: Callable[[str], bool],
    ) -> None:
        """`is_local`: is a peer's address this machine? Such peers are never too many."""
        self._app = app
        self._tls = tls
        self._is_local = is_local
        self._open: dict[asyncio.Transport, str] = {}
        self._undecided: Counter[str] = Counter()  # connections that have not said anything yet
        self.port = 0

    @asynccontextmanager
    async def serving(self, host: str, port: int) -> AsyncIterator["Listener"]:
        """Serve inside the block; `port` 0 takes a free one.

        Raises:
            OSError: the address cannot be bound.
        """
        runner = web.AppRunner(
            self._app,
            access_log=None,
            keepalive_timeout=_KEEP_ALIVE_SECONDS,
            shutdown_timeout=_SHUTDOWN_SECONDS,
        )
        await runner.setup()
        listening = _bind(host, port)
        self.port = listening.getsockname()[1]
        try:
            async with asyncio.TaskGroup() as tasks:
                accepting = tasks.create_task(self._accept(listening, runner, tasks))
                try:
                    yield self
                finally:
                    accepting.cancel()
        finally:
            listening.close()
            await runner.cleanup()

    async def _accept(
        self, listening: socket.socket, runner: web.AppRunner, tasks: asyncio.TaskGroup
    ) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                client, peer = await loop.sock_accept(listening)
            except OSError:  # out of file descriptors: some come free as connections end
                await asyncio.sleep(0.1)
                continue
            address = str(peer[0])
            if self._is_full(address):
                client.close()
                continue
            self._undecided[address] += 1
            tasks.create_task(self._begin(client, address, runner))

    def _is_full(self, address: str) -> bool:
        self._open = {one: of for one, of in self._open.items() if not one.is_closing()}
        if self._is_local(address):
            return False
        by_address = Counter(self._open.values()) + self._undecided
        return (
            by_address.total() >= _MOST_CONNECTIONS or by_address[address] >= _MOST_OF_ONE_ADDRESS
        )

    async def _begin(self, client: socket.socket, address: str, runner: web.AppRunner) -> None:
        """Hand a new connection to aiohttp, by what it speaks."""
        loop = asyncio.get_running_loop()
        server: Any = runner.server
        try:
            async with asyncio.timeout(_FIRST_BYTE_SECONDS):
                first = await _peek(loop, client)
            if first is None or (first == _TLS_HANDSHAKE and self._tls is None):
                client.close()
                return
            secure = first == _TLS_HANDSHAKE
            transport, _ = await loop.connect_accepted_socket(
                server,
                client,
                ssl=self._tls if secure else None,
                ssl_handshake_timeout=_HANDSHAKE_SECONDS if secure else None,
            )
        except (OSError, TimeoutError):
            client.close()
        else:
            self._open[transport] = address
        finally:
            self._undecided[address] -= 1


def is_local(address: str) -> bool:
    """Is it an address of this machine alone?"""
    return address == "::1" or address.startswith(("127.", "::ffff:127."))


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(_BACKLOG)
        listening.setblocking(False)
    except OSError:
        listening.close()
        raise
    return listening


async def _peek(loop: asyncio.AbstractEventLoop, client: socket.socket) -> int | None:
    """The first byte, left where it is; None if the client goes without one."""
    client.setblocking(False)
    while True:
        with suppress(BlockingIOError):
            data = client.recv(1, socket.MSG_PEEK)
            return data[0] if data else None
        readable = asyncio.Event()
        loop.add_reader(client.fileno(), readable.set)
        try:
            await readable.wait()
        finally:
            loop.remove_reader(client.fileno())
