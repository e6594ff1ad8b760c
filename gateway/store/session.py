"""What the body of a transaction or of a read works with."""

import re
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import aiosqlite

from gateway.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

Row = aiosqlite.Row
Parameters = Sequence[Any]
T = TypeVar("T")
P = TypeVar("P")

BESIDE_THE_DOORS = (
    *("meta", "reconciliation_logs", "audit_log", "lock_status", "alerts", "messages"),
)
"""The tables that decide nothing of who should have a PIN where."""

_BESIDE = re.compile(rf"(?:INSERT INTO|UPDATE|DELETE FROM) (?:{'|'.join(BESIDE_THE_DOORS)})\b")


class Changes:
    """How often one connection has changed rows, but for those beside the doors."""

    def __init__(self) -> None:
        self.number = 0
        self._rows = 0  # since the connection was opened, by SQLite's own count

    def count(self, sql: str, rows: int) -> None:
        """After each statement: what is not known to be beside the doors counts."""
        if rows != self._rows:
            self._rows = rows
            self.number += _BESIDE.match(sql) is None


class ReadSession(ABC):
    """What a read may do. Valid only inside the body it was handed to."""

    @abstractmethod
    async def all(self, sql: str, parameters: Parameters = ()) -> list[Row]:
        """Every row of a query."""

    @abstractmethod
    async def one(self, sql: str, parameters: Parameters = ()) -> Row | None:
        """The first row of a query, None without one."""

    @abstractmethod
    async def state(self) -> tuple[int, int]:
        """What is another after every change of any row, whoever made it."""


class Session(ReadSession):
    """What a transaction may do.

    `generation`: what the counter has risen to in this transaction; see gateway.store.generation.
    """

    def __init__(
        self,
        connection: aiosqlite.Connection,
        changes: Changes | None = None,
        *,
        in_place: bool = False,
    ) -> None:
        """`changes`: the connection's, where more than one session works with it.

        `in_place`: statements run at once where they are called, not in the connection's thread.
        """
        self._connection = connection
        self._changes = changes or Changes()
        self._in_place = in_place
        self.generation: int | None = None

    async def version(self) -> tuple[int, int]:
        """What is another after every change of a row that may matter to a door, whoever made it."""
        return self._changes.number, await data_version(self)

    async def state(self) -> tuple[int, int]:
        """See `ReadSession.state`."""
        return sqlite_of(self._connection).total_changes, await data_version(self)

    def taken_back(self) -> None:
        """A transaction was rolled back: what was seen inside it holds no more."""
        self._changes.number += 1

    def take_generation(self) -> int | None:
        """What the counter has risen to, and forget it."""
        number, self.generation = self.generation, None
        return number

    async def _run(
        self, function: Callable[[sqlite3.Connection, str, P], T], sql: str, parameters: P
    ) -> T:
        sqlite = sqlite_of(self._connection)
        try:
            if self._in_place:
                return function(sqlite, sql, parameters)
            # One trip to the thread, where aiosqlite's own methods make one for each step of a cursor.
            trip = self._connection._execute(partial(function, sqlite), sql, parameters)  # type: ignore[no-untyped-call]  # noqa: SLF001 - aiosqlite has no types for it
            result: T = await trip
            return result
        finally:
            self._changes.count(sql, sqlite.total_changes)

    async def execute(self, sql: str, parameters: Parameters = ()) -> int:
        """Run one statement; the number of rows it changed."""
        return await self._run(_changed, sql, parameters)

    async def insert(self, sql: str, parameters: Parameters = ()) -> int:
        """Run one INSERT; the new row's id."""
        row_id = await self._run(_inserted, sql, parameters)
        if row_id is None:
            raise StoreError(f"no row id from {sql.split('(', maxsplit=1)[0].strip()}")
        return row_id

    async def execute_many(self, sql: str, rows: Collection[Parameters]) -> None:
        """Run one statement for each row of parameters; without any, nothing is asked of SQLite."""
        if rows:
            await self._run(_executed_many, sql, rows)

    @asynccontextmanager
    async def savepoint(self) -> "AsyncIterator[None]":
        """A part of the transaction that is kept whole or taken back alone.

        Raises:
            StoreError: the database refused a part of it; the part is taken back.
        """
        await self.execute("SAVEPOINT part")
        try:
            yield
        except sqlite3.Error as error:
            await self.execute("ROLLBACK TO part")
            raise StoreError(f"the database refused a write: {error}") from error
        finally:
            if self._connection.in_transaction:
                await self.execute("RELEASE part")

    async def all(self, sql: str, parameters: Parameters = ()) -> list[Row]:
        """See `ReadSession.all`."""
        return await self._run(_every, sql, parameters)

    async def one(self, sql: str, parameters: Parameters = ()) -> Row | None:
        """See `ReadSession.one`."""
        return await self._run(_first, sql, parameters)


async def data_version(session: ReadSession) -> int:
    """What rises with all that other connections commit."""
    row = await session.one("PRAGMA data_version")
    return 0 if row is None else int(row[0])


def at_once(body: Awaitable[T]) -> T:
    """The outcome of the body of a transaction or read that awaits nothing but its session.

    Raises:
        RuntimeError: it waits for something else.
    """
    steps = body.__await__()
    try:
        next(steps)
    except StopIteration as end:
        outcome: T = end.value
        return outcome
    steps.close()
    raise RuntimeError("it waits for something else: a body awaits nothing but its session")


def sqlite_of(connection: aiosqlite.Connection) -> sqlite3.Connection:
    """The connection that aiosqlite drives.

    Raises:
        StoreError: it is closed.
    """
    try:
        return connection._conn  # noqa: SLF001 - there is no other way to it
    except ValueError as error:
        raise StoreError("the database is closed") from error


def _changed(sqlite: sqlite3.Connection, sql: str, parameters: Parameters) -> int:
    return sqlite.execute(sql, parameters).rowcount


def _inserted(sqlite: sqlite3.Connection, sql: str, parameters: Parameters) -> int | None:
    return sqlite.execute(sql, parameters).lastrowid


def _executed_many(sqlite: sqlite3.Connection, sql: str, rows: Iterable[Parameters]) -> None:
    sqlite.executemany(sql, rows)


def _every(sqlite: sqlite3.Connection, sql: str, parameters: Parameters) -> list[Row]:
    return sqlite.execute(sql, parameters).fetchall()


def _first(sqlite: sqlite3.Connection, sql: str, parameters: Parameters) -> Row | None:
    row: Row | None = sqlite.execute(sql, parameters).fetchone()
    return row
