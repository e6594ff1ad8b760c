"""Whether a database file is whole, and what takes its place where it is not."""

import sqlite3
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from gateway.domain import events
from gateway.errors import StoreError, StoreNewerError
from gateway.store import backup
from gateway.store.files import sync_folder
from gateway.store.schema import migrations

CLEAN = "clean_stop"  # in `meta`: "1" only after an orderly end
_EMPTY = "it holds nothing"
_SHOWN = 3  # findings named in a message
# What says nothing of the file: the disk, its rights or another process stand in the way.
_CIRCUMSTANCES = frozenset(
    {
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_NOMEM,
    }
)
_IOERR_SHORT_READ = sqlite3.SQLITE_IOERR | (2 << 8)  # the file ends before its pages do


@dataclass(frozen=True, slots=True)
class Recovery:
    """The database could not simply be gone on with. `event` says how it was helped, `detail` in words."""

    event: str
    detail: str


def blames_file(error: sqlite3.Error) -> bool:
    """Does the error say that the file itself is damaged?"""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    return code == _IOERR_SHORT_READ or code & 0xFF not in _CIRCUMSTANCES


def examine(path: Path, *, exclusive: bool = False) -> str | None:
    """What is wrong with a database file, None if nothing is. After an unclean stop it looks harder.

    `exclusive`: needs no file for shared memory, so it works on a full disk.

    Raises:
        StoreNewerError: a newer gateway wrote it.
        sqlite3.Error: it cannot be read now; that says nothing of the file.
    """
    try:
        with closing(sqlite3.connect(path, isolation_level=None, timeout=2.0)) as connection:
            if exclusive:
                connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version > len(migrations()):
                raise StoreNewerError(
                    f"{path} was written by a newer gateway (schema {version}, this one knows"
                    f" {len(migrations())}): install that version again, or restore a backup"
                )
            if version == 0:
                return _EMPTY
            return _findings(connection)
    except sqlite3.Error as error:
        if not blames_file(error):
            raise
        return str(error)


def _findings(connection: sqlite3.Connection) -> str | None:
    checks = ["PRAGMA quick_check"]
    clean = connection.execute("SELECT value FROM meta WHERE key = ?", (CLEAN,)).fetchone()
    if clean is None or clean[0] != "1":
        checks += ["PRAGMA integrity_check", "PRAGMA foreign_key_check"]
    for check in checks:
        found = [row for row in connection.execute(check).fetchmany(_SHOWN) if row[0] != "ok"]
        if found:
            return f"{check}: " + "; ".join(" ".join(map(str, row)) for row in found)
    return None


def make_whole(
    path: Path, *, used_before: bool, now: datetime, exclusive: bool = False
) -> Recovery | None:
    """See that a whole database, or none, is at `path`; None: there was nothing to do.

    A damaged one is set aside, never deleted, and the newest backup that is whole takes its place.
    `used_before`: something beside it shows that there was one, so its absence is a loss.

    Raises:
        StoreNewerError: a newer gateway wrote it.
        StoreError: it cannot be read, or nothing can be put in its place.
    """
    try:
        absent = not path.exists() or path.stat().st_size == 0
        damage = "it is gone" if absent else examine(path, exclusive=exclusive)
        if damage is None or (damage in {"it is gone", _EMPTY} and not used_before):
            return None
        for candidate in backup.kept(backup.folder_of(path)):
            if _fetch(candidate, path):
                kept = _and_kept(_exchange(path, now))
                detail = (
                    f"the database was damaged ({damage}): the backup {candidate.name} took its"
                    f" place{kept}. {AFTER_A_COPY}"
                )
                return Recovery(events.STORE_RESTORED, detail)
        kept = _and_kept(set_aside(path, now))
    except (OSError, sqlite3.Error) as error:
        raise StoreError(f"{path} cannot be used: {error}") from error
    detail = (
        f"the database was damaged ({damage}) and there is no whole backup: a new one was begun{kept}."
        " Stays that are on or due get new PINs now: tell these guests. Delete older codes at the locks"
    )
    return Recovery(events.STORE_LOST, detail)


AFTER_A_COPY = (
    "What was sent to the locks since that copy is not known: every code is asked for anew, and a stay"
    " that got its PIN since may get another: look at the stays that are on"
)


def set_aside(path: Path, now: datetime) -> Path | None:
    """Rename a database and its companions; the new name, None where there was nothing."""
    stamp = f"{now:%Y%m%dT%H%M%SZ}"
    aside = path.with_name(f"{path.name}.{stamp}.aside")
    number = 1
    while aside.exists():
        number += 1
        aside = path.with_name(f"{path.name}.{stamp}-{number}.aside")
    found = path.exists()
    for suffix in ("-wal", "-shm", ""):
        with suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(aside.with_name(aside.name + suffix))
    return aside if found else None


def _and_kept(aside: Path | None) -> str:
    return "" if aside is None else f"; what was there is kept as {aside.name}"


def _new(path: Path) -> Path:
    return path.with_name(path.name + ".new")


def _fetch(candidate: Path, path: Path) -> bool:
    """Copy a backup to beside the database; True if the copy is whole."""
    backup.copy(candidate, _new(path))
    try:
        damage = examine(_new(path))
    except StoreNewerError:
        damage = "of a newer gateway"
    if damage is not None:
        _new(path).unlink()
    return damage is None


def _exchange(path: Path, now: datetime) -> Path | None:
    """Put what was fetched where the database is; what was there is set aside."""
    aside = set_aside(path, now)
    _new(path).replace(path)
    sync_folder(path.parent)
    return aside


def put_back(candidate: Path, path: Path, now: datetime) -> Path | None:
    """Put a person's backup where the database is; what was there is set aside, its name returned.

    Raises:
        StoreError: the backup is not whole, of a newer gateway, or cannot be copied.
    """
    if not candidate.is_file():
        raise StoreError(f"there is no file {candidate}")
    try:
        damage = examine(candidate)
        if damage is not None:
            raise StoreError(f"{candidate} is no whole backup ({damage}): take another one")
        if not _fetch(candidate, path):
            raise StoreError(f"{candidate} could not be copied whole: try again")
        return _exchange(path, now)
    except (OSError, sqlite3.Error) as error:
        raise StoreError(f"{candidate} cannot be restored: {error}") from error
