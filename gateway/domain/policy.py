"""When a PIN may open a door: the windows of the stays of one unit."""

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from itertools import accumulate, islice
from operator import attrgetter
from zoneinfo import ZoneInfo

from gateway.domain.model import Policy, Reservation, Unit, Window, WindowMode
from gateway.domain.value import value
from gateway.errors import MalformedReservationError


@value
class Stay:
    """What the windows of a unit depend on. Dates are wall clock, `*_at` instants."""

    reservation_id: str
    check_in_date: date
    check_out_date: date
    check_in_at: datetime
    check_out_at: datetime
    client_id: str | None = None
    partner_code: str | None = None


@lru_cache(maxsize=4096)  # many stays begin and end on the same days
def instant(day: date, at: time, zone: ZoneInfo, *, later: bool) -> datetime:
    """The instant in UTC of a wall clock reading in `zone`.

    A reading that comes twice (clocks put back) is the later instant if `later`, else the earlier;
    one that never comes (clocks put forward) is the instant after the gap.
    """
    first = datetime.combine(day, at, zone).replace(fold=0)
    second = first.replace(fold=1)
    first_utc, second_utc = first.astimezone(UTC), second.astimezone(UTC)
    if first_utc > second_utc:  # a gap: the two readings lie on either side of the transition
        return _transition(second_utc, first_utc, zone)
    return second_utc if later else first_utc


def _transition(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    """The first second in (before, after] with the offset that `after` has."""
    offset = after.astimezone(zone).utcoffset()
    while after - before > timedelta(seconds=1):
        middle = before + (after - before) // 2
        middle = middle.replace(microsecond=0)
        if middle.astimezone(zone).utcoffset() == offset:
            after = middle
        else:
            before = middle
    return after


def stay_of(reservation: Reservation, unit: Unit) -> Stay:
    """The stay of a reservation in its unit: its own times, else the unit's, in the unit's zone.

    Raises:
        MalformedReservationError: its check-out is not after its check-in.
    """
    check_in_at = instant(
        reservation.check_in_date,
        reservation.check_in_time or unit.check_in_time,
        unit.zone,
        later=False,
    )
    check_out_at = instant(
        reservation.check_out_date,
        reservation.check_out_time or unit.check_out_time,
        unit.zone,
        later=True,
    )
    if check_out_at <= check_in_at:
        raise MalformedReservationError(reservation.id, "its check-out is not after its check-in")
    return Stay(
        reservation_id=reservation.id,
        check_in_date=reservation.check_in_date,
        check_out_date=reservation.check_out_date,
        check_in_at=check_in_at,
        check_out_at=check_out_at,
        client_id=reservation.client_id,
        partner_code=reservation.partner_code,
    )


def same_guest(one: Stay, other: Stay) -> bool:
    """Do two stays of one unit follow each other with the same guest in it?"""
    same = (one.partner_code is not None and one.partner_code == other.partner_code) or (
        one.client_id is not None and one.client_id == other.client_id
    )
    if not same:
        return False
    earlier, later = (one, other) if order(one) <= order(other) else (other, one)
    return later.check_in_date <= earlier.check_out_date


def windows(stays: Iterable[Stay], policy: Policy) -> Mapping[str, Window]:
    """The window of each stay of one unit, by reservation id.

    `stays` are all entitled ones that can matter to each other. No clamp cuts into a stay's own
    nights, and two windows overlap only where the stays do or the guest is the same (or, for the
    ends of windows, where `yield_to_next_guest` is off).
    """
    ordered = sorted(stays, key=order)
    longest = list(accumulate((stay.check_out_at for stay in ordered), max))
    starts: dict[str, datetime] = {}
    for index, stay in enumerate(ordered):
        earlier = ((ordered[one], longest[one]) for one in range(index - 1, -1, -1))
        starts[stay.reservation_id] = _valid_from(stay, earlier, policy)
    return {
        stay.reservation_id: Window(
            valid_from=starts[stay.reservation_id],
            valid_until=_valid_until(stay, islice(ordered, index + 1, None), starts, policy),
        )
        for index, stay in enumerate(ordered)
    }


order = attrgetter("check_in_at", "reservation_id")  # of the stays of a unit, one after the other


def _valid_from(stay: Stay, earlier: Iterable[tuple[Stay, datetime]], policy: Policy) -> datetime:
    """`earlier`: the last first, each with the latest check-out of all up to it."""
    start = stay.check_in_at - policy.activate_before
    for other, latest in earlier:
        if latest <= start:
            break
        if not same_guest(stay, other):
            start = max(start, other.check_out_at)
    return min(stay.check_in_at, start)


def _valid_until(
    stay: Stay, later: Iterable[Stay], starts: Mapping[str, datetime], policy: Policy
) -> datetime:
    end = stay.check_out_at + policy.revoke_after
    if policy.yield_to_next_guest:
        for other in later:
            if other.check_in_at - policy.activate_before >= end:  # no window begins before that
                break
            if not same_guest(stay, other):
                end = min(end, starts[other.reservation_id])
    return max(stay.check_out_at, end)


def overlapping(stays: Iterable[Stay]) -> tuple[tuple[str, str], ...]:
    """The pairs of reservation ids of one unit whose nights truly overlap, by other guests."""
    ordered = sorted(stays, key=order)
    pairs: list[tuple[str, str]] = []
    for index, stay in enumerate(ordered):
        for other in islice(ordered, index + 1, None):
            if other.check_in_at >= stay.check_out_at:
                break
            if not same_guest(stay, other):
                pairs.append((stay.reservation_id, other.reservation_id))
    return tuple(pairs)


def window_to_write(window: Window, mode: WindowMode) -> Window | None:
    """The window as it is written to a lock: to the second, without padding; None: no limits."""
    match mode:
        case WindowMode.FULL:
            return window
        case WindowMode.END:
            return Window(
                valid_from=window.valid_from - timedelta(days=1), valid_until=window.valid_until
            )
        case WindowMode.NONE:
            return None


def window_to_move(held: Window | None, wanted: Window | None, now: datetime) -> Window | None:
    """What the window of a code on a lock is to become: `wanted`, but a start that has passed stays.

    A lock whose clock runs behind would keep out the guest inside for as long as it does.
    """
    if held is None or wanted is None or not held.valid_from <= wanted.valid_from <= now:
        return wanted
    return Window(valid_from=held.valid_from, valid_until=wanted.valid_until)
