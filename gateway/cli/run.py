"""`gateway run`: the daemon."""

import asyncio
import os
import signal
from pathlib import Path
from typing import Annotated

import structlog
import typer

from gateway.app import Gateway, Paths
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
    configure_logging(
        level=settings.log.level, format=settings.log.format, secrets=settings.secrets()
    )
    for note in notes:
        _log.warning("config.warning", detail=note)
    try:
        asyncio.run(_serve(settings, paths))
    except StoreBusyError as error:
        fail(str(error), EXIT_BUSY)
    except GatewayError as error:
        fail(str(error))
    except OSError as error:
        fail(f"{settings.http.host}:{settings.http.port} cannot be served: {error.strerror}")


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


async def _serve(config: Config, paths: Paths) -> None:
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    async with Gateway.running(config, paths, clock=SystemClock()):
        await stopped.wait()
        _log.info("gateway.stopping")
