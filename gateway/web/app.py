"""The application: who may do what, errors as JSON, the routes."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import structlog
from aiohttp import web

from gateway.clock import Clock
from gateway.errors import StoreError
from gateway.web.api import Api
from gateway.web.auth import (
    ACTOR,
    SAFE_CHANNEL,
    BadTokens,
    ForbiddenError,
    UnauthorizedError,
    verify,
)
from gateway.web.hosts import Hosts
from gateway.web.matching import PATH as MATCHES
from gateway.web.problems import PROBLEMS
from gateway.web.request_ids import named, put_into

_MOST_BYTES = 16 * 1024
_HANDLER_SECONDS = 5.0
BACKUP = "/api/admin/backup"
_PATIENT = {
    BACKUP: 120.0,
    MATCHES: 30.0,
    "/matching": 30.0,
    "/api/admin/locks/{name}/reach": 10.0,  # signing in to a lock takes its time
    "/api/admin/reconciliation/plan": 60.0,  # so does reading Stays
}
_HEADERS = {  # of every response that sets no other
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_CODES = {404: "not_found", 405: "method_not_allowed", 413: "too_large"}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Who may do what. `is_local`: is a peer's address this machine? `hosts`: by which names."""

    secret: str = field(repr=False)
    insecure_lan: bool = False
    is_local: Callable[[str], bool]
    hosts: Hosts


class Part(Protocol):
    """Some of the routes."""

    def routes(self, prefix: str) -> list[web.RouteDef]:
        """Its routes under the prefix of all that is for admins."""
        ...


def build_app(
    api: Api,
    *parts: Part,
    lost: Callable[[web.Request], web.Response],
    access: Access,
    clock: Clock,
) -> web.Application:
    """The application with all routes. `lost`: what a browser sees where there is no page."""
    guard = _Guard(access, clock)
    app = web.Application(
        client_max_size=_MOST_BYTES,
        middlewares=[named, _errors(lost), _deadline, guard.middleware],
    )
    app.on_response_prepare.append(_secure)
    admin = "/api/admin"
    app.add_routes(
        [
            web.get("/healthz", api.healthz),
            web.get("/readyz", api.readyz),
            web.get(f"{admin}/reconciliation/status", api.status),
            web.post(f"{admin}/reconciliation/run", api.run),
            web.get(f"{admin}/reconciliation/runs", api.runs),
            web.get(f"{admin}/reconciliation/held", api.held),
            web.post(f"{admin}/reconciliation/held", api.decide_held),
            web.get(f"{admin}/reservations", api.reservations),
            web.get(f"{admin}/reservations/{{id}}", api.reservation),
            web.get(f"{admin}/reservations/{{id}}/pin", api.pin),
            web.get(f"{admin}/clock", api.clock),
            web.post(f"{admin}/clock/trust", api.trust_clock),
            web.post(BACKUP, api.backup),
            web.get(f"{admin}/locks", api.locks),
            web.get(f"{admin}/locks/sightings", api.sightings),
            web.get(f"{admin}/locks/{{name}}", api.lock),
            *(route for part in parts for route in part.routes(admin)),
        ]
    )
    return app


def error(status: int, code: str, message: str) -> web.Response:
    """An error as the API writes it."""
    body = {"error": {"code": code, "message": message}}
    return web.Response(
        text=json.dumps(body),
        status=status,
        content_type="application/json",
    )


async def _secure(request: web.Request, response: web.StreamResponse) -> None:
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    put_into(request, response)
    response.headers["Server"] = "gateway"  # aiohttp has put its version and Python's there


def _errors(lost: Callable[[web.Request], web.Response]) -> Any:
    @web.middleware
    async def answered(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except web.HTTPException as problem:
            if isinstance(problem, web.HTTPNotFound) and _is_for_a_page(request):
                return lost(request)
            code = _CODES.get(problem.status, "bad_request")
            return error(problem.status, code, problem.text or problem.reason)
        except tuple(PROBLEMS) as problem:
            status, code = PROBLEMS[type(problem)]
            return error(status, code, str(problem))
        except StoreError as problem:
            _log.error("request.refused", path=request.path, reason=str(problem))
            return error(503, "store_unavailable", "the database refuses: see the journal")
        except Exception:  # noqa: BLE001 - one request fails, logged; the others go on
            _log.exception("request.failed", path=request.path)
            return error(500, "internal", "an error in the gateway: see the journal")

    return answered


def _is_for_a_page(request: web.Request) -> bool:
    wants = "text/html" in request.headers.get("Accept", "")
    return wants and not request.path.startswith("/api/")


@web.middleware
async def _deadline(request: web.Request, handler: Handler) -> web.StreamResponse:
    resource = request.match_info.route.resource
    path = "" if resource is None else resource.canonical
    try:
        async with asyncio.timeout(_PATIENT.get(path, _HANDLER_SECONDS)):
            return await handler(request)
    except TimeoutError:
        return error(503, "timeout", "it took too long: try again")


class _Guard:
    """Lets requests to this gateway through, those under /api for admins only."""

    def __init__(self, access: Access, clock: Clock) -> None:
        self._access = access
        self._clock = clock
        self._bad_tokens = BadTokens()

    @property
    def middleware(self) -> Any:
        """The middleware that checks each request."""

        @web.middleware
        async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
            host = request.headers.get("Host")  # browsers always send one
            if host is not None and not self._access.hosts.allow(host):
                return error(
                    421, "misdirected", "unknown host name: use the address, or [http] names"
                )
            if not request.path.startswith("/api/"):
                return await handler(request)
            refusal = self._refusal(request)
            return await handler(request) if refusal is None else refusal

        return check

    def _refusal(self, request: web.Request) -> web.Response | None:
        address = request.remote or ""
        local = self._access.is_local(address)
        now = self._clock.monotonic()
        if not local and self._bad_tokens.too_many(address, now):
            return error(429, "too_many_attempts", "too many bad tokens: wait a minute")
        try:
            subject = verify(
                self._access.secret, request.headers.get("Authorization"), self._clock.now()
            )
        except UnauthorizedError as problem:
            self._bad_tokens.count(address, now)
            return error(401, "unauthorized", str(problem))
        except ForbiddenError as problem:
            return error(403, "forbidden", str(problem))
        request[ACTOR] = subject
        request[SAFE_CHANNEL] = local or request.secure or self._access.insecure_lan
        if request.method not in {"GET", "HEAD"}:
            return self._refused_change(request)
        return None

    def _refused_change(self, request: web.Request) -> web.Response | None:
        if not request[SAFE_CHANNEL]:
            return error(403, "insecure_channel", "changes need TLS: use https")
        if "Origin" in request.headers:
            return error(403, "forbidden", "changes from web pages are refused")
        return None
