"""The migrations of the schema: number n takes it from n-1 to n."""

import sqlite3
from collections.abc import Sequence
from importlib import resources

import aiosqlite


def migrations() -> tuple[str, ...]:
    """All migrations in their order."""
    folder = resources.files("gateway.store") / "migrations"
    files = sorted(
        (file for file in folder.iterdir() if file.name.endswith(".sql")),
        key=lambda file: file.name,
    )
    return tuple(file.read_text(encoding="utf-8") for file in files)


async def upgrade(connection: aiosqlite.Connection, scripts: Sequence[str]) -> None:
    """Run those that the database has not seen yet, each whole or not at all.

    Raises:
        sqlite3.Error: one failed; the database is as the one before it left it.
    """
    async with connection.execute("PRAGMA user_version") as cursor:
        row = await cursor.fetchone()
    version = 0 if row is None else int(row[0])
    for number, script in enumerate(scripts[version:], start=version + 1):
        # executescript() commits first, so the transaction has to be inside it.
        try:
            await connection.executescript(
                f"BEGIN IMMEDIATE;\n{script}\nPRAGMA user_version = {number};\nCOMMIT;"
            )
        except sqlite3.Error:
            if connection.in_transaction:
                await connection.rollback()
            raise
