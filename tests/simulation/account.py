"""The simulated Stays account of a story: what is true, since when, and what was served of it."""

import copy
from dataclasses import dataclass, replace
from datetime import date, timedelta
from email.utils import format_datetime

from aiohttp import web

from gateway.simulator.stays import SimulatedStays, StaysFaults

_HARMLESS = frozenset({"small pages"})
_STALE = 2 * 3600.0  # seconds that a stale list is behind
_SETTLED = 30.0  # seconds after a list within which its run is written


@dataclass(frozen=True)
class Facts:
    """What is true of one reservation: wall clock dates and times, None: the unit's own time."""

    entitled: bool
    deleted: bool
    listing: str
    check_in: tuple[str, str | None]
    check_out: tuple[str, str | None]
    client: str
    partner: str | None

    def guest_is(self, other):
        """Do the two follow each other with the same guest, by the rule?"""
        same = self.client == other.client or (
            self.partner is not None and self.partner == other.partner
        )
        earlier, later = sorted((self, other), key=lambda one: one.check_in[0])
        return same and later.check_in[0] <= earlier.check_out[0]


@dataclass(frozen=True)
class Version:
    """All facts from a moment on."""

    since: float
    facts: dict
    rows: dict


@dataclass
class Read:
    """One reading of the list by the gateway. Times are seconds after the start."""

    began: float
    ended: float | None = None
    stale: bool = False


class Account(SimulatedStays):
    """A SimulatedStays that remembers. Its time is that of the world."""

    def __init__(self, draw, clock):
        super().__init__(draw)
        self._clock = clock
        self._seconds = clock.monotonic
        self.versions = []
        self.reads = []
        self.served_stale = []  # (when, version)
        self.fault_spans = []  # [name, began, ended or None]
        self._active = []
        self._stale_since = 0.0
        self._malformed = set()

    # --- the truth -----------------------------------------------------------------------------

    def note(self):
        """Something has changed: a new version."""
        rows = copy.deepcopy(self.reservations)
        facts = {one: _facts(row) for one, row in rows.items()}
        before = self.versions[-1].facts if self.versions else {}
        for gone in before.keys() - facts.keys():
            facts[gone] = _without(before[gone])
        self.versions.append(Version(self._seconds(), facts, rows))

    # --- what goes wrong -----------------------------------------------------------------------

    def begin(self, fault):
        """A fault begins; what `end` takes."""
        span = [fault, self._seconds(), None]
        self._active.append(span)
        self.fault_spans.append(span)
        if fault == "stale":
            self._stale_since = self._seconds() - _STALE
        if fault == "malformed":
            ids = sorted(self.reservations)
            self._malformed = set(self.draw.sample(ids, len(ids) // 3))
        self._arrange()
        return span

    def end(self, span):
        """A fault ends."""
        span[2] = self._seconds()
        self._active.remove(span)
        self._arrange()

    def _arrange(self):
        active = {span[0] for span in self._active}
        small = {"half the pages", "small pages", "shuffled", "repeated rows"}
        self.most = 3 if active & small else 100
        self.clamps = bool(active & small)
        self.faults = StaysFaults(
            status=503 if "503" in active else 429 if "429" in active else None,
            retry_after=30 if "429" in active else None,
            html="html" in active,
            not_found="404" in active,
            hang_up="hang up" in active,
            empty=bool(active & {"empty", "another account"}),
            last_page_lost="half the pages" in active,
            repeat_rows="repeated rows" in active,
        )
        self.is_active = active

    is_active = frozenset()

    def was_faulty(self, began, ended):
        """Did a fault that can hide the truth touch this time?"""
        return any(
            name not in _HARMLESS and start <= ended and (end is None or end >= began)
            for name, start, end in self.fault_spans
        )

    # --- serving -------------------------------------------------------------------------------

    async def _list(self, request):
        now = self._seconds()
        if request.query.get("skip", "0") == "0":
            self.reads.append(Read(now))
        read = self.reads[-1]
        whole = self.reservations
        if "stale" in self.is_active:
            version = self.version_at(self._stale_since)
            self.served_stale.append((now, version))
            self.reservations, read.stale = version.rows, True
        if "malformed" in self.is_active:
            broken = {"checkOutDate": "soon", "checkInDate": "2026-13-45"}
            self.reservations = {
                one: row | broken if one in self._malformed else row
                for one, row in self.reservations.items()
            }
        try:
            answer = await super()._list(request)
        finally:
            self.reservations = whole
        if answer.status == 200 and answer.text == "[]":
            read.ended = now
        return answer

    @web.middleware
    async def _guard(self, request, handler):
        """Stays knows the time, whatever the clock of the gateway's machine shows."""
        answer = await super()._guard(request, handler)
        answer.headers["Date"] = format_datetime(self._clock.now(), usegmt=True)
        return answer

    def version_at(self, moment):
        """The version that held at a moment, the first one before it."""
        held = [version for version in self.versions if version.since <= moment]
        return held[-1] if held else self.versions[0]

    def _in_no_order(self):
        rows = super()._in_no_order()
        if "shuffled" in self.is_active:
            self.draw.shuffle(rows)
        return rows

    async def _detail(self, request):
        if "another account" in self.is_active:
            return _unknown()
        return await super()._detail(request)

    async def _listing(self, request):
        if "another account" in self.is_active:
            return _unknown()
        return await super()._listing(request)

    # --- changes -------------------------------------------------------------------------------

    def nights(self, reservation, *, arrive=0, leave=0):
        """Move arrival and departure by so many days, where a stay remains."""
        row = self.reservations[reservation]
        arrival = date.fromisoformat(row["checkInDate"]) + timedelta(days=arrive)
        departure = date.fromisoformat(row["checkOutDate"]) + timedelta(days=leave)
        if arrival < departure:
            self.move(reservation, arrival, departure)


def _unknown():
    raise web.HTTPNotFound


def _facts(row):
    return Facts(
        entitled=row["type"] in {"booked", "contract"},
        deleted=False,
        listing=row["_idlisting"],
        check_in=(row["checkInDate"], row["checkInTime"]),
        check_out=(row["checkOutDate"], row["checkOutTime"]),
        client=row["_idclient"],
        partner=row["partnerCode"],
    )


def _without(facts):
    return replace(facts, entitled=False, deleted=True)
