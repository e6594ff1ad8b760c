"""The route that suggests which lock belongs to which listing."""

from collections.abc import Callable

from aiohttp import web

from gateway.domain.matching import THRESHOLD, suggest
from gateway.domain.model import Property
from gateway.ports import ReservationSource
from gateway.web.answers import data

PATH = "/api/admin/matches/suggestions"
_MOST = 1000


class MatchingApi:
    """Its handler."""

    def __init__(
        self, *, source: Callable[[], ReservationSource], site: Callable[[], Property]
    ) -> None:
        self._source = source
        self._site = site

    def routes(self, prefix: str) -> list[web.RouteDef]:
        """The routes of this part."""
        return [web.get(f"{prefix}/matches/suggestions", self.suggestions)]

    async def suggestions(self, request: web.Request) -> web.Response:
        """One listing at most for each lock that is not shared, by Stays' list of now."""
        threshold, most = _threshold(request), _most(request)
        site = self._site()
        listings = await self._source().accommodations()
        mapped = {
            (lock, stays_id)
            for unit in site.units
            for lock in unit.locks
            for stays_id in unit.stays_ids
        }
        names = [lock.name for lock in site.locks if not lock.shared]
        return data(
            [
                {
                    "lock": one.lock,
                    "listing": {
                        "id": one.listing.id,
                        "code": one.listing.code,
                        "name": one.listing.name,
                    },
                    "score": one.score,
                    "reason": one.reason,
                    "mapped": bool(
                        {(one.lock, one.listing.id), (one.lock, one.listing.code)} & mapped
                    ),
                }
                for one in suggest(names, listings, threshold=threshold, most=most)
            ]
        )


def _threshold(request: web.Request) -> float:
    try:
        value = float(request.query.get("threshold", THRESHOLD))
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise web.HTTPBadRequest(text="threshold is a number from 0 to 1")
    return value


def _most(request: web.Request) -> int:
    text = request.query.get("maxSuggestions", str(_MOST))
    if not text.isascii() or not text.isdecimal() or int(text[:9]) > _MOST:
        raise web.HTTPBadRequest(text=f"maxSuggestions is a whole number from 0 to {_MOST}")
    return int(text)
