"""A second connection, which only reads: what is committed, without waiting for what is being written."""

import asyncio
import sqlite3
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

from gateway.store.session import Parameters, ReadSession, Row, at_once, data_version

if TYPE_CHECKING:
    from collections.abc import Iterator

T = TypeVar("T")

_PRAGMAS = (
    "PRAGMA busy_timeout = 2000",
    "PRAGMA trusted_schema = OFF",
    "PRAGMA cell_size_check = ON",
    "PRAGMA cache_size = -512",
)


class Snapshots:
    """Whole reads in a thread of their own, one after the other.

    A commit is seen once it is synced. The connection writes nothing, the log's end included: two
    that write or checkpoint are what SQLite before 3.51.3 is not safe with.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._session = _Reading(connection)
        self._thread = ThreadPoolExecutor(1, "snapshots")

    @classmethod
    @contextmanager
    def open(cls, path: Path) -> "Iterator[Self]":
        """Beside the connection that writes, and closed before that one.

        Raises:
            sqlite3.Error: it cannot be opened.
        """
        snapshots = cls(_connect(path))
        try:
            yield snapshots
        finally:
            snapshots._close()

    async def read(self, body: Callable[[ReadSession], Coroutine[Any, Any, T]]) -> T:
        """Run `body` on one state of the database; it awaits nothing but its session.

        Raises:
            sqlite3.Error: the database refused.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._read, body)

    def _read(self, body: Callable[[ReadSession], Coroutine[Any, Any, T]]) -> T:
        self._connection.execute("BEGIN")
        try:
            return at_once(body(self._session))
        finally:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    def _close(self) -> None:
        self._thread.shutdown()  # a read that is under way ends first
        self._connection.close()


class _Reading(ReadSession):
    """Its methods are done when they return."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    async def all(self, sql: str, parameters: Parameters = ()) -> list[Row]:
        """See `ReadSession.all`."""
        return self._connection.execute(sql, parameters).fetchall()

    async def one(self, sql: str, parameters: Parameters = ()) -> Row | None:
        """See `ReadSession.one`."""
        cursor = self._connection.execute(sql, parameters)
        row: Row | None = cursor.fetchone()
        cursor.close()
        return row

    async def state(self) -> tuple[int, int]:
        """See `ReadSession.state`."""
        return 0, await data_version(self)


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=ro",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        connection.row_factory = sqlite3.Row
        for pragma in _PRAGMAS:
            connection.execute(pragma)
    except sqlite3.Error:
        connection.close()
        raise
    return connection
