"""How moments are kept in the database: RFC 3339 text in UTC, to the second."""

from datetime import UTC, datetime
from functools import lru_cache

_TO_THE_SECOND = len("2026-02-01T10:30:00")


def to_text(moment: datetime) -> str:
    """The moment as the database and the API write it; fractions of a second are cut off."""
    return _in_utc(moment if moment.tzinfo is UTC else moment.astimezone(UTC))


@lru_cache(maxsize=4096)  # many stays begin and end at the same moments
def _in_utc(moment: datetime) -> str:
    return f"{moment.isoformat()[:_TO_THE_SECOND]}Z"  # strftime takes five times as long


def to_text_or_none(moment: datetime | None) -> str | None:
    """`to_text`, None for None."""
    return None if moment is None else to_text(moment)


def from_text(text: str) -> datetime:
    """The moment that `to_text` wrote, aware, in UTC."""
    return datetime.fromisoformat(text)  # strptime takes ten times as long


def from_text_or_none(text: str | None) -> datetime | None:
    """`from_text`, None for None."""
    return None if text is None else from_text(text)
