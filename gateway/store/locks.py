"""What the locks push of themselves, and whether they can be reached."""

from datetime import datetime

from gateway.store.database import Session
from gateway.store.moments import to_text


async def set_reachable(
    session: Session, lock: str, *, reachable: bool, reason: str | None, now: datetime
) -> None:
    """Record a change of reachability; `since` stays where nothing changed."""
    moment = to_text(now)
    await session.execute(
        "INSERT INTO lock_status (lock, reachable, since, last_seen_at, reason) VALUES (?1, ?2, ?3,"
        " CASE WHEN ?2 THEN ?3 END, ?4)"
        " ON CONFLICT (lock) DO UPDATE SET"
        " since = CASE WHEN reachable IS ?2 THEN since ELSE ?3 END,"
        " reachable = ?2, reason = ?4,"
        " last_seen_at = CASE WHEN ?2 THEN ?3 ELSE last_seen_at END",
        (lock, int(reachable), moment, reason),
    )


async def record_status(
    session: Session,
    lock: str,
    *,
    battery_percent: int | None,
    battery_state: str | None,
    alarm: str | None,
    now: datetime,
) -> None:
    """Keep what a lock told of itself; None leaves what was known."""
    await session.execute(
        "INSERT INTO lock_status (lock, last_seen_at, battery_percent, battery_state, alarm)"
        " VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (lock) DO UPDATE SET last_seen_at = ?2,"
        " battery_percent = coalesce(?3, battery_percent),"
        " battery_state = coalesce(?4, battery_state), alarm = coalesce(?5, alarm)",
        (lock, to_text(now), battery_percent, battery_state, alarm),
    )
