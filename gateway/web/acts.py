"""The routes for what a person does to a stay's PIN, and for what was done."""

from collections.abc import Awaitable, Callable
from typing import Any
from zoneinfo import ZoneInfo

from aiohttp import web

from gateway.acts import LONGEST_REASON, Acts
from gateway.clock import Clock
from gateway.domain.model import Window
from gateway.errors import NoSuchStayError
from gateway.preview import DoorChange, Preview, StayChange
from gateway.store import overview, trail
from gateway.store.database import Database
from gateway.store.moments import to_text
from gateway.store.trail import Deed, Wanted
from gateway.web.answers import answer, data, optional_body_of
from gateway.web.auth import ACTOR
from gateway.web.queries import moment_of, page_of
from gateway.web.stays import stay_document

_LONGEST_FILTER = 200


class ActsApi:
    """Handlers."""

    def __init__(
        self,
        *,
        acts: Acts,
        preview: Callable[[], Awaitable[Preview]],
        database: Database,
        zone: Callable[[], ZoneInfo],
        clock: Clock,
        clock_trusted: Callable[[], bool],
    ) -> None:
        """`preview`: what a reconciliation would change; raises as `Reconciler.look_ahead` does."""
        self._acts = acts
        self._preview = preview
        self._database = database
        self._zone = zone
        self._clock = clock
        self._clock_trusted = clock_trusted

    def routes(self, prefix: str) -> list[web.RouteDef]:
        """The routes of this part."""
        stay = f"{prefix}/reservations/{{id}}"
        return [
            web.get(f"{prefix}/reconciliation/plan", self.plan),
            web.post(f"{stay}/reprocess", self.reprocess),
            web.post(f"{stay}/revoke-pin", self.revoke),
            web.post(f"{stay}/reissue-pin", self.reissue),
            web.get(f"{prefix}/audit", self.audit),
        ]

    async def plan(self, _request: web.Request) -> web.Response:
        """What a reconciliation would change now; nothing is changed."""
        return data(_preview(await self._preview()))

    async def reprocess(self, request: web.Request) -> web.Response:
        """Derive and confirm a stay's credentials once more."""
        return await self._act(request, self._acts.reprocess)

    async def revoke(self, request: web.Request) -> web.Response:
        """Take a stay's PIN away."""
        return await self._act(request, self._acts.revoke)

    async def reissue(self, request: web.Request) -> web.Response:
        """Give a stay another PIN."""
        return await self._act(request, self._acts.reissue)

    async def _act(self, request: web.Request, act: Callable[..., Awaitable[str]]) -> web.Response:
        reason = reason_of(await optional_body_of(request))
        stay = await act(request.match_info["id"], actor=request[ACTOR], reason=reason)
        now, trusted = self._clock.now(), self._clock_trusted()
        view = await self._database.snapshot(
            lambda session: overview.stay(session, stay, now, clock_trusted=trusted)
        )
        if view is None:
            raise NoSuchStayError("there is no such reservation")
        return data(stay_document(view), status=202)

    async def audit(self, request: web.Request) -> web.Response:
        """Who did what when, newest first."""
        page, zone = page_of(request), self._zone()
        wanted = Wanted(
            reservation=_filter(request, "reservation"),
            lock=_filter(request, "lock"),
            event=_filter(request, "event"),
            actor=_filter(request, "actor"),
            start=moment_of(request, "from", zone),
            end=moment_of(request, "to", zone),
        )
        rows, total = await self._database.snapshot(
            lambda session: trail.find(session, wanted, page)
        )
        return answer({"data": [_deed(row) for row in rows], "page": page, "total": total})


def reason_of(body: dict[str, Any]) -> str | None:
    """The `reason` in a body.

    Raises:
        HTTPBadRequest: it is no text, or too long.
    """
    reason = body.get("reason")
    if reason is None:
        return None
    if not isinstance(reason, str) or len(reason) > LONGEST_REASON:
        raise web.HTTPBadRequest(text=f"reason is a text of at most {LONGEST_REASON} characters")
    return reason


def _filter(request: web.Request, name: str) -> str | None:
    text = request.query.get(name)
    if text is not None and not 1 <= len(text) <= _LONGEST_FILTER:
        raise web.HTTPBadRequest(text=f"{name} is a text of at most {_LONGEST_FILTER} characters")
    return text


def _deed(row: Deed) -> dict[str, Any]:
    return {
        "id": row.id,
        "at": row.at,
        "actor": row.actor,
        "event": row.event,
        "reservationId": row.reservation_id,
        "code": row.code,
        "credentialId": row.credential_id,
        "lock": row.lock,
        "detail": row.detail,
    }


def _preview(preview: Preview) -> dict[str, Any]:
    stats = preview.stats
    return {
        "at": to_text(preview.at),
        "stats": {
            "fetched": stats.fetched,
            "created": stats.created,
            "updated": stats.updated,
            "deleted": stats.deleted,
            "errors": stats.errors,
        },
        "stays": [_change(stay) for stay in preview.stays],
        "held": list(preview.held),
        "released": list(preview.released),
        "notes": list(preview.notes),
    }


def _change(stay: StayChange) -> dict[str, Any]:
    return {
        "id": stay.id,
        "code": stay.code,
        "unit": stay.unit,
        "change": stay.change,
        "doors": [_door(door) for door in stay.doors],
    }


def _door(door: DoorChange) -> dict[str, Any]:
    return {
        "id": door.credential_id,
        "lock": door.lock,
        "action": door.action,
        "why": door.why,
        "at": to_text(door.at),
        "before": _window(door.before),
        "after": _window(door.after),
    }


def _window(window: Window | None) -> dict[str, str] | None:
    if window is None:
        return None
    return {"validFrom": to_text(window.valid_from), "validUntil": to_text(window.valid_until)}
