"""The routes for trying a lock at the door, and for ending what is left of one that has gone."""

from datetime import timedelta
from typing import Any

from aiohttp import web

from gateway.canaries import Canaries, Canary
from gateway.credentials import Credentials
from gateway.errors import NoPinLeftError
from gateway.store.moments import to_text
from gateway.web.answers import body_of, data
from gateway.web.auth import ACTOR


class CommissioningApi:
    """Handlers. A canary's PIN is answered in full: the guard lets changes through on safe channels only."""

    def __init__(self, *, canaries: Canaries, credentials: Credentials) -> None:
        self._canaries = canaries
        self._credentials = credentials

    def routes(self, prefix: str) -> list[web.RouteDef]:
        """The routes of this part."""
        lock = f"{prefix}/locks/{{name}}"
        return [
            web.post(f"{lock}/reach", self.reach),
            web.post(f"{lock}/retire", self.retire),
            web.post(f"{lock}/canaries", self.write),
            web.get(f"{lock}/canaries/{{id}}", self.look),
            web.delete(f"{lock}/canaries/{{id}}", self.remove),
        ]

    async def reach(self, request: web.Request) -> web.Response:
        """Try to reach a lock now."""
        reached = await self._canaries.reach(self._lock(request))
        return data({"seconds": round(reached.seconds, 3), "reason": reached.reason})

    async def retire(self, request: web.Request) -> web.Response:
        """End what waits for hardware that is no longer in use."""
        ended = await self._credentials.retire(request.match_info["name"], actor=request[ACTOR])
        if ended is None:
            raise web.HTTPNotFound(text="there is no such lock, and there never was")
        return data({"ended": ended})

    async def write(self, request: web.Request) -> web.Response:
        """Have a PIN written to try the lock."""
        name, body = self._lock(request), await body_of(request)
        opens_in, lasts = body.get("opensInSeconds"), body.get("lastsSeconds")
        if not isinstance(opens_in, int) or not isinstance(lasts, int):
            raise web.HTTPBadRequest(text="opensInSeconds and lastsSeconds are whole numbers")
        try:
            canary = await self._canaries.write(
                name,
                opens_in=timedelta(seconds=opens_in),
                lasts=timedelta(seconds=lasts),
                actor=request[ACTOR],
            )
        except (ValueError, OverflowError, NoPinLeftError) as error:
            raise web.HTTPBadRequest(text=str(error)) from None
        return data(_canary(canary) | {"pin": canary.pin}, status=201)

    async def look(self, request: web.Request) -> web.Response:
        """How a canary stands."""
        return data(_canary(await self._known(request)))

    async def remove(self, request: web.Request) -> web.Response:
        """Have a canary deleted."""
        canary = await self._known(request)
        await self._canaries.remove(canary.id, actor=request[ACTOR])
        return data(_canary(await self._known(request)), status=202)

    def _lock(self, request: web.Request) -> str:
        name = request.match_info["name"]
        if not self._canaries.knows(name):
            raise web.HTTPNotFound(text="there is no such lock")
        return name

    async def _known(self, request: web.Request) -> Canary:
        canary = await self._canaries.look(request.match_info["id"])
        if canary is None or canary.lock != request.match_info["name"]:
            raise web.HTTPNotFound(text="there is no such canary")
        return canary


def _canary(canary: Canary) -> dict[str, Any]:
    exchange = canary.exchange
    return {
        "id": canary.id,
        "lock": canary.lock,
        "validFrom": to_text(canary.window.valid_from),
        "validUntil": to_text(canary.window.valid_until),
        "evidence": canary.evidence,
        "reason": canary.reason,
        "gone": canary.gone,
        "openedWhenGone": canary.opened_when_gone,
        "exchange": None
        if exchange is None
        else {
            "operation": exchange.operation,
            "acknowledgedSeconds": exchange.acknowledged,
            "reportedSeconds": exchange.reported,
        },
    }
