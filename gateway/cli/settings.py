"""What every command begins with: the configuration, its state folder, errors for people."""

import os
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console

from gateway.app import Paths
from gateway.config import Config, load
from gateway.errors import ConfigError

EXIT_FAILED, EXIT_CONFIG, EXIT_NO_DAEMON, EXIT_BUSY = 1, 2, 3, 75

ConfigOption = Annotated[
    Path, typer.Option("-c", "--config", help="The configuration file.", show_default=True)
]
JsonOption = Annotated[bool, typer.Option("--json", help="For programs: JSON instead of tables.")]
DEFAULT_CONFIG = Path("config.toml")

console = Console()
errors = Console(stderr=True, soft_wrap=True)


def fail(message: str, code: int = EXIT_FAILED) -> NoReturn:
    """Say what is wrong and leave."""
    errors.print(message, markup=False, highlight=False)
    raise typer.Exit(code)


def read_config(path: Path) -> tuple[Config, Paths]:
    """The configuration and its paths; its problems end the command with exit code 2."""
    try:
        config = load(path, environ=os.environ)
    except ConfigError as error:
        for problem in error.problems:
            errors.print(f"{path}: {problem}", markup=False, highlight=False)
        raise typer.Exit(EXIT_CONFIG) from None
    return config, Paths.of(config, folder=path.parent, environ=os.environ)


def write_line(text: str) -> None:
    """One plain line to standard output, never wrapped."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
