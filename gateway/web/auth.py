"""Admins' tokens: JWT, HS256, with a role."""

import secrets
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jwt
from aiohttp import web

from gateway.errors import PermanentError, StoreError

ROLE = "admin"
ACTOR = web.RequestKey("actor", str)  # the subject of the request's token
SAFE_CHANNEL = web.RequestKey("safe_channel", bool)  # may secrets and changes travel on it?
_SECRET_BYTES = 32
_LAST_MOMENT = datetime(9999, 1, 1, tzinfo=UTC).timestamp()
_MOST_ADDRESSES = 1024  # IPv6 gives everybody more than can be remembered
_BAD_TOKENS, _BAD_TOKENS_SECONDS = 5, 60.0


class UnauthorizedError(PermanentError):
    """No valid token."""


class ForbiddenError(PermanentError):
    """A valid token of another role."""


def issue_token(secret: str, *, subject: str, ttl: timedelta, now: datetime) -> str:
    """An admin's token that ends after `ttl`."""
    claims = {"sub": subject, "role": ROLE, "iat": now, "exp": now + ttl}
    return jwt.encode(claims, secret, algorithm="HS256")


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """What a valid admin's token says."""

    subject: str
    expires_at: datetime


def verify(secret: str, header: str | None, now: datetime) -> str:
    """The subject of the token in an Authorization header.

    Raises:
        UnauthorizedError: none, expired, without an end, or of another key.
        ForbiddenError: of another role.
    """
    scheme, _, token = (header or "").partition(" ")
    if scheme.lower() != "bearer":
        raise UnauthorizedError("no bearer token")
    return claims_of(secret, token.strip(), now).subject


def claims_of(secret: str, token: str, now: datetime) -> Claims:
    """What a token says.

    Raises:
        UnauthorizedError: expired, without an end, or of another key.
        ForbiddenError: of another role.
    """
    try:
        claims = jwt.decode(
            token,
            secret,
            algorithms=["HS256"],
            # expiry is judged below, by the gateway's own clock
            options={"require": ["exp", "sub", "iat"], "verify_exp": False, "verify_iat": False},
        )
    except jwt.InvalidTokenError:
        raise UnauthorizedError("no valid token") from None
    expires = claims["exp"]
    if not isinstance(expires, int | float) or expires <= now.timestamp():
        raise UnauthorizedError("the token has expired")
    if claims.get("role") != ROLE:
        raise ForbiddenError("the token's role is not admin")
    last = min(expires, _LAST_MOMENT)
    return Claims(subject=str(claims["sub"]), expires_at=datetime.fromtimestamp(last, tz=UTC))


def load_secret(path: Path) -> str:
    """The signing secret in the file at `path`; it is made (0600) when absent.

    Raises:
        StoreError: it can be neither read nor made.
    """
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            partial = path.with_name(path.name + ".new")
            partial.touch(mode=0o600)
            partial.write_text(secrets.token_hex(_SECRET_BYTES), encoding="ascii")
            partial.rename(path)
        return path.read_text(encoding="ascii").strip()
    except OSError as error:
        raise StoreError(f"the signing secret {path} cannot be used: {error}") from error


class BadTokens:
    """Counts bad tokens by address; loopback is never locked out."""

    def __init__(self) -> None:
        self._seen: dict[str, deque[float]] = {}

    def too_many(self, address: str, now: float) -> bool:
        """Has the address used up its tries?"""
        seen = self._seen.get(address)
        if seen is None:
            return False
        while seen and seen[0] <= now - _BAD_TOKENS_SECONDS:
            seen.popleft()
        if not seen:
            del self._seen[address]
        return len(seen) >= _BAD_TOKENS

    def count(self, address: str, now: float) -> None:
        """Another bad token from the address."""
        if address not in self._seen and len(self._seen) >= _MOST_ADDRESSES:
            del self._seen[next(iter(self._seen))]
        self._seen.setdefault(address, deque(maxlen=_BAD_TOKENS)).append(now)
