"""How the API reads bodies and writes answers: JSON."""

import json
from collections.abc import Mapping
from typing import Any

from aiohttp import web


def answer(body: Mapping[str, Any], status: int = 200) -> web.Response:
    """A JSON document."""
    return web.Response(
        text=json.dumps(body, ensure_ascii=False), status=status, content_type="application/json"
    )


def data(value: Any, status: int = 200) -> web.Response:
    """`{"data": …}`."""
    return answer({"data": value}, status)


async def body_of(request: web.Request) -> Mapping[str, Any]:
    """The JSON object that a request carries.

    Raises:
        HTTPBadRequest: it carries none.
    """
    try:
        body = json.loads(await request.text())
    except (ValueError, RecursionError):
        raise web.HTTPBadRequest(text="the body is no JSON") from None
    if not isinstance(body, dict):
        raise web.HTTPBadRequest(text="the body is no JSON object")
    return body
