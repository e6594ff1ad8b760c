"""The one connection to SQLite: exclusive transactions that cancellation cannot tear."""

import asyncio
import fcntl
import os
import sqlite3
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TextIO, TypeVar

import aiosqlite

from gateway.errors import StoreBusyError, StoreError, StoreNewerError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

T = TypeVar("T")
Row = aiosqlite.Row
Parameters = Sequence[Any]

SQLITE_VERSION = sqlite3.sqlite_version

_PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA busy_timeout = 2000",
    "PRAGMA wal_autocheckpoint = 250",
    "PRAGMA journal_size_limit = 1048576",
    "PRAGMA trusted_schema = OFF",
    "PRAGMA cell_size_check = ON",
)


class Session:
    """What a transaction or a read may do. Valid only inside the body it was handed to."""

    def __init__(self, connection: aiosqlite.Connection) -> None:
        self._connection = connection

    async def execute(self, sql: str, parameters: Parameters = ()) -> int:
        """Run one statement; the number of rows it changed."""
        async with self._connection.execute(sql, parameters) as cursor:
            return cursor.rowcount

    async def insert(self, sql: str, parameters: Parameters = ()) -> int:
        """Run one INSERT; the new row's id."""
        async with self._connection.execute(sql, parameters) as cursor:
            if cursor.lastrowid is None:
                raise StoreError(f"no row id from {sql.split('(', maxsplit=1)[0].strip()}")
            return cursor.lastrowid

    async def execute_many(self, sql: str, rows: Iterable[Parameters]) -> None:
        """Run one statement for each row of parameters."""
        await self._connection.executemany(sql, rows)

    @asynccontextmanager
    async def savepoint(self) -> "AsyncIterator[None]":
        """A part of the transaction that is kept whole or taken back alone.

        Raises:
            StoreError: the database refused a part of it; the part is taken back.
        """
        await self._connection.execute("SAVEPOINT part")
        try:
            yield
        except sqlite3.Error as error:
            await self._connection.execute("ROLLBACK TO part")
            raise StoreError(f"the database refused a write: {error}") from error
        finally:
            if self._connection.in_transaction:
                await self._connection.execute("RELEASE part")

    async def all(self, sql: str, parameters: Parameters = ()) -> list[Row]:
        """Every row of a query."""
        return list(await self._connection.execute_fetchall(sql, parameters))

    async def one(self, sql: str, parameters: Parameters = ()) -> Row | None:
        """The first row of a query, None without one."""
        async with self._connection.execute(sql, parameters) as cursor:
            return await cursor.fetchone()


class Database:
    """The only connection to the database file; a second process is refused."""

    def __init__(self, connection: aiosqlite.Connection, lock_file: TextIO | None) -> None:
        self._connection = connection
        self._lock_file = lock_file
        self._exclusive = asyncio.Lock()
        self._session = Session(connection)

    @classmethod
    @asynccontextmanager
    async def open(cls, path: Path) -> "AsyncIterator[Self]":
        """Open and migrate the database at `path`, created when absent; closed on the way out.

        Raises:
            StoreBusyError: another process holds it.
            StoreNewerError: a newer gateway wrote it.
            StoreError: the file cannot be opened, read or written.
        """
        lock_file = _hold(path)
        try:
            connection = await aiosqlite.connect(path, isolation_level=None)
        except (OSError, sqlite3.Error) as error:
            lock_file.close()
            raise StoreError(f"{path} cannot be opened: {error}") from error
        database = cls(connection, lock_file)
        try:
            await database._prepare(path)
            yield database
        finally:
            # aiosqlite's thread is no daemon: left open it keeps the process alive.
            await asyncio.shield(connection.close())
            lock_file.close()

    async def _prepare(self, path: Path) -> None:
        try:
            self._connection.row_factory = aiosqlite.Row
            for pragma in _PRAGMAS:
                await self._connection.execute(pragma)
            await self._migrate(path)
        except (OSError, sqlite3.Error) as error:
            raise StoreError(f"{path} cannot be used: {error}") from error

    async def _migrate(self, path: Path) -> None:
        migrations = _migrations()
        row = await self._session.one("PRAGMA user_version")
        version = int(row[0]) if row is not None else 0
        if version > len(migrations):
            raise StoreNewerError(
                f"{path} was written by a newer gateway (schema {version}, this one knows"
                f" {len(migrations)}): install that version again, or restore a backup"
            )
        for number, script in enumerate(migrations[version:], start=version + 1):
            # executescript() commits first, so the transaction has to be inside it.
            try:
                await self._connection.executescript(
                    f"BEGIN IMMEDIATE;\n{script}\nPRAGMA user_version = {number};\nCOMMIT;"
                )
            except sqlite3.Error:
                if self._connection.in_transaction:
                    await self._connection.rollback()
                raise

    async def transaction(self, body: Callable[[Session], Awaitable[T]]) -> T:
        """Run `body` in one exclusive transaction: all of it is committed, or nothing.

        A caller cancelled meanwhile is cancelled only once the transaction has ended; its outcome
        is then unknown to that caller. `body` awaits nothing but its session.

        Raises:
            StoreError: the database refused; nothing of the body was kept.
        """
        return await self._uncancelled(self._transact(body))

    async def read(self, body: Callable[[Session], Awaitable[T]]) -> T:
        """Run `body`, which only reads, between transactions.

        Raises:
            StoreError: the database refused.
        """
        return await self._uncancelled(self._read(body))

    async def _transact(self, body: Callable[[Session], Awaitable[T]]) -> T:
        async with self._exclusive:
            try:
                await self._connection.execute("BEGIN IMMEDIATE")
                result = await body(self._session)
                await self._connection.execute("COMMIT")
            except sqlite3.Error as error:
                await self._roll_back()
                raise StoreError(f"the database refused a write: {error}") from error
            except BaseException:
                await self._roll_back()
                raise
            return result

    async def _roll_back(self) -> None:
        # SQLITE_FULL and its like roll back by themselves; a second ROLLBACK would hide them.
        if self._connection.in_transaction:
            await self._connection.execute("ROLLBACK")

    async def _read(self, body: Callable[[Session], Awaitable[T]]) -> T:
        async with self._exclusive:
            try:
                return await body(self._session)
            except sqlite3.Error as error:
                raise StoreError(f"the database refused a read: {error}") from error

    async def _uncancelled(self, work: Awaitable[T]) -> T:
        """Wait for `work` to its end whatever happens, then pass a cancellation on."""
        task = asyncio.ensure_future(work)  # noqa: TID251 - awaited to its end right here
        cancelled: asyncio.CancelledError | None = None
        while not task.done():
            try:
                await asyncio.shield(task)
            except asyncio.CancelledError as error:
                cancelled = error
            except BaseException:  # noqa: BLE001, S110 - taken from the task below
                pass
        if cancelled is not None:
            task.exception()  # retrieved: the caller that would have seen it has gone
            raise cancelled
        return task.result()


def _hold(path: Path) -> TextIO:
    """Hold the database for this process.

    Raises:
        StoreBusyError: another process holds it.
        StoreError: the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        os.close(
            os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        )  # SQLite would make it readable to others
    except OSError as error:
        raise StoreError(f"{path.parent} cannot be written: {error}") from error
    lock_file = os.fdopen(descriptor, "w")
    try:
        fcntl.flock(lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock_file.close()
        raise StoreBusyError(
            f"{path} is in use by another gateway: stop that one first (systemctl stop gateway)"
        ) from error
    return lock_file


def _migrations() -> tuple[str, ...]:
    """The migrations in order; number n takes the schema from n-1 to n."""
    folder = resources.files("gateway.store") / "migrations"
    files = sorted(
        (file for file in folder.iterdir() if file.name.endswith(".sql")),
        key=lambda file: file.name,
    )
    return tuple(file.read_text(encoding="utf-8") for file in files)
