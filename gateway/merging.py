"""What a reservation is after a run: its stored row and what Stays showed of it."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from enum import StrEnum

from gateway.domain.entitlement import Known
from gateway.domain.model import Property, Reservation, Terms, Unit, Window
from gateway.domain.policy import Stay, stay_of
from gateway.domain.value import value
from gateway.errors import MalformedReservationError
from gateway.store.reservations import StoredReservation

_MISSES = 2  # consecutive runs that must read a 404 of a guest inside


class Change(StrEnum):
    """What a run counts of one reservation."""

    NONE = "unchanged"
    CREATED = "created"
    UPDATED = "updated"
    DELETED = "deleted"


@value
class Merged:
    """One reservation as a run leaves it.

    Attributes:
        before: its row before the run, None for a new one.
        row: its row after the run.
        reopened: its own dates changed, or it came back to life.
        read_again: it is held by the brake, and Stays' word against it was read again.
        first_miss: its guest is inside, and Stays answered 404 for the first time.
    """

    before: StoredReservation | None
    row: StoredReservation
    stay: Stay | None
    reopened: bool = False
    read_again: bool = False
    first_miss: bool = False

    @property
    def change(self) -> Change:
        """What the run counts it as."""
        if self.before is None:
            return Change.CREATED
        was_deleted, is_deleted = (
            self.before.deleted_at is not None,
            self.row.deleted_at is not None,
        )
        if is_deleted and not was_deleted:
            return Change.DELETED
        if self.before.reservation != self.row.reservation or was_deleted != is_deleted:
            return Change.UPDATED
        return Change.NONE

    @property
    def dates_changed(self) -> bool:
        """Is it new, or are its nights others than before?"""
        return self.before is None or self.reopened

    def known(self) -> Known:
        """The same for the domain."""
        row = self.row
        return Known(
            reservation=row.reservation,
            unit=row.unit,
            stay=self.stay,
            deleted=row.deleted_at is not None,
            reopened=self.reopened,
            over=row.over_at_first_sight,
            blocked=row.blocked,
            held_reads=None if row.held_since is None else row.held_reads,
            kept=row.kept,
            read_again=self.read_again,
            holds_placement=row.holds_placement,
            terms=row.terms,
            own_window=_own_window(row),
        )

    def held(self, now: datetime) -> "Merged":
        """The same under the brake."""
        reads = self.row.held_reads + int(self.read_again)
        row = replace(self.row, held_since=self.row.held_since or now, held_reads=reads)
        return replace(self, row=row)

    def released(self) -> "Merged":
        """The same, no longer under the brake."""
        return replace(self, row=replace(self.row, held_since=None, held_reads=0, kept=False))

    def story(self) -> str:
        """The change in words, without guest data."""
        one = self.row.reservation
        nights = f"{one.check_in_date!s} to {one.check_out_date!s}"
        return f"{one.type} in {self.row.unit}, {nights}"


class Merging:
    """Merges the reservations of one run."""

    def __init__(self, *, site: Property, units: Mapping[str, Unit], now: datetime) -> None:
        self._units = units
        self._now = now
        self._nowhere = Unit(
            name="",
            stays_ids=(),
            locks=(),
            zone=site.zone,
            check_in_time=site.check_in_time,
            check_out_time=site.check_out_time,
        )

    def merge(
        self, before: StoredReservation | None, shown: Reservation | None, *, gone: bool
    ) -> Merged:
        """One of `before` and `shown` is given.

        Raises:
            MalformedReservationError: what Stays shows cannot be a stay.
        """
        if shown is not None:
            return self._shown(before, shown)
        if before is None:
            raise ValueError("neither a stored nor a shown reservation")
        if gone:
            return self._missed(before)
        merged = self.unchanged(before)
        return replace(merged, row=replace(merged.row, missing_reads=0))

    def unchanged(self, before: StoredReservation, *, reopened: bool = False) -> Merged:
        """A reservation of which nothing new was read; the configuration may have changed."""
        if before.terms is not None:
            return replace(self._by_hand(before, before.terms), reopened=reopened)
        unit = self._units.get(before.reservation.listing_id)
        row = replace(before, unit=unit.name if unit else None)
        try:
            stay = stay_of(before.reservation, unit or self._nowhere)
        except MalformedReservationError:  # by a new default time: what was stored holds
            return Merged(
                before=before, row=row, stay=None if unit is None else _stored_stay(before)
            )
        row = replace(row, check_in_at=stay.check_in_at, check_out_at=stay.check_out_at)
        return Merged(before=before, row=row, stay=None if unit is None else stay)

    def _by_hand(self, before: StoredReservation, terms: Terms) -> Merged:
        """Manual access is known to the unit's turnover by the moments that a person gave."""
        unit = next((one.name for one in self._units.values() if one.name == terms.unit), None)
        stay = None if unit is None else _stored_stay(before)
        return Merged(before=before, row=replace(before, unit=unit), stay=stay)

    def _missed(self, before: StoredReservation) -> Merged:
        merged = self.unchanged(before)
        inside = before.check_in_at <= self._now < before.check_out_at
        misses = before.missing_reads + 1
        if inside and before.holds_placement and misses < _MISSES:
            return replace(merged, row=replace(merged.row, missing_reads=misses), first_miss=True)
        return replace(merged, row=replace(merged.row, missing_reads=0, deleted_at=self._now))

    def _shown(self, before: StoredReservation | None, shown: Reservation) -> Merged:
        unit = self._units.get(shown.listing_id)
        stay = stay_of(shown, unit or self._nowhere)
        name = unit.name if unit else None
        if before is None:
            row = StoredReservation(
                reservation=shown,
                unit=name,
                check_in_at=stay.check_in_at,
                check_out_at=stay.check_out_at,
                over_at_first_sight=stay.check_out_at <= self._now,
            )
            return Merged(before=None, row=row, stay=None if unit is None else stay)
        reopened = self._reopens(before, shown, stay)
        same = not reopened and (before.reservation, before.unit, before.missing_reads) == (
            shown,
            name,
            0,
        )
        row = (
            before
            if same
            else replace(
                before,
                reservation=shown,
                unit=name,
                check_in_at=stay.check_in_at,
                check_out_at=stay.check_out_at,
                over_at_first_sight=before.over_at_first_sight
                and not (reopened and stay.check_out_at > self._now),
                deleted_at=None,
                missing_reads=0,
            )
        )
        return Merged(
            before=before,
            row=row,
            stay=None if unit is None else stay,
            reopened=reopened,
            read_again=before.held_since is not None and not shown.type.entitled,
        )

    def _reopens(self, before: StoredReservation, shown: Reservation, stay: Stay) -> bool:
        return (
            (before.check_in_at, before.check_out_at) != (stay.check_in_at, stay.check_out_at)
            or (shown.type.entitled and not before.reservation.type.entitled)
            or before.deleted_at is not None
        )


def _own_window(row: StoredReservation) -> Window | None:
    if row.terms is None or row.terms.unit is not None:
        return None
    return Window(valid_from=row.check_in_at, valid_until=row.check_out_at)


def _stored_stay(row: StoredReservation) -> Stay:
    one = row.reservation
    return Stay(
        reservation_id=one.id,
        check_in_date=one.check_in_date,
        check_out_date=one.check_out_date,
        check_in_at=row.check_in_at,
        check_out_at=row.check_out_at,
        client_id=one.client_id,
        partner_code=one.partner_code,
    )
