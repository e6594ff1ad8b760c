"""Placements: every code ever written to a lock, and what is known of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from gateway.domain.jobs import Job
from gateway.domain.model import (
    Addressing,
    Asked,
    CodeAddress,
    Evidence,
    LockSettings,
    Operation,
    Origin,
    WeeklyHours,
    Window,
)
from gateway.domain.plan import Credential, LockState, Placement
from gateway.domain.policy import window_to_write
from gateway.store import generation, weekly
from gateway.store.credentials import NEWEST, REPLACED, window_of
from gateway.store.database import Row, Session
from gateway.store.jobs import job_of
from gateway.store.moments import from_text, from_text_or_none, to_text, to_text_or_none
from gateway.store.reservations import LIVE
from gateway.store.secretbox import SecretBox

# Of a wanted stay that begins after ?2: it has a PIN or a code, or shares them, or is not bound to a time.
_MATTERS = (
    "(c.valid_from <= ?2 OR c.wanted = 0 OR c.pin_hash IS NOT NULL OR r.origin = 'canary'"
    " OR c.taken_over_by IS NOT NULL OR c.id IN (SELECT taken_over_by FROM credentials"
    "  WHERE lock = ?1 AND revoked_at IS NULL AND taken_over_by IS NOT NULL)"
    " OR c.id IN (SELECT credential_id FROM placements"
    "  WHERE lock = ?1 AND evidence NOT IN ('revoked', 'rejected')))"
)


async def lock_state(
    session: Session,
    settings: LockSettings,
    *,
    until: datetime,
    addressing: Addressing,
    can_modify: bool,
    program_ahead: timedelta,
    late_report_time: timedelta,
) -> LockState:
    """All that the plan of one lock needs. Codes on a device that was replaced are left out.

    So are the stays of later that have neither PIN nor code and share none: `until` is a moment up to
    which nothing is due of a window that begins after it. Most of a lock's stays are such.
    """
    rows = await session.all(
        "SELECT c.*, r.origin, r.check_in_at, r.check_out_at, a.weekly FROM credentials c"
        " JOIN reservations r ON r.id = c.reservation_id"
        " LEFT JOIN access a ON a.reservation_id = r.id"
        f" WHERE c.lock = ?1 AND c.revoked_at IS NULL AND {_MATTERS}",
        (settings.name, to_text(until)),
    )
    jobs = await _jobs(session, [row["id"] for row in rows])
    unsettled = await _unsettled_doors(session, [row["reservation_id"] for row in rows])
    placements = await live(session, settings)
    return LockState(
        lock=settings.name,
        addressing=addressing,
        can_modify=can_modify,
        program_ahead=program_ahead,
        late_report_time=late_report_time,
        trusts_window=settings.trust_window,
        credentials=tuple(_credential(row, settings, jobs, unsettled) for row in rows),
        placements=tuple(_placement(row) for row in placements),
    )


async def _jobs(session: Session, credential_ids: Sequence[str]) -> dict[str, Job]:
    marks = ", ".join("?" * len(credential_ids))
    rows = await session.all(f"SELECT * FROM jobs WHERE credential_id IN ({marks})", credential_ids)
    return {row["id"]: job_of(row) for row in rows}


async def _unsettled_doors(
    session: Session, reservation_ids: Sequence[str]
) -> dict[str, list[str | None]]:
    """The due doors of these stays whose newest code is not confirmed.

    By stay: of each when its code was sent, if the lock never answered to that.
    """
    marks = ", ".join("?" * len(reservation_ids))
    rows = await session.all(
        "SELECT o.reservation_id, (SELECT iif(p.evidence IN ('sent', 'unknown'), p.sent_at, NULL)"
        f" FROM placements p WHERE p.credential_id = o.id ORDER BY {NEWEST} LIMIT 1) AS unanswered"
        " FROM credentials o WHERE o.wanted = 1 AND o.revoked_at IS NULL"
        f" AND o.reservation_id IN ({marks})"
        " AND EXISTS (SELECT 1 FROM jobs j WHERE j.id = 'gen-' || o.id)"
        " AND coalesce((SELECT p.evidence NOT IN ('confirmed', 'observed') OR p.pin_hash IS NOT o.pin_hash"
        f" FROM placements p WHERE p.credential_id = o.id ORDER BY {NEWEST} LIMIT 1), 1)",
        reservation_ids,
    )
    found: dict[str, list[str | None]] = {}
    for row in rows:
        found.setdefault(row["reservation_id"], []).append(row["unanswered"])
    return found


def _credential(
    row: Row,
    settings: LockSettings,
    jobs: Mapping[str, Job],
    unsettled: Mapping[str, list[str | None]],
) -> Credential:
    window = window_of(row)
    waits_for = unsettled.get(row["reservation_id"], [])
    # A door in common that gave no answer before the stay moved is none of those it moved to.
    new = [sent for sent in waits_for if sent is None or sent >= row["updated_at"]]
    canary = row["origin"] == Origin.CANARY
    return Credential(
        id=row["id"],
        reservation_id=row["reservation_id"],
        window=window,
        written=window if canary else window_to_write(window, settings.window_mode),
        weekly=weekly.from_text_or_none(row["weekly"]),
        wanted=bool(row["wanted"]),
        lingers=row["withdrawn_because"] == "moved" and bool(new),
        settled_everywhere=not waits_for,
        pin_hash=row["pin_hash"],
        follows=row["follows"],
        taken_over_by=row["taken_over_by"],
        issued_before=row["confirmed_at"] is not None,
        canary=canary,
        check_in_at=from_text(row["check_in_at"]),
        check_out_at=from_text(row["check_out_at"]),
        gen=jobs.get(f"gen-{row['id']}"),
        rev=jobs.get(f"rev-{row['id']}"),
    )


def _placement(row: Row) -> Placement:
    return Placement(
        id=row["id"],
        credential_id=row["credential_id"],
        address=address_of(row),
        pin_hash=row["pin_hash"],
        written=written_window(row),
        weekly=written_hours(row),
        asked=None if row["asked"] is None else Asked(row["asked"]),
        evidence=Evidence(row["evidence"]),
        operation=None if row["operation"] is None else Operation(row["operation"]),
        operation_at=from_text_or_none(row["operation_at"]),
        creates=row["creates"],
        modify_refusals=row["modify_refusals"],
    )


def written_window(row: Row) -> Window | None:
    """The window as it was written to the lock; None: without limits."""
    if row["written_from"] is None or row["written_until"] is None:
        return None
    return Window(
        valid_from=from_text(row["written_from"]), valid_until=from_text(row["written_until"])
    )


def written_hours(row: Row) -> WeeklyHours | None:
    """The hours of the week as they were written to the lock; None: all of them."""
    return weekly.from_text_or_none(row["written_weekly"])


def address_of(row: Row) -> CodeAddress:
    """Where the code of a row is on its lock."""
    return CodeAddress(
        member=row["member"],
        slot=row["slot"],
        sequence=row["sequence"],
        message_id=row["message_id"],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCode:
    """A code about to be sent for the first time."""

    credential_id: str
    settings: LockSettings
    address: CodeAddress
    written: Window | None
    weekly: WeeklyHours | None = None
    pin: str = field(repr=False)


async def insert(session: Session, box: SecretBox, code: NewCode, now: datetime) -> int:
    """Record a code as `sent`, before the first byte leaves; its id."""
    await generation.advance(session)
    written = code.written
    return await session.insert(
        "INSERT INTO placements (credential_id, lock, device_id, node_id, member, slot, sequence,"
        " message_id, pin, pin_hash, written_from, written_until, written_weekly, evidence,"
        " operation, operation_at, sent_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'sent', 'create', ?, ?)",
        (
            code.credential_id,
            code.settings.name,
            code.settings.device_id,
            code.settings.node_id,
            code.address.member,
            code.address.slot,
            code.address.sequence,
            code.address.message_id,
            box.seal(code.pin, row=f"placement:{code.credential_id}"),
            box.hash(code.pin),
            to_text_or_none(written.valid_from if written else None),
            to_text_or_none(written.valid_until if written else None),
            weekly.to_text_or_none(code.weekly),
            to_text(now),
            to_text(now),
        ),
    )


async def get(session: Session, placement_id: int) -> Row | None:
    """The row of one placement."""
    return await session.one("SELECT * FROM placements WHERE id = ?", (placement_id,))


async def live(session: Session, settings: LockSettings) -> list[Row]:
    """The rows of all codes that are or may be on this very hardware."""
    return await session.all(
        # these words let SQLite take the index of live codes, not all that were ever on the lock
        "SELECT * FROM placements WHERE lock = ? AND evidence NOT IN ('revoked', 'rejected')"
        " AND device_id = ? AND node_id IS ? ORDER BY id",
        (settings.name, settings.device_id, settings.node_id),
    )


async def start_operation(
    session: Session,
    placement_id: int,
    operation: Operation,
    *,
    window: Window | None,
    hours: WeeklyHours | None,
    message_id: int | None,
    now: datetime,
) -> None:
    """Record that an operation on a known code is about to be sent."""
    await generation.advance(session)
    await session.execute(
        "UPDATE placements SET operation = ?2, operation_at = ?3, operation_from = ?4,"
        " operation_until = ?5, operation_weekly = ?7, message_id = coalesce(?6, message_id),"
        " creates = creates + (?2 = 'create'),"
        " evidence = CASE WHEN ?2 = 'delete' THEN 'revoking' ELSE evidence END WHERE id = ?1",
        (
            placement_id,
            operation,
            to_text(now),
            to_text_or_none(window.valid_from if window else None),
            to_text_or_none(window.valid_until if window else None),
            message_id,
            weekly.to_text_or_none(hours),
        ),
    )


async def ask_number(session: Session, placement_id: int, now: datetime) -> None:
    """Record that a create is about to be sent under the number of a code that is to go.

    It is to go whatever happens, since the code under that number may be another from now on.
    """
    await generation.advance(session)
    await session.execute(
        "UPDATE placements SET operation = 'create', operation_at = ?2, asked = 'remove' WHERE id = ?1",
        (placement_id, to_text(now)),
    )


async def delete_again(session: Session, placement_id: int) -> None:
    """What the lock said of a code that is to go does not end it: the next operation is a delete."""
    await session.execute(
        "UPDATE placements SET operation = 'delete' WHERE id = ?", (placement_id,)
    )


async def restore(session: Session, before: Row) -> None:
    """Take back an operation of which nothing left; `before` is the row as it was."""
    await session.execute(
        "UPDATE placements SET operation = ?, operation_at = ?, operation_from = ?,"
        " operation_until = ?, operation_weekly = ?, creates = ?, evidence = ? WHERE id = ?",
        (
            before["operation"],
            before["operation_at"],
            before["operation_from"],
            before["operation_until"],
            before["operation_weekly"],
            before["creates"],
            before["evidence"],
            before["id"],
        ),
    )


async def forget(session: Session, placement_id: int) -> None:
    """Remove a code of which nothing ever left."""
    await session.execute("DELETE FROM placements WHERE id = ?", (placement_id,))


async def created(
    session: Session, placement_id: int, *, address: CodeAddress, known_from: str, now: datetime
) -> None:
    """The lock says that the code is on it."""
    await session.execute(
        "UPDATE placements SET evidence = 'confirmed', operation = NULL, operation_at = NULL,"
        " slot = coalesce(?, slot), confirmed_at = ?, known_from = ?, reason = NULL WHERE id = ?",
        (address.slot, to_text(now), known_from, placement_id),
    )


async def modified(session: Session, placement_id: int, *, known_from: str, now: datetime) -> None:
    """The lock says that the code has its new window."""
    await session.execute(
        "UPDATE placements SET written_from = operation_from, written_until = operation_until,"
        " written_weekly = operation_weekly, operation = NULL, operation_at = NULL,"
        " operation_from = NULL, operation_until = NULL, operation_weekly = NULL,"
        " asked = nullif(asked, 'rewrite'),"
        " modify_refusals = 0, confirmed_at = ?, known_from = ?, reason = NULL WHERE id = ?",
        (to_text(now), known_from, placement_id),
    )


async def removed(session: Session, placement_id: int, *, known_from: str, now: datetime) -> None:
    """The code is not on the lock any more."""
    await session.execute(
        "UPDATE placements SET evidence = 'revoked', operation = NULL, operation_at = NULL,"
        " revoked_at = ?, known_from = ?, reason = NULL WHERE id = ?",
        (to_text(now), known_from, placement_id),
    )


async def refused(
    session: Session, placement_id: int, operation: Operation, *, reason: str, now: datetime
) -> None:
    """The lock said no: a create is not there; after a modify or delete the code is as it was."""
    await session.execute(
        "UPDATE placements SET operation = NULL, operation_at = NULL,"
        " known_from = iif(?2 = 'create', 'report', known_from), evidence = iif(?2 = 'create', 'rejected', evidence),"
        " revoked_at = iif(?2 = 'create', ?3, revoked_at),"
        " modify_refusals = modify_refusals + (?2 = 'modify'), reason = ?4 WHERE id = ?1",
        (placement_id, operation, to_text(now), reason),
    )


async def silent(session: Session, placement_id: int, operation: Operation, *, why: str) -> None:
    """No report told the outcome: a create is `unknown`; a modify or delete stays under way."""
    await session.execute(
        "UPDATE placements SET evidence = iif(?2 = 'create', 'unknown', evidence), reason = ?3"
        " WHERE id = ?1",
        (placement_id, operation, why),
    )


async def observed(session: Session, placement_id: int) -> None:
    """The lock reported an opening with the code."""
    await session.execute(
        "UPDATE placements SET evidence = 'observed', known_from = 'opening', operation = NULL,"
        " confirmed_at = coalesce(confirmed_at, sent_at) WHERE id = ?",
        (placement_id,),
    )


async def doubted(session: Session, placement_id: int) -> None:
    """A code that was deleted opened the door: it is to be deleted again."""
    await session.execute(
        "UPDATE placements SET evidence = 'revoking', operation = 'delete', revoked_at = NULL,"
        " known_from = 'opening' WHERE id = ?",
        (placement_id,),
    )


async def last_with(
    session: Session, settings: LockSettings, column: str, number: int
) -> Row | None:
    """The newest code on this very hardware under a member, slot or sequence number."""
    return await session.one(
        f"SELECT * FROM placements WHERE lock = ? AND device_id = ? AND node_id IS ? AND {column} = ?"
        " AND evidence <> 'rejected' ORDER BY id DESC LIMIT 1",
        (settings.name, settings.device_id, settings.node_id, number),
    )


async def any_lost(session: Session, settings: LockSettings) -> bool:
    """Is a code on this very hardware whose slot it never told?"""
    row = await session.one(
        "SELECT 1 FROM placements WHERE lock = ? AND device_id = ? AND node_id IS ?"
        f" AND slot IS NULL AND evidence IN {LIVE} LIMIT 1",
        (settings.name, settings.device_id, settings.node_id),
    )
    return row is not None


async def reassign(session: Session, box: SecretBox, row: Row, credential_id: str) -> None:
    """Give a code on the lock to another credential."""
    pin = box.open(row["pin"], row=f"placement:{row['credential_id']}")
    await session.execute(
        "UPDATE placements SET credential_id = ?, pin = ? WHERE id = ?",
        (credential_id, box.seal(pin, row=f"placement:{credential_id}"), row["id"]),
    )


async def ask(session: Session, reservation_id: str, asked: Asked) -> None:
    """A person asks this of every code of a stay that is or may be on a lock."""
    evidence = LIVE if asked is Asked.REMOVE else "('confirmed', 'observed')"
    await session.execute(
        "UPDATE placements SET asked = ?2,"
        " modify_refusals = iif(?2 = 'rewrite', 0, modify_refusals)"
        f" WHERE evidence IN {evidence} AND asked IS NOT 'remove'"
        " AND credential_id IN (SELECT id FROM credentials WHERE reservation_id = ?1)",
        (reservation_id, asked),
    )


async def doubt_unanswered(session: Session) -> int:
    """At start: what was `sent` when the process ended is `unknown`; how many codes that are."""
    return await session.execute(
        "UPDATE placements SET evidence = 'unknown', reason = 'the gateway stopped before the answer'"
        " WHERE evidence = 'sent'"
    )


async def doubt_replaced(session: Session, settings: LockSettings) -> list[str]:
    """Codes that are on other hardware than the lock is by now become `unknown`; their credentials.

    A delete of unknown outcome stays one: when that hardware is back, no new code may get its slot before.
    """
    rows = await session.all(
        "UPDATE placements SET evidence = 'unknown', operation = iif(operation = 'delete', 'delete', NULL),"
        f" operation_at = iif(operation = 'delete', operation_at, NULL), reason = '{REPLACED}'"
        f" WHERE lock = ? AND evidence IN {LIVE} AND reason IS NOT '{REPLACED}'"
        " AND (device_id <> ? OR node_id IS NOT ?) RETURNING credential_id",
        (settings.name, settings.device_id, settings.node_id),
    )
    return [row["credential_id"] for row in rows]


async def forget_refused_elsewhere(session: Session, settings: LockSettings) -> None:
    """What other hardware refused says nothing of the codes on this one."""
    await session.execute(
        "DELETE FROM placements WHERE lock = ? AND evidence = 'rejected'"
        " AND (device_id <> ? OR node_id IS NOT ?)",
        (settings.name, settings.device_id, settings.node_id),
    )


async def take_back(session: Session, settings: LockSettings) -> list[str]:
    """Codes on hardware that had been replaced and is the lock's again; their credentials."""
    rows = await session.all(
        "UPDATE placements SET reason = 'the lock was replaced and is back' WHERE lock = ?"
        f" AND evidence IN {LIVE} AND reason = '{REPLACED}' AND device_id = ? AND node_id IS ?"
        " RETURNING credential_id",
        (settings.name, settings.device_id, settings.node_id),
    )
    return [row["credential_id"] for row in rows]


async def doubt_returned(session: Session, settings: LockSettings) -> list[str]:
    """Codes on hardware that was retired and is in use again become `unknown`; their credentials.

    Somebody else may have had their slots since, so those are not believed.
    """
    rows = await session.all(
        "UPDATE placements SET evidence = 'unknown', operation = 'create', slot = NULL, creates = 1,"
        " revoked_at = NULL, known_from = NULL, reason = 'the lock was retired and is back'"
        " WHERE lock = ? AND known_from = 'retired' AND device_id = ? AND node_id IS ?"
        " RETURNING credential_id",
        (settings.name, settings.device_id, settings.node_id),
    )
    return [row["credential_id"] for row in rows]


async def retire(
    session: Session, lock: str, present: LockSettings | None, now: datetime
) -> list[str]:
    """The codes on hardware that is no longer in use are gone with it; their credentials.

    `present`: the hardware that bears the lock's name now, None where no lock does.
    """
    device, node = (None, None) if present is None else (present.device_id, present.node_id)
    rows = await session.all(
        "UPDATE placements SET evidence = 'revoked', operation = NULL, operation_at = NULL,"
        " revoked_at = ?, known_from = 'retired', reason = NULL"
        f" WHERE lock = ? AND evidence IN {LIVE} AND (device_id IS NOT ? OR node_id IS NOT ?)"
        " RETURNING credential_id",
        (to_text(now), lock, device, node),
    )
    return [row["credential_id"] for row in rows]


async def numbers_seen(session: Session, lock: str, since: datetime) -> tuple[set[int], set[int]]:
    """Members and sequences used on a lock that are live or were used at `since` or later."""
    rows = await session.all(
        f"SELECT member, sequence FROM placements WHERE lock = ? AND (sent_at >= ? OR evidence IN {LIVE})",
        (lock, to_text(since)),
    )
    members = {row["member"] for row in rows if row["member"] is not None}
    sequences = {row["sequence"] for row in rows if row["sequence"] is not None}
    return members, sequences
