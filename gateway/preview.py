"""What a reconciliation would change, and why: the decision of a run, in words."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from gateway.derivation import Decision
from gateway.domain.entitlement import Because, Planned, Want, Withdraw
from gateway.domain.model import Window
from gateway.merging import Change, Merged
from gateway.store.runs import Stats


class Action(StrEnum):
    """What would be done about one door of a stay."""

    ISSUE = "issue"
    MOVE = "move"  # another window
    MEND = "mend"  # what is stored beside the window: unit, the stay before, a lost job
    REVOKE = "revoke"
    DROP = "drop"  # it was planned, and nothing is on the lock


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorChange:
    """One door. `at`: when it is due; `before`, `after`: its window, None without one."""

    credential_id: str
    lock: str
    action: Action
    why: str
    at: datetime
    before: Window | None
    after: Window | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StayChange:
    """One stay. `change`: what Stays would be found to have done with it."""

    id: str
    code: str
    unit: str | None
    change: Change
    doors: tuple[DoorChange, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """`held`, `released`: codes of the stays whom the brake would hold then, or no longer."""

    at: datetime
    stats: Stats
    stays: tuple[StayChange, ...]
    held: tuple[str, ...]
    released: tuple[str, ...]
    notes: tuple[str, ...]


def preview(decision: Decision, now: datetime) -> Preview:
    """The decision for people, by arrival."""
    doors: dict[str, list[DoorChange]] = {}
    for reservation_id, door in _doors(decision, now):
        doors.setdefault(reservation_id, []).append(door)
    ordered = sorted(
        decision.merged.values(), key=lambda one: (one.row.check_in_at, one.row.reservation.id)
    )
    return Preview(
        at=now,
        stats=decision.stats,
        stays=tuple(
            StayChange(
                id=one.row.reservation.id,
                code=one.row.reservation.code,
                unit=one.row.unit,
                change=one.change,
                doors=tuple(sorted(doors.get(one.row.reservation.id, ()), key=lambda d: d.lock)),
            )
            for one in ordered
            if one.row.reservation.id in doors
            or (one.change is not Change.NONE and one.row.unit is not None)
        ),
        held=_codes(decision, decision.changes.held),
        released=_codes(decision, decision.changes.released),
        notes=decision.notes,
    )


def _codes(decision: Decision, ids: frozenset[str]) -> tuple[str, ...]:
    return tuple(sorted(decision.merged[one].row.reservation.code for one in ids))


def _doors(decision: Decision, now: datetime) -> Iterator[tuple[str, DoorChange]]:
    for want in decision.changes.wants:
        stored = decision.planned.get(want.id)
        yield want.reservation_id, _wanted(want, stored, decision.merged[want.reservation_id], now)
    for gone in decision.changes.withdrawals:
        stored = decision.planned[gone.id]
        one = decision.merged[stored.reservation_id]
        yield stored.reservation_id, _withdrawn(gone, stored, one)


def _wanted(want: Want, stored: Planned | None, one: Merged, now: datetime) -> DoorChange:
    if stored is None or not stored.wanted:
        action, why = Action.ISSUE, _why_issued(stored, one)
    elif stored.window != want.window:
        action = Action.MOVE
        why = "its own dates changed" if one.reopened else "a stay beside it, or a rule, changed"
    else:
        action, why = Action.MEND, "nothing changes at the door"
    return DoorChange(
        credential_id=want.id,
        lock=want.lock,
        action=action,
        why=why,
        at=max(now, want.window.valid_from),
        before=stored.window if stored is not None and stored.wanted else None,
        after=want.window,
    )


def _why_issued(stored: Planned | None, one: Merged) -> str:
    if one.change is Change.CREATED:
        return "it is new at Stays"
    if one.reopened:
        return "its dates changed, or it came back"
    return "it has a right to this door" + (" again" if stored is not None else "")


def _withdrawn(gone: Withdraw, stored: Planned, one: Merged) -> DoorChange:
    return DoorChange(
        credential_id=gone.id,
        lock=gone.lock,
        action=Action.REVOKE if gone.on_lock else Action.DROP,
        why=_why_withdrawn(gone.because, one),
        at=gone.at,
        before=stored.window,
        after=None,
    )


def _why_withdrawn(because: Because, one: Merged) -> str:
    match because:
        case Because.CANCELLED:
            return f"at Stays it is {one.row.reservation.type}"
        case Because.DELETED:
            return "Stays no longer knows it"
        case Because.MOVED:
            return "it moved to other doors: this one goes once those are confirmed"
        case Because.UNMAPPED:
            return "no unit of the configuration has its listing"
        case Because.PERSON:
            return "a person revoked it"
