"""Credentials: what should be on each lock, with the PINs that were minted for it."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime

from gateway.domain.entitlement import Because, Planned, Want, Withdraw
from gateway.domain.model import Window
from gateway.fairness import fairly
from gateway.store.database import Row, Session
from gateway.store.moments import from_text, to_text
from gateway.store.reservations import LIVE
from gateway.store.secretbox import SecretBox

REPLACED = "lock_replaced"  # the reason of a code on hardware that another has taken the place of
NEWEST = f"p.reason IS '{REPLACED}' OR p.known_from IS 'retired', p.id DESC"
"""The order of a credential's codes: what is on the hardware of now before what is not, newest first."""

_ON_LOCK = (
    f"EXISTS (SELECT 1 FROM placements p WHERE p.credential_id = c.id AND p.evidence IN {LIVE})"
)


async def planned(session: Session, since: datetime, now: datetime) -> list[Planned]:
    """The credentials of all stays (but canaries) that end at `since` or later, and those not finished."""
    rows = await session.all(
        "SELECT c.id, c.reservation_id, c.lock, c.unit, c.valid_from, c.valid_until, c.wanted,"
        " c.revoked_at, c.follows, c.id IN (SELECT credential_id FROM placements"
        f" WHERE evidence NOT IN ('revoked', 'rejected') AND evidence IN {LIVE}),"
        " EXISTS (SELECT 1 FROM jobs j WHERE j.id = 'rev-' || c.id)"
        " FROM credentials c JOIN reservations r ON r.id = c.reservation_id"
        " WHERE r.origin <> 'canary' AND c.id IN (SELECT n.id FROM reservations s JOIN credentials n"
        " ON n.reservation_id = s.id WHERE s.check_out_at >= ?"
        " UNION SELECT id FROM credentials WHERE revoked_at IS NULL)",
        (to_text(since),),
    )
    return [_planned(row, now) async for row in fairly(rows)]


def _planned(row: Row, now: datetime) -> Planned:
    id_, stay, lock, unit, start, end, wanted, revoked_at, follows, on_lock, has_rev = row
    window = Window(valid_from=from_text(start), valid_until=from_text(end))
    return Planned(
        id=id_,
        reservation_id=stay,
        lock=lock,
        unit=unit,
        window=window,
        wanted=bool(wanted),
        ended=revoked_at is not None or window.valid_until <= now,
        on_lock=bool(on_lock),
        follows=follows,
        has_rev=bool(has_rev),
    )


def window_of(row: Row) -> Window:
    """The window of a credential's row."""
    return Window(
        valid_from=from_text(row["valid_from"]), valid_until=from_text(row["valid_until"])
    )


async def want(session: Session, wants: Iterable[Want], now: datetime) -> None:
    """Insert credentials, or give those of the same ids this window; a withdrawn one is back."""
    moment = to_text(now)
    await session.execute_many(
        "INSERT INTO credentials (id, reservation_id, lock, unit, valid_from, valid_until, wanted,"
        " follows, created_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, 1, ?7, ?8, ?8)"
        " ON CONFLICT (id) DO UPDATE SET unit = ?4, valid_from = ?5, valid_until = ?6, wanted = 1,"
        " follows = ?7, withdrawn_because = NULL, revoked_at = NULL, reason = NULL, updated_at = ?8",
        [
            (
                one.id,
                one.reservation_id,
                one.lock,
                one.unit,
                to_text(one.window.valid_from),
                to_text(one.window.valid_until),
                one.follows,
                moment,
            )
            async for one in fairly(wants)
        ],
    )


async def withdraw(session: Session, withdrawals: Iterable[Withdraw], now: datetime) -> None:
    """Nothing entitles to these any more. One that moved ends at its `at` at the latest."""
    moment = to_text(now)
    await session.execute_many(
        "UPDATE credentials SET wanted = 0, withdrawn_because = ?2, updated_at = ?3, reason = NULL,"
        " valid_until = CASE WHEN ?2 = 'moved' AND valid_from < ?4 THEN min(valid_until, ?4)"
        " ELSE valid_until END WHERE id = ?1",
        [(one.id, one.because, moment, to_text(one.at)) for one in withdrawals],
    )


async def withdrawals(
    session: Session, reservation_id: str, *, because: Because, now: datetime
) -> list[Withdraw]:
    """What withdrawing every wanted credential of a stay would be."""
    rows = await session.all(
        f"SELECT c.id, c.lock, {_ON_LOCK} AS on_lock FROM credentials c"
        " WHERE c.reservation_id = ? AND c.wanted = 1 AND c.revoked_at IS NULL",
        (reservation_id,),
    )
    return [
        Withdraw(
            id=row["id"], lock=row["lock"], because=because, at=now, on_lock=bool(row["on_lock"])
        )
        for row in rows
    ]


async def orphaned_jobs(session: Session) -> list[str]:
    """Jobs that nothing entitles to: all of a withdrawn credential but the removal of a code."""
    rows = await session.all(
        "SELECT j.id FROM jobs j JOIN credentials c ON c.id = j.credential_id"
        f" WHERE c.wanted = 0 AND (j.kind = 'gen' OR NOT {_ON_LOCK})"
    )
    return [row["id"] for row in rows]


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """A credential that is wanted now or later."""

    id: str
    lock: str
    window: Window
    follows: str | None


async def due(session: Session, reservation_id: str, now: datetime) -> list[Due]:
    """The credentials of a stay that are wanted and not over."""
    rows = await session.all(
        "SELECT * FROM credentials WHERE reservation_id = ? AND wanted = 1 AND revoked_at IS NULL"
        " AND taken_over_by IS NULL AND valid_until > ?",
        (reservation_id, to_text(now)),
    )
    return [
        Due(id=row["id"], lock=row["lock"], window=window_of(row), follows=row["follows"])
        for row in rows
    ]


async def locks_of(session: Session, reservation_id: str) -> set[str]:
    """The locks on which something of a stay is or may be, or is to come."""
    rows = await session.all(
        "SELECT lock FROM credentials WHERE reservation_id = ? AND revoked_at IS NULL",
        (reservation_id,),
    )
    return {row["lock"] for row in rows}


async def heirs(session: Session, reservation_id: str) -> list[str]:
    """The same guest's later stays that have taken over its codes, one from the other."""
    rows = await session.all(
        "WITH RECURSIVE later (id) AS (SELECT taken_over_by FROM credentials"
        "  WHERE reservation_id = ? AND taken_over_by IS NOT NULL"
        "  UNION SELECT c.taken_over_by FROM credentials c JOIN later ON c.id = later.id"
        "  WHERE c.taken_over_by IS NOT NULL)"
        " SELECT DISTINCT c.reservation_id FROM credentials c JOIN later ON c.id = later.id"
        " ORDER BY c.valid_until DESC",
        (reservation_id,),
    )
    return [row["reservation_id"] for row in rows]


async def note_reason(session: Session, credential_id: str, reason: str | None) -> None:
    """Keep what stands in the way of a credential, in words; None: nothing does."""
    await session.execute("UPDATE credentials SET reason = ? WHERE id = ?", (reason, credential_id))


async def confirm(session: Session, credential_id: str, now: datetime) -> None:
    """A lock has confirmed a code of the credential."""
    await session.execute(
        "UPDATE credentials SET confirmed_at = ?, reason = NULL WHERE id = ?",
        (to_text(now), credential_id),
    )


async def reopen(session: Session, credential_id: str) -> None:
    """Something of it is on the lock after all."""
    await session.execute("UPDATE credentials SET revoked_at = NULL WHERE id = ?", (credential_id,))


async def finish(session: Session, credential_id: str, now: datetime) -> None:
    """Nothing of the credential can be on its lock any more."""
    await session.execute(
        "UPDATE credentials SET revoked_at = ?, reason = NULL WHERE id = ? AND revoked_at IS NULL",
        (to_text(now), credential_id),
    )


async def has_lock(session: Session, lock: str) -> bool:
    """Was there ever a credential for a lock of that name?"""
    row = await session.one("SELECT 1 FROM credentials WHERE lock = ? LIMIT 1", (lock,))
    return row is not None


async def abandon(session: Session, lock: str, now: datetime) -> list[str]:
    """A lock has gone for good: nothing of its credentials is to come; their jobs, removed.

    They are withdrawn, so that a lock that bears its name later is asked for them anew.
    """
    rows = await session.all(
        "DELETE FROM jobs WHERE credential_id IN (SELECT id FROM credentials WHERE lock = ?)"
        " RETURNING id",
        (lock,),
    )
    await session.execute(
        "UPDATE credentials SET revoked_at = ?, reason = NULL, wanted = 0,"
        " withdrawn_because = coalesce(withdrawn_because, ?) WHERE lock = ? AND revoked_at IS NULL",
        (to_text(now), Because.UNMAPPED, lock),
    )
    return [row["id"] for row in rows]


async def hand_over(session: Session, credential_id: str, owner_id: str | None) -> None:
    """The code of a credential is that of the same guest's other stay from now on; None: its own."""
    await session.execute(
        "UPDATE credentials SET taken_over_by = ? WHERE id = ?", (owner_id, credential_id)
    )


# --- PINs --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """One door of a stay: its credential and the PIN minted for it."""

    credential_id: str
    lock: str
    follows: str | None
    pin: str | None = field(default=None, repr=False)
    pin_refusals: int = 0
    confirmed: bool = False
    valid_until: datetime
    settled: bool = False  # revoked, or its code goes on as the same guest's next stay's


async def doors(session: Session, box: SecretBox, reservation_id: str) -> list[Door]:
    """The wanted doors of a stay. `confirmed`: its newest code is, with the door's present PIN."""
    rows = await session.all(
        "SELECT c.*, (SELECT p.evidence IN ('confirmed', 'observed') AND p.pin_hash = c.pin_hash"
        f" FROM placements p WHERE p.credential_id = c.id ORDER BY {NEWEST} LIMIT 1) AS confirmed"
        " FROM credentials c WHERE c.reservation_id = ? AND c.wanted = 1 ORDER BY c.id",
        (reservation_id,),
    )
    return [
        Door(
            credential_id=row["id"],
            lock=row["lock"],
            follows=row["follows"],
            pin=pin_of(row, box),
            pin_refusals=row["pin_refusals"],
            confirmed=bool(row["confirmed"]),
            valid_until=from_text(row["valid_until"]),
            settled=row["revoked_at"] is not None or row["taken_over_by"] is not None,
        )
        for row in rows
    ]


def pin_of(row: Row, box: SecretBox) -> str | None:
    """The PIN in a credential's row."""
    return None if row["pin"] is None else box.open(row["pin"], row=f"credential:{row['id']}")


async def pin(session: Session, box: SecretBox, credential_id: str) -> str | None:
    """The PIN of a credential, None before it is minted or after it was erased."""
    row = await session.one("SELECT id, pin FROM credentials WHERE id = ?", (credential_id,))
    return None if row is None else pin_of(row, box)


async def heritage(session: Session, box: SecretBox, credential_id: str) -> str | None:
    """The PIN that the same guest's next stay may go on with; none that a person has revoked."""
    row = await session.one(
        "SELECT id, pin FROM credentials WHERE id = ? AND withdrawn_because IS NOT 'person'",
        (credential_id,),
    )
    return None if row is None else pin_of(row, box)


async def last_pin(session: Session, box: SecretBox, reservation_id: str) -> str | None:
    """The PIN that a stay had last on any door, None if it never had one or it was erased."""
    row = await session.one(
        "SELECT id, pin FROM credentials WHERE reservation_id = ? AND pin IS NOT NULL"
        " ORDER BY updated_at DESC, id LIMIT 1",
        (reservation_id,),
    )
    return None if row is None else pin_of(row, box)


async def forget_refusals(session: Session, reservation_id: str) -> None:
    """Another PIN may be tried as often as the first."""
    await session.execute(
        "UPDATE credentials SET pin_refusals = 0, reason = NULL WHERE reservation_id = ?",
        (reservation_id,),
    )


async def forget_inherited(session: Session, reservation_id: str) -> None:
    """The same guest's later stays, as far as no lock has their PIN yet, get theirs anew."""
    await session.execute(
        "WITH RECURSIVE later (id) AS (SELECT c.id FROM credentials c JOIN credentials f"
        "  ON f.id = c.follows WHERE f.reservation_id = ?"
        "  UNION SELECT c.id FROM credentials c JOIN later ON c.follows = later.id)"
        " UPDATE credentials SET pin = NULL, pin_hash = NULL WHERE id IN later"
        " AND NOT EXISTS (SELECT 1 FROM placements p WHERE p.credential_id = credentials.id)",
        (reservation_id,),
    )


async def stays_of_guest(session: Session, reservation_id: str) -> set[str]:
    """The stay and those of the same guest before and after it that may share its PIN."""
    rows = await session.all(
        "WITH RECURSIVE chain (id, follows) AS (SELECT id, follows FROM credentials"
        " WHERE reservation_id = ? UNION SELECT c.id, c.follows FROM credentials c"
        " JOIN chain ON c.follows = chain.id OR c.id = chain.follows)"
        " SELECT DISTINCT reservation_id FROM credentials WHERE id IN (SELECT id FROM chain)",
        (reservation_id,),
    )
    return {reservation_id} | {row["reservation_id"] for row in rows}


async def set_pin(session: Session, box: SecretBox, credential_id: str, value: str) -> None:
    """Give a credential its PIN."""
    await session.execute(
        "UPDATE credentials SET pin = ?, pin_hash = ? WHERE id = ?",
        (box.seal(value, row=f"credential:{credential_id}"), box.hash(value), credential_id),
    )


async def share_pins(session: Session, box: SecretBox, reservation_id: str) -> None:
    """The same guest's stays whose codes this one has taken over get the PINs that it has."""
    rows = await session.all(
        "WITH RECURSIVE heir (id, of) AS (SELECT id, id FROM credentials WHERE reservation_id = ?"
        " UNION SELECT c.id, heir.of FROM credentials c JOIN heir ON c.taken_over_by = heir.id)"
        " SELECT id, of FROM heir WHERE id <> of",
        (reservation_id,),
    )
    for row in rows:
        value = await pin(session, box, row["of"])
        if value is not None:
            await set_pin(session, box, row["id"], value)


async def forget_pin(session: Session, credential_id: str) -> None:
    """The PIN is lost: another one will be minted."""
    await session.execute(
        "UPDATE credentials SET pin = NULL, pin_hash = NULL WHERE id = ?", (credential_id,)
    )


async def count_refusal(session: Session, credential_id: str) -> None:
    """A lock refused the PIN itself."""
    await session.execute(
        "UPDATE credentials SET pin_refusals = pin_refusals + 1 WHERE id = ?", (credential_id,)
    )


async def live_pins(
    session: Session, box: SecretBox, locks: Iterable[str], *, except_stays: Iterable[str]
) -> set[str]:
    """The PINs that are or may be on these locks, or are promised for them, of other stays."""
    found: set[str] = set()
    others = tuple(except_stays)
    marks = ", ".join("?" * len(others))
    for lock in locks:
        rows = await session.all(
            "SELECT c.id, c.pin FROM credentials c WHERE c.lock = ? AND c.pin IS NOT NULL"
            f" AND (c.wanted = 1 AND c.revoked_at IS NULL OR {_ON_LOCK})"
            f" AND c.reservation_id NOT IN ({marks})",
            (lock, *others),
        )
        found |= {box.open(row["pin"], row=f"credential:{row['id']}") for row in rows}
        rows = await session.all(
            "SELECT p.credential_id, p.pin FROM placements p"
            " JOIN credentials c ON c.id = p.credential_id"
            f" WHERE p.lock = ? AND p.pin IS NOT NULL AND p.evidence IN {LIVE}"
            f" AND c.reservation_id NOT IN ({marks})",
            (lock, *others),
        )
        found |= {box.open(row["pin"], row=f"placement:{row['credential_id']}") for row in rows}
    return found


async def recent_hashes(session: Session, locks: Iterable[str], since: datetime) -> set[bytes]:
    """The hashes of the PINs that were sent to these locks at `since` or later."""
    found: set[bytes] = set()
    for lock in locks:
        rows = await session.all(
            "SELECT pin_hash FROM placements WHERE lock = ?"
            f" AND (sent_at >= ? OR revoked_at >= ? OR evidence IN {LIVE})",
            (lock, to_text(since), to_text(since)),
        )
        found |= {row["pin_hash"] for row in rows}
    return found


async def stay_dates(session: Session, reservation_id: str) -> tuple[date, ...]:
    """The wall clock dates of a stay."""
    row = await session.one(
        "SELECT check_in_date, check_out_date FROM reservations WHERE id = ?", (reservation_id,)
    )
    if row is None:
        return ()
    return date.fromisoformat(row["check_in_date"]), date.fromisoformat(row["check_out_date"])
