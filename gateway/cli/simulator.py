"""`gateway simulator`: the simulated property alone."""

import asyncio
import json
import random  # noqa: TID251 - invented ids
import signal
import tomllib
from datetime import timedelta
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from gateway.cli.settings import JsonOption, write_line
from gateway.clock import SystemClock
from gateway.simulator.property import SimulatedProperty


def simulator(
    *,
    json_: JsonOption = False,
    http_port: Annotated[int, typer.Option(help="The gateway's port in the printed file.")] = 8080,
) -> None:
    """Serve a simulated property until Ctrl-C, and print the config.toml that goes with it."""
    asyncio.run(_serve(as_json=json_, http_port=http_port))


async def _serve(*, as_json: bool, http_port: int) -> None:
    clock = SystemClock()
    property_ = SimulatedProperty(clock=clock, draw=random.Random())  # noqa: S311 - invented ids
    today = clock.now().astimezone(ZoneInfo("America/Sao_Paulo")).date()
    property_.stays.book(property_.flat_101, today, today + timedelta(days=3))
    property_.stays.book(
        property_.flat_102, today + timedelta(days=1), today + timedelta(days=4), guest="Guest Two"
    )
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with property_.serving():
        text = property_.config_toml(http_port=http_port)
        write_line(json.dumps(tomllib.loads(text)) if as_json else text)
        await stopped.wait()
