"""The route with a guest's message, ready for a person to send."""

from aiohttp import web

from gateway.web.answers import answer, data
from gateway.web.auth import ACTOR, SAFE_CHANNEL
from gateway.web.reveals import Reveals


class MessageApi:
    """Its handler. The message holds the PIN: it is answered on safe channels only, and audited."""

    def __init__(self, *, reveals: Reveals) -> None:
        self._reveals = reveals

    def routes(self, prefix: str) -> list[web.RouteDef]:
        """The routes of this part."""
        return [web.get(f"{prefix}/reservations/{{id}}/message", self.message)]

    async def message(self, request: web.Request) -> web.Response:
        """The text for the guest, and a link that opens WhatsApp with it."""
        if not request[SAFE_CHANNEL]:
            problem = {"code": "insecure_channel", "message": "a PIN needs TLS: use https"}
            return answer({"error": problem}, status=403)
        ready = await self._reveals.message(request.match_info["id"], actor=request[ACTOR])
        if ready is None:
            raise web.HTTPNotFound(text="there is no PIN to tell for such a reservation")
        return data({"text": ready.text, "link": ready.link, "confirmed": ready.confirmed})
