"""How hours of the week are kept in the database: '12345 08:00-12:00', days counted from Sunday = 0."""

from datetime import time

from gateway.domain.model import WeeklyHours


def to_text_or_none(hours: WeeklyHours | None) -> str | None:
    """The hours as the database has them, None for None."""
    if hours is None:
        return None
    days = "".join(str(day) for day in sorted(hours.days))
    return f"{days} {hours.start:%H:%M}-{hours.end:%H:%M}"


def from_text_or_none(text: str | None) -> WeeklyHours | None:
    """The hours that `to_text_or_none` wrote."""
    if text is None:
        return None
    days, _, hours = text.partition(" ")
    start, _, end = hours.partition("-")
    return WeeklyHours(
        days=frozenset(int(day) for day in days),
        start=time.fromisoformat(start),
        end=time.fromisoformat(end),
    )
