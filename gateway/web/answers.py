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


async def optional_body_of(request: web.Request) -> dict[str, Any]:
    """The JSON object that a request may carry; empty without one.

    Raises:
        HTTPBadRequest: it carries something else.
    """
    text = await _text_of(request)
    return _object_in(text) if text else {}


async def body_of(request: web.Request) -> Mapping[str, Any]:
    """The JSON object that a request carries.

    Raises:
        HTTPBadRequest: it carries none.
    """
    return _object_in(await _text_of(request))


async def _text_of(request: web.Request) -> str:
    try:
        return await request.text()
    except (ValueError, LookupError):  # bytes that are no text, or in a writing nobody knows
        raise web.HTTPBadRequest(text="the body is no JSON") from None


def _object_in(text: str) -> dict[str, Any]:
    try:
        body = json.loads(text)
        json.dumps(body, ensure_ascii=False).encode()  # half a surrogate pair is no text
    except (ValueError, RecursionError):
        raise web.HTTPBadRequest(text="the body is no JSON") from None
    if not isinstance(body, dict):
        raise web.HTTPBadRequest(text="the body is no JSON object")
    return body
