"""Copies of the database: made while the daemon runs, checked before they get their name, rotated."""

import asyncio
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, ParamSpec, TypeVar

from gateway.errors import StoreError
from gateway.store.files import sync_folder
from gateway.store.generation import COPIED
from gateway.store.moments import to_text

if TYPE_CHECKING:
    from gateway.store.database import Database

P = ParamSpec("P")
T = TypeVar("T")

_NAME = "gateway-%Y%m%dT%H%M%SZ.db"
_DAILY, _WEEKLY = 7, 4


def folder_of(database: Path) -> Path:
    """Where the backups of a database are."""
    return database.parent / "backups"


def made_at(backup: Path) -> datetime | None:
    """When a backup was made, by its name; None where that is no backup's name."""
    try:
        return datetime.strptime(backup.name, _NAME).replace(tzinfo=UTC)
    except ValueError:
        return None


def kept(folder: Path) -> list[Path]:
    """The backups of a folder, the newest first."""
    return list(filter(made_at, _newest_first(folder)))


def newest_at(folder: Path) -> datetime | None:
    """When the newest backup of a folder was made, None without one."""
    return next(filter(None, map(made_at, _newest_first(folder))), None)


def _newest_first(folder: Path) -> Iterator[Path]:
    """All that is in a folder; the names of backups sort as their times do."""
    if not folder.is_dir():
        return iter(())
    with os.scandir(folder) as found:
        names = sorted((one.name for one in found), reverse=True)
    return (folder / name for name in names)


def partial_in(folder: Path, purpose: str) -> Path:
    """A name for a copy in the making; what a killed process left there is removed. Raises OSError."""
    folder.mkdir(exist_ok=True, mode=0o700)
    partial = folder / f"{purpose}.new"
    for suffix in ("", "-journal", "-wal", "-shm"):
        partial.with_name(partial.name + suffix).unlink(missing_ok=True)
    os.close(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    return partial


def mark(partial: Path, now: datetime) -> None:
    """Write into a copy that it is one, check it, and make it last.

    Raises:
        sqlite3.Error: the copy is not whole, or could not be written.
        OSError: it could not be made to last.
    """
    with closing(sqlite3.connect(partial, isolation_level=None)) as connection:
        # VACUUM INTO leaves a database without a write-ahead log: one file, nothing beside it.
        connection.execute("INSERT INTO meta (key, value) VALUES (?, ?)", (COPIED, to_text(now)))
        (verdict,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    if verdict != "ok":
        raise sqlite3.DatabaseError(f"the copy is not whole: {verdict}")
    descriptor = os.open(partial, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def give_name(partial: Path, now: datetime) -> Path:
    """Make a checked copy a backup, and remove the backups that are one too many. Raises OSError."""
    final = partial.with_name(now.astimezone(UTC).strftime(_NAME))
    partial.replace(final)
    for one in surplus(kept(partial.parent)):
        one.unlink(missing_ok=True)
    sync_folder(partial.parent)
    return final


def surplus(backups: Iterable[Path]) -> list[Path]:
    """Those beyond the newest of each of the last seven days and four weeks that have one."""
    days: dict[object, Path] = {}
    weeks: dict[object, Path] = {}
    every = sorted(backups, key=lambda one: one.name, reverse=True)
    for one in every:
        moment = made_at(one)
        if moment is None:
            continue
        if len(days) < _DAILY:
            days.setdefault(moment.date(), one)
        if len(weeks) < _WEEKLY:
            weeks.setdefault(moment.isocalendar()[:2], one)
    wanted = {*days.values(), *weeks.values()}
    return [one for one in every if one not in wanted]


def is_due(newest: datetime | None, now: datetime) -> bool:
    """Is there no backup since the last night? `now` and the night are the site's wall clock."""
    night = now.replace(hour=4, minute=30, second=0, microsecond=0)
    if night > now:
        night -= timedelta(days=1)
    return newest is None or newest < night


async def make(database: "Database", folder: Path, now: datetime) -> Path:
    """Make tonight's backup.

    Raises:
        StoreError: the copy could not be written, or is not whole; older backups stand.
    """
    partial = await _checked_copy(database, folder, now, "night")
    return await asyncio.to_thread(_reporting, give_name, partial, now)


async def copy_out(database: "Database", folder: Path, now: datetime) -> BinaryIO:
    """A checked copy without a name: it is gone once it is closed.

    Raises:
        StoreError: the copy could not be written, or is not whole.
    """
    partial = await _checked_copy(database, folder, now, "copy")
    return await asyncio.to_thread(_reporting, _nameless, partial)


async def _checked_copy(database: "Database", folder: Path, now: datetime, purpose: str) -> Path:
    partial = await asyncio.to_thread(_reporting, partial_in, folder, purpose)
    await database.copy_into(partial)
    await asyncio.to_thread(_reporting, mark, partial, now)
    return partial


def _reporting(act: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    try:
        return act(*args, **kwargs)
    except (OSError, sqlite3.Error) as error:
        raise StoreError(f"no backup could be made: {error}") from error


def _nameless(partial: Path) -> BinaryIO:
    file = partial.open("rb")
    partial.unlink()
    return file


def copy(source: Path, target: Path) -> None:
    """Copy a file for its owner alone, and make it last. Raises OSError."""
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with source.open("rb") as reading, os.fdopen(descriptor, "wb") as writing:
        shutil.copyfileobj(reading, writing)
        writing.flush()
        os.fsync(writing.fileno())
