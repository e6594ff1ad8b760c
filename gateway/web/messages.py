"""The route with a guest's message, ready for a person to send."""

from datetime import datetime
from typing import Protocol

from aiohttp import web

from gateway.clock import Clock
from gateway.domain import events
from gateway.domain.messages import ReadyText
from gateway.store import audit, overview
from gateway.store.database import Database
from gateway.store.session import Session
from gateway.web.answers import answer, data
from gateway.web.auth import ACTOR, SAFE_CHANNEL


class Composer(Protocol):
    """Who writes messages."""

    async def ready_text(self, reservation_id: str) -> ReadyText | None:
        """A guest's message; None while there is no PIN, or after the stay."""
        ...


class MessageApi:
    """Its handler. The message holds the PIN: it is answered on safe channels only, and audited."""

    def __init__(self, *, database: Database, composer: Composer, clock: Clock) -> None:
        self._database = database
        self._composer = composer
        self._clock = clock

    def routes(self, prefix: str) -> list[web.RouteDef]:
        """The routes of this part."""
        return [web.get(f"{prefix}/reservations/{{id}}/message", self.message)]

    async def message(self, request: web.Request) -> web.Response:
        """The text for the guest, and a link that opens WhatsApp with it."""
        if not request[SAFE_CHANNEL]:
            problem = {"code": "insecure_channel", "message": "a PIN needs TLS: use https"}
            return answer({"error": problem}, status=403)
        id_or_code, now = request.match_info["id"], self._clock.now()
        found = await self._database.read(lambda session: overview.find(session, id_or_code))
        ready = None if found is None else await self._composer.ready_text(found)
        if found is None or ready is None:
            raise web.HTTPNotFound(text="there is no PIN to tell for such a reservation")
        await self._audit(found, request[ACTOR], now)
        return data({"text": ready.text, "link": ready.link, "confirmed": ready.confirmed})

    async def _audit(self, reservation_id: str, actor: str, now: datetime) -> None:
        async def body(session: Session) -> None:
            await audit.append(
                session,
                at=now,
                actor=actor,
                event=events.PIN_REVEALED,
                detail="shown in a message to the guest",
                reservation_id=reservation_id,
            )

        await self._database.transaction(body)
