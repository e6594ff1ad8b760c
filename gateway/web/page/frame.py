"""What every page has in common: who may see it, its language, its headers, its errors."""

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

import jinja2
import structlog
from aiohttp import web

from gateway.clock import Clock
from gateway.errors import StoreError
from gateway.web.page.visitors import Sessions, Visitor, is_from_here, language_of
from gateway.web.page.words import LANGUAGES, Words
from gateway.web.problems import PROBLEMS

_CSP = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self';"
    " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_ASSETS = {"page.css": "text/css", "page.js": "text/javascript", "icon.svg": "image/svg+xml"}
_FOR_EVER = "public, max-age=31536000, immutable"
_NOT_FOUND, _UNAVAILABLE = 404, 503

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """How the page may be asked. `is_local`: is a peer's address this machine?"""

    is_local: Callable[[str], bool]
    insecure_lan: bool
    has_tls: bool

    def is_safe(self, request: web.Request) -> bool:
        """May secrets and changes travel on it?"""
        return self.is_local(request.remote or "") or request.secure or self.insecure_lan


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What the configuration says of the place, as it is now."""

    name: str
    language: str
    zone: ZoneInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One request of an admin. `safe`: may secrets and changes travel on it? `form`: of a POST."""

    request: web.Request
    visitor: Visitor
    words: Words
    safe: bool
    form: Mapping[str, list[str]] = field(default_factory=dict, repr=False)

    def field(self, name: str) -> str:
        """One field of the form, without spaces around it; empty if it is not there."""
        values = self.form.get(name)
        return values[0].strip() if values else ""


Page = Callable[[Ask], Awaitable[web.Response]]


class Frame:
    """Wraps the handlers of all pages."""

    def __init__(
        self, *, sessions: Sessions, channel: Channel, place: Callable[[], Place], clock: Clock
    ) -> None:
        self._sessions = sessions
        self._channel = channel
        self._place = place
        self._clock = clock
        self._templates = jinja2.Environment(
            loader=jinja2.PackageLoader("gateway.web.page"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )

    def words(self, request: web.Request) -> Words:
        """The language of a visitor: chosen, else the site's."""
        place, chosen = self._place(), language_of(request)
        language = chosen if chosen in LANGUAGES else place.language
        return Words(language, zone=place.zone, now=self._clock.now())

    def shown(self, page: Page) -> Handler:
        """A page for admins."""

        async def handle(request: web.Request) -> web.StreamResponse:
            safe = self._channel.is_safe(request)
            if not safe and self._channel.has_tls:
                return see(f"https://{request.host}{request.path_qs}")
            visitor = self._sessions.of(request)
            if visitor is None:
                return see(f"/sign-in?next={quote(request.path_qs, safe='')}")
            ask = Ask(request=request, visitor=visitor, words=self.words(request), safe=safe)
            return await self._answer(page, ask)

        return handle

    def done(self, page: Page) -> Handler:
        """What an admin does with a form."""

        async def handle(request: web.Request) -> web.StreamResponse:
            visitor = self._sessions.of(request)
            if visitor is None:
                return see("/sign-in")
            safe, words = self._channel.is_safe(request), self.words(request)
            form = await form_of(request)
            ask = Ask(request=request, visitor=visitor, words=words, safe=safe, form=form)
            if not safe:
                return self.problem(request, words, 403, "insecure_channel", visitor=visitor)
            if not is_from_here(request) or not self._sessions.is_own_form(
                visitor, ask.field("form")
            ):
                return self.problem(request, words, 403, "foreign_form", visitor=visitor)
            return await self._answer(page, ask)

        return handle

    async def _answer(self, page: Page, ask: Ask) -> web.Response:
        try:
            return await page(ask)
        except web.HTTPBadRequest as problem:
            return self.refused(ask, 400, "bad_request", problem.text)
        except web.HTTPNotFound:
            return self.refused(ask, _NOT_FOUND, "not_found")
        except tuple(PROBLEMS) as problem:
            status, code = PROBLEMS[type(problem)]
            return self.refused(ask, status, code, str(problem))
        except StoreError as problem:
            _log.error("request.refused", path=ask.request.path, reason=str(problem))
            return self.refused(ask, _UNAVAILABLE, "store_unavailable")

    def refused(self, ask: Ask, status: int, code: str, said: str | None = None) -> web.Response:
        """A page that says why not; `said`: the gateway's own words for it."""
        return self.problem(
            ask.request, ask.words, status, code, visitor=ask.visitor, safe=ask.safe, said=said
        )

    def problem(
        self,
        request: web.Request,
        words: Words,
        status: int,
        code: str,
        *,
        visitor: Visitor | None = None,
        safe: bool = False,
        said: str | None = None,
    ) -> web.Response:
        """The same for one who may not have signed in."""
        name = f"problem.{code}" if words.has(f"problem.{code}") else "problem.other"
        return self._render(
            request,
            words,
            "problem.html",
            status=status,
            visitor=visitor,
            safe=safe,
            here="problem",
            text=words(name),
            said=said,
        )

    def page(self, ask: Ask, template: str, *, status: int = 200, **values: Any) -> web.Response:
        """A page for an admin."""
        return self._render(
            ask.request,
            ask.words,
            template,
            status=status,
            visitor=ask.visitor,
            safe=ask.safe,
            **values,
        )

    def bare(
        self, request: web.Request, template: str, *, status: int = 200, **values: Any
    ) -> web.Response:
        """A page for anybody."""
        return self._render(
            request,
            self.words(request),
            template,
            status=status,
            visitor=None,
            safe=self._channel.is_safe(request),
            **values,
        )

    def _render(
        self,
        request: web.Request,
        words: Words,
        template: str,
        *,
        status: int,
        **values: Any,
    ) -> web.Response:
        text = self._templates.get_template(template).render(
            t=words,
            place=self._place(),
            asset=asset_path,
            path=request.path_qs if request.method == "GET" else request.path,
            languages=LANGUAGES,
            **values,
        )
        response = web.Response(text=text, status=status, content_type="text/html")
        response.headers["Content-Security-Policy"] = _CSP
        # Without it a browser says of its own forms that they come from nowhere.
        response.headers["Referrer-Policy"] = "same-origin"
        response.enable_compression()
        return response


async def asset(request: web.Request) -> web.Response:
    """A file of the page; its name changes with it, so it is kept for ever."""
    for name, kind in _ASSETS.items():
        if request.path == asset_path(name):
            response = web.Response(body=_read(name), content_type=kind, charset="utf-8")
            response.headers["Cache-Control"] = _FOR_EVER
            response.enable_compression()
            return response
    raise web.HTTPNotFound(text="there is no such file")


@cache
def asset_path(name: str) -> str:
    """Where a file of the page is."""
    stem, _, ending = name.partition(".")
    return f"/assets/{stem}-{hashlib.sha256(_read(name)).hexdigest()[:12]}.{ending}"


@cache
def _read(name: str) -> bytes:
    return (resources.files("gateway.web.page") / "assets" / name).read_bytes()


async def form_of(request: web.Request) -> dict[str, list[str]]:
    """The fields of a form; empty where the body is none."""
    if request.content_type != "application/x-www-form-urlencoded":
        return {}
    fields: dict[str, list[str]] = {}
    for name, value in (await request.post()).items():
        if isinstance(value, str):
            fields.setdefault(name, []).append(value)
    return fields


def see(path: str) -> web.Response:
    """Another page in its place: after an act the one that shows what came of it."""
    return web.Response(status=303, headers={"Location": path})


def page_in(path: str) -> str:
    """A path of this page that a link or form names; `/` where it is none."""
    inside = path.startswith("/") and not path.startswith("//") and "\\" not in path
    return path if inside and path.isprintable() else "/"
