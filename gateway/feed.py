"""Reads from Stays what one reconciliation needs; writes nothing."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import structlog

from gateway.domain.model import Accommodation, Reservation, Unit
from gateway.errors import MalformedReservationError, StaysUnavailableError
from gateway.ports import Found, Gone, ReservationSource

_LONG_ID_LENGTH = 24

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """The dates that a run reads: the window of stays."""

    start: date
    end: date

    @classmethod
    def around(cls, now: datetime, zone: ZoneInfo, *, back: int, ahead: int) -> "Span":
        """From `back` days ago to `ahead` days from today, as the site's calendar has it."""
        today = now.astimezone(zone).date()
        return cls(start=today - timedelta(days=back), end=today + timedelta(days=ahead))

    def meets(self, one: Reservation) -> bool:
        """Does the stay truly meet the span, not merely touch it?"""
        return one.check_in_date < self.end and one.check_out_date > self.start


@dataclass(slots=True, kw_only=True)
class Feed:
    """What Stays showed in one run.

    Attributes:
        listed: the distinct rows that meet the span, by long id.
        found, gone: what the look-up by id of those that the list no longer shows has given.
        malformed: reservation id to reason.
        notes: what a person should know of the run, without guest data.
    """

    span: Span
    listed: dict[str, Reservation] = field(default_factory=dict)
    found: dict[str, Reservation] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    malformed: dict[str, str] = field(default_factory=dict)
    accommodations: list[Accommodation] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    fetched: int = 0

    def everything(self) -> Mapping[str, Reservation]:
        """All reservations that were read, by long id."""
        return self.listed | self.found

    @property
    def is_plain(self) -> bool:
        """Did Stays show a list, and nothing had to be asked or told beside it?"""
        beside = (self.found, self.gone, self.malformed, self.accommodations, self.notes)
        return not any(beside)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a run goes by: what Stays showed, and how the store and the clock stood then.

    `version`: of the store; see `Session.version`. `nothing_new`: all is as it was when a run found
    nothing to do; nothing was looked up in the store.
    """

    feed: Feed
    version: tuple[int, int]
    at: datetime
    nothing_new: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Quiet:
    """A reading that led to nothing. While it holds, another one leads to nothing either.

    A derivation knows what Stays shows, the rows of the store, the configuration (`adopt` forgets
    this) and the present; that it only compares with moments of stays, and none comes before `until`.
    """

    reading: Reading
    until: datetime

    def holds(self, feed: Feed, version: tuple[int, int], now: datetime) -> bool:
        """Is all as it was?"""
        before = self.reading
        return (
            before.at <= now < self.until
            and version == before.version
            and feed.span == before.feed.span
            and feed.is_plain
            and feed.listed == before.feed.listed
        )


class Reader:
    """Fills a Feed from a ReservationSource."""

    def __init__(self, source: ReservationSource) -> None:
        self._source = source

    async def read_list(self, span: Span, listing_ids: tuple[str, ...]) -> Feed:
        """All pages of the list; the same row twice counts once.

        Raises:
            StaysUnavailableError, StaysRefusedError: nothing of the list can be relied upon.
        """
        feed = Feed(span=span)
        async for page in self._source.pages(span.start, span.end, listing_ids=listing_ids):
            for row in page:
                if isinstance(row, MalformedReservationError):
                    feed.malformed[row.reservation_id] = row.reason
                elif span.meets(row):
                    feed.listed[row.id] = row
        for known in feed.listed:
            feed.malformed.pop(known, None)
        feed.fetched = len(feed.listed) + len(feed.malformed)
        if feed.fetched == 0:
            feed.notes.append("Stays listed no reservation at all")
        return feed

    async def look_up(
        self, feed: Feed, missing: Iterable[Reservation], known_ids: Iterable[str]
    ) -> None:
        """Ask by id for the stays that the list no longer shows.

        A 404 counts only if the list of this run held a reservation we knew before, or if the
        stay's listing still answers: a renamed account answers 404 to everything.
        """
        list_is_ours = any(one in feed.listed for one in known_ids)
        for one in missing:
            try:
                answer = await self._source.reservation(one.id)
                match answer:
                    case Found(reservation=reservation):
                        feed.found[one.id] = reservation
                    case Gone():
                        if list_is_ours or await self._listing_answers(one.listing_id):
                            feed.gone.add(one.id)
                        else:
                            feed.notes.append(
                                f"{one.code}: not found, but nothing vouches for that answer"
                            )
            except MalformedReservationError as error:
                feed.malformed[one.id] = error.reason
            except StaysUnavailableError:
                feed.notes.append(f"{one.code}: missing from the list, could not be looked up")

    async def _listing_answers(self, listing_id: str) -> bool:
        return await self._source.accommodation(listing_id) is not None

    async def resolve_listings(
        self, feed: Feed, units: Iterable[Unit], known: Mapping[str, Accommodation]
    ) -> None:
        """Learn the long ids of listings that the configuration names by their short code."""
        for stays_id in unexplained(units, known):
            try:
                listing = await self._source.accommodation(stays_id)
            except StaysUnavailableError:
                feed.notes.append(f"listing {stays_id} could not be looked up")
                continue
            if listing is None:
                feed.notes.append(f"Stays knows no listing {stays_id}: check [[listings]]")
                continue
            feed.accommodations.append(listing)


def unexplained(units: Iterable[Unit], known: Mapping[str, Accommodation]) -> list[str]:
    """The short ids of the configuration that no known listing explains."""
    codes = {one.code for one in known.values()} | {one.id for one in known.values()}
    return [
        stays_id
        for unit in units
        for stays_id in unit.stays_ids
        if len(stays_id) != _LONG_ID_LENGTH and stays_id not in codes
    ]


def unit_by_listing(
    units: Iterable[Unit], known: Mapping[str, Accommodation]
) -> Mapping[str, Unit]:
    """The unit of each listing id, short and long."""
    by_id = {stays_id: unit for unit in units for stays_id in unit.stays_ids}
    for listing in known.values():
        unit = by_id.get(listing.code or "") or by_id.get(listing.id)
        if unit is not None:
            by_id[listing.id] = unit
    return by_id
