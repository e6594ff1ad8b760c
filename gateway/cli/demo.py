"""`gateway demo`: the daemon beside a simulated property, and a story told in real time."""

import asyncio
import ctypes
import os
import random  # noqa: TID251 - invented ids
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from zoneinfo import ZoneInfo

from gateway.app import Paths
from gateway.cli.daemon import NoDaemonError, base_url, make_token, request
from gateway.cli.settings import console, fail
from gateway.clock import Clock, SystemClock
from gateway.config import Config, load

if TYPE_CHECKING:
    from gateway.simulator.property import SimulatedProperty

_ZONE = ZoneInfo("America/Sao_Paulo")
_PORT = 8080
_PATIENCE = 90.0
_BREATH = 2.0  # seconds between two acts, for the eyes
_LEAD = 40  # seconds of story before the minute at which jobs fall due
_PR_SET_PDEATHSIG = 1

T = TypeVar("T")


def demo() -> None:
    """Show the gateway at work on a simulated property; Ctrl-C ends it."""
    folder = Path(tempfile.mkdtemp(prefix="gateway-demo-"))
    try:
        asyncio.run(_until_stopped(folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _until_stopped(folder: Path) -> None:
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    async with asyncio.TaskGroup() as tasks:
        playing = tasks.create_task(_demo(folder))
        stopping = tasks.create_task(stopped.wait())
        await asyncio.wait({playing, stopping}, return_when=asyncio.FIRST_COMPLETED)
        playing.cancel()
        stopping.cancel()
    console.print("The demo is over.")


async def _demo(folder: Path) -> None:
    from gateway.simulator.property import SimulatedProperty  # noqa: PLC0415 - not for the daemon

    clock = SystemClock()
    property_ = SimulatedProperty(clock=clock, draw=random.Random())  # noqa: S311 - invented ids
    async with property_.serving():
        path = folder / "config.toml"
        path.touch(mode=0o600)
        path.write_text(property_.config_toml(http_port=_free_port()), encoding="utf-8")
        config = load(path, environ={})
        paths = Paths.of(config, folder=folder, environ={})
        story = _Story(property_, config, paths, clock)
        story.prepare()
        async with _daemon(path, folder / "gateway.log"):
            await story.tell()
            link = await story.link()
            token = make_token(config, paths, subject="demo", ttl=timedelta(hours=12))
            url = f"{base_url(config)}/api/admin/reconciliation/status"
            console.print(
                "\nThat was the story. The gateway goes on; see it on its page:", style="bold"
            )
            console.print(link, soft_wrap=True, highlight=False)
            console.print("or ask it yourself:", style="bold")
            console.print(
                f"curl -H 'Authorization: Bearer {token}' {url}", soft_wrap=True, highlight=False
            )
            console.print(
                f"Its log is {folder / 'gateway.log'}. Ctrl-C ends the demo.", highlight=False
            )
            await asyncio.Event().wait()


def _free_port() -> int:
    """The usual port if it is free, else any."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", _PORT))
        except OSError:
            probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@asynccontextmanager
async def _daemon(config: Path, log: Path) -> AsyncIterator[None]:
    """Run the very daemon as a process of its own; killed, it is started again as systemd would."""
    async with asyncio.TaskGroup() as tasks:
        keeping = tasks.create_task(_keep(config, log))
        try:
            yield
        finally:
            keeping.cancel()


async def _keep(config: Path, log: Path) -> None:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}
    while True:
        with log.open("ab") as file:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "gateway", "run", "-c", str(config)),
                stderr=file,
                stdout=file,
                env=environ,
                preexec_fn=_end_with_parent,
            )
        try:
            await process.wait()
        except asyncio.CancelledError:
            with suppress(ProcessLookupError):
                process.terminate()
            await process.wait()
            raise
        console.print("  the gateway was stopped from outside; it is started again", style="yellow")


def _end_with_parent() -> None:
    """The daemon does not outlive the demo."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


class _Story:
    """Four guests in one and a half minutes."""

    def __init__(
        self, property_: "SimulatedProperty", config: Config, paths: Paths, clock: Clock
    ) -> None:
        self._property = property_
        self._stays = property_.stays
        self._config = config
        self._paths = paths
        self._clock = clock
        now = clock.now().astimezone(_ZONE)
        # Stays knows times to the minute: what the jobs do falls on the next one with some lead.
        self._minute = (now + timedelta(seconds=_LEAD + 60)).replace(second=0, microsecond=0)

    def prepare(self) -> None:
        """What Stays holds when the gateway starts."""
        now, minute = self._clock.now().astimezone(_ZONE), self._minute
        self._ana = self._book(
            self._property.flat_101, minute + timedelta(hours=2), minute + timedelta(days=2), "Ana"
        )
        self._bruno = self._book(
            self._property.flat_102, now - timedelta(hours=1), now + timedelta(days=2), "Bruno"
        )
        self._clara = self._book(
            self._property.casa, now - timedelta(days=4), now + timedelta(days=1), "Clara"
        )

    def _book(self, listing: str, check_in: datetime, check_out: datetime, guest: str) -> str:
        return self._stays.book(
            listing,
            check_in.date(),
            check_out.date(),
            check_in_time=f"{check_in:%H:%M}",
            check_out_time=f"{check_out:%H:%M}",
            guest=guest,
        )

    async def tell(self) -> None:
        """Play it, line by line."""
        console.print("The gateway starts beside a simulated Stays account and four Tuya locks.")
        await self._until("the gateway answers", self._ready)
        for act in (
            self._bruno_cancels,
            self._daniel_at_a_dead_lock,
            self._clara_left_yesterday,
            self._ana_arrives,
            self._clara_is_gone,
        ):
            await act()
            await self._clock.sleep(_BREATH)

    async def link(self) -> str:
        """A link that signs in to the gateway's page, once."""
        made = await self._ask("POST", "/api/admin/sign-in-links")
        return f"{base_url(self._config)}{made['data']['path']}"

    async def _bruno_cancels(self) -> None:
        pin = await self._active(self._bruno)
        self._say(
            "Bruno is in Apto 102 since an hour: his PIN is confirmed on the street door and his flat"
        )
        self._type("Bruno", pin, self._property.flat_102, opens=True)
        self._stays.cancel(self._bruno)
        self._say("Bruno's stay is cancelled at Stays; the gateway reconciles")
        await self._reconcile()
        await self._until("his PIN is gone", lambda: self._has_status(self._bruno, "revoked"))
        self._type("Bruno", pin, self._property.flat_102, opens=False)

    async def _daniel_at_a_dead_lock(self) -> None:
        await self._property.hub_2.cut()
        self._say("The hub of Apto 102 loses its power", style="yellow")
        now = self._clock.now().astimezone(_ZONE)
        self._daniel = self._book(
            self._property.flat_102, now + timedelta(hours=1), now + timedelta(days=3), "Daniel"
        )
        self._say("Daniel books Apto 102 for today; his check-in is in an hour")
        await self._reconcile()
        await self._until("it is told", lambda: self._has_status(self._daniel, "at_risk"))
        self._say("The gateway says that his PIN is at risk, and keeps trying", style="yellow")
        await self._property.hub_2.restore()
        self._say("The power is back")
        pin = await self._active(self._daniel)
        self._type("Daniel", pin, self._property.flat_102, opens=True)

    async def _clara_left_yesterday(self) -> None:
        self._clara_pin = await self._active(self._clara)
        self._type("Clara", self._clara_pin, self._property.casa, opens=True)
        left = self._minute - timedelta(hours=24)
        self._stays.change(
            self._clara, checkOutDate=left.date().isoformat(), checkOutTime=f"{left:%H:%M}"
        )
        self._say(
            f"Reception records that Clara left yesterday at {left:%H:%M}: 24 hours are nearly over"
        )
        await self._reconcile()
        end = int(self._minute.timestamp())
        await self._until("the lock has it", lambda: self._ends(end))
        self._say(f"The lock itself now ends her PIN at {self._minute:%H:%M}")

    async def _ana_arrives(self) -> None:
        check_in = self._minute + timedelta(hours=2)
        self._say(
            f"Ana's check-in is at {check_in:%H:%M}: her PIN is written at {self._minute:%H:%M}, not before"
        )
        pin = await self._active(self._ana)
        self._say("Two hours before check-in: Ana's PIN is confirmed on both of her doors")
        self._type("Ana", pin, self._property.flat_101, opens=True)
        leaves = self._minute + timedelta(days=5)
        self._stays.change(
            self._ana, checkOutDate=leaves.date().isoformat(), checkOutTime=f"{leaves:%H:%M}"
        )
        self._say("Ana stays three nights longer; the gateway reconciles")
        await self._reconcile()
        end = int((leaves + timedelta(days=1)).timestamp())
        codes = self._property.apt_101.codes
        await self._until("the lock has it", lambda: _now(any(held.end == end for held in codes)))
        self._say("The same PIN, with its new window, on both doors")
        self._type("Ana", pin, self._property.flat_101, opens=True)

    async def _clara_is_gone(self) -> None:
        await self._until("it is gone", lambda: self._has_status(self._clara, "revoked"))
        self._say("24 hours after check-out: Clara's PIN is deleted from the lock")
        self._type("Clara", self._clara_pin, self._property.casa, opens=False)

    # --- what the story is made of -------------------------------------------------------------

    def _say(self, text: str, style: str = "") -> None:
        at = self._clock.now().astimezone(_ZONE)
        console.print(f"{at:%H:%M:%S}  {text}", style=style, highlight=False, soft_wrap=True)

    def _type(self, guest: str, pin: str, listing: str, *, opens: bool) -> None:
        """A guest types the PIN at every door of the stay."""
        for lock in self._property.doors_of(listing):
            opened = lock.try_pin(pin)
            if opened is not opens:
                fail(f"{guest} at {lock.name}: the door {'opens' if opened else 'stays shut'}")
            word, style = ("opens", "green") if opened else ("stays shut", "red")
            self._say(f"{guest} types the PIN at {lock.name}: the door {word}", style=style)

    async def _ready(self) -> bool:
        return bool((await self._ask("GET", "/readyz"))["status"] == "ready")

    async def _ask(self, method: str, path: str) -> Any:
        """One request; a daemon that is just being started again is waited for."""
        while True:
            try:
                return (await request(self._config, self._paths, method, path)).body
            except NoDaemonError:
                await self._clock.sleep(0.3)

    async def _reconcile(self) -> None:
        while "error" in await self._ask("POST", "/api/admin/reconciliation/run"):
            await self._clock.sleep(0.3)

        async def done() -> bool:
            state = await self._ask("GET", "/api/admin/reconciliation/status")
            return bool(state["data"]["currentStatus"] == "success")

        await self._until("the reconciliation is done", done)

    async def _has_status(self, reservation: str, status: str) -> bool:
        shown = await self._ask("GET", f"/api/admin/reservations/{reservation}")
        return bool("data" in shown and shown["data"]["pinStatus"] == status)

    async def _active(self, reservation: str) -> str:
        """The PIN of a stay, once it is confirmed on all its doors."""
        await self._until("a PIN is confirmed", lambda: self._has_status(reservation, "active"))
        shown = await self._ask("GET", f"/api/admin/reservations/{reservation}/pin?reveal=true")
        return str(shown["data"]["pin"])

    async def _ends(self, end: int) -> bool:
        return all(held.end == end for held in self._property.house.codes)

    async def _until(self, what: str, condition: Callable[[], Awaitable[bool]]) -> None:
        try:
            async with asyncio.timeout(_PATIENCE + _LEAD):
                while not await condition():
                    await self._clock.sleep(0.2)
        except TimeoutError:
            fail(f"the demo waited in vain: {what}")


async def _now(value: T) -> T:
    return value
