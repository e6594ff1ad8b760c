"""Eleven hundred connections that never finish a request."""

import asyncio
import resource
import socket
from contextlib import ExitStack, contextmanager
from datetime import timedelta

import aiohttp

from tests.house import living

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
MANY = 1100


@contextmanager
def room_for(files):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(files, hard), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_1100_half_open_connections_of_one_address_hinder_no_other(tmp_path):
    async def story(house):
        loop, address = asyncio.get_running_loop(), ("127.0.0.1", house.gateway.listener.port)
        with ExitStack() as stack:
            for _ in range(MANY):
                client = stack.enter_context(socket.socket())
                client.bind(("127.0.0.2", 0))
                client.setblocking(False)
                await loop.sock_connect(client, address)
                try:
                    client.send(b"GET /healthz HTTP/1.1\r\nHost:")
                except OSError:  # refused already
                    continue
            connector = aiohttp.TCPConnector(force_close=True)
            async with aiohttp.ClientSession(connector=connector) as session:
                for _ in range(40):
                    url = f"http://127.0.0.1:{address[1]}/healthz"
                    async with session.get(url) as answer:
                        assert answer.status == 200
            held = [one for one in house.gateway.listener._open.values() if one == "127.0.0.2"]
            assert len(held) == 8
            stay = house.book(house.flat_101, -HOUR, DAY)
            await house.gateway.request_run()
            await house.pin_status(stay, "active")  # Stays, the store and the locks are reached

    with room_for(4 * MANY):
        living(tmp_path, story, on_lan=True)
