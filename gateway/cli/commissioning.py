"""`gateway locks test` and `gateway locks retire`: a lock at the door, from its first PIN to its end."""

import asyncio
import json
import os
import threading
from contextlib import suppress
from dataclasses import asdict
from typing import Annotated

import typer

from gateway.cli.bench import Bench, ByDaemon, alone
from gateway.cli.daemon import NoDaemonError, ask
from gateway.cli.settings import (
    DEFAULT_CONFIG,
    EXIT_FAILED,
    ConfigOption,
    JsonOption,
    console,
    errors,
    fail,
    read_config,
    write_line,
)
from gateway.cli.trial import LockTrial
from gateway.clock import SystemClock
from gateway.config import Config
from gateway.config.model import Lock
from gateway.domain.commissioning import Observations, Suitability, Verdict, judge
from gateway.errors import GatewayError
from gateway.observability import configure_logging
from gateway.tuya.profiles import PROFILES, Grade

_COLOURS = {
    Suitability.GOOD: "green",
    Suitability.WITH_CHANGES: "yellow",
    Suitability.UNFIT: "bold red",
}

_YES, _NO = frozenset({"y", "yes", "s", "sim"}), frozenset({"n", "no", "nao", "não"})

NameArgument = Annotated[str, typer.Argument(help="The lock's name in the configuration.")]


class TrialAbandonedError(GatewayError):
    """Nobody answers the questions any more."""


def try_lock(
    name: NameArgument,
    config: ConfigOption = DEFAULT_CONFIG,
    *,
    quick: Annotated[
        bool, typer.Option("--quick", help="Leave out the PIN that is written ahead of its time.")
    ] = False,
    json_: JsonOption = False,
) -> None:
    """Try a lock at the door: PINs are written, you type them, the verdict says what to set."""
    settings, paths = read_config(config)
    lock = _lock(settings, name)
    configure_logging(level="critical", format="console", secrets=settings.secrets())

    async def trial() -> Observations:
        try:
            bench = ByDaemon(settings, paths, name)
            await bench.reach()
        except NoDaemonError:
            async with alone(settings, paths, lock, clock=SystemClock()) as own:
                return await _trial(own, lock).run(quick=quick)
        return await _trial(bench, lock).run(quick=quick)

    seen, problem = Observations(), None
    try:
        seen = asyncio.run(trial())
    except* GatewayError as errors_:
        problem = str(errors_.exceptions[0])
    if problem is not None:
        fail(problem)
    verdict = judge(seen)
    if json_:
        write_line(json.dumps({"observations": asdict(seen), "verdict": asdict(verdict)}))
    else:
        _show(name, verdict)
    if verdict.suitability is Suitability.UNFIT:
        raise typer.Exit(EXIT_FAILED)


def _lock(config: Config, name: str) -> Lock:
    lock = next((one for one in config.locks if one.name == name), None)
    if lock is None:
        known = ", ".join(one.name for one in config.locks) or "none"
        fail(f"there is no lock {name} in the configuration: it has {known}")
    return lock


def _trial(bench: Bench, lock: Lock) -> LockTrial:
    profile = PROFILES[lock.profile]
    deadline = lock.overrides.deadline or profile.deadline[0 if lock.hub is None else 1]
    return LockTrial(
        bench,
        ask=_ask,
        say=lambda text: errors.print(text, markup=False, highlight=False),
        clock=SystemClock(),
        deadline=deadline,
        experimental=profile.grade is Grade.INFERRED,
    )


async def _ask(question: str) -> bool:
    """Yes or no from the technician; asked again until it is one of them.

    Raises:
        TrialAbandonedError: standard input has ended.
    """
    while True:
        errors.print(f"{question} [y/n] ", end="", markup=False, highlight=False)
        answer = (await _line()).strip().lower()
        if answer in _YES:
            return True
        if answer in _NO:
            return False


async def _line() -> str:
    """A line of standard input, read in a thread that may be left behind when the command ends."""
    loop = asyncio.get_running_loop()
    line: asyncio.Future[str] = loop.create_future()

    def read() -> None:
        text = b""
        while not text.endswith(b"\n") and (more := os.read(0, 1)):
            text += more
        with suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(_set, line, text)

    threading.Thread(target=read, daemon=True).start()
    return await line


def _set(line: asyncio.Future[str], text: bytes) -> None:
    if line.done():
        return
    if text:
        line.set_result(text.decode(errors="replace"))
    else:
        line.set_exception(TrialAbandonedError("no answer: the trial is over"))


def _show(name: str, verdict: Verdict) -> None:
    colour = _COLOURS[verdict.suitability]
    console.print(f"{name}: [{colour}]{verdict.suitability}[/]", highlight=False)
    for reason in verdict.reasons:
        console.print(f"  - {reason}", markup=False, highlight=False, soft_wrap=True)
    if verdict.settings:
        console.print("  In its [[locks]] table set:", markup=False, highlight=False)
        for line in verdict.settings:
            console.print(f"    {line}", markup=False, highlight=False)


def retire(
    name: NameArgument, config: ConfigOption = DEFAULT_CONFIG, *, json_: JsonOption = False
) -> None:
    """End what still waits for a lock that has gone, or for the hardware that it replaced."""
    settings, paths = read_config(config)
    ended = ask(settings, paths, "POST", f"/api/admin/locks/{name}/retire").data()
    write_line(json.dumps(ended) if json_ else f"{ended['ended']} codes are no longer followed")
