"""What the query of a request asks for."""

from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

from aiohttp import web

_MOST_PAGES = 100_000
_DATE = "2026-02-01"


def page_of(request: web.Request) -> int:
    """`page`, from 1.

    Raises:
        HTTPBadRequest: it is no such number.
    """
    text = request.query.get("page", "1")
    if not text.isascii() or not text.isdecimal() or not 1 <= int(text[:9]) <= _MOST_PAGES:
        raise web.HTTPBadRequest(text="page is a number from 1")
    return int(text)


def moment_of(request: web.Request, name: str, zone: ZoneInfo) -> datetime | None:
    """A date, which begins in `zone`, or an RFC 3339 time; None where it is not asked for.

    Raises:
        HTTPBadRequest: it is neither.
    """
    text = request.query.get(name)
    return None if text is None else parse_moment(text, name, zone)


def parse_moment(text: str, name: str, zone: ZoneInfo) -> datetime:
    """The same of a text.

    Raises:
        HTTPBadRequest: it is neither.
    """
    try:
        if len(text) == len(_DATE):
            day = date.fromisoformat(text)
            return datetime.combine(day, time(), zone).astimezone(UTC)
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            raise web.HTTPBadRequest(text=f"{name} needs a time zone")
        return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise web.HTTPBadRequest(text=f"{name} is a date or an RFC 3339 time") from None
