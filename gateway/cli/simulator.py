"""`gateway simulator`: the simulated property alone."""

import asyncio
import ipaddress
import json
import os
import random  # noqa: TID251 - invented ids
import signal
import tempfile
import threading
import tomllib
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from zoneinfo import ZoneInfo

import typer

from gateway.cli.settings import JsonOption, errors, fail, write_line
from gateway.clock import SystemClock
from gateway.web.tls import context_of, ensure_certificate

if TYPE_CHECKING:
    from gateway.simulator.property import SimulatedProperty

_STDIN = 0
_READ_BYTES = 4096
_LAN_NEEDS = (
    "the address of --lan and the four that follow it must be this machine's"
    " (ip address add 192.168.1.51/24 dev eth0), with port 6668 free"
)
_COMMANDS = "type LOCK PIN, move PEER ADDRESS"


def simulator(
    *,
    json_: JsonOption = False,
    http_port: Annotated[int, typer.Option(help="The gateway's port in the printed file.")] = 8080,
    lan: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Serve in a network: Stays on this address of the machine, the four devices on"
            " the next ones, which must be its own too. They broadcast themselves.",
        ),
    ] = None,
    devices: Annotated[
        Path | None,
        typer.Option(help="Write the devices.json that tinytuya's wizard would write."),
    ] = None,
) -> None:
    """Serve a simulated property until Ctrl-C, and print the config.toml that goes with it.

    On its standard input it takes `type LOCK PIN`: somebody types a PIN on a keypad; and
    `move PEER ADDRESS`: a device gets another address.
    """
    if lan is not None and not _is_ipv4(lan):
        fail(f"--lan {lan}: write an IPv4 address of this machine, such as 192.168.1.50")
    with tempfile.TemporaryDirectory(prefix="gateway-simulator-") as folder:
        problem = ""
        try:
            asyncio.run(_serve(Path(folder), lan, devices, as_json=json_, http_port=http_port))
        except* OSError as group:
            problem = _first(group)
        if problem:
            fail(problem if lan is None else f"{problem}: {_LAN_NEEDS}")


def _first(group: BaseExceptionGroup) -> str:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"cannot be served: {getattr(error, 'strerror', None) or error}"


def _is_ipv4(text: str) -> bool:
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return True


async def _serve(
    folder: Path, lan: str | None, devices: Path | None, *, as_json: bool, http_port: int
) -> None:
    # not for the daemon, which has all commands in memory
    from gateway.simulator.devices_file import devices_json  # noqa: PLC0415
    from gateway.simulator.property import Lan, SimulatedProperty  # noqa: PLC0415

    clock = SystemClock()
    network, head = None, ""
    if lan is not None:
        cert, key = ensure_certificate(folder, clock.now(), address=lan)
        network = Lan(address=lan, tls=context_of(cert, key))
        head = f"# The simulated Stays has a certificate of its own: SSL_CERT_FILE={cert}\n"
    draw = random.Random()  # noqa: S311 - invented ids
    property_ = SimulatedProperty(clock=clock, draw=draw, lan=network)
    today = clock.now().astimezone(ZoneInfo("America/Sao_Paulo")).date()
    day = timedelta(days=1)
    property_.stays.book(property_.flat_101, today - day, today + 3 * day)  # inside at any hour
    property_.stays.book(property_.flat_102, today + day, today + 4 * day, guest="Guest Two")
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    signal.signal(signal.SIGTTIN, signal.SIG_IGN)  # in the background of a shell there is no prompt
    async with property_.serving(), asyncio.TaskGroup() as tasks:
        if devices is not None:
            _write(devices, devices_json(property_.peers))
        text = property_.config_toml(http_port=http_port)
        write_line(json.dumps(tomllib.loads(text)) if as_json else head + text)
        prompt = tasks.create_task(_prompt(property_))
        await stopped.wait()
        prompt.cancel()


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        errors.print(f"{path} cannot be written: {error.strerror}", markup=False)


async def _prompt(property_: "SimulatedProperty") -> None:
    lines: asyncio.Queue[str] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def put(line: str) -> None:
        loop.call_soon_threadsafe(lines.put_nowait, line)

    # a thread, as a file or /dev/null cannot be waited for; the process does not wait for it
    threading.Thread(target=_read_lines, args=(put,), daemon=True).start()
    while True:
        words = (await lines.get()).split()
        if words:
            write_line(await _carry_out(property_, words))


def _read_lines(put: Callable[[str], None]) -> None:
    rest = b""
    try:
        while data := os.read(_STDIN, _READ_BYTES):
            *whole, rest = (rest + data).split(b"\n")
            for line in whole:
                put(line.decode("utf-8", "replace"))
    except (OSError, RuntimeError):  # no input at all; or the loop has ended
        return


async def _carry_out(property_: "SimulatedProperty", words: list[str]) -> str:
    match words:
        case ["type", name, pin]:
            lock = property_.lock(name)
            if lock is None:
                return f"there is no lock {name}"
            return f"{name}: {'opens' if lock.try_pin(pin) else 'stays shut'}"
        case ["move", name, address]:
            peer = property_.peer(name)
            if peer is None or not _is_ipv4(address):
                return f"there is no device {name}, or {address} is no address"
            try:
                await peer.move(address)
            except OSError as error:
                return f"{name}: cannot be served on {address}: {error.strerror or error}"
            return f"{name}: is at {address}"
        case _:
            return f"say one of: {_COMMANDS}"
