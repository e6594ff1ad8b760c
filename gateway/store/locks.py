"""What the locks push of themselves, and whether they can be reached."""

import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from gateway.domain.model import LockSettings
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


async def forget_reached(session: Session) -> None:
    """Whatever was reached before the start has still to be; what was not stays so."""
    await session.execute("UPDATE lock_status SET reachable = NULL WHERE reachable = 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What a lock told of itself; None: not part of what it said."""

    battery_percent: int | None = None
    battery_state: str | None = None
    alarm: str | None = None
    door: str | None = None
    hijacked: bool = False
    doorbell: bool = False


async def record_status(session: Session, lock: str, heard: Heard, now: datetime) -> None:
    """Keep what a lock told of itself."""
    await session.execute(
        "INSERT INTO lock_status (lock, last_seen_at, battery_percent, battery_state, alarm, door,"
        " hijacked_at, doorbell_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, iif(?7, ?2, NULL), iif(?8, ?2, NULL))"
        " ON CONFLICT (lock) DO UPDATE SET last_seen_at = ?2,"
        " battery_percent = coalesce(?3, battery_percent),"
        " battery_state = coalesce(?4, battery_state), alarm = coalesce(?5, alarm),"
        " door = coalesce(?6, door), hijacked_at = iif(?7, ?2, hijacked_at),"
        " doorbell_at = iif(?8, ?2, doorbell_at)",
        (
            lock,
            to_text(now),
            heard.battery_percent,
            heard.battery_state,
            heard.alarm,
            heard.door,
            int(heard.hijacked),
            int(heard.doorbell),
        ),
    )


async def record_foreign_report(session: Session, lock: str, now: datetime) -> None:
    """Somebody else's write was reported."""
    await session.execute(
        "INSERT INTO lock_status (lock, foreign_report_at) VALUES (?1, ?2)"
        " ON CONFLICT (lock) DO UPDATE SET foreign_report_at = ?2",
        (lock, to_text(now)),
    )


async def record_opening(session: Session, lock: str, now: datetime) -> None:
    """Somebody opened it with a PIN, ours or not."""
    await session.execute(
        "INSERT INTO lock_status (lock, last_seen_at, opened_at) VALUES (?1, ?2, ?2)"
        " ON CONFLICT (lock) DO UPDATE SET last_seen_at = ?2, opened_at = ?2",
        (lock, to_text(now)),
    )


async def record_skew(session: Session, lock: str, seconds: int) -> None:
    """How far its clock is ahead of ours."""
    await session.execute(
        "INSERT INTO lock_status (lock, clock_skew) VALUES (?1, ?2)"
        " ON CONFLICT (lock) DO UPDATE SET clock_skew = ?2",
        (lock, seconds),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LastList:
    """What the lock's list before showed of this very hardware."""

    proven: bool = False
    foreign: frozenset[int] | None = None


async def last_list(session: Session, settings: LockSettings) -> LastList:
    """The last list of a lock; an empty one where it is other hardware by now."""
    row = await session.one("SELECT * FROM lock_status WHERE lock = ?", (settings.name,))
    if row is None or row["listed_device"] != _hardware(settings):
        return LastList()
    foreign = row["foreign_slots"]
    return LastList(
        proven=bool(row["list_proven"]),
        foreign=None if foreign is None else frozenset(json.loads(foreign)),
    )


async def record_list(
    session: Session,
    settings: LockSettings,
    *,
    proven: bool,
    foreign: Collection[int] | None,
    strays: int,
    now: datetime,
) -> None:
    """Keep what a list showed; `foreign` None: whose the codes are is not known."""
    await session.execute(
        "INSERT INTO lock_status (lock, listed_at, listed_device, list_proven, foreign_slots, stray_codes)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (lock) DO UPDATE SET listed_at = ?2,"
        " listed_device = ?3, list_proven = ?4, foreign_slots = ?5, stray_codes = ?6",
        (
            settings.name,
            to_text(now),
            _hardware(settings),
            int(proven),
            None if foreign is None else json.dumps(sorted(foreign)),
            strays,
        ),
    )


async def note_foreign(session: Session, settings: LockSettings, slot: int) -> None:
    """Somebody else was seen to add a code."""
    last = await last_list(session, settings)
    if last.foreign is not None:
        await session.execute(
            "UPDATE lock_status SET foreign_slots = ? WHERE lock = ?",
            (json.dumps(sorted(last.foreign | {slot})), settings.name),
        )


def _hardware(settings: LockSettings) -> str:
    return f"{settings.device_id} {settings.node_id or ''}"
