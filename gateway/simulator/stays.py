"""A Stays server: the External API as far as its reference describes it."""

import base64
import random  # noqa: TID251 - only as the type of what is injected
import ssl
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from email.utils import format_datetime
from typing import Any, Self

from aiohttp import web

from gateway.clock import Clock

_TYPES = ("reserved", "booked", "contract", "blocked", "maintenance", "canceled")
_DEFAULT_TYPES = ("reserved", "booked", "contract")
_MOST = 100
_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ"
_LOGIN_PAGE = "<!DOCTYPE html><html><body><form>Login</form></body></html>"


@dataclass(slots=True)
class StaysFaults:
    """What goes wrong, until it is set back.

    Attributes:
        status: every request is answered with this status and a JSON error.
        retry_after: seconds in the header of such answers.
        html: every request is answered 200 with the login page.
        not_found: every request is answered 404 with a JSON error.
        hang_up: every connection is reset.
        empty: the list is empty.
        last_page_lost: the list ends early.
        repeat_rows: the last row of each page comes again on the next.
        more_rows: anything at all that the first page shows besides the reservations.
    """

    status: int | None = None
    retry_after: int | None = None
    html: bool = False
    not_found: bool = False
    hang_up: bool = False
    empty: bool = False
    last_page_lost: bool = False
    repeat_rows: bool = False
    more_rows: tuple[Any, ...] = ()


@dataclass(slots=True)
class SimulatedStays:
    """One account: change its state, serve it, count what was asked."""

    draw: random.Random
    client_id: str = "demo-client"
    client_secret: str = "demo-secret"  # noqa: S105 - of a server on loopback
    most: int = _MOST  # the largest page; a larger `limit` is refused, or clamped if `clamps`
    clamps: bool = False
    reservations: dict[str, dict[str, Any]] = field(default_factory=dict)
    listings: dict[str, dict[str, Any]] = field(default_factory=dict)
    clients: dict[str, dict[str, Any]] = field(default_factory=dict)
    faults: StaysFaults = field(default_factory=StaysFaults)
    requests: Counter[str] = field(default_factory=Counter)
    host: str = "127.0.0.1"
    port: int = 0
    tls: bool = False
    clock: Clock | None = None  # shown as `Date`; None: the machine's own

    @property
    def url(self) -> str:
        """The address of the account."""
        return f"{'https' if self.tls else 'http'}://{self.host}:{self.port}"

    # --- what staff and channels do ------------------------------------------------------------

    def add_listing(self, name: str) -> str:
        """A new listing; its long id."""
        long_id = self._long_id()
        self.listings[long_id] = {
            "_id": long_id,
            "id": self._code(),
            "internalName": name,
            "status": "active",
        }
        return long_id

    def book(
        self,
        listing: str,
        check_in: date,
        check_out: date,
        *,
        check_in_time: str = "15:00",
        check_out_time: str = "11:00",
        type: str = "booked",  # noqa: A002 - Stays' own word
        guest: str = "Guest One",
        client: str | None = None,
        partner_code: str | None = None,
    ) -> str:
        """A new reservation; its long id."""
        long_id = self._long_id()
        if client is None:
            client = self._long_id()
            self.clients[client] = {
                "_id": client,
                "kind": "person",
                "name": guest,
                "phones": [{"iso": f"+55119{self.draw.randrange(10**7):08d}", "hint": "main"}],
            }
        self.reservations[long_id] = {
            "_id": long_id,
            "id": self._code(),
            "creationDate": check_in.isoformat(),
            "checkInDate": check_in.isoformat(),
            "checkInTime": check_in_time,
            "checkOutDate": check_out.isoformat(),
            "checkOutTime": check_out_time,
            "_idlisting": listing,
            "_idclient": client,
            "type": type,
            "price": {"currency": "BRL", "_f_expected": 0, "_f_total": 0},
            "stats": {"_f_totalPaid": 0},
            "guests": 2,
            "guestsDetails": {"adults": 2, "children": 0, "infants": 0},
            "partner": {"_id": "p1", "name": "API airbnb"} if partner_code else None,
            "partnerCode": partner_code,
        }
        return long_id

    def change(self, reservation: str, **fields: Any) -> None:
        """Change fields of a reservation by Stays' own names."""
        self.reservations[reservation].update(fields)

    def move(self, reservation: str, check_in: date, check_out: date) -> None:
        """Other nights."""
        self.change(
            reservation, checkInDate=check_in.isoformat(), checkOutDate=check_out.isoformat()
        )

    def cancel(self, reservation: str) -> None:
        """The row stays, as canceled."""
        self.change(reservation, type="canceled", cancelMessage="canceled on airbnb side")

    def delete(self, reservation: str) -> None:
        """The row goes."""
        del self.reservations[reservation]

    def code(self, reservation: str) -> str:
        """The short id."""
        return str(self.reservations[reservation]["id"])

    def _long_id(self) -> str:
        return f"{self.draw.getrandbits(96):024x}"

    def _code(self) -> str:
        first, second, last = (self.draw.choice(_LETTERS) for _ in range(3))
        return f"{first}{second}{self.draw.randrange(10, 10_000):02d}{last}"

    # --- serving -------------------------------------------------------------------------------

    @asynccontextmanager
    async def serving(
        self, port: int = 0, *, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None
    ) -> AsyncIterator[Self]:
        """Serve inside the block; `port` 0 takes a free one."""
        self.host, self.tls = host, tls is not None
        app = web.Application(middlewares=[self._guard])
        api = "/external/v1"
        app.router.add_get(f"{api}/booking/reservations", self._list)
        app.router.add_get(f"{api}/booking/reservations/{{id}}", self._detail)
        app.router.add_get(f"{api}/booking/clients/{{id}}", self._client)
        app.router.add_get(f"{api}/content/listings", self._listings)
        app.router.add_get(f"{api}/content/listings/{{id}}", self._listing)
        app.router.add_get(f"{api}/booking/searchfilter", self._ping)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await runner.setup()
        try:
            site = web.TCPSite(runner, host, port, ssl_context=tls)
            await site.start()
            self.port = runner.addresses[0][1]
            yield self
        finally:
            await runner.cleanup()

    @web.middleware
    async def _guard(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.requests[request.path.removeprefix("/external/v1/")] += 1
        faults = self.faults
        if faults.hang_up and request.transport is not None:
            request.transport.abort()
        if faults.html or not request.path.startswith("/external/v1/"):
            return web.Response(text=_LOGIN_PAGE, content_type="text/html")
        if faults.not_found:
            return _error(404, "not found")
        if faults.status is not None:
            headers = {} if faults.retry_after is None else {"Retry-After": str(faults.retry_after)}
            return _error(faults.status, "unavailable", headers)
        expected = base64.b64encode(f"{self.client_id}:{self.client_secret}".encode()).decode()
        if request.headers.get("Authorization") != f"Basic {expected}":
            return _error(401, "unauthorized")
        try:
            answer: web.StreamResponse = await handler(request)
        except web.HTTPNotFound:
            answer = _error(404, "not found")
        if self.clock is not None:
            answer.headers["Date"] = format_datetime(self.clock.now(), usegmt=True)
        return answer

    async def _ping(self, _request: web.Request) -> web.Response:
        return web.json_response({})

    async def _list(self, request: web.Request) -> web.Response:
        query = request.query
        types = query.getall("type", list(_DEFAULT_TYPES))
        if any(one not in _TYPES for one in types):
            return _error(400, f"type must be one of {', '.join(_TYPES)}")
        limit, skip = int(query.get("limit", "20")), int(query.get("skip", "0"))
        if limit > self.most and not self.clamps:
            return _error(400, f"limit must be <= {self.most}")
        limit = min(limit, self.most)
        start, end = date.fromisoformat(query["from"]), date.fromisoformat(query["to"])
        listings = {self._listing_id(one) for one in query.getall("listingId", [])}
        rows = [
            row
            for row in self._in_no_order()
            if row["type"] in types
            and (not listings or row["_idlisting"] in listings)
            and _included(row, query.get("dateType", "arrival"), start, end)
        ]
        if self.faults.empty:
            rows = []
        if self.faults.last_page_lost:
            rows = rows[: max(0, (len(rows) - 1) // limit * limit)]
        page = rows[skip : skip + limit]
        if self.faults.repeat_rows and skip > 0 and page:
            page = [rows[skip - 1], *page[:-1]] if len(page) == limit else [rows[skip - 1], *page]
        more = self.faults.more_rows if skip == 0 else ()
        return web.json_response([*more, *(_row(row) for row in page)])

    def _in_no_order(self) -> list[dict[str, Any]]:
        """Neither by date nor by code, but the same from page to page."""
        return sorted(self.reservations.values(), key=lambda row: row["_id"][::-1])

    def _listing_id(self, text: str) -> str:
        return next((key for key, one in self.listings.items() if text in (key, one["id"])), text)

    async def _detail(self, request: web.Request) -> web.Response:
        wanted = request.match_info["id"]
        for row in self.reservations.values():
            if wanted in (row["_id"], row["id"], row["partnerCode"]):
                return web.json_response(self._detailed(row))
        raise web.HTTPNotFound

    def _detailed(self, row: dict[str, Any]) -> dict[str, Any]:
        client = self.clients.get(row["_idclient"], {})
        person = {"type": "adult", "name": client.get("name"), "primary": True}
        details = {**row["guestsDetails"], "list": [person, {"type": "adult", "name": "adult_1"}]}
        return {**row, "guestsDetails": details, "operator": {"_id": "o1", "name": "StaysBot"}}

    async def _client(self, request: web.Request) -> web.Response:
        client = self.clients.get(request.match_info["id"])
        if client is None:
            raise web.HTTPNotFound
        return web.json_response(client)

    async def _listings(self, request: web.Request) -> web.Response:
        skip, limit = int(request.query.get("skip", "0")), int(request.query.get("limit", "20"))
        rows = sorted(self.listings.values(), key=lambda one: one["_id"])
        return web.json_response(rows[skip : skip + min(limit, self.most)])

    async def _listing(self, request: web.Request) -> web.Response:
        listing = self.listings.get(self._listing_id(request.match_info["id"]))
        if listing is None:
            raise web.HTTPNotFound
        return web.json_response(listing)


def _row(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if value is not None or key == "partnerCode"}


def _included(row: dict[str, Any], date_type: str, start: date, end: date) -> bool:
    try:
        arrival = date.fromisoformat(row["checkInDate"])
        departure = date.fromisoformat(row["checkOutDate"])
    except (TypeError, ValueError):
        return True  # a malformed row comes anyway
    match date_type:
        case "arrival":
            return start <= arrival <= end
        case "departure":
            return start <= departure <= end
        case "included":  # those that merely touch come too
            return arrival <= end and departure >= start
        case _:
            return start - timedelta(days=365) <= arrival <= end


def _error(status: int, message: str, headers: dict[str, str] | None = None) -> web.Response:
    return web.json_response({"message": message, "errors": []}, status=status, headers=headers)
