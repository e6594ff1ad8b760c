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
        threshold = _number(request, "threshold", THRESHOLD, 1.0)
        most = int(_number(request, "maxSuggestions", _MOST, _MOST))
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


def _number(request: web.Request, name: str, default: float, most: float) -> float:
    text = request.query.get(name)
    if text is None:
        return default
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= most:
        raise web.HTTPBadRequest(text=f"{name} is a number from 0 to {most:g}")
    return value
