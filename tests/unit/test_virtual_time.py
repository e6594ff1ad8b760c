import asyncio
from datetime import UTC, datetime, timedelta

import aiohttp
from aiohttp import web

from gateway.store.database import Database
from tests.builders import utc
from tests.virtual_time import run_virtual

START = utc("2026-02-01 12:00")


def test_a_week_passes_at_once_and_every_clock_agrees():
    async def main(clock):
        began = clock.monotonic()
        await clock.sleep(7 * 86400)
        assert clock.now() == datetime.now(UTC) == START + timedelta(days=7)
        assert clock.monotonic() - began == 7 * 86400

    run_virtual(main, start=START)


def test_time_stands_still_for_sockets_and_for_sqlite(tmp_path):
    async def main(clock):
        async def answer(request):
            return web.Response(text="here")

        app = web.Application()
        app.router.add_get("/", answer)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        async with (
            Database.open(tmp_path / "gateway.db") as database,
            aiohttp.ClientSession() as http,
        ):
            for number in range(100):
                await asyncio.sleep(3600)
                async with http.get(f"http://127.0.0.1:{port}/") as response:
                    assert await response.text() == "here"
                await database.transaction(
                    lambda session, n=number: session.execute(
                        "INSERT INTO meta (key, value) VALUES (?, 'x')", (str(n),)
                    )
                )
        await runner.cleanup()
        passed = clock.now() - START
        assert timedelta(hours=100) <= passed < timedelta(hours=100, seconds=30)

    run_virtual(main, start=START)
