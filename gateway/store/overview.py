"""What the API shows, read in a constant number of queries. No PIN but where its name says so."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from gateway.domain import events
from gateway.domain.model import Evidence, Origin, ReservationType, Window
from gateway.domain.status import DoorState, PinStatus, StayStatus, pin_status, stay_status
from gateway.store.credentials import NEWEST, pin_of
from gateway.store.database import ReadSession, Row
from gateway.store.moments import from_text, to_text
from gateway.store.placements import written_window
from gateway.store.reservations import LIVE
from gateway.store.secretbox import SecretBox

PAGE = 50
_SHOWN_DIGITS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One row of the log of reconciliations."""

    id: str
    started_at: str
    completed_at: str | None
    duration: int | None
    status: str
    message: str | None
    stats: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialView:
    """One door of a stay."""

    id: str
    lock: str
    state: DoorState
    active: bool
    confirmed_at: str | None
    revoked_at: str | None
    next_attempt_at: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditView:
    """One thing that happened."""

    at: str
    actor: str
    event: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StayView:
    """One reservation with its doors."""

    id: str
    code: str
    listing_id: str
    listing_code: str | None
    listing_name: str | None
    type: str
    status: StayStatus
    check_in_at: str
    check_out_at: str
    guest_name: str | None = field(repr=False)
    guest_phone: str | None = field(repr=False)
    channel: str | None
    pin_status: PinStatus
    credentials: tuple[CredentialView, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorPin:
    """The PIN of one door."""

    lock: str
    window: Window
    pin: str = field(repr=False)

    def masked(self) -> "DoorPin":
        """The same with the last digits of its PIN alone."""
        hidden = len(self.pin) - _SHOWN_DIGITS
        return replace(self, pin="*" * hidden + self.pin[hidden:])


@dataclass(frozen=True, slots=True, kw_only=True)
class LockView:
    """One lock as far as it is known. `configured` False: it has gone, and codes may be on it."""

    name: str
    configured: bool
    reachable: bool | None
    since: str | None
    last_seen_at: str | None
    reason: str | None
    battery_percent: int | None
    battery_state: str | None
    alarm: str | None
    door: str | None
    opened_at: str | None
    hijacked_at: str | None
    doorbell_at: str | None
    clock_skew: int | None
    listed_at: str | None
    foreign_codes: int | None
    stray_codes: int | None
    codes: int
    waiting: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldView:
    """A stay that the brake holds."""

    id: str
    code: str
    unit: str | None
    since: str
    reads: int
    type: str


async def latest_runs(session: ReadSession) -> tuple[Run | None, bool]:
    """The last finished run, and is one under way?"""
    rows = await session.all("SELECT * FROM reconciliation_logs ORDER BY number DESC LIMIT 2")
    newest = [_run(row) for row in rows]
    running = bool(newest) and newest[0].status == "pending"  # none begins before it has ended
    finished = newest[int(running) :]
    return finished[0] if finished else None, running


async def runs(session: ReadSession, page: int) -> tuple[list[Run], int]:
    """A page of the log, newest first, and how many rows there are."""
    rows = await session.all(
        "SELECT * FROM reconciliation_logs ORDER BY number DESC LIMIT ? OFFSET ?",
        (PAGE, (page - 1) * PAGE),
    )
    total = await session.one("SELECT count(*) AS n FROM reconciliation_logs")
    return [_run(row) for row in rows], 0 if total is None else int(total["n"])


def _run(row: Row) -> Run:
    names = ("fetched", "created", "updated", "orphaned", "deleted", "errors")
    return Run(
        id=row["id"],
        started_at=row["started_at"],
        completed_at=row["completed_at"],
        duration=row["duration"],
        status=row["status"],
        message=row["message"],
        stats={name: row[name] for name in names},
    )


_STATUS = {
    StayStatus.CONFIRMED: "type IN ('booked', 'contract') AND deleted_at IS NULL AND check_out_at > :now",
    StayStatus.COMPLETED: "type IN ('booked', 'contract') AND deleted_at IS NULL AND check_out_at <= :now",
    StayStatus.PENDING: "type = 'reserved' AND deleted_at IS NULL",
    StayStatus.CANCELLED: "(type = 'canceled' OR deleted_at IS NOT NULL)",
    StayStatus.BLOCKED: "type IN ('blocked', 'maintenance') AND deleted_at IS NULL",
}


async def stays(
    session: ReadSession,
    *,
    status: StayStatus | None,
    start: datetime | None,
    end: datetime | None,
    page: int,
    now: datetime,
    clock_trusted: bool,
) -> tuple[list[StayView], int]:
    """A page of the reservations that meet [start, end), by arrival, and how many there are."""
    where = ["origin <> 'canary'"]
    if status is not None:
        where.append(_STATUS[status].replace(":now", f"'{to_text(now)}'"))
    parameters = []
    if start is not None:
        where.append("check_out_at > ?")
        parameters.append(to_text(start))
    if end is not None:
        where.append("check_in_at < ?")
        parameters.append(to_text(end))
    condition = " AND ".join(where)
    total = await session.one(
        f"SELECT count(*) AS n FROM reservations WHERE {condition}", parameters
    )
    rows = await session.all(
        f"SELECT * FROM reservations WHERE {condition} ORDER BY check_in_at, id LIMIT ? OFFSET ?",
        (*parameters, PAGE, (page - 1) * PAGE),
    )
    return await _views(
        session, rows, now, clock_trusted=clock_trusted
    ), 0 if total is None else int(total["n"])


async def find(session: ReadSession, id_or_code: str) -> str | None:
    """The long id of a reservation by its long or short id; of several the latest."""
    row = await session.one(
        "SELECT id FROM reservations WHERE id = ?1 OR code = ?1 ORDER BY check_in_at DESC LIMIT 1",
        (id_or_code,),
    )
    return None if row is None else str(row["id"])


async def stay(
    session: ReadSession, reservation_id: str, now: datetime, *, clock_trusted: bool
) -> StayView | None:
    """One reservation by its long id."""
    rows = await session.all("SELECT * FROM reservations WHERE id = ?", (reservation_id,))
    views = await _views(session, rows, now, clock_trusted=clock_trusted)
    return views[0] if views else None


async def stays_of(
    session: ReadSession, reservation_ids: Sequence[str], now: datetime, *, clock_trusted: bool
) -> dict[str, StayView]:
    """Several reservations by their long ids."""
    marks = ", ".join("?" * len(reservation_ids))
    rows = await session.all(
        f"SELECT * FROM reservations WHERE id IN ({marks})", tuple(reservation_ids)
    )
    return {view.id: view for view in await _views(session, rows, now, clock_trusted=clock_trusted)}


async def present_stays(
    session: ReadSession, now: datetime, *, clock_trusted: bool
) -> list[StayView]:
    """The reservations that are not over, and those of which something may still be on a lock."""
    rows = await session.all(
        "SELECT * FROM reservations r WHERE origin <> 'canary' AND (check_out_at > ? OR EXISTS"
        " (SELECT 1 FROM credentials c WHERE c.reservation_id = r.id AND c.revoked_at IS NULL))",
        (to_text(now),),
    )
    return await _views(session, rows, now, clock_trusted=clock_trusted)


async def stays_between(
    session: ReadSession, start: datetime, end: datetime, now: datetime, *, clock_trusted: bool
) -> list[StayView]:
    """All with a right to a PIN, now or once, whose nights meet [start, end), by arrival."""
    rows = await session.all(
        "SELECT * FROM reservations WHERE origin <> 'canary' AND type IN ('booked', 'contract')"
        " AND deleted_at IS NULL AND check_out_at > ? AND check_in_at < ?"
        " ORDER BY check_in_at, id",
        (to_text(start), to_text(end)),
    )
    return await _views(session, rows, now, clock_trusted=clock_trusted)


async def first_openings(
    session: ReadSession, reservation_ids: Sequence[str]
) -> dict[str, list[tuple[str, str]]]:
    """When and at which lock each PIN of these stays was first seen to open."""
    marks = ", ".join("?" * len(reservation_ids))
    rows = await session.all(
        f"SELECT reservation_id, at, lock FROM audit_log WHERE reservation_id IN ({marks})"
        " AND event = ? ORDER BY id",
        (*reservation_ids, events.CREDENTIAL_OBSERVED),
    )
    found: dict[str, list[tuple[str, str]]] = {}
    for row in rows:
        found.setdefault(row["reservation_id"], []).append((row["at"], row["lock"] or ""))
    return found


async def audit_of(session: ReadSession, reservation_id: str) -> list[AuditView]:
    """The story of a stay, oldest first."""
    rows = await session.all(
        "SELECT * FROM audit_log WHERE reservation_id = ? ORDER BY id", (reservation_id,)
    )
    return [
        AuditView(at=row["at"], actor=row["actor"], event=row["event"], detail=row["detail"])
        for row in rows
    ]


_OWNER = (  # of the code of `c`: itself, or the last of those that took it over from each other
    "CASE WHEN c.taken_over_by IS NULL THEN c.id ELSE (WITH RECURSIVE heir (id, next) AS"
    " (SELECT c.taken_over_by, (SELECT taken_over_by FROM credentials WHERE id = c.taken_over_by)"
    "  UNION SELECT k.id, k.taken_over_by FROM credentials k JOIN heir ON k.id = heir.next)"
    " SELECT id FROM heir WHERE next IS NULL) END"
)
DOORS = (
    # a code that is on the lock with another PIN than the present one says nothing of this one
    "SELECT c.*, CASE WHEN c.wanted = 1 AND c.revoked_at IS NULL AND c.taken_over_by IS NULL"
    " AND p.evidence IN ('confirmed', 'observed') AND p.pin_hash IS NOT c.pin_hash"
    " THEN 'planned' ELSE p.evidence END AS evidence, p.reason AS refused, p.written_from,"
    " p.written_until, r.check_in_at, s.reachable,"
    " g.run_at AS gen_at, g.attempts AS gen_attempts, v.run_at AS rev_at,"
    " v.attempts AS rev_attempts FROM credentials c"
    " JOIN reservations r ON r.id = c.reservation_id"
    " LEFT JOIN placements p ON p.id = (SELECT p.id FROM placements p"
    f"  WHERE p.credential_id = {_OWNER} ORDER BY {NEWEST} LIMIT 1)"
    " LEFT JOIN lock_status s ON s.lock = c.lock"
    " LEFT JOIN jobs g ON g.id = 'gen-' || c.id LEFT JOIN jobs v ON v.id = 'rev-' || c.id"
)  # rows for `door_state`


async def _views(
    session: ReadSession, rows: list[Row], now: datetime, *, clock_trusted: bool
) -> list[StayView]:
    ids = [row["id"] for row in rows]
    marks = ", ".join("?" * len(ids))
    credentials = await session.all(
        f"{DOORS} WHERE c.reservation_id IN ({marks}) ORDER BY c.id", ids
    )
    listings = {row["id"]: row for row in await session.all("SELECT * FROM stays_accommodations")}
    doors: dict[str, list[CredentialView]] = {}
    for row in credentials:
        door = _credential(row, now, clock_trusted=clock_trusted)
        doors.setdefault(row["reservation_id"], []).append(door)
    return [_stay(row, tuple(doors.get(row["id"], ())), listings, now) for row in rows]


def door_state(row: Row, *, clock_trusted: bool = True) -> DoorState:
    """A door as far as its status goes, of a row of `DOORS`."""
    window = Window(
        valid_from=from_text(row["valid_from"]), valid_until=from_text(row["valid_until"])
    )
    return DoorState(
        window=window,
        check_in_at=from_text(row["check_in_at"]),
        written=written_window(row),
        wanted=bool(row["wanted"]),
        evidence=Evidence(row["evidence"] or Evidence.PLANNED),
        revoked=row["revoked_at"] is not None,
        taken_over=row["taken_over_by"] is not None,
        withdrawn_at=None if row["wanted"] else from_text(row["updated_at"]),
        reason=row["reason"] or row["refused"],
        unreachable=row["reachable"] == 0,
        clock_trusted=clock_trusted,
    )


def _credential(row: Row, now: datetime, *, clock_trusted: bool) -> CredentialView:
    state = door_state(row, clock_trusted=clock_trusted)
    upcoming = row["gen_at"] or row["rev_at"]
    return CredentialView(
        id=row["id"],
        lock=row["lock"],
        state=state,
        active=state.is_active(now),
        confirmed_at=row["confirmed_at"],
        revoked_at=row["revoked_at"],
        next_attempt_at=upcoming,
    )


def _stay(
    row: Row, doors: tuple[CredentialView, ...], listings: dict[str, Row], now: datetime
) -> StayView:
    type_ = ReservationType(row["type"])
    deleted = row["deleted_at"] is not None
    check_out_at = from_text(row["check_out_at"])
    listing = listings.get(row["listing_id"])
    return StayView(
        id=row["id"],
        code=row["code"],
        listing_id=row["listing_id"],
        listing_code=None if listing is None else listing["code"],
        listing_name=row["unit"] or (None if listing is None else listing["name"]),
        type=row["type"],
        status=stay_status(type_, deleted=deleted, check_out_at=check_out_at, now=now),
        check_in_at=row["check_in_at"],
        check_out_at=row["check_out_at"],
        guest_name=row["guest_name"],
        guest_phone=row["guest_phone"],
        channel=row["channel"],
        pin_status=pin_status(
            tuple(door.state for door in doors),
            mapped=row["unit"] is not None or row["origin"] == Origin.STAFF,
            entitled=type_.entitled and not deleted and check_out_at > now,
            held=row["held_since"] is not None and row["held_verdict"] is None,
            now=now,
        ),
        credentials=doors,
    )


async def pins(session: ReadSession, box: SecretBox, reservation_id: str) -> list[DoorPin]:
    """The PINs of a stay's doors that are minted and not over."""
    rows = await session.all(
        "SELECT * FROM credentials WHERE reservation_id = ? AND pin IS NOT NULL AND wanted = 1"
        " AND revoked_at IS NULL ORDER BY id",
        (reservation_id,),
    )
    return [
        DoorPin(
            lock=row["lock"],
            window=Window(
                valid_from=from_text(row["valid_from"]), valid_until=from_text(row["valid_until"])
            ),
            pin=pin_of(row, box) or "",
        )
        for row in rows
    ]


async def locks(session: ReadSession, names: tuple[str, ...], now: datetime) -> list[LockView]:
    """The configured locks in the order of these names, then those that have gone with codes on them."""
    status = {row["lock"]: row for row in await session.all("SELECT * FROM lock_status")}
    codes = await session.all(
        f"SELECT lock, count(*) AS n FROM placements WHERE evidence IN {LIVE} GROUP BY lock"
    )
    waiting = await session.all(
        "SELECT c.lock, count(*) AS n FROM jobs j JOIN credentials c ON c.id = j.credential_id"
        " WHERE j.run_at <= ? OR j.attempts > 0 GROUP BY c.lock",
        (to_text(now),),
    )
    on_lock = {row["lock"]: row["n"] for row in codes}
    queued = {row["lock"]: row["n"] for row in waiting}
    views = [
        _lock(name, status.get(name), on_lock.get(name, 0), queued.get(name, 0))
        for name in (*names, *sorted(on_lock.keys() - set(names)))
    ]
    return [replace(view, configured=view.name in names) for view in views]


def _lock(name: str, row: Row | None, codes: int, waiting: int) -> LockView:
    known: Mapping[str, Any] = dict(row) if row is not None else {}
    reachable, foreign = known.get("reachable"), known.get("foreign_slots")
    return LockView(
        name=name,
        configured=True,
        reachable=None if reachable is None else bool(reachable),
        since=known.get("since"),
        last_seen_at=known.get("last_seen_at"),
        reason=known.get("reason"),
        battery_percent=known.get("battery_percent"),
        battery_state=known.get("battery_state"),
        alarm=known.get("alarm"),
        door=known.get("door"),
        opened_at=known.get("opened_at"),
        hijacked_at=known.get("hijacked_at"),
        doorbell_at=known.get("doorbell_at"),
        clock_skew=known.get("clock_skew"),
        listed_at=known.get("listed_at"),
        foreign_codes=None if foreign is None else len(json.loads(foreign)),
        stray_codes=known.get("stray_codes"),
        codes=codes,
        waiting=waiting,
    )


async def held(session: ReadSession) -> list[HeldView]:
    """The stays that the brake holds."""
    rows = await session.all(
        "SELECT * FROM reservations WHERE held_since IS NOT NULL AND held_verdict IS NULL"
        " ORDER BY check_in_at, id"
    )
    return [
        HeldView(
            id=row["id"],
            code=row["code"],
            unit=row["unit"],
            since=row["held_since"],
            reads=row["held_reads"],
            type="deleted" if row["deleted_at"] is not None else row["type"],
        )
        for row in rows
    ]
