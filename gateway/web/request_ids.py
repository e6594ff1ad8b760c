"""A name for each request, in its answer and in every line that is logged for it."""

import re
import uuid
from collections.abc import Awaitable, Callable

from aiohttp import web
from structlog.contextvars import bound_contextvars

HEADER = "X-Request-Id"
# One that a client chooses ends up in the journal: digits alone may be a PIN or a telephone number.
_SAFE = re.compile(r"(?=[0-9-]*[A-Za-z])[A-Za-z0-9-]{8,64}")
_KEY = web.RequestKey("request_id", str)


@web.middleware
async def named(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Bind the request's id, the client's own if it is a safe one, to what is logged for it."""
    given = request.headers.get(HEADER, "")
    request_id = given if _SAFE.fullmatch(given) else str(uuid.uuid4())
    request[_KEY] = request_id
    with bound_contextvars(request_id=request_id):
        return await handler(request)


def put_into(request: web.Request, response: web.StreamResponse) -> None:
    """Return the request's id in a response."""
    if _KEY in request:
        response.headers[HEADER] = request[_KEY]
