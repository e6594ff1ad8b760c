"""Who should have a PIN on which door, and what that changes of what was planned before."""

from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from gateway.domain.model import Property, Reservation, Terms, Unit, Window
from gateway.domain.policy import Stay, order, same_guest, windows
from gateway.domain.value import value

BRAKE_STAYS = 2
BRAKE_SHARE = 0.3
HELD_READS = 2  # further runs that must read a cancellation again before it goes by itself
_STEP = 50  # reservations


class Because(StrEnum):
    """Why a credential was withdrawn."""

    CANCELLED = "cancelled"
    DELETED = "deleted"
    MOVED = "moved"
    UNMAPPED = "unmapped"
    PERSON = "person"


@value
class Known:
    """A reservation as this run leaves it, with what is remembered of it.

    Attributes:
        unit: the unit it is mapped to now; None: unmapped. `stay` None with it.
        reopened: its own dates changed in this run, or it came back to life.
        over: it was already over when first seen.
        blocked: a person revoked its PIN.
        held_reads: None: not held by the brake; else how often its loss was read again since.
        kept: a person decided that it keeps its PIN against Stays' word.
        holds_placement: a code of it is or may be on a lock.
        terms: what a person asked for; None: a stay of Stays.
        own_window: that of staff, who take part in no turnover.
    """

    reservation: Reservation
    unit: str | None
    stay: Stay | None
    deleted: bool = False
    reopened: bool = False
    over: bool = False
    blocked: bool = False
    held_reads: int | None = None
    kept: bool = False
    read_again: bool = False
    holds_placement: bool = False
    terms: Terms | None = None
    own_window: Window | None = None

    @property
    def id(self) -> str:
        """The long id."""
        return self.reservation.id

    @property
    def entitled(self) -> bool:
        """Has it a right to a PIN, by Stays', the configuration's or a person's word?"""
        has_place = self.unit is not None or self.own_window is not None
        return has_place and not self.deleted and self.reservation.type.entitled

    @property
    def ended_by_person(self) -> bool:
        """Did a person take the PIN away?"""
        return self.blocked or (self.terms is not None and self.deleted)


@value
class Planned:
    """A credential as stored. `ended`: revoked, or its window has ended."""

    id: str
    reservation_id: str
    lock: str
    unit: str
    window: Window
    wanted: bool
    ended: bool
    on_lock: bool
    follows: str | None
    has_rev: bool


@value
class Want:
    """A credential to insert or change: wanted, with this window."""

    id: str
    reservation_id: str
    lock: str
    unit: str
    window: Window
    follows: str | None
    new: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdraw:
    """A credential that nothing entitles to any more. `at`: when it goes at the latest."""

    id: str
    lock: str
    because: Because
    at: datetime
    on_lock: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What a run changes of the credentials, and whom the brake holds.

    Attributes:
        held: reservation ids that keep their doors for now although Stays or the configuration
            took them away. released: those held before whose hold has ended in this run.
    """

    wants: tuple[Want, ...] = ()
    withdrawals: tuple[Withdraw, ...] = ()
    held: frozenset[str] = frozenset()
    released: frozenset[str] = frozenset()


def derive_in_steps(
    known: Iterable[Known], planned: Iterable[Planned], site: Property, now: datetime
) -> Generator[None, None, Changes]:
    """Compare who is entitled with what is planned, a few reservations at a step.

    Other work may be done in between.
    """
    reservations = {one.reservation.id: one for one in known}
    credentials = _by_stay(planned)
    by_unit = _by_unit(reservations)
    plans: dict[str, _UnitPlan] = {}
    for unit in site.units:
        yield
        plans[unit.name] = _plan_of(unit, by_unit.get(unit.name, {}), site)

    places: dict[str, _Place | None] = {}
    taken: dict[str, tuple[str, ...]] = {}
    for number, (one_id, one) in enumerate(reservations.items()):
        if number % _STEP == 0:
            yield
        places[one_id] = place = _place(one, plans, site)
        if one.holds_placement:
            taken[one_id] = _taken(one, credentials.get(one_id, {}), place)
    yield
    held, released = _brake(reservations, credentials, plans, taken, now)
    wants: list[Want] = []
    withdrawals: list[Withdraw] = []
    for number, (one_id, one) in enumerate(reservations.items()):
        if number % _STEP == 0:
            yield
        mine = credentials.get(one_id, {})
        place = places[one_id]
        if one_id in held:
            if place is not None:  # the doors that it is to lose stay beside those it has
                place = replace(place, locks=(*place.locks, *taken[one_id]))
                wants += _wants(one, mine, place, credentials, now)
            continue
        if place is not None and not one.blocked:
            wants += _wants(one, mine, place, credentials, now)
            withdrawals += _moved(mine, place, plans, now)
        else:
            withdrawals += _lost(one, mine, now)
    return Changes(wants=tuple(wants), withdrawals=tuple(withdrawals), held=held, released=released)


def _by_unit(reservations: Mapping[str, Known]) -> dict[str | None, dict[str, Stay]]:
    """The entitled stays of each unit, by reservation id."""
    found: dict[str | None, dict[str, Stay]] = {}
    for one_id, one in reservations.items():
        if one.stay is not None and one.entitled:
            found.setdefault(one.unit, {})[one_id] = one.stay
    return found


def _by_stay(planned: Iterable[Planned]) -> dict[str, dict[str, Planned]]:
    """By reservation id and by lock."""
    found: dict[str, dict[str, Planned]] = {}
    for one in planned:
        found.setdefault(one.reservation_id, {})[one.lock] = one
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class _UnitPlan:
    unit: Unit
    stays: Mapping[str, Stay]
    by_guest: Mapping[str, list[Stay]]  # by client and by partner code
    windows: Mapping[str, Window]

    def predecessor(self, stay: Stay) -> str | None:
        """The reservation id of the same guest's stay just before."""
        earlier = [
            other
            for guest in (stay.client_id, stay.partner_code)
            if guest is not None
            for other in self.by_guest[guest]
            if other is not stay and order(other) < order(stay) and same_guest(stay, other)
        ]
        if not earlier:
            return None
        return max(earlier, key=order).reservation_id

    def next_other(self, one: Planned, now: datetime) -> datetime | None:
        """When another guest's window opens here while the credential's is open."""
        starts = [
            window.valid_from
            for other, window in self.windows.items()
            if other != one.reservation_id
            and window.valid_until > now
            and window.valid_from < one.window.valid_until
            and self.stays[other].check_out_at > one.window.valid_from  # not the guest before
        ]
        return min(starts, default=None)


def _plan_of(unit: Unit, stays: Mapping[str, Stay], site: Property) -> _UnitPlan:
    by_guest: dict[str, list[Stay]] = {}
    for stay in stays.values():
        for guest in (stay.client_id, stay.partner_code):
            if guest is not None:
                by_guest.setdefault(guest, []).append(stay)
    return _UnitPlan(
        unit=unit, stays=stays, by_guest=by_guest, windows=windows(stays.values(), site.policy)
    )


@value
class _Place:
    """Where and when somebody is entitled. `unit` None: staff."""

    unit: _UnitPlan | None
    locks: tuple[str, ...]
    window: Window
    over_at: datetime
    predecessor: str | None

    @property
    def name(self) -> str:
        """The unit's name, empty for staff."""
        return "" if self.unit is None else self.unit.unit.name


def _place(one: Known, plans: Mapping[str, _UnitPlan], site: Property) -> _Place | None:
    if not one.entitled:
        return None
    named = None
    if one.terms is not None:
        named = tuple(lock for lock in one.terms.locks if site.lock(lock) is not None)
    if one.own_window is not None:
        return _Place(
            unit=None,
            locks=named or (),
            window=one.own_window,
            over_at=one.own_window.valid_until,
            predecessor=None,
        )
    plan = plans[one.unit or ""]
    stay = plan.stays[one.reservation.id]
    return _Place(
        unit=plan,
        locks=plan.unit.locks if named is None else named,
        window=plan.windows[stay.reservation_id],
        over_at=stay.check_out_at,
        predecessor=plan.predecessor(stay),
    )


def _lost(one: Known, mine: Mapping[str, Planned], now: datetime) -> Iterable[Withdraw]:
    """All doors of a stay that is entitled to none."""
    because = _reason(one)
    return [
        Withdraw(
            id=stored.id,
            lock=stored.lock,
            because=because,
            at=now,
            on_lock=stored.on_lock,
        )
        for stored in mine.values()
        if stored.wanted and (stored.on_lock or not stored.ended)
    ]


def _reason(one: Known) -> Because:
    if one.deleted:
        return Because.DELETED
    if not one.reservation.type.entitled:
        return Because.CANCELLED
    return Because.PERSON if one.blocked else Because.UNMAPPED


def _wants(
    one: Known,
    mine: Mapping[str, Planned],
    place: _Place,
    credentials: Mapping[str, Mapping[str, Planned]],
    now: datetime,
) -> Iterable[Want]:
    window, before = place.window, place.predecessor
    if one.over and not one.reopened:
        return
    for lock in place.locks:
        stored = mine.get(lock)
        if stored is None and (place.over_at <= now or window.valid_until <= now):
            continue
        if stored is not None and stored.wanted and stored.ended and not one.reopened:
            continue  # a window that has ended is reopened only by the stay itself
        if stored is not None and not stored.wanted and window.valid_until <= now:
            continue
        predecessor = credentials.get(before, {}).get(lock) if before is not None else None
        follows = predecessor.id if predecessor is not None else None
        if stored is None or _differs(stored, place, follows):
            yield Want(
                id=stored.id if stored is not None else f"{one.reservation.code}-{lock}",
                reservation_id=one.id,
                lock=lock,
                unit=place.name,
                window=window,
                follows=follows,
                new=stored is None,
            )


def _differs(stored: Planned, place: _Place, follows: str | None) -> bool:
    return (
        not stored.wanted
        or stored.window != place.window
        or stored.unit != place.name
        or stored.follows != follows
        or not stored.has_rev
    )


def _moved(
    mine: Mapping[str, Planned],
    place: _Place,
    plans: Mapping[str, _UnitPlan],
    now: datetime,
) -> Iterable[Withdraw]:
    """The doors that the stay has left: they go once the new ones are confirmed.

    At once where none is to come: of staff, and where the stay's time is over by what it is now.
    """
    for lock, stored in mine.items():
        if lock in place.locks or not stored.wanted:
            continue
        old = plans.get(stored.unit)
        start = old.next_other(stored, now) if old is not None and old is not place.unit else None
        until = stored.window.valid_until
        staff = place.unit is None
        at_once = staff or place.window.valid_until <= now
        yield Withdraw(
            id=stored.id,
            lock=lock,
            because=Because.PERSON if staff else Because.MOVED,
            at=now if at_once else max(now, min(until, start or until)),
            on_lock=stored.on_lock,
        )


def _taken(one: Known, mine: Mapping[str, Planned], place: _Place | None) -> tuple[str, ...]:
    """The doors that the configuration takes from a stay that keeps its place, giving none instead.

    With another door in its place it is a move; a door that a person takes is that person's act.
    """
    if place is None or one.blocked:
        return ()
    wanted = {lock: stored for lock, stored in mine.items() if stored.wanted}
    if set(place.locks) - wanted.keys():
        return ()
    return tuple(
        lock
        for lock, stored in sorted(wanted.items())
        if lock not in place.locks
        and stored.on_lock
        and stored.unit == place.name
        and (one.terms is None or lock in one.terms.locks)
    )


def _brake(
    reservations: Mapping[str, Known],
    credentials: Mapping[str, Mapping[str, Planned]],
    plans: Mapping[str, _UnitPlan],
    taken: Mapping[str, tuple[str, ...]],
    now: datetime,
) -> tuple[frozenset[str], frozenset[str]]:
    """Whose doors a run may not take yet, and whose hold has ended.

    `taken`: what the configuration takes, of each stay that holds a placement.
    """
    losing = {
        one
        for one in taken
        if not reservations[one].ended_by_person
        and (
            taken[one]
            or (
                not reservations[one].entitled
                and any(each.wanted for each in credentials.get(one, {}).values())
            )
        )
    }
    free = {
        one
        for one in losing
        if not taken[one] and _may_go(reservations[one], credentials[one], plans, now)
    }
    braking = len(losing) > max(BRAKE_STAYS, BRAKE_SHARE * len(taken))
    already = {one for one in losing if reservations[one].held_reads is not None}
    held = (losing if braking else already) - free
    before = {one for one, known in reservations.items() if known.held_reads is not None}
    return frozenset(held), frozenset(before - held)


def _may_go(
    one: Known,
    mine: Mapping[str, Planned],
    plans: Mapping[str, _UnitPlan],
    now: datetime,
) -> bool:
    """May a held stay lose its doors by itself?"""
    if (
        not one.kept
        and not one.deleted
        and one.unit is not None
        and one.held_reads is not None
        and one.held_reads + int(one.read_again) >= HELD_READS
    ):
        return True
    for stored in mine.values():
        plan = plans.get(stored.unit)
        start = plan.next_other(stored, now) if plan is not None else None
        if start is not None and start <= now:
            return True
    return False
