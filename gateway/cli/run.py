"""`gateway run`: the daemon."""

import asyncio
import gc
import os
import signal
from collections.abc import Iterable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Annotated

import structlog
import typer

from gateway.app import Gateway, Paths
from gateway.cli.modes import close_to_others
from gateway.cli.packages import unfit, versions
from gateway.cli.settings import (
    DEFAULT_CONFIG,
    EXIT_BUSY,
    EXIT_CONFIG,
    ConfigOption,
    errors,
    fail,
    read_config,
)
from gateway.clock import SystemClock
from gateway.config import Config, load
from gateway.config.load import warnings
from gateway.errors import ConfigError, GatewayError, StoreBusyError
from gateway.observability import configure_logging
from gateway.systemd import ServiceManager
from gateway.timekeeping import TimeFiles

_log = structlog.get_logger()


def run(
    config: ConfigOption = DEFAULT_CONFIG,
    *,
    last_good: Annotated[
        bool,
        typer.Option("--last-good", help="Start with the last valid file when this one is not."),
    ] = False,
) -> None:
    """Run the daemon until it is stopped."""
    settings, paths, notes = _settings(config, last_good=last_good)
    _configure_logging(settings, settings.secrets())
    for note in notes:
        _log.warning("config.warning", detail=note)
    for note in close_to_others(paths):
        _log.warning("files.exposed", detail=note)
    _log.info("gateway.starting", **versions())
    for note in unfit():
        _log.warning("package.unfit", detail=note)
    try:
        asyncio.run(_serve(settings, paths, config))
    except StoreBusyError as error:
        fail(str(error), EXIT_BUSY)
    except GatewayError as error:
        fail(str(error))
    except OSError as error:
        fail(f"{settings.http.host}:{settings.http.port} cannot be served: {error.strerror}")


def _configure_logging(config: Config, secrets: Iterable[str]) -> None:
    configure_logging(level=config.log.level, format=config.log.format, secrets=secrets)


def _settings(path: Path, *, last_good: bool) -> tuple[Config, Paths, tuple[str, ...]]:
    """The configuration; where it is invalid and `last_good` is asked for, the last valid one."""
    if not last_good:
        config, paths = read_config(path)
        _keep(path, paths)
        return config, paths, warnings(config, path)
    try:
        config = load(path, environ=os.environ)
    except ConfigError as error:
        for problem in error.problems:
            errors.print(f"{path}: {problem}", markup=False, highlight=False)
        kept = _last_good(path)
        if not kept.exists():
            raise typer.Exit(EXIT_CONFIG) from None
        config, paths = read_config(kept)
        return config, paths, (f"{path} is invalid: running with the last valid one",)
    paths = Paths.of(config, folder=path.parent, environ=os.environ)
    _keep(path, paths)
    return config, paths, warnings(config, path)


def _last_good(path: Path) -> Path:
    """Where the last valid file is, before anything of it is known."""
    return Path(os.environ.get("STATE_DIRECTORY", path.parent)) / "config.last-good.toml"


def _keep(path: Path, paths: Paths) -> None:
    """Keep the valid file for `--last-good`."""
    try:
        paths.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        partial = paths.last_good.with_name(paths.last_good.name + ".new")
        partial.touch(mode=0o600)
        partial.write_bytes(path.read_bytes())
        partial.rename(paths.last_good)
    except OSError as error:
        errors.print(f"the valid configuration cannot be kept: {error}", markup=False)


async def _serve(config: Config, paths: Paths, path: Path) -> None:
    gc.freeze()  # what the imports left lives for ever: looking through it stops everything a while
    clock = SystemClock()
    systemd = ServiceManager(os.environ, clock=clock)
    async with AsyncExitStack() as stack:
        signals = Signals()
        gateway = await stack.enter_async_context(
            Gateway.running(config, paths, clock=clock, time_files=TimeFiles.of_linux())
        )
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        systemd.ready(f"serving on port {gateway.listener.port}")
        working = [
            tasks.create_task(systemd.watch(gateway.no_progress)),
            tasks.create_task(_reload_on_demand(gateway, signals, systemd, path)),
        ]
        await signals.stop.wait()
        _log.info("gateway.stopping")
        systemd.stopping()
        for task in working:
            task.cancel()


class Signals:
    """What was asked of the process: to stop (SIGTERM, SIGINT), to take its file anew (SIGHUP)."""

    def __init__(self) -> None:
        self.stop, self.reload = asyncio.Event(), asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop.set)
        loop.add_signal_handler(signal.SIGHUP, self.reload.set)


async def _reload_on_demand(
    gateway: Gateway, signals: Signals, systemd: ServiceManager, path: Path
) -> None:
    while True:
        await signals.reload.wait()
        signals.reload.clear()
        systemd.reloading()
        systemd.ready(await _reload(gateway, path))


async def _reload(gateway: Gateway, path: Path) -> str:
    """Take the file anew; an invalid one changes nothing. What came of it, in words."""
    try:
        config = load(path, environ=os.environ)
    except ConfigError as error:
        for problem in error.problems:
            _log.error("config.refused", problem=problem)
        return f"{path} is invalid, see the journal: running with the configuration before"
    for note in warnings(config, path):
        _log.warning("config.warning", detail=note)
    # the old secrets stay hidden as well: what they were may still be told
    _configure_logging(config, {*config.secrets(), *gateway.config.secrets()})
    left = await gateway.reload(config)
    _keep(path, gateway.paths)
    if left:
        detail = f"restart the gateway for the changes of {', '.join(left)}"
        _log.warning("config.warning", detail=detail)
        return f"running with the new configuration; {detail}"
    return "running with the new configuration"
