"""The page of manual access: PINs for a cleaner, or for a guest whom Stays does not know."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from aiohttp import web

from gateway.access import ManualAccess
from gateway.domain.model import Origin, Property, WeeklyHours
from gateway.store import access, overview
from gateway.store.access import StoredAccess
from gateway.store.database import Database
from gateway.web.acts import reason_of
from gateway.web.manual_access import DAYS, asked_in
from gateway.web.page.daemon import Daemon, clock_trusted
from gateway.web.page.frame import Ask, Frame, see
from gateway.web.page.sentences import card
from gateway.web.page.words import Words
from gateway.web.queries import page_of


class AccessPages:
    """Handlers."""

    def __init__(
        self,
        *,
        frame: Frame,
        given: ManualAccess,
        database: Database,
        property_: Callable[[], Property],
        holds_weekly: Callable[[str], bool],
        daemon: Daemon,
    ) -> None:
        """`holds_weekly`: does a lock keep hours of the week?"""
        self._frame = frame
        self._given = given
        self._database = database
        self._property = property_
        self._holds_weekly = holds_weekly
        self._daemon = daemon

    async def show(self, ask: Ask) -> web.Response:
        """Those that were given, and a form for another."""
        return await self._show(ask, {})

    async def _show(
        self, ask: Ask, typed: dict[str, Any], problem: str | None = None
    ) -> web.Response:
        page, words = page_of(ask.request), ask.words
        rows, total = await self._given.listed(page)
        trusted = clock_trusted(self._daemon)
        views = await self._database.snapshot(
            lambda session: overview.stays_of(
                session,
                [row.id for row in rows],
                words.now,
                clock_trusted=trusted,
            )
        )
        site = self._property()
        names = [lock.name for lock in site.locks]
        weekly = [name for name in names if self._holds_weekly(name)]
        return self._frame.page(
            ask,
            "access.html",
            status=200 if problem is None else 400,
            here="access",
            given=[
                _row(row, words) | {"card": card(views[row.id], words)}
                for row in rows
                if row.id in views
            ],
            ended=ask.request.query.get("ended") == "yes",
            page=page,
            pages=max(1, -(-total // access.PAGE)),
            locks=names,
            units=[unit.name for unit in site.units],
            weekly=weekly,
            days=list(enumerate(DAYS)),
            typed=_defaults(words) | typed,
            problem=problem,
        )

    async def give(self, ask: Ask) -> web.Response:
        """Another PIN."""
        typed = _typed(ask)
        try:
            body = _body(typed, ask.words)
            asked = asked_in(body, zone=ask.words.zone, now=ask.words.now)
            new = await self._given.give(
                asked,
                actor=ask.visitor.subject,
                reason=reason_of({"reason": typed["reason"] or None}),
            )
        except (ValueError, web.HTTPBadRequest) as problem:
            text = problem.text if isinstance(problem, web.HTTPBadRequest) else str(problem)
            return await self._show(ask, typed, text)
        return see(f"/stays/{new.code}?done=given")

    async def end(self, ask: Ask) -> web.Response:
        """End one now."""
        await self._given.take(
            ask.request.match_info["id"],
            actor=ask.visitor.subject,
            reason=ask.field("reason") or None,
        )
        return see("/access?ended=yes")


def _typed(ask: Ask) -> dict[str, Any]:
    """What was typed into the form, to show it again where it makes no sense."""
    texts = {
        name: ask.field(name)
        for name in ("kind", "name", "phone", "unit", "from", "until", "start", "end", "reason")
    }
    return texts | {"locks": ask.form.get("locks", []), "days": ask.form.get("days", [])}


def _defaults(words: Words) -> dict[str, Any]:
    now = words.now.astimezone(words.zone)
    return {
        "kind": Origin.STAFF.value,
        "name": "",
        "phone": "",
        "unit": "",
        "locks": [],
        "days": [],
        "from": f"{now:%Y-%m-%dT%H:%M}",
        "until": f"{now + timedelta(days=1):%Y-%m-%dT%H:%M}",
        "start": "",
        "end": "",
        "reason": "",
    }


def _body(typed: dict[str, Any], words: Words) -> dict[str, Any]:
    """The same as the HTTP API takes it; what a form leaves empty is not there."""
    body: dict[str, Any] = {"kind": typed["kind"], "name": typed["name"], "locks": typed["locks"]}
    if typed["phone"]:
        body["phone"] = typed["phone"]
    if typed["unit"] and typed["kind"] == Origin.GUEST.value:
        body["unit"] = typed["unit"]
    for name in ("from", "until"):
        if typed[name]:
            body[name] = _moment(typed[name], words)
    if typed["days"] or typed["start"] or typed["end"]:
        body["weekly"] = {"days": typed["days"], "from": typed["start"], "until": typed["end"]}
    return body


def _moment(text: str, words: Words) -> str:
    """What a browser's field for a moment holds, with the zone that it was meant in."""
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=words.zone)).isoformat()


def _row(row: StoredAccess, words: Words) -> dict[str, Any]:
    asked = row.asked
    return {
        "id": row.id,
        "code": row.code,
        "kind": words(f"access.{asked.kind}"),
        "name": asked.name,
        "locks": words.together(list(asked.terms.locks)),
        "start": asked.span.valid_from,
        "end": asked.span.valid_until,
        "weekly": None if asked.terms.weekly is None else _hours(asked.terms.weekly, words),
        "over": asked.span.valid_until <= words.now,
    }


def _hours(hours: WeeklyHours, words: Words) -> str:
    names = words("access.days").split()
    days = words.together([names[day] for day in sorted(hours.days)])
    return words("access.hours", days=days, start=f"{hours.start:%H:%M}", end=f"{hours.end:%H:%M}")
