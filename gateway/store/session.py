"""What the body of a transaction works with."""

import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiosqlite

from gateway.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

Row = aiosqlite.Row
Parameters = Sequence[Any]


class Session:
    """What a transaction or a read may do. Valid only inside the body it was handed to.

    `generation`: what the counter has risen to in this transaction; see gateway.store.generation.
    """

    def __init__(self, connection: aiosqlite.Connection) -> None:
        self._connection = connection
        self.generation: int | None = None

    def take_generation(self) -> int | None:
        """What the counter has risen to, and forget it."""
        number, self.generation = self.generation, None
        return number

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
