"""Copies of the database: one from the running daemon, and one put back where none runs."""

import asyncio
import json
import os
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from gateway.app import Paths
from gateway.cli.daemon import NoDaemonError, download
from gateway.cli.settings import (
    DEFAULT_CONFIG,
    EXIT_BUSY,
    EXIT_NO_DAEMON,
    ConfigOption,
    JsonOption,
    errors,
    fail,
    read_config,
    write_line,
)
from gateway.clock import SystemClock
from gateway.config import Config
from gateway.errors import StoreBusyError, StoreError, StoreNewerError
from gateway.store.database import hold, lock_path
from gateway.store.integrity import put_back

_BACKUP = "/api/admin/backup"


def backup(
    file: Annotated[Path, typer.Argument(help="Where the copy goes; it must not exist yet.")],
    config: ConfigOption = DEFAULT_CONFIG,
    *,
    json_: JsonOption = False,
) -> None:
    """Write a consistent copy of the database while the daemon runs."""
    settings, paths = read_config(config)
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        fail(f"{file} exists already: name another file")
    except OSError as error:
        fail(f"{file} cannot be written: {error.strerror}")
    whole = False
    try:
        with (
            os.fdopen(descriptor, "wb") as target,
            errors.status(f"copying the database to {file}", spinner="dots"),
        ):
            _fetch(settings, paths, target)
            target.flush()
            os.fsync(target.fileno())
        whole = True
    except OSError as error:
        fail(f"{file} cannot be written: {error.strerror}")
    finally:
        if not whole:
            file.unlink()
    if json_:
        shown = {"file": str(file), "bytes": file.stat().st_size, "pinKey": str(paths.pin_key)}
        write_line(json.dumps(shown))
        return
    write_line(
        f"{file}: {file.stat().st_size} bytes. The PINs in it open only with {paths.pin_key}"
    )


def _fetch(settings: Config, paths: Paths, target: BinaryIO) -> None:
    try:
        asyncio.run(download(settings, paths, _BACKUP, target))
    except NoDaemonError:
        fail(
            f"no gateway answers: while it is stopped, copy {paths.folder} instead",
            EXIT_NO_DAEMON,
        )


def restore(
    file: Annotated[Path, typer.Argument(help="A backup.")],
    config: ConfigOption = DEFAULT_CONFIG,
    *,
    json_: JsonOption = False,
) -> None:
    """Put a backup where the database is; the daemon must be stopped. Nothing is deleted."""
    _, paths = read_config(config)
    try:
        with hold(paths.database):
            aside = put_back(file, paths.database, SystemClock().now())
        owner = paths.folder.stat()
        for one in (paths.database, lock_path(paths.database)):
            os.chown(one, owner.st_uid, owner.st_gid)
    except StoreBusyError as error:
        fail(str(error), EXIT_BUSY)
    except (StoreError, StoreNewerError) as error:
        fail(str(error))
    except OSError as error:
        fail(f"{paths.database} cannot be given to its owner: {error.strerror}")
    if json_:
        put = {"file": str(file), "keptAs": None if aside is None else str(aside)}
        write_line(json.dumps(put))
        return
    kept = "" if aside is None else f" What was there is kept as {aside}."
    write_line(
        f"{file} is in place.{kept} Start the gateway: it asks the locks for everything anew"
    )
