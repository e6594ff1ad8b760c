"""The machine of the gateway in a story: it runs, is killed, loses its power and starts again."""

import asyncio
import random
import shutil
from contextvars import copy_context
from datetime import timedelta

import aiohttp

from gateway.app import Chance, Gateway, Pace, Paths, signing_secret
from gateway.clock import SystemClock
from gateway.web.auth import issue_token
from tests.simulation.machine import Process

PACE = Pace(scheduler=3600.0, sweep=4 * 3600.0, heartbeat=1800.0, lag=4 * 3600.0)
_NOT_KEPT = shutil.ignore_patterns("*.lock", "*-shm")  # what ends with the process
_TORN = 300  # bytes of nonsense behind what was synced


class _Clock(SystemClock):
    """The machine's own clock, without a search for the loop at each look."""

    def __init__(self, machine):
        self._machine = machine
        self.monotonic = machine.time

    def now(self):
        return self._machine.wall


class Pi:
    """One gateway after the other on the same disk. A kill leaves the disk as it is at that moment."""

    def __init__(self, world, folder, config):
        self._world = world
        self._root = folder
        self._config = config
        self._starts = 0
        self._context = copy_context()  # that of the story
        self.process = None
        self.gateway = None
        self.up_since = None  # seconds of the story
        self.downs = []  # when it went down
        self._folder = None
        self._stop = None
        self._task = None
        self._booting = None
        self._kill = None
        self.dead = []  # kept: nothing of a killed process may be finalised

    @property
    def up(self):
        return self.up_since is not None

    def start(self):
        """Power on."""
        self._booting = None
        self._starts += 1
        self._folder = self._copy_to(f"life-{self._starts}")
        self.process = Process("gateway", self._died, self._world.loop)
        self._stop = asyncio.Event()
        self._task = self._world.loop.create_task(
            self._run(self.process, self._stop), context=self.process.context()
        )

    def _copy_to(self, name):
        """Another folder with the files of the disk as they are now."""
        folder = self._root / name
        if self._folder is None:
            folder.mkdir()
        else:
            shutil.copytree(self._folder, folder, ignore=_NOT_KEPT)
        return folder

    async def _run(self, process, stop):
        config = self._config
        paths = Paths.of(config, folder=self._folder, environ={})
        seed = f"{self._world.story.seed} {self._starts}"
        digits = random.Random(f"pins {seed}")
        try:
            async with Gateway.running(
                config,
                paths,
                clock=_Clock(self._world.loop),
                notifier=self._world.notices,
                pace=PACE,
                chance=Chance(draw=random.Random(f"gateway {seed}"), randbelow=digits.randrange),
            ) as gateway:
                secret = signing_secret(config, paths)
                self.token = issue_token(
                    secret,
                    subject="tester",
                    ttl=timedelta(days=400),
                    now=self._world.story.start - timedelta(days=1),
                )
                self.gateway = gateway
                self.up_since = self._world.seconds()
                await stop.wait()
        except Exception as error:  # noqa: BLE001 - whatever it is, the story is over
            self._world.crashed(error)
        finally:
            if not process.dead:
                self._down()

    def _down(self):
        self.up_since = self.gateway = None
        self.downs.append(self._world.seconds())

    # --- what happens to it --------------------------------------------------------------------

    def arm(self, *, touches, power, down):
        """Kill it when it has touched disk and network that many times more."""
        if self.process is None or self.process.dead or self._booting:
            return
        self.process.die_at = self.process.touches + touches
        self._kill = (power, down)

    def _died(self):
        power, down = self._kill
        self.process.silent = power
        self.dead.append((self.process, self._task, self.gateway))
        self._folder = self._copy_to(f"disk-{self._starts}")
        log = self._folder / "gateway.db-wal"
        if power and log.exists():  # every commit was synced; what was being written is torn
            with log.open("ab") as file:
                file.write(self._world.draw.randbytes(_TORN))
        self._world.tell("power cut" if power else "killed", f"for {down} s")
        self._down()
        self._boot_after(down)

    def _boot_after(self, seconds):
        self._booting = self._world.loop.call_later(seconds, self.start, context=self._context)

    async def restart(self, down):
        """Stop it in order and start it again."""
        if not self.up:
            return
        self._world.tell("stopped", f"for {down} s")
        self._stop.set()
        await asyncio.wait([self._task], timeout=60)
        if not self.process.dead:
            self._boot_after(down)

    async def off(self):
        """The end of the story."""
        if self._booting is not None:
            self._booting.cancel()
        self.process.die_at = None
        if self.up:
            self._stop.set()
            await asyncio.wait([self._task], timeout=60)

    async def api(self, path, *, method="GET", **options):
        """(status, body) of a request, (None, None) if nobody answers."""
        if not self.up:
            return None, None
        url = f"http://127.0.0.1:{self.gateway.listener.port}{path}"
        headers = {"Authorization": f"Bearer {self.token}"}
        try:
            async with (
                asyncio.timeout(20),
                self._world.session.request(method, url, headers=headers, **options) as response,
            ):
                return response.status, await response.json()
        except (OSError, aiohttp.ClientError, TimeoutError):
            return None, None

    def database(self):
        """Where its database is."""
        return self._folder / "gateway.db"
