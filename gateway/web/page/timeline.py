"""Two weeks of every unit as one picture: nights, PIN windows, turnovers, first openings."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta

from gateway.domain.model import Window
from gateway.store.moments import from_text
from gateway.store.overview import StayView
from gateway.web.page.sentences import card
from gateway.web.page.words import Words

BACK, AHEAD = timedelta(days=2), timedelta(days=12)
_TURNOVER = timedelta(hours=24)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A stay. x and width in percent of the picture."""

    code: str
    guest: str
    tone: str
    label: str
    x: float
    width: float
    pin_x: float | None
    pin_width: float | None
    openings: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """One unit. `turnovers`: where a guest leaves and the next comes within a day."""

    unit: str
    bars: tuple[Bar, ...]
    turnovers: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """The picture. `days`: where each day begins, and its name."""

    lanes: tuple[Lane, ...]
    days: tuple[tuple[float, str, bool], ...]
    now: float


def draw(
    units: Sequence[str],
    stays: Sequence[StayView],
    openings: Mapping[str, Sequence[tuple[str, str]]],
    words: Words,
) -> Timeline:
    """The picture around now; stays of other units than these are not in it."""
    frame = _Frame(words)
    by_unit: dict[str, list[StayView]] = {unit: [] for unit in units}
    for stay in stays:
        if stay.listing_name in by_unit:
            by_unit[stay.listing_name].append(stay)
    return Timeline(
        lanes=tuple(_lane(unit, mine, openings, frame) for unit, mine in by_unit.items()),
        days=frame.days(),
        now=frame.x(words.now),
    )


class _Frame:
    """Where a moment is in the picture."""

    def __init__(self, words: Words) -> None:
        self.words = words
        today = words.now.astimezone(words.zone).date()
        midnight = datetime.combine(today, time(), words.zone)
        self.start, self.end = midnight - BACK, midnight + AHEAD
        self._length = (self.end - self.start).total_seconds()

    def x(self, moment: datetime) -> float:
        """Percent from the left, within the picture."""
        share = (moment - self.start).total_seconds() / self._length
        return round(100 * min(1.0, max(0.0, share)), 1)

    def span(self, start: datetime, end: datetime) -> tuple[float, float]:
        """X and width."""
        x = self.x(start)
        return x, round(self.x(end) - x, 1)

    def days(self) -> tuple[tuple[float, str, bool], ...]:
        """Every day: where it begins, its number, is it today?"""
        count = (BACK + AHEAD).days
        moments = [self.start + timedelta(days=number) for number in range(count)]
        return tuple((self.x(one), f"{one.day}", one == self.start + BACK) for one in moments)


def _lane(
    unit: str,
    stays: Sequence[StayView],
    openings: Mapping[str, Sequence[tuple[str, str]]],
    frame: _Frame,
) -> Lane:
    pairs = itertools.pairwise(stays)
    gaps = [(from_text(one.check_out_at), from_text(two.check_in_at)) for one, two in pairs]
    return Lane(
        unit=unit,
        bars=tuple(_bar(stay, openings.get(stay.id, ()), frame) for stay in stays),
        turnovers=tuple(
            frame.span(out, into)
            for out, into in gaps
            if timedelta(0) <= into - out <= _TURNOVER and out < frame.end and into > frame.start
        ),
    )


def _bar(stay: StayView, openings: Sequence[tuple[str, str]], frame: _Frame) -> Bar:
    words, shown = frame.words, card(stay, frame.words)
    x, width = frame.span(shown.check_in, shown.check_out)
    window = _window(stay)
    pin_x, pin_width = (
        (None, None) if window is None else frame.span(window.valid_from, window.valid_until)
    )
    said = words(
        "timeline.stay",
        guest=shown.guest,
        start=words.when(shown.check_in),
        end=words.when(shown.check_out),
        pin=words(f"tone.{shown.tone}"),
    )
    return Bar(
        code=stay.code,
        guest=shown.guest,
        tone=shown.tone,
        label=said,
        x=x,
        width=max(width, 0.5),
        pin_x=pin_x,
        pin_width=pin_width,
        openings=tuple(frame.x(from_text(at)) for at, _ in openings),
    )


def _window(stay: StayView) -> Window | None:
    """From the first to the last moment at which its PIN may open a door."""
    windows = [door.state.window for door in stay.credentials]
    if not windows:
        return None
    return Window(
        valid_from=min(one.valid_from for one in windows),
        valid_until=max(one.valid_until for one in windows),
    )
