"""The conditions that people were told of, and the facts that conditions are derived from."""

import json
from collections.abc import Collection, Iterable, Mapping
from datetime import date, datetime

from gateway.domain import events
from gateway.domain.alerts import Alert, Key
from gateway.domain.conditions import Door, Facts, Guest, LockSignals, Overlap, Unmapped
from gateway.domain.model import Evidence, Origin, ReservationType
from gateway.domain.policy import Stay, overlapping
from gateway.store import runs
from gateway.store.moments import from_text, from_text_or_none, to_text, to_text_or_none
from gateway.store.overview import DOORS, door_state
from gateway.store.session import ReadSession, Row, Session


async def standing(session: ReadSession) -> list[Alert]:
    """All that was seen and is not over."""
    return [
        Alert(
            event=row["event"],
            subject=row["subject"],
            since=from_text(row["since"]),
            told=frozenset(json.loads(row["told"])),
            told_at=from_text_or_none(row["told_at"]),
            gone_since=from_text_or_none(row["gone_since"]),
            unit=row["unit"],
        )
        for row in await session.all("SELECT * FROM alerts")
    ]


async def save(session: Session, alerts: Iterable[Alert]) -> None:
    """Insert these, or change those of the same keys."""
    await session.execute_many(
        "INSERT INTO alerts (event, subject, since, told, told_at, gone_since, unit)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (event, subject) DO UPDATE SET"
        " since = ?3, told = ?4, told_at = ?5, gone_since = ?6, unit = ?7",
        [
            (
                one.event,
                one.subject,
                to_text(one.since),
                json.dumps(sorted(one.told)),
                to_text_or_none(one.told_at),
                to_text_or_none(one.gone_since),
                one.unit,
            )
            for one in alerts
        ],
    )


async def forget(session: Session, keys: Collection[Key]) -> None:
    """These are over."""
    await session.execute_many("DELETE FROM alerts WHERE event = ? AND subject = ?", keys)


async def facts(
    session: ReadSession,
    *,
    locks: Mapping[str, str | None],
    mapped: frozenset[str],
    since: datetime,
) -> Facts:
    """What the store says of conditions from a moment on.

    `locks`: the configured ones with their hubs; `mapped`: listings with a unit.
    """
    known = {row["lock"]: row for row in await session.all("SELECT * FROM lock_status")}
    stays = await session.all(
        "SELECT * FROM reservations r WHERE r.origin <> 'canary' AND (r.check_out_at > ?"
        " OR EXISTS (SELECT 1 FROM credentials c WHERE c.reservation_id = r.id"
        "  AND c.revoked_at IS NULL))",
        (to_text(since),),
    )
    doors: dict[str, list[Door]] = {}
    rows = await session.all(
        f"{DOORS} WHERE r.origin <> 'canary' AND c.revoked_at IS NULL ORDER BY c.id",
    )
    refused = await _refused(session)
    for row in rows:
        doors.setdefault(row["reservation_id"], []).append(_door(row, refused))
    return Facts(
        locks=tuple(_signals(name, hub, known.get(name)) for name, hub in locks.items()),
        guests=tuple(_guest(row, tuple(doors.get(row["id"], ()))) for row in stays),
        failing=await runs.failing(session),
        overlaps=_overlaps([row for row in stays if from_text(row["check_out_at"]) > since]),
        unmapped=await _unmapped(session, since),
        mapped=mapped,
    )


async def _refused(session: ReadSession) -> set[str]:
    """The credentials beside which a wrong code was typed."""
    rows = await session.all(
        # CROSS JOIN: from the few credentials to the long story, never the other way round
        "SELECT DISTINCT c.id FROM credentials c CROSS JOIN audit_log a"
        " ON a.reservation_id = c.reservation_id AND a.credential_id = c.id"
        " WHERE c.revoked_at IS NULL AND a.event = ?",
        (events.CODE_REFUSED,),
    )
    return {row["id"] for row in rows}


def _door(row: Row, refused: set[str]) -> Door:
    state = door_state(row)
    return Door(
        id=row["id"],
        lock=row["lock"],
        state=state,
        refused=row["id"] in refused,
        used=state.evidence is Evidence.OBSERVED,
    )


def _guest(row: Row, doors: tuple[Door, ...]) -> Guest:
    entitled = ReservationType(row["type"]).entitled and row["deleted_at"] is None
    return Guest(
        code=row["code"],
        unit=row["unit"],
        check_in_at=from_text(row["check_in_at"]),
        check_out_at=from_text(row["check_out_at"]),
        entitled=entitled,
        held=row["held_since"] is not None and row["held_verdict"] is None,
        lost=entitled and row["unit"] is None and row["origin"] == Origin.STAYS and bool(doors),
        doors=doors,
    )


def _signals(name: str, hub: str | None, row: Row | None) -> LockSignals:
    if row is None:
        return LockSignals(name=name, hub=hub)
    return LockSignals(
        name=name,
        hub=hub,
        reachable=None if row["reachable"] is None else bool(row["reachable"]),
        why=row["reason"],
        battery_percent=row["battery_percent"],
        battery_state=row["battery_state"],
        alarm=row["alarm"],
        clock_skew=row["clock_skew"],
        foreign_report_at=from_text_or_none(row["foreign_report_at"]),
    )


def _overlaps(rows: Collection[Row]) -> tuple[Overlap, ...]:
    """The stays whose nights truly overlap."""
    units: dict[str, list[Row]] = {}
    for row in rows:
        entitled = ReservationType(row["type"]).entitled and row["deleted_at"] is None
        if entitled and row["unit"] is not None:
            units.setdefault(row["unit"], []).append(row)
    by_id = {row["id"]: row for row in rows}
    return tuple(
        _overlap(by_id[one], by_id[other])
        for members in units.values()
        for one, other in overlapping(_stay(row) for row in members)
    )


def _overlap(one: Row, other: Row) -> Overlap:
    until = min(one["check_out_at"], other["check_out_at"])
    return Overlap(one["code"], other["code"], one["unit"], from_text(until))


def _stay(row: Row) -> Stay:
    return Stay(
        reservation_id=row["id"],
        check_in_date=date.fromisoformat(row["check_in_date"]),
        check_out_date=date.fromisoformat(row["check_out_date"]),
        check_in_at=from_text(row["check_in_at"]),
        check_out_at=from_text(row["check_out_at"]),
        client_id=row["client_id"],
        partner_code=row["partner_code"],
    )


async def _unmapped(session: ReadSession, since: datetime) -> tuple[Unmapped, ...]:
    rows = await session.all(
        "SELECT r.listing_id, a.name, max(r.check_out_at) AS until FROM reservations r"
        " LEFT JOIN stays_accommodations a ON a.id = r.listing_id"
        " WHERE r.origin = 'stays' AND r.unit IS NULL AND r.type IN ('booked', 'contract')"
        " AND r.deleted_at IS NULL AND r.check_out_at > ? GROUP BY r.listing_id",
        (to_text(since),),
    )
    return tuple(Unmapped(row["listing_id"], row["name"], from_text(row["until"])) for row in rows)
