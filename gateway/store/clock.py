"""The newest trusted time, and mending what was written while the clock was ahead."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from gateway.store import meta
from gateway.store.database import Session
from gateway.store.moments import from_text_or_none, to_text

_MARK, _BOOT = "clock.mark", "clock.boot"
_PAST = {  # moments that have passed when they are written
    "credentials": ("confirmed_at", "revoked_at"),
    "placements": ("sent_at", "operation_at", "confirmed_at", "revoked_at"),
    "reservations": ("deleted_at", "held_since"),
    "reconciliation_logs": ("started_at", "completed_at"),
    "lock_status": ("since", "last_seen_at"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """The newest trusted time, with the boot in which it was written.

    Attributes:
        boot_id: None where it is not known.
        offset: seconds by which that time was ahead of the machine's monotonic clock.
    """

    at: datetime
    boot_id: str | None = None
    offset: float = 0.0


async def mark(session: Session) -> Mark | None:
    """The newest trusted time, None in a new store."""
    at = from_text_or_none(await meta.get(session, _MARK))
    if at is None:
        return None
    boot_id, _, offset = (await meta.get(session, _BOOT) or "").partition(" ")
    return Mark(at=at, boot_id=boot_id or None, offset=float(offset or 0))


async def put_mark(session: Session, value: Mark) -> None:
    """Keep the newest trusted time."""
    await meta.put(session, _MARK, to_text(value.at))
    boot = "" if value.boot_id is None else f"{value.boot_id} {value.offset:.3f}"
    await meta.put(session, _BOOT, boot)


async def mend(session: Session, now: datetime, longest_pause: timedelta) -> None:
    """Take back what was concluded from a time ahead of `now`: it has not come yet.

    Stays that were called over get their PIN back, what was to wait for a later time waits no
    longer, and moments in the future become `now`.
    """
    moment, latest = to_text(now), to_text(now + longest_pause)
    reopened = [
        row["id"]
        for row in await session.all(
            "SELECT id FROM credentials WHERE wanted = 1 AND revoked_at > ?1 AND valid_until > ?1",
            (moment,),
        )
    ]
    await session.execute_many(
        "UPDATE credentials SET revoked_at = NULL WHERE id = ?", [(one,) for one in reopened]
    )
    # The lock was said to have ended these by itself; nobody asked it.
    await session.execute(
        "UPDATE placements SET evidence = 'unknown', revoked_at = NULL, known_from = NULL"
        " WHERE known_from = 'expired on lock' AND revoked_at > ?1 AND written_until > ?1",
        (moment,),
    )
    await session.execute(
        "UPDATE reservations SET over_at_first_sight = 0"
        " WHERE over_at_first_sight = 1 AND first_seen_at > ?1 AND check_out_at > ?1",
        (moment,),
    )
    for kind, due in (("gen", "valid_from"), ("rev", "valid_until")):
        await session.execute_many(
            "INSERT INTO jobs (id, kind, credential_id, run_at)"
            f" SELECT ?2 || '-' || id, ?2, id, {due} FROM credentials WHERE id = ?1"
            " ON CONFLICT (id) DO NOTHING",
            [(one, kind) for one in reopened],
        )
        await session.execute(
            "UPDATE jobs SET run_at = c.due FROM"
            f" (SELECT id, {due} AS due FROM credentials WHERE wanted = 1) AS c"
            " WHERE c.id = credential_id AND kind = ?2 AND run_at > max(c.due, ?1)",
            (latest, kind),
        )
    await session.execute(
        "UPDATE jobs SET run_at = ?1 WHERE run_at > ?2 AND (attempts > 0 OR credential_id IN"
        " (SELECT id FROM credentials WHERE wanted = 0 AND withdrawn_because <> 'moved'))",
        (moment, latest),
    )
    for table, columns in _PAST.items():
        for column in columns:
            await session.execute(
                f"UPDATE {table} SET {column} = ?1 WHERE {column} > ?1", (moment,)
            )
