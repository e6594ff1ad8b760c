"""Which conditions hold, by what the store knows."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from gateway.domain import events
from gateway.domain.alerts import Condition, Key, Obstacle
from gateway.domain.model import Refusal
from gateway.domain.status import ARRIVAL_NEAR, DoorState

_LAST_CALL = timedelta(hours=2)  # before arrival, `pin.at_risk` is told once more
_LOW_PERCENT, _GOOD_PERCENT = 15, 20
_EMPTY = frozenset({"low", "poweroff"})
_WORST_SKEW, _GOOD_SKEW = 120, 60  # seconds
_NAMED = 8  # locks of a hub that are named in one message
_FOREIGN_REST = timedelta(hours=24)


@dataclass(frozen=True, slots=True, kw_only=True)
class LockSignals:
    """What a configured lock was last known to be. `hub`: the one it hangs behind."""

    name: str
    hub: str | None = None
    reachable: bool | None = None
    why: str | None = None
    battery_percent: int | None = None
    battery_state: str | None = None
    alarm: str | None = None
    clock_skew: int | None = None
    foreign_report_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """A credential that is not finished. `refused`: a wrong code was typed beside it."""

    id: str
    lock: str
    state: DoorState
    refused: bool = False
    used: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Guest:
    """A stay that has, or had, a right to its doors. `lost`: its listing is mapped no longer."""

    code: str
    unit: str | None
    check_in_at: datetime
    check_out_at: datetime
    entitled: bool = True
    held: bool = False
    lost: bool = False
    doors: tuple[Door, ...] = ()


@dataclass(frozen=True, slots=True)
class Overlap:
    """Two stays of a unit whose nights overlap. `until`: the end of the one that ends first."""

    code: str
    other: str
    unit: str
    until: datetime


@dataclass(frozen=True, slots=True)
class Unmapped:
    """A listing with stays and without a unit. `until`: the end of the last one."""

    listing: str
    name: str | None
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """All that conditions are derived from, but the time.

    Attributes:
        failing: why reconciliations fail, None while they do not.
        mapped: the listings that have a unit.
        contended: hubs and locks from which somebody else throws us out.
        clock_doubt: why the clock is not trusted and what to do, None while it is.
    """

    locks: tuple[LockSignals, ...] = ()
    guests: tuple[Guest, ...] = ()
    failing: str | None = None
    overlaps: tuple[Overlap, ...] = ()
    unmapped: tuple[Unmapped, ...] = ()
    mapped: frozenset[str] = frozenset()
    contended: tuple[str, ...] = ()
    clock_doubt: str | None = None


def conditions(facts: Facts, standing: Collection[Key], now: datetime) -> list[Condition]:
    """What holds now. `standing`: what held before, for what ends later than it began."""
    found: list[Condition] = []
    silent = _silent_hubs(facts.locks)
    for lock in facts.locks:
        # one that was told of before its hub went stays a trouble of its own
        by_hub = lock.hub in silent and (events.LOCK_OFFLINE, lock.name) not in standing
        found += [
            one
            for one in _of_lock(lock, standing, now)
            if one.event != events.LOCK_OFFLINE or not by_hub
        ]
    found += [_offline_hub(hub, locks) for hub, locks in silent.items()]
    for guest in facts.guests:
        found += _of_guest(guest, facts.clock_doubt, now)
        found += [one for door in guest.doors for one in _of_door(door, now)]
    found += _of_site(facts, now)
    found += _unmapped(facts, standing, now)
    return found


def _silent_hubs(locks: Iterable[LockSignals]) -> dict[str, list[LockSignals]]:
    """The hubs behind which no lock can be reached, where that is more than one."""
    behind: dict[str, list[LockSignals]] = {}
    for lock in locks:
        if lock.hub is not None and lock.reachable is not None:
            behind.setdefault(lock.hub, []).append(lock)
    return {
        hub: mine
        for hub, mine in behind.items()
        if len(mine) > 1 and not any(lock.reachable for lock in mine)
    }


def _offline_hub(hub: str, locks: list[LockSignals]) -> Condition:
    why = locks[0].why or "it cannot be reached"
    named = ", ".join(lock.name for lock in locks[:_NAMED])
    more = f" and {len(locks) - _NAMED} more" if len(locks) > _NAMED else ""
    detail = (
        f"{why}: none of its {len(locks)} locks can be reached ({named}{more}): check its power and"
        " its network; `gateway check` says more"
    )
    return Condition(event=events.LOCK_OFFLINE, subject=hub, detail=detail)


def _of_lock(lock: LockSignals, standing: Collection[Key], now: datetime) -> Iterator[Condition]:
    name = lock.name
    if lock.reachable is False:
        why = lock.why or "it cannot be reached"
        detail = f"{why}: check its power, its hub and the Wi-Fi; `gateway check` says more"
        yield Condition(event=events.LOCK_OFFLINE, subject=name, detail=detail)
    if (low := _battery(lock, was_low=(events.BATTERY_LOW, name) in standing)) is not None:
        yield Condition(
            event=events.BATTERY_LOW, subject=name, detail=f"{low}: change the batteries"
        )
    was_off = (events.LOCK_CLOCK_OFF, name) in standing
    skew = lock.clock_skew or 0
    if abs(skew) > (_GOOD_SKEW if was_off else _WORST_SKEW):
        direction = "ahead" if skew > 0 else "behind"
        detail = (
            f"its clock, or its hub's, is {abs(skew) / 60:.0f} min {direction}: PINs begin and"
            " end by it. Let its hub reach the Internet for the time"
            + ("" if skew > 0 else ', or set window = "end"')
        )
        yield Condition(event=events.LOCK_CLOCK_OFF, subject=name, detail=detail)
    seen = lock.foreign_report_at
    if seen is not None and now < seen + _FOREIGN_REST:
        detail = (
            "it reports codes that this gateway did not ask for: if it was not you in its app, find"
            " out who uses it"
        )
        yield Condition(event=events.LOCK_FOREIGN_WRITER, subject=name, detail=detail)


def _battery(lock: LockSignals, *, was_low: bool) -> str | None:
    """How low it is, None where it is not. A percentage says more than a word, a word more than an alarm."""
    percent, state = lock.battery_percent, lock.battery_state
    if percent is not None:
        limit = _GOOD_PERCENT - 1 if was_low else _LOW_PERCENT
        if percent <= limit:
            return f"{percent} % left"
        if percent >= _GOOD_PERCENT:
            return None
    if state in _EMPTY:
        return f"its battery is {state}"
    if state is None and lock.alarm == "low_battery":
        return "it says that its battery is low"
    return None


def _of_guest(guest: Guest, clock_doubt: str | None, now: datetime) -> Iterator[Condition]:
    if now >= guest.check_out_at:
        return
    near = now >= guest.check_in_at - ARRIVAL_NEAR
    found = [_obstacle(door) for door in guest.doors if door.state.would_fail(now)]
    if near and guest.lost:
        found.append(Obstacle(lock="", kind="unmapped"))
    if near and guest.held:
        found.append(Obstacle(lock="", kind="held"))
    coming = near and now < guest.check_in_at
    if coming and clock_doubt is not None and guest.entitled and guest.doors:
        found.append(Obstacle(lock="", kind="clock"))
    if not found:
        return
    soon = now >= guest.check_in_at - _LAST_CALL
    yield Condition(
        event=events.PIN_AT_RISK,
        subject=guest.code,
        detail="; ".join(str(one) for one in found),
        parts=frozenset({"start", "2h"} if soon else {"start"}),
        unit=guest.unit,
        arrival=guest.check_in_at,
        obstacles=tuple(found),
    )


def _obstacle(door: Door) -> Obstacle:
    state = door.state
    if state.unreachable:
        return Obstacle(lock=door.lock, kind="unreachable")
    if state.reason in set(Refusal):
        return Obstacle(lock=door.lock, kind=str(state.reason))
    return Obstacle(lock=door.lock, kind="unconfirmed", said=state.reason)


def _of_door(door: Door, now: datetime) -> Iterator[Condition]:
    state = door.state
    if state.is_late(now) and state.ends_at is not None:
        why = "the lock cannot be reached" if state.unreachable else state.reason
        detail = f"its PIN should be gone from {door.lock} and may still open it" + (
            f" ({why})" if why else ""
        )
        yield Condition(
            event=events.CREDENTIAL_REVOCATION_LATE,
            subject=door.id,
            detail=f"{detail}: bring the lock back, or delete it there; it goes on trying",
        )
    if door.refused and not door.used and state.wanted and state.window.holds(now):
        detail = (
            "a wrong code was typed while this PIN is confirmed and was never used: if it was"
            ' the guest, the lock\'s clock may be wrong; window = "end" helps if it is behind'
        )
        yield Condition(event=events.CODE_REFUSED, subject=door.id, detail=detail)


def _of_site(facts: Facts, now: datetime) -> Iterator[Condition]:
    if facts.failing is not None:
        yield Condition(event=events.RECONCILE_FAILED, subject="gateway", detail=facts.failing)
    held = sorted(
        guest.code
        for guest in facts.guests
        if guest.held and (guest.doors or now < guest.check_out_at)
    )
    if held:
        detail = (
            f"{len(held)} stays would lose their doors and keep them for now ({', '.join(held)}):"
            " look at Stays, then `gateway held --confirm` or --reject"
        )
        yield Condition(
            event=events.BRAKE_HELD, subject="gateway", detail=detail, parts=frozenset(held)
        )
    if facts.clock_doubt is not None:
        detail = (
            f"{facts.clock_doubt}: what is due by the clock waits; `gateway clock trust` vouches"
        )
        yield Condition(event=events.CLOCK_UNTRUSTED, subject="gateway", detail=detail)
    for one in facts.overlaps:
        if now < one.until:
            yield Condition(
                event=events.STAY_OVERLAP,
                subject=f"{one.code}+{one.other}",
                detail=f"its nights overlap those of {one.other} in {one.unit}: both keep their PIN",
                unit=one.unit,
            )
    for peer in facts.contended:
        detail = (
            "somebody else and the gateway throw each other out: close Tuya's app on the local"
            " network and other integrations of this device"
        )
        yield Condition(event=events.HUB_CONTENDED, subject=peer, detail=detail)


def _unmapped(facts: Facts, standing: Collection[Key], now: datetime) -> Iterable[Condition]:
    """Once told, it stands until the listing is mapped: a listing without locks is told of once."""
    names = {one.listing: one.name for one in facts.unmapped if now < one.until}
    told = {subject for event, subject in standing if event == events.LISTING_UNMAPPED}
    for listing in sorted((names.keys() | told) - facts.mapped):
        name = names.get(listing)
        called = f"{listing} ({name})" if name else listing
        detail = f"stays on listing {called} get no PIN: add it to [[listings]] if they should"
        yield Condition(event=events.LISTING_UNMAPPED, subject=listing, detail=detail)
