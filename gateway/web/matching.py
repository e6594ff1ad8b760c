"""The route that suggests which lock belongs to which listing."""

import json
from collections.abc import Callable, Iterable

from aiohttp import web

from gateway.domain.matching import THRESHOLD, Match, suggest
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
        found = await self.found(threshold=_threshold(request), most=_most(request))
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
                    "mapped": mapped,
                }
                for one, mapped in found
            ]
        )

    async def found(
        self, *, threshold: float = THRESHOLD, most: int = _MOST
    ) -> list[tuple[Match, bool]]:
        """The suggestions, each with: is it configured like this?

        Raises:
            StaysUnavailableError, StaysRefusedError: Stays shows no listings.
        """
        site = self._site()
        listings = await self._source().accommodations()
        mapped = {
            (lock, stays_id)
            for unit in site.units
            for lock in unit.locks
            for stays_id in unit.stays_ids
        }
        names = [lock.name for lock in site.locks if not lock.shared]
        return [
            (one, bool({(one.lock, one.listing.id), (one.lock, one.listing.code)} & mapped))
            for one in suggest(names, listings, threshold=threshold, most=most)
        ]


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


def as_toml(pairs: Iterable[tuple[str, str, str | None]]) -> str:
    """One [[listings]] for each listing, of (lock, Stays' id, name); JSON's strings are TOML's too."""
    locks: dict[str, list[str]] = {}
    names: dict[str, str | None] = {}
    for lock, stays_id, name in pairs:
        locks.setdefault(stays_id, []).append(lock)
        names[stays_id] = name
    return "\n".join(
        f"[[listings]]\nstays_id = {json.dumps(stays_id)}\n"
        f"name = {json.dumps(names[stays_id] or stays_id, ensure_ascii=False)}\n"
        f"locks = {json.dumps(sorted(mine))}\n"
        for stays_id, mine in locks.items()
    )
