"""The client: Basic auth, JSON or nothing, three attempts, every page."""

import hashlib
import json
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import Any, Self

import aiohttp
import stamina
from yarl import URL

from gateway.clock import Clock
from gateway.domain.model import Accommodation, Guest, Reservation, ReservationType
from gateway.errors import (
    GatewayError,
    MalformedReservationError,
    StaysRefusedError,
    StaysUnavailableError,
)
from gateway.ports import Found, Gone
from gateway.stays import wire

_PREFIX = "/external/v1"
_PAGE = 100
_SMALL_PAGE = 20
_MOST_PAGES = 2000
_MOST_BYTES = 4 * 1024 * 1024  # of one answer, after decompression
_MOST_RETRY_AFTER = 120.0
_PAUSE = 0.15  # seconds between two requests
_TIMEOUT = aiohttp.ClientTimeout(total=30, sock_connect=10, sock_read=20)
_ATTEMPTS = 3

_HTTP_OK, _BAD_REQUEST, _NOT_FOUND = 200, 400, 404
_TRY_AGAIN = frozenset({408, 429, 500, 502, 503, 504})


class _BusyError(GatewayError):
    """An answer that is worth another attempt."""

    def __init__(self, why: str, retry_after: float | None = None) -> None:
        super().__init__(why)
        self.retry_after = retry_after


class _BadRequestError(GatewayError):
    """Stays refused a parameter."""


async def _once(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Aiohttp sends a GET again by itself when a connection drops; the attempts are ours alone."""
    try:
        return await handler(request)
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise aiohttp.ClientConnectionError(str(error)) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class _Page:
    """A page of the list. `digest`: of its bytes. `told`: its good rows, by all that they told."""

    digest: bytes
    rows: tuple[Reservation | MalformedReservationError, ...]
    told: Mapping[wire.Told, Reservation]


class _Before:
    """The list as it was read last: what it told as it does now is not read again."""

    def __init__(self, pages: Mapping[bytes, _Page]) -> None:
        self._pages = pages

    @cached_property
    def _told(self) -> Mapping[wire.Told, Reservation]:
        return {told: one for page in self._pages.values() for told, one in page.told.items()}

    def read(self, body: bytes) -> Any:
        """The page in the bytes; what they hold instead if it is no page.

        Raises:
            ValueError, RecursionError: broken JSON.
        """
        digest = hashlib.blake2b(body).digest()
        page = self._pages.get(digest)
        if page is not None:
            return page
        rows = json.loads(body)
        return self._page(digest, rows) if isinstance(rows, list) else rows

    def _page(self, digest: bytes, rows: Iterable[Any]) -> _Page:
        read: list[Reservation | MalformedReservationError] = []
        good: dict[wire.Told, Reservation] = {}
        for row in rows:
            told = wire.told_by(row)
            try:
                found = self._told.get(told) if told is not None else None
                found = found or wire.reservation(row)
            except MalformedReservationError as error:
                # Without its traceback, which holds on to the row.
                read.append(MalformedReservationError(error.reservation_id, error.reason))
                continue
            read.append(found)
            if told is not None:
                good[told] = found
        return _Page(digest=digest, rows=tuple(read), told=good)


class StaysClient:
    """One account of Stays. It implements gateway.ports.ReservationSource."""

    def __init__(
        self,
        *,
        session: aiohttp.ClientSession,
        url: str,
        client_id: str,
        client_secret: str,
        clock: Clock,
        timeout: aiohttp.ClientTimeout = _TIMEOUT,
        on_date: Callable[[datetime], None] = lambda _: None,
    ) -> None:
        """`on_date` is told Stays' own clock at each good answer."""
        self._session = session
        self._base = base_url(url)
        self._auth = aiohttp.encode_basic_auth(client_id, client_secret)
        self._clock = clock
        self._timeout = timeout
        self._limit = _PAGE
        self._on_date = on_date
        self._next_request_at = 0.0
        self._pages: dict[bytes, _Page] = {}  # of the list as it was read last, by digest
        self.last_date: datetime | None = None  # Stays' own clock, by its last good answer

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        *,
        url: str,
        client_id: str,
        client_secret: str,
        clock: Clock,
        timeout: aiohttp.ClientTimeout = _TIMEOUT,  # noqa: ASYNC109 - aiohttp's own timeouts
        on_date: Callable[[datetime], None] = lambda _: None,
    ) -> AsyncIterator[Self]:
        """A client with a session of its own, closed on the way out."""
        connector = aiohttp.TCPConnector(limit=4, limit_per_host=2)
        async with aiohttp.ClientSession(
            connector=connector, cookie_jar=aiohttp.DummyCookieJar(), middlewares=[_once]
        ) as session:
            yield cls(
                session=session,
                url=url,
                client_id=client_id,
                client_secret=client_secret,
                clock=clock,
                timeout=timeout,
                on_date=on_date,
            )

    async def pages(
        self, start: date, end: date, *, listing_ids: tuple[str, ...] = ()
    ) -> AsyncIterator[tuple[Reservation | MalformedReservationError, ...]]:
        """See `ReservationSource.pages`."""
        fixed = [("from", start.isoformat()), ("to", end.isoformat()), ("dateType", "included")]
        fixed += [("type", type_.value) for type_ in ReservationType]
        fixed += [("listingId", one) for one in listing_ids]
        skip = 0
        previous: _Page | None = None
        before, self._pages = _Before(self._pages), {}
        for _ in range(_MOST_PAGES):
            page = await self._page(fixed, skip, before)
            if not page.rows:
                return
            if previous is not None and page.digest == previous.digest:
                raise StaysUnavailableError("Stays gives the same page again and again")
            previous = self._pages[page.digest] = page
            skip += len(page.rows)
            yield page.rows
        raise StaysUnavailableError(f"Stays gives no end of pages after {_MOST_PAGES}")

    async def _page(self, fixed: list[tuple[str, str]], skip: int, before: _Before) -> _Page:
        asked = [*fixed, ("skip", str(skip)), ("limit", str(self._limit))]
        try:
            found, page = await self._get("booking/reservations", asked, before.read)
        except _BadRequestError as error:
            if self._limit == _SMALL_PAGE:
                raise StaysRefusedError(f"Stays refuses the question: {error}") from None
            self._limit = _SMALL_PAGE
            return await self._page(fixed, skip, before)
        if not found:
            raise StaysUnavailableError("Stays knows no list of reservations here (404)")
        if not isinstance(page, _Page):
            raise StaysRefusedError("Stays answered with something else than a list: is it Stays?")
        return page

    async def reservation(self, reservation_id: str) -> Found | Gone:
        """See `ReservationSource.reservation`."""
        found, answer = await self._get(f"booking/reservations/{reservation_id}")
        if not found:
            return Gone()
        return Found(reservation=wire.reservation(answer), guest=wire.guest_of_detail(answer))

    async def guest(self, client_id: str) -> Guest:
        """See `ReservationSource.guest`."""
        found, answer = await self._get(f"booking/clients/{client_id}")
        return wire.guest_of_client(answer) if found else Guest()

    async def accommodation(self, listing_id: str) -> Accommodation | None:
        """See `ReservationSource.accommodation`."""
        found, answer = await self._get(f"content/listings/{listing_id}")
        return wire.accommodation(answer, listing_id) if found else None

    async def accommodations(self) -> tuple[Accommodation, ...]:
        """See `ReservationSource.accommodations`."""
        listings: dict[str, Accommodation] = {}
        skip = 0
        for _ in range(_MOST_PAGES):
            parameters = [("skip", str(skip)), ("limit", str(_SMALL_PAGE))]
            try:
                found, page = await self._get("content/listings", parameters)
            except _BadRequestError as error:
                raise StaysRefusedError(f"Stays refuses the question: {error}") from None
            if not found or not isinstance(page, list):
                raise StaysRefusedError("Stays answered with something else than listings")
            fresh = {one.id: one for one in (wire.accommodation(row, "") for row in page)}
            if not fresh.keys() - listings.keys():  # the end, or the same page again
                break
            listings |= fresh
            skip += len(page)
        return tuple(one for one in listings.values() if one.id)

    async def _get(
        self,
        path: str,
        parameters: list[tuple[str, str]] | None = None,
        read: Callable[[bytes], Any] = json.loads,
    ) -> tuple[bool, Any]:
        """The JSON under a path, by `read`; False where Stays answers 404 with a JSON body.

        Raises:
            StaysUnavailableError, StaysRefusedError, _BadRequestError.
        """
        url = self._base.joinpath(*path.split("/")).with_query(parameters or [])
        try:
            async for attempt in stamina.retry_context(
                on=_wait, attempts=_ATTEMPTS, timeout=None, wait_initial=0.5, wait_max=8.0
            ):
                with attempt:
                    await self._keep_pace()
                    return await self._ask(url, read)
        except _BusyError as error:
            raise StaysUnavailableError(f"{url.host}: {error}") from None
        raise StaysUnavailableError(f"{url.host}: no attempt was made")

    async def _keep_pace(self) -> None:
        now = self._clock.monotonic()
        wait = self._next_request_at - now
        self._next_request_at = max(now, self._next_request_at) + _PAUSE
        if wait > 0:
            await self._clock.sleep(wait)

    async def _ask(self, url: URL, read: Callable[[bytes], Any]) -> tuple[bool, Any]:
        try:
            async with self._session.get(
                url,
                headers={"Authorization": self._auth, "Accept": "application/json"},
                allow_redirects=False,
                timeout=self._timeout,
            ) as response:
                return await self._answer(response, read)
        except TimeoutError:
            raise _BusyError("no answer in time") from None
        except (aiohttp.ClientError, OSError) as error:
            # aiohttp's errors carry the request's headers: only the kind goes on.
            raise _BusyError(f"no connection ({type(error).__name__})") from None

    async def _answer(
        self, response: aiohttp.ClientResponse, read: Callable[[bytes], Any]
    ) -> tuple[bool, Any]:
        status, host = response.status, response.url.host
        if status in _TRY_AGAIN or status > max(_TRY_AGAIN):
            raise _BusyError(f"answers {status}", _retry_after(response.headers))
        if status in {401, 403}:
            raise StaysRefusedError(
                f"{host} refuses the credentials ({status}): check client_id and client_secret, and"
                " whether the API is active in Stays' App Center"
            )
        body = await _json(response, read if status == _HTTP_OK else json.loads)
        if status == _BAD_REQUEST and body is not None:
            raise _BadRequestError(_message(body))
        if status not in {_HTTP_OK, _NOT_FOUND} or body is None:
            raise StaysRefusedError(
                f"{host} answers {status} without JSON: check [stays] url (https://ACCOUNT.stays.net),"
                " and whether the API is active in Stays' App Center"
            )
        date = _date(response.headers)
        if date is not None and "Age" not in response.headers:  # no copy of an older answer
            self.last_date = date
            self._on_date(date)
        return status == _HTTP_OK, body


def base_url(url: str) -> URL:
    """The root of the API under the URL of the account; `/external/v1` is appended when absent."""
    base = URL(url.rstrip("/"))
    return base if base.path.endswith(_PREFIX) else base.joinpath(*_PREFIX.strip("/").split("/"))


def _wait(error: Exception) -> bool | float:
    """Is it worth another attempt, and after which pause if Stays named one?"""
    if not isinstance(error, _BusyError):
        return False
    return True if error.retry_after is None else error.retry_after


async def _json(response: aiohttp.ClientResponse, read: Callable[[bytes], Any]) -> Any:
    """The body as JSON, by `read`; None if it is none."""
    body = bytearray()
    async for chunk in response.content.iter_chunked(65536):
        body += chunk
        if len(body) > _MOST_BYTES:
            raise StaysRefusedError(f"{response.url.host} answers with more than 4 MiB at once")
    if "json" not in response.content_type:
        return None
    try:
        return read(bytes(body))
    except (ValueError, RecursionError):
        raise _BusyError("answers with broken JSON") from None


def _message(body: Any) -> str:
    text = body.get("message") if isinstance(body, Mapping) else None
    return text[:200] if isinstance(text, str) else "bad request"


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """`Retry-After` in seconds, at most two minutes; None where there is none."""
    value = headers.get("Retry-After", "").strip()
    if value.isdecimal():
        return min(float(value), _MOST_RETRY_AFTER)
    moment, now = _parse_date(value), _date(headers)
    if moment is None or now is None:
        return None
    return min(max((moment - now).total_seconds(), 0.0), _MOST_RETRY_AFTER)


def _date(headers: Mapping[str, str]) -> datetime | None:
    return _parse_date(headers.get("Date", ""))


def _parse_date(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError):
        return None
    return moment.astimezone(UTC) if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
