"""What a lock's own list of codes says of ours."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from gateway.domain.model import Addressing, Evidence, Operation
from gateway.domain.plan import LockState, Placement, is_lost, late_report_may_come

_ON_LOCK = frozenset({Evidence.CONFIRMED, Evidence.OBSERVED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What follows from a list.

    Attributes:
        proven: the lock's list is known to show codes of ours; before that its silence says nothing.
        missing: placements that were confirmed, or are being deleted, and are not on the lock.
        absent: placements whose create was never carried out.
        adopted: a placement whose slot was not known, and the slot it must have: the one that is
            new, or, where the lock said that it has the PIN, the one that nothing else explains.
        foreign: the slots of codes that are not ours; None while one of ours may be among them.
    """

    proven: bool
    missing: tuple[int, ...]
    absent: tuple[int, ...]
    adopted: tuple[int, int] | None
    foreign: frozenset[int] | None


def compare(
    state: LockState,
    listed: Collection[int],
    *,
    known_foreign: Collection[int] | None,
    proven: bool,
    now: datetime,
) -> Comparison:
    """Compare a complete list of slots with what should be on the lock.

    `known_foreign`: the foreign slots of the list before, None without one.
    """
    shown = [one for one in state.placements if _settled(one) and one.address.slot in listed]
    proven = proven or bool(shown)
    explained = {one.address.slot for one in state.placements}
    unexplained = set(listed) - explained
    lost = [one for one in state.placements if is_lost(one, state)]
    new = unexplained - set(known_foreign or ())
    certain = known_foreign is not None or any(_settled(one) for one in lost)
    adopted = (lost[0].id, next(iter(new))) if len(lost) == len(new) == 1 and certain else None
    absent = [
        one
        for one in lost
        if one.evidence is Evidence.UNKNOWN and not late_report_may_come(one, state, now)
    ]
    gone = [
        one
        for one in state.placements
        if one.address.slot is not None and one.address.slot not in listed and _would_show(one)
    ]
    return Comparison(
        proven=proven,
        missing=tuple(one.id for one in gone) if proven else (),
        absent=tuple(one.id for one in absent) if proven and not new else (),
        adopted=adopted,
        foreign=_foreign(known_foreign, unexplained, new, adopted, certain=not lost),
    )


def _foreign(
    known: Collection[int] | None,
    unexplained: set[int],
    new: set[int],
    adopted: tuple[int, int] | None,
    *,
    certain: bool,
) -> frozenset[int] | None:
    """A new slot is nobody's yet while a code of ours without a slot may be the one in it.

    Where no list came before, none is known to be anybody's then: it is as if there had been no list.
    """
    if adopted is not None:
        return frozenset(unexplained - {adopted[1]})
    if certain:
        return frozenset(unexplained)
    return None if known is None and new else frozenset(unexplained - new)


def _settled(placement: Placement) -> bool:
    return placement.evidence in _ON_LOCK and placement.operation is None


def _would_show(placement: Placement) -> bool:
    """Would the list show it, if it were on the lock?"""
    return placement.evidence in _ON_LOCK or placement.operation is Operation.DELETE


def lost_codes(state: LockState, now: datetime) -> frozenset[tuple[int, int]]:
    """Codes whose slot nobody knows and no late report will tell, but a list may.

    By placement and by how often it was created: after another create the list is worth a look.
    """
    if state.addressing is not Addressing.SLOT:
        return frozenset()
    return frozenset(
        (one.id, one.creates)
        for one in state.placements
        if is_lost(one, state) and not late_report_may_come(one, state, now)
    )
