"""Links with which an admin signs in once: kept in memory, for minutes, and gone when used."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from aiohttp import web

from gateway.clock import Clock
from gateway.store.moments import to_text
from gateway.web.answers import data, optional_body_of
from gateway.web.auth import issue_token

_LIVES = timedelta(minutes=10)
_MOST = 32  # unused ones; the oldest go first
_LONGEST_SESSION = timedelta(days=30)
_LONGEST_SUBJECT = 64
PATH = "/sign-in"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Link:
    subject: str
    session: timedelta
    ends_at: datetime


class SignInLinks:
    """Makes links and takes them back, each once. A restart forgets those that were not used."""

    def __init__(self, *, secret: str, clock: Clock) -> None:
        self._secret = secret
        self._clock = clock
        self._open: dict[bytes, _Link] = {}

    def make(self, *, subject: str, session: timedelta) -> tuple[str, datetime]:
        """A code that signs `subject` in for as long as `session`, and until when it can be used."""
        now = self._clock.now()
        self._open = {key: one for key, one in self._open.items() if one.ends_at > now}
        while len(self._open) >= _MOST:
            del self._open[next(iter(self._open))]
        code = secrets.token_urlsafe(24)
        link = _Link(subject=subject, session=session, ends_at=now + _LIVES)
        self._open[_key(code)] = link
        return code, link.ends_at

    def is_open(self, code: str) -> bool:
        """Can it still be used?"""
        link = self._open.get(_key(code))
        return link is not None and link.ends_at > self._clock.now()

    def take(self, code: str) -> str | None:
        """The admin's token that the code stands for; None if it is spent, too old or none at all."""
        link, now = self._open.pop(_key(code), None), self._clock.now()
        if link is None or link.ends_at <= now:
            return None
        return issue_token(self._secret, subject=link.subject, ttl=link.session, now=now)


def _key(code: str) -> bytes:
    return hashlib.sha256(code.encode("utf-8", "replace")).digest()


class LinksApi:
    """The route that makes one."""

    def __init__(self, links: SignInLinks) -> None:
        self._links = links

    def routes(self, prefix: str) -> list[web.RouteDef]:
        """The routes of this part."""
        return [web.post(f"{prefix}/sign-in-links", self.make)]

    async def make(self, request: web.Request) -> web.Response:
        """A link for the page."""
        body = await optional_body_of(request)
        subject, seconds = body.get("subject", "admin"), body.get("sessionSeconds", 12 * 3600)
        if not isinstance(subject, str) or not 1 <= len(subject) <= _LONGEST_SUBJECT:
            raise web.HTTPBadRequest(
                text=f"subject is a text of 1 to {_LONGEST_SUBJECT} characters"
            )
        longest = int(_LONGEST_SESSION.total_seconds())
        if isinstance(seconds, bool) or not isinstance(seconds, int) or not 1 <= seconds <= longest:
            raise web.HTTPBadRequest(text=f"sessionSeconds is a whole number from 1 to {longest}")
        code, ends_at = self._links.make(subject=subject, session=timedelta(seconds=seconds))
        return data({"path": f"{PATH}?link={code}", "expiresAt": to_text(ends_at)}, status=201)
