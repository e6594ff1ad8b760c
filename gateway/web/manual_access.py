"""The routes of manual access: PINs for people whom Stays does not know."""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from aiohttp import web

from gateway.access import ManualAccess
from gateway.clock import Clock
from gateway.domain.model import Origin, Terms, WeeklyHours, Window
from gateway.store import overview
from gateway.store.access import Asked, StoredAccess
from gateway.store.database import Database
from gateway.store.moments import to_text
from gateway.store.overview import StayView
from gateway.web.acts import reason_of
from gateway.web.answers import answer, body_of, data, optional_body_of
from gateway.web.auth import ACTOR
from gateway.web.queries import page_of, parse_moment
from gateway.web.stays import credential_documents

DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_FIELDS = frozenset({"kind", "name", "phone", "unit", "locks", "from", "until", "weekly", "reason"})
_MOST_LOCKS = 50
_LONGEST_PHONE = 40
_HOUR = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")


class ManualAccessApi:
    """Handlers. Names stand in these answers, as in those of stays; PINs do not."""

    def __init__(
        self,
        *,
        access: ManualAccess,
        database: Database,
        zone: Callable[[], ZoneInfo],
        clock: Clock,
        clock_trusted: Callable[[], bool],
    ) -> None:
        self._access = access
        self._database = database
        self._zone = zone
        self._clock = clock
        self._clock_trusted = clock_trusted

    def routes(self, prefix: str) -> list[web.RouteDef]:
        """The routes of this part."""
        return [
            web.get(f"{prefix}/access", self.listed),
            web.post(f"{prefix}/access", self.give),
            web.patch(f"{prefix}/access/{{id}}", self.change),
            web.delete(f"{prefix}/access/{{id}}", self.take),
        ]

    async def listed(self, request: web.Request) -> web.Response:
        """A page of those that were not taken."""
        page = page_of(request)
        rows, total = await self._access.listed(page)
        documents = await self._documents(rows)
        return answer({"data": documents, "page": page, "total": total})

    async def give(self, request: web.Request) -> web.Response:
        """Give somebody a PIN."""
        body = await body_of(request)
        try:
            asked = asked_in(body, zone=self._zone(), now=self._clock.now())
            new = await self._access.give(asked, actor=request[ACTOR], reason=_reason(body))
        except ValueError as error:
            raise web.HTTPBadRequest(text=str(error)) from None
        (document,) = await self._documents([new])
        return data(document, status=201)

    async def change(self, request: web.Request) -> web.Response:
        """Change the name, doors, moments or hours of one."""
        body = await body_of(request)

        def changed(asked: Asked) -> Asked:
            return replace(
                asked,
                kind=_kind(body) if "kind" in body else asked.kind,
                name=_text(body, "name") if "name" in body else asked.name,
                phone=_phone(body, asked.phone),
                terms=_terms(body, asked.terms),
                span=_span(
                    body, self._zone(), start=asked.span.valid_from, end=asked.span.valid_until
                ),
            )

        try:
            reason = _reason(body)
            after = await self._access.change(
                request.match_info["id"], changed, actor=request[ACTOR], reason=reason
            )
        except ValueError as error:
            raise web.HTTPBadRequest(text=str(error)) from None
        (document,) = await self._documents([after])
        return data(document)

    async def take(self, request: web.Request) -> web.Response:
        """End one now."""
        reason = reason_of(await optional_body_of(request))
        access_id = await self._access.take(
            request.match_info["id"], actor=request[ACTOR], reason=reason
        )
        return data({"id": access_id}, status=202)

    async def _documents(self, rows: list[StoredAccess]) -> list[dict[str, Any]]:
        ids = [row.id for row in rows]
        now, trusted = self._clock.now(), self._clock_trusted()
        views = await self._database.snapshot(
            lambda session: overview.stays_of(session, ids, now, clock_trusted=trusted)
        )
        return [_document(row, views[row.id]) for row in rows if row.id in views]


def asked_in(body: Mapping[str, Any], *, zone: ZoneInfo, now: datetime) -> Asked:
    """What a new access is to be, of the fields of a body.

    Raises:
        ValueError, HTTPBadRequest: it makes no sense; the message says what would.
    """
    return Asked(
        kind=_kind(body),
        name=_text(body, "name"),
        phone=_phone(body, None),
        terms=_terms(body, Terms(unit=None, locks=())),
        span=_span(body, zone, start=now.replace(microsecond=0), end=None),
    )


def _span(
    body: Mapping[str, Any], zone: ZoneInfo, *, start: datetime, end: datetime | None
) -> Window:
    if "from" in body:
        start = parse_moment(_text(body, "from"), "from", zone)
    if "until" in body or end is None:
        end = parse_moment(_text(body, "until"), "until", zone)
    if start >= end:
        raise ValueError("until is after from")
    return Window(valid_from=start.replace(microsecond=0), valid_until=end)


def _reason(body: Mapping[str, Any]) -> str | None:
    unknown = sorted(body.keys() - _FIELDS)
    if unknown:
        raise ValueError(f"{unknown[0][:30]!a} is none of {', '.join(sorted(_FIELDS))}")
    return reason_of(dict(body))


def _text(body: Mapping[str, Any], name: str) -> str:
    text = body.get(name)
    if not isinstance(text, str):
        raise ValueError(f"{name} is a text and required")  # noqa: TRY004 - of a body, not a program
    return text


def _phone(body: Mapping[str, Any], before: str | None) -> str | None:
    phone = body.get("phone", before)
    if phone is not None and (not isinstance(phone, str) or len(phone) > _LONGEST_PHONE):
        raise ValueError(f"phone is null or a text of {_LONGEST_PHONE} characters at most")
    return phone


def _kind(body: Mapping[str, Any]) -> Origin:
    kind = body.get("kind", Origin.GUEST)
    if kind not in {Origin.GUEST.value, Origin.STAFF.value}:
        raise ValueError("kind is guest or staff")
    return Origin(kind)


def _terms(body: Mapping[str, Any], before: Terms) -> Terms:
    terms = before
    if "locks" in body:
        terms = replace(terms, locks=_locks(body["locks"]), unit=None)
    if body.get("unit") is not None:
        terms = replace(terms, unit=_text(body, "unit"))
    if "weekly" in body:
        terms = replace(terms, weekly=_weekly(body["weekly"]))
    return terms


def _locks(locks: object) -> tuple[str, ...]:
    if (
        not isinstance(locks, list)
        or not 1 <= len(locks) <= _MOST_LOCKS
        or not all(isinstance(lock, str) for lock in locks)
    ):
        raise ValueError(f"locks is a list of 1 to {_MOST_LOCKS} names")
    return tuple(locks)


def _weekly(weekly: object) -> WeeklyHours | None:
    if weekly is None:
        return None
    problem = 'weekly is null or {"days": ["mon", …], "from": "08:00", "until": "12:00"}'
    if not isinstance(weekly, dict) or set(weekly) != {"days", "from", "until"}:
        raise ValueError(problem)
    days, hours = weekly["days"], (weekly["from"], weekly["until"])
    if not isinstance(days, list) or not days or any(day not in DAYS for day in days):
        raise ValueError(problem)
    if not all(isinstance(one, str) and _HOUR.fullmatch(one) for one in hours):
        raise ValueError(problem)
    start, end = (time.fromisoformat(one) for one in hours)
    if start >= end:
        raise ValueError("weekly hours begin before they end, on the same day")
    return WeeklyHours(days=frozenset(DAYS.index(day) for day in days), start=start, end=end)


def _document(row: StoredAccess, view: StayView) -> dict[str, Any]:
    asked = row.asked
    hours = asked.terms.weekly
    return {
        "id": row.id,
        "code": row.code,
        "kind": asked.kind,
        "name": asked.name,
        "phone": asked.phone,
        "unit": asked.terms.unit,
        "locks": list(asked.terms.locks),
        "from": to_text(asked.span.valid_from),
        "until": to_text(asked.span.valid_until),
        "weekly": None
        if hours is None
        else {
            "days": [DAYS[day] for day in sorted(hours.days)],
            "from": f"{hours.start:%H:%M}",
            "until": f"{hours.end:%H:%M}",
        },
        "pinStatus": view.pin_status,
        "credentials": credential_documents(view),
    }
