"""Who looks at the page: the session in a cookie, and proof that a form is the page's own."""

import hashlib
import hmac
from dataclasses import dataclass, field
from datetime import datetime

from aiohttp import web

from gateway.clock import Clock
from gateway.web.auth import Claims, ForbiddenError, UnauthorizedError, claims_of

_SESSION = "gateway_session"
_LANGUAGE = "gateway_language"
_A_YEAR = 365 * 24 * 3600
_LONGEST_TOKEN = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """An admin who has signed in. `form_token` stands in every form of theirs."""

    subject: str
    expires_at: datetime
    form_token: str = field(repr=False)


class Sessions:
    """Sessions are the admins' own tokens, kept in a cookie that only this host gets back."""

    def __init__(self, *, secret: str, clock: Clock) -> None:
        self._secret = secret
        self._clock = clock

    def of(self, request: web.Request) -> Visitor | None:
        """Who asks; None if they have not signed in."""
        token = request.cookies.get(_SESSION, "")
        claims = self.claims(token)
        if claims is None:
            return None
        return Visitor(
            subject=claims.subject,
            expires_at=claims.expires_at,
            form_token=self._form_token(token),
        )

    def claims(self, token: str) -> Claims | None:
        """What an admin's token says, None if it is none."""
        if not token or len(token) > _LONGEST_TOKEN:
            return None
        try:
            return claims_of(self._secret, token, self._clock.now())
        except (UnauthorizedError, ForbiddenError):
            return None

    def begin(self, request: web.Request, response: web.Response, token: str) -> None:
        """Keep a valid token in the visitor's browser until it ends."""
        claims = self.claims(token)
        if claims is None:
            return
        left = int((claims.expires_at - self._clock.now()).total_seconds())
        response.set_cookie(
            _SESSION,
            token,
            max_age=min(left, _A_YEAR),
            httponly=True,
            secure=request.secure,
            samesite="Strict",
            path="/",
        )

    def end(self, request: web.Request, response: web.Response) -> None:
        """Forget it."""
        response.del_cookie(
            _SESSION, path="/", secure=request.secure, httponly=True, samesite="Strict"
        )

    def is_own_form(self, visitor: Visitor, given: str) -> bool:
        """Was the form made for this very session?"""
        return hmac.compare_digest(visitor.form_token.encode(), given.encode("utf-8", "replace"))

    def _form_token(self, token: str) -> str:
        message = f"form {token}".encode("utf-8", "replace")
        return hmac.new(self._secret.encode(), message, hashlib.sha256).hexdigest()[:32]


def is_from_here(request: web.Request) -> bool:
    """Does a form come from a page of this very host? A browser says where it comes from."""
    origin = request.headers.get("Origin")
    if origin is None:
        return request.headers.get("Sec-Fetch-Site", "same-origin") == "same-origin"
    return origin == f"{request.scheme}://{request.host}"


def language_of(request: web.Request) -> str | None:
    """The language that the visitor has chosen."""
    return request.cookies.get(_LANGUAGE)


def choose_language(request: web.Request, response: web.Response, language: str) -> None:
    """Keep it in the visitor's browser."""
    response.set_cookie(
        _LANGUAGE,
        language,
        max_age=_A_YEAR,
        httponly=True,
        secure=request.secure,
        samesite="Lax",
        path="/",
    )
