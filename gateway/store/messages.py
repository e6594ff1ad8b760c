"""What is to be sent to people: committed before it leaves, and what came of it."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from gateway.domain.messages import DoorPin, StayToTell
from gateway.domain.model import Origin
from gateway.store import meta
from gateway.store.credentials import NEWEST, pin_of
from gateway.store.moments import from_text, to_text
from gateway.store.secretbox import SecretBox
from gateway.store.session import Row, Session

GUEST = "guest"  # the channel to the guest; others are keyed hashes
LONGEST_PAUSE = 3600.0  # seconds between two attempts
_SINCE = "messages_since"
_WENT_STATES = ("sending", "sent", "interrupted")  # a person may have it
_WENT = str(_WENT_STATES)
_OPEN = "('waiting', 'sending')"


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One row. `reservation_id` of a guest's PIN, `notice` (JSON) of anything else."""

    id: int
    key: str
    channel: str
    reservation_id: str | None
    notice: str | None
    attempts: int
    created_at: datetime


def _message(row: Row) -> Message:
    return Message(
        id=row["id"],
        key=row["key"],
        channel=row["channel"],
        reservation_id=row["reservation_id"],
        notice=row["notice"],
        attempts=row["attempts"],
        created_at=from_text(row["created_at"]),
    )


async def put_notice(
    session: Session, channels: Iterable[str], *, key: str, notice: str, now: datetime, most: int
) -> int:
    """Have a notice sent, once per channel and key; how many older ones had to go for it."""
    dropped = 0
    for channel in channels:
        await session.execute(
            "INSERT INTO messages (key, channel, notice, state, next_at, created_at)"
            " VALUES (?1, ?2, ?3, 'waiting', ?4, ?4) ON CONFLICT (key, channel) DO NOTHING",
            (key, channel, notice, to_text(now)),
        )
        dropped += await session.execute(
            "UPDATE messages SET state = 'dropped', ended_at = ?2 WHERE id IN (SELECT id FROM messages"
            " WHERE channel = ?1 AND state = 'waiting' AND notice IS NOT NULL"
            " ORDER BY id DESC LIMIT -1 OFFSET ?3)",
            (channel, to_text(now), most),
        )
    return dropped


async def put_pin(
    session: Session, channels: Iterable[str], stay: StayToTell, now: datetime
) -> None:
    """Have a PIN sent to these channels in place of what waits of the same stay."""
    await session.execute(
        "UPDATE messages SET state = 'dropped', ended_at = ?3"
        " WHERE reservation_id = ?1 AND key <> ?2 AND state = 'waiting'",
        (stay.reservation_id, stay.key, to_text(now)),
    )
    for channel in channels:
        await session.execute(
            "INSERT INTO messages (key, channel, reservation_id, state, next_at, created_at)"
            " VALUES (?1, ?2, ?3, 'waiting', ?4, ?4) ON CONFLICT (key, channel) DO UPDATE SET"
            " state = 'waiting', attempts = 0, next_at = ?4, created_at = ?4, ended_at = NULL"
            " WHERE state = 'dropped'",
            (stay.key, channel, stay.reservation_id, to_text(now)),
        )


async def missing(session: Session, key: str, channels: Iterable[str]) -> list[str]:
    """The channels to which a key is still to be put.

    Of the host's one is enough that has it, so that another URL does not tell a host all again.
    """
    rows = await session.all(
        "SELECT channel, state FROM messages WHERE key = ? AND state <> 'dropped'", (key,)
    )
    known = {row["channel"] for row in rows}
    host_has = any(row["channel"] != GUEST and row["state"] in _WENT_STATES for row in rows)
    return [one for one in channels if one not in known and not (host_has and one != GUEST)]


async def code_of(session: Session, reservation_id: str) -> str:
    """The short id of a stay."""
    row = await session.one("SELECT code FROM reservations WHERE id = ?", (reservation_id,))
    return reservation_id if row is None else str(row["code"])


async def next_due(session: Session, channel: str) -> tuple[Message, datetime] | None:
    """The next message of a channel and when it may go."""
    row = await session.one(
        "SELECT * FROM messages WHERE channel = ? AND state = 'waiting' ORDER BY next_at, id LIMIT 1",
        (channel,),
    )
    return None if row is None else (_message(row), from_text(row["next_at"]))


async def begin(session: Session, message_id: int) -> bool:
    """Record that it is about to leave; False if it no longer waits."""
    changed = await session.execute(
        "UPDATE messages SET state = 'sending', attempts = attempts + 1"
        " WHERE id = ? AND state = 'waiting'",
        (message_id,),
    )
    return changed > 0


async def end(session: Session, message_id: int, state: str, now: datetime) -> None:
    """It is `sent`, `failed`, `interrupted` or `dropped`."""
    await session.execute(
        "UPDATE messages SET state = ?, ended_at = ? WHERE id = ?",
        (state, to_text(now), message_id),
    )


async def again(session: Session, message_id: int, at: datetime) -> None:
    """It failed and is tried again."""
    await session.execute(
        "UPDATE messages SET state = 'waiting', next_at = ? WHERE id = ?", (to_text(at), message_id)
    )


async def recover(session: Session, channels: Iterable[str], now: datetime) -> list[Message]:
    """At start: a notice that was leaving is sent again; a PIN is not, and returned.

    What waits for a channel that is configured no longer is dropped.
    """
    await session.execute(
        "UPDATE messages SET state = 'waiting' WHERE state = 'sending' AND notice IS NOT NULL"
    )
    rows = await session.all(
        "UPDATE messages SET state = 'interrupted', ended_at = ? WHERE state = 'sending' RETURNING *",
        (to_text(now),),
    )
    known = list(channels)
    marks = ", ".join("?" * len(known))
    await session.execute(
        "UPDATE messages SET state = 'dropped', ended_at = ? WHERE state = 'waiting'"
        f" AND channel NOT IN ({marks})",
        (to_text(now), *known),
    )
    return [_message(row) for row in rows]


async def prune(session: Session, before: datetime) -> None:
    """Forget what ended before the moment; a PIN's is kept until its stay has ended too."""
    await session.execute(
        f"DELETE FROM messages WHERE state NOT IN {_OPEN} AND ended_at < ?1 AND (reservation_id IS NULL"
        " OR reservation_id IN (SELECT id FROM reservations WHERE check_out_at < ?1))",
        (to_text(before),),
    )


# --- guests ------------------------------------------------------------------------------------


async def sending_since(session: Session, *, on: bool, now: datetime) -> datetime:
    """From when on guests' PINs are sent; `on` False: they are not, and it begins anew later."""
    known = await meta.get(session, _SINCE)
    if not on:
        if known is not None:
            await session.execute("DELETE FROM meta WHERE key = ?", (_SINCE,))
        return now
    if known is None:
        await meta.put(session, _SINCE, to_text(now))
        return from_text(to_text(now))
    return from_text(known)


_STAYS = (
    "SELECT r.*, c.lock, c.pin_hash, (SELECT p.evidence IN ('confirmed', 'observed')"
    "  AND p.pin_hash IS c.pin_hash FROM placements p WHERE p.credential_id = c.id"
    f"  ORDER BY {NEWEST} LIMIT 1) AS confirmed"
    " FROM reservations r JOIN credentials c ON c.reservation_id = r.id"
    " WHERE r.origin IN ('stays', 'guest') AND r.unit IS NOT NULL AND r.type IN ('booked', 'contract')"
    " AND r.deleted_at IS NULL AND r.blocked_at IS NULL AND r.held_since IS NULL"
    " AND c.wanted = 1 AND c.revoked_at IS NULL"
)


async def stays_to_tell(session: Session, now: datetime) -> list[StayToTell]:
    """The stays to come or in progress that have a PIN on some door."""
    rows = await session.all(
        f"{_STAYS} AND r.check_out_at > ? AND r.id IN (SELECT reservation_id FROM credentials"
        "  WHERE pin IS NOT NULL AND wanted = 1) ORDER BY r.check_in_at, r.id, c.lock",
        (to_text(now),),
    )
    return await _stays(session, rows)


async def stay_to_tell(session: Session, reservation_id: str) -> StayToTell | None:
    """One of them as it is now, None where it has lost its right to its doors."""
    rows = await session.all(f"{_STAYS} AND r.id = ? ORDER BY c.lock", (reservation_id,))
    found = await _stays(session, rows)
    return found[0] if found else None


async def _stays(session: Session, rows: list[Row]) -> list[StayToTell]:
    by_stay: dict[str, list[Row]] = {}
    for row in rows:
        by_stay.setdefault(row["id"], []).append(row)
    found = []
    for reservation_id, doors in by_stay.items():
        told = await session.all(
            f"SELECT key FROM messages WHERE reservation_id = ? AND state IN {_WENT}"
            " GROUP BY key ORDER BY min(id)",
            (reservation_id,),
        )
        row = doors[0]
        found.append(
            StayToTell(
                reservation_id=reservation_id,
                code=row["code"],
                unit=row["unit"],
                check_in_at=from_text(row["check_in_at"]),
                check_out_at=from_text(row["check_out_at"]),
                guest_read=row["guest_read_at"] is not None,
                doors=tuple(
                    DoorPin(
                        lock=door["lock"],
                        fingerprint=door["pin_hash"],
                        confirmed=bool(door["confirmed"]),
                    )
                    for door in doors
                ),
                told=tuple(one["key"] for one in told),
                phoneless=row["origin"] != Origin.STAYS and row["guest_phone"] is None,
            )
        )
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Personal:
    """What a message to a guest names: never logged."""

    guest: str | None = field(repr=False)
    phone: str | None = field(repr=False)
    pins: dict[str, str] = field(repr=False)  # by lock


async def personal(session: Session, box: SecretBox, reservation_id: str) -> Personal:
    """The guest and the PINs of a stay."""
    row = await session.one("SELECT * FROM reservations WHERE id = ?", (reservation_id,))
    rows = await session.all(
        "SELECT * FROM credentials WHERE reservation_id = ? AND wanted = 1 AND revoked_at IS NULL"
        " AND pin IS NOT NULL ORDER BY lock",
        (reservation_id,),
    )
    return Personal(
        guest=None if row is None else row["guest_name"],
        phone=None if row is None else row["guest_phone"],
        pins={one["lock"]: pin_of(one, box) or "" for one in rows},
    )


def retry_at(message: Message, now: datetime) -> datetime | None:
    """When a message that failed is tried again; None after a day."""
    pause = timedelta(seconds=min(30.0 * 2.0 ** min(message.attempts, 10), LONGEST_PAUSE))
    at = now + pause
    return at if at <= message.created_at + timedelta(days=1) else None
