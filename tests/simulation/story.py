"""What happens in one simulated month, drawn from a seed as plain data.

Every event stands alone: one that speaks of a stay which was never booked does nothing. So any of
them can be left out, and what remains is a story still.
"""

import random
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from gateway.tuya.profiles import PROFILES

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0

# A zone, and a night on which its clocks change.
_NIGHTS = (
    ("America/New_York", date(2026, 3, 8)),
    ("America/New_York", date(2026, 11, 1)),
    ("Europe/Lisbon", date(2026, 3, 29)),
    ("Europe/Lisbon", date(2026, 10, 25)),
    ("Australia/Lord_Howe", date(2026, 4, 5)),
    ("Australia/Lord_Howe", date(2026, 10, 4)),
)
_CHECK_INS = ("15:00",) * 5 + ("14:00", "18:30", "11:00", "02:30", None)
_CHECK_OUTS = ("11:00",) * 5 + ("10:00", "12:00", "01:30", None)

STAYS_FAULTS = (
    "503",
    "429",
    "hang up",
    "html",
    "404",
    "empty",
    "half the pages",
    "small pages",
    "shuffled",
    "repeated rows",
    "stale",
    "another account",
    "malformed",
)
LOCK_FAULTS = (
    "silent",
    "ack only",
    "push first",
    "push only",
    "slow",
    "late",
    "lose",
    "duplicate",
    "truncated",
    "no base64",
    "other number",
    "error",
    "busy",
    "hang up before",
    "hang up after",
)


@dataclass(frozen=True)
class Event:
    """`at`: seconds after the start."""

    at: float
    kind: str
    args: dict = field(default_factory=dict)

    def __str__(self):
        days, rest = divmod(int(self.at), 86400)
        told = " ".join(f"{name}={value}" for name, value in self.args.items())
        return (
            f"day {days:2} {rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02} {self.kind} {told}"
        )


@dataclass(frozen=True)
class LockPlan:
    """One lock: how it is reached and what it can hold."""

    name: str
    profile: str
    direct: bool
    version: str
    two_stage: bool
    trust_window: bool
    capacity: int
    foreign: int


@dataclass(frozen=True)
class Story:
    """All that a seed decides of a month, but for the chance inside the gateway and the network."""

    seed: int
    days: int
    zone: str
    start: datetime
    locks: tuple[LockPlan, ...]
    units: tuple[tuple[str, ...], ...]  # the names of the locks of each
    events: tuple[Event, ...]


def story(seed, days=30):
    """The story of a seed."""
    return _Drawing(seed, days).story()


class _Drawing:
    def __init__(self, seed, days):
        self.draw = random.Random(f"story {seed}")
        self.seed, self.days = seed, days
        self.zone, night = self.draw.choice(_NIGHTS)
        first = night - timedelta(days=self.draw.randrange(2, max(3, days - 3)))
        local = datetime(first.year, first.month, first.day, 12, tzinfo=ZoneInfo(self.zone))
        self.start = local.astimezone(UTC)
        self.night = night
        self.events = []
        self.moments = []  # seconds after the start at which something is due
        self.stays = 0

    def story(self):
        locks, units = self._layout()
        for unit in range(len(units)):
            self._calendar(unit, len(units))
        self._stays_faults()
        self._lock_faults([lock.name for lock in locks])
        self._kills()
        self._clock_steps()
        self._people()
        end = self.days * DAY
        events = sorted(
            (event for event in self.events if event.at < end), key=lambda event: event.at
        )
        return Story(
            seed=self.seed,
            days=self.days,
            zone=self.zone,
            start=self.start,
            locks=locks,
            units=units,
            events=tuple(events),
        )

    def _add(self, at, kind, **args):
        self.events.append(Event(round(max(at, 0.0), 1), kind, args))

    # --- the property --------------------------------------------------------------------------

    def _layout(self):
        draw = self.draw
        shape = draw.choice(["street and flats"] * 3 + ["house", "flats"])
        direct = [name for name, profile in PROFILES.items() if profile.direct]
        if shape == "house":
            return (self._lock("house", direct, direct=True),), (("house",),)
        hub_version = draw.choice(["3.3", "3.4", "3.5"])
        flats = tuple(
            self._lock(f"flat-{number}", sorted(PROFILES), direct=False, version=hub_version)
            for number in range(2)
        )
        if shape == "flats":
            return flats, tuple((flat.name,) for flat in flats)
        street = self._lock("street", direct, direct=True)
        return (street, *flats), tuple(("street", flat.name) for flat in flats)

    def _lock(self, name, profiles, *, direct, version=None):
        draw = self.draw
        return LockPlan(
            name=name,
            profile=draw.choice(profiles),
            direct=direct,
            version=version or draw.choice(["3.3", "3.4", "3.5"]),
            two_stage=draw.random() < 0.7,
            trust_window=draw.random() < 0.4,
            capacity=draw.choice([10, 10, 20, 100]),
            foreign=draw.randrange(3),
        )

    # --- stays ---------------------------------------------------------------------------------

    def _calendar(self, unit, units):
        """Stays one after the other, and what becomes of each."""
        draw = self.draw
        day = -draw.randrange(1, 4)
        client = None
        while day < self.days + 2:
            nights = draw.choice([1, 1, 2, 2, 3, 4, 6])
            if draw.random() > 0.15:
                client = None
            client = self._stay(unit, units, day, nights, client)
            day += nights + draw.choice([0, 0, 0, 1, 2, 4])

    def _stay(self, unit, units, day, nights, client):
        draw = self.draw
        number, self.stays = self.stays, self.stays + 1
        client = client or f"client-{number}"
        in_time, out_time = draw.choice(_CHECK_INS), draw.choice(_CHECK_OUTS)
        arrival, departure = (
            self._seconds(day, in_time or "15:00"),
            self._seconds(day + nights, out_time or "11:00"),
        )
        if departure <= arrival:
            departure += DAY
            nights += 1
        lead = draw.choice([0.1, 1, 3, 10, 10, 30, 30]) * DAY
        booked = max(0.0, arrival - draw.uniform(0.5, 1.0) * lead)
        if draw.random() < 0.05:
            booked = max(0.0, arrival + draw.uniform(0, 3) * HOUR)
        self._add(
            booked,
            "book",
            stay=number,
            unit=unit,
            day=day,
            nights=nights,
            check_in=in_time,
            check_out=out_time,
            client=client,
        )
        self.moments += [booked, arrival - 2 * HOUR, arrival, departure, departure + DAY]
        self._fate(number, unit, units, (booked, arrival, departure))
        self._guest(number, arrival, departure)
        return client

    def _seconds(self, day, clock):
        """Roughly when that is, after the start at noon."""
        hour, minute = map(int, clock.split(":"))
        return day * DAY + (hour - 12) * HOUR + minute * MINUTE

    def _fate(self, number, unit, units, span):
        """What becomes of a stay after it was booked."""
        draw = self.draw
        departure = span[2]
        for chance, until, kind, args in (
            (0.07, departure, "delete", {}),
            (0.2, departure, "extend", {"nights": draw.choice([-1, 1, 1, 2])}),
            (0.08, span[1], "shift", {"days": draw.choice([-1, 1, 2])}),
            (0.15, span[1], "check-in time", {"clock": draw.choice(_CHECK_INS[:-1])}),
            (0.12, departure, "check-out time", {"clock": draw.choice(_CHECK_OUTS[:-1])}),
            (0.1 if units > 1 else 0.0, departure, "relocate", {"unit": 1 - unit}),
            (0.1, departure, "contract", {}),
        ):
            if draw.random() < chance:
                self._add(self._time_of(span, until), kind, stay=number, **args)
        if draw.random() < 0.2:
            at = self._time_of(span, departure + DAY)
            self._add(at, "cancel", stay=number)
            if draw.random() < 0.35:
                self._add(at + draw.uniform(0.2, 20) * HOUR, "reactivate", stay=number)

    def _time_of(self, span, until):
        """Some time in a stay's life, often near one of its moments."""
        draw = self.draw
        booked, arrival, departure = span
        near = draw.choice([arrival - 2 * HOUR, arrival, departure])
        at = near + draw.uniform(-4, 4) * HOUR
        if draw.random() < 0.5 or not booked < at < until:
            at = draw.uniform(booked, max(until, booked + HOUR))
        return at

    def _guest(self, number, arrival, departure):
        draw = self.draw
        self._add(arrival + draw.uniform(-1.8, 3) * HOUR, "type", stay=number)
        for _ in range(draw.randrange(3)):
            self._add(draw.uniform(arrival - 4 * HOUR, departure + 30 * HOUR), "type", stay=number)
        for _ in range(draw.randrange(3)):
            self._add(departure + draw.uniform(0, 6) * DAY, "type", stay=number)

    # --- what goes wrong -----------------------------------------------------------------------

    def _some_moment(self):
        draw = self.draw
        if draw.random() < 0.6 and self.moments:
            return draw.choice(self.moments) + draw.uniform(-20, 10) * MINUTE
        return draw.uniform(0, self.days * DAY)

    def _stays_faults(self):
        draw = self.draw
        for _ in range(draw.randrange(3, 14)):
            self._add(
                self._some_moment(),
                "stays fault",
                fault=draw.choice(STAYS_FAULTS),
                lasts=draw.choice([5, 60, 300, 300, 700]) * MINUTE,
            )

    def _lock_faults(self, names):
        draw = self.draw
        for _ in range(draw.randrange(4, 20)):
            name, at = draw.choice(names), self._some_moment()
            lasts = draw.choice([1, 5, 30, 180, 1500]) * MINUTE
            kind = draw.choice([*LOCK_FAULTS, "offline", "offline", "cut", "cut", "full"])
            self._add(at, "lock fault", lock=name, fault=kind, lasts=lasts)
        if draw.random() < 0.15:
            self._add(
                draw.uniform(0, 0.5) * self.days * DAY,
                "skew",
                lock=draw.choice(names),
                seconds=draw.choice([-240, -60, -10, 10, 60, 240]),
            )

    def _kills(self):
        draw = self.draw
        for _ in range(draw.randrange(6)):
            self._add(
                self._some_moment(),
                "kill",
                touches=draw.choice([1, 5, 20, 60, 200, 500]) + draw.randrange(60),
                power=draw.random() < 0.4,
                down=draw.choice([5, 5, 5, 60, 300, 3 * 3600, 30 * 3600]),
            )
        for _ in range(draw.randrange(2)):
            self._add(self._some_moment(), "restart", down=draw.choice([1, 5, 600]))

    def _clock_steps(self):
        draw = self.draw
        for _ in range(draw.choice([0, 0, 1, 2])):
            self._add(
                self._some_moment(),
                "clock step",
                seconds=draw.choice([-1, 1]) * draw.uniform(1, MOST_CLOCK_STEP),
                lasts=draw.choice([1, 30, 600]) * MINUTE,
            )

    def _people(self):
        draw = self.draw
        for _ in range(draw.randrange(4)):
            self._add(self._some_moment(), "reconcile")
        for _ in range(draw.randrange(4)):
            self._add(self._some_moment(), "decide held", confirm=draw.random() < 0.6)
        if draw.random() < 0.15:
            self._add(self._some_moment(), "mass cancellation", share=draw.choice([0.5, 1.0]))


MOST_CLOCK_STEP = 280.0  # seconds: larger steps wait for the rule of the clock to be complete
