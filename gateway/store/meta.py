"""Single facts about the database itself."""

from gateway.store.database import Session


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
