"""An HTTP receiver on loopback, for Apprise's json:// URLs."""

import asyncio
from contextlib import asynccontextmanager

from aiohttp import web


class Receiver:
    """Keeps what it is sent: (path, title, message). `status`: what it answers."""

    def __init__(self):
        self.got = []
        self.status = 200
        self.requests = 0
        self.port = 0

    def url(self, path="secret-token"):
        return f"json://127.0.0.1:{self.port}/{path}"

    def titles(self, path=None):
        return [title for where, title, _ in self.got if path is None or path in where]

    def bodies(self, path):
        return [body for where, _, body in self.got if path in where]

    @asynccontextmanager
    async def serving(self):
        app = web.Application()
        app.router.add_post("/{path:.*}", self._take)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            self.port = runner.addresses[0][1]
            yield self
        finally:
            await runner.cleanup()

    async def _take(self, request):
        self.requests += 1
        body = await request.json()
        if self.status == 200:
            self.got.append((request.path, body["title"], body["message"]))
        await asyncio.sleep(0)
        return web.Response(status=self.status)
