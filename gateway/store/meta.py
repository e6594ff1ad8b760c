"""Single facts about the database itself."""

from gateway.store.session import Session


async def get(session: Session, key: str) -> str | None:
    """The value kept under `key`, None without one."""
    row = await session.one("SELECT value FROM meta WHERE key = ?", (key,))
    return None if row is None else str(row["value"])


async def put(session: Session, key: str, value: str) -> None:
    """Keep `value` under `key`."""
    await session.execute(
        "INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        (key, value),
    )


async def drop(session: Session, key: str) -> None:
    """Forget what is kept under `key`."""
    await session.execute("DELETE FROM meta WHERE key = ?", (key,))
