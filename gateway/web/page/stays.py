"""The pages of stays: the list, one with its story, and what a person does to its PIN."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from aiohttp import web

from gateway.acts import Acts
from gateway.domain import events
from gateway.domain.messages import ReadyText
from gateway.errors import NoSuchStayError
from gateway.store import overview
from gateway.store.database import Database, ReadSession
from gateway.store.overview import AuditView, StayView
from gateway.web.page.daemon import Daemon, clock_trusted
from gateway.web.page.frame import Ask, Frame, see
from gateway.web.page.sentences import card, door_line
from gateway.web.page.words import Words
from gateway.web.queries import page_of
from gateway.web.reveals import Reveals, Shown

_SAID_WHOLE = frozenset({events.PIN_ISSUED, events.CREDENTIAL_OBSERVED})
_DONE = frozenset({"reprocessed", "reissued", "revoked", "given"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Chapter:
    """One thing that happened to a stay, in words; `detail` is the gateway's own note of it."""

    at: str
    text: str
    who: str
    detail: str


class StayPages:
    """Handlers."""

    def __init__(
        self,
        *,
        frame: Frame,
        database: Database,
        reveals: Reveals,
        acts: Acts,
        daemon: Daemon,
    ) -> None:
        self._frame = frame
        self._database = database
        self._reveals = reveals
        self._acts = acts
        self._daemon = daemon

    async def listed(self, ask: Ask) -> web.Response:
        """Stays that are not over, by arrival."""
        page, words, trusted = page_of(ask.request), ask.words, clock_trusted(self._daemon)
        rows, total = await self._database.snapshot(
            lambda session: overview.stays(
                session,
                status=None,
                start=words.now,
                end=None,
                page=page,
                now=words.now,
                clock_trusted=trusted,
            )
        )
        return self._frame.page(
            ask,
            "stays.html",
            here="stays",
            stays=[card(one, words) for one in rows],
            page=page,
            pages=max(1, -(-total // overview.PAGE)),
            total=total,
        )

    async def show(self, ask: Ask) -> web.Response:
        """One stay."""
        done = ask.request.query.get("done")
        return await self._stay(ask, done=done if done in _DONE else None)

    async def reveal(self, ask: Ask) -> web.Response:
        """The same with its PIN in full."""
        shown = await self._reveals.whole(_id(ask), actor=ask.visitor.subject)
        return await self._stay(ask, shown=shown)

    async def message(self, ask: Ask) -> web.Response:
        """The same with the message for the guest."""
        ready = await self._reveals.message(_id(ask), actor=ask.visitor.subject)
        return await self._stay(ask, ready=ready, no_message=ready is None)

    async def reprocess(self, ask: Ask) -> web.Response:
        """Look at it once more."""
        await self._acts.reprocess(_id(ask), actor=ask.visitor.subject, reason=_reason(ask))
        return see(f"/stays/{quote(_id(ask), safe='')}?done=reprocessed")

    async def reissue(self, ask: Ask) -> web.Response:
        """Another PIN."""
        await self._acts.reissue(_id(ask), actor=ask.visitor.subject, reason=_reason(ask))
        return see(f"/stays/{quote(_id(ask), safe='')}?done=reissued")

    async def revoke(self, ask: Ask) -> web.Response:
        """No PIN."""
        await self._acts.revoke(_id(ask), actor=ask.visitor.subject, reason=_reason(ask))
        return see(f"/stays/{quote(_id(ask), safe='')}?done=revoked")

    async def _stay(
        self,
        ask: Ask,
        *,
        done: str | None = None,
        shown: Shown | None = None,
        ready: ReadyText | None = None,
        no_message: bool = False,
    ) -> web.Response:
        words, trusted = ask.words, clock_trusted(self._daemon)

        async def body(session: ReadSession) -> tuple[StayView, list[AuditView]]:
            found = await overview.find(session, _id(ask))
            view = None
            if found is not None:
                view = await overview.stay(session, found, words.now, clock_trusted=trusted)
            if found is None or view is None:
                raise NoSuchStayError("there is no such reservation")
            return view, await overview.audit_of(session, found)

        view, story = await self._database.snapshot(body)
        masked = shown or await self._reveals.masked(_id(ask))
        values: dict[str, Any] = {
            "stay": card(view, words),
            "doors": [door_line(door, words) for door in view.credentials],
            "windows": {door.lock: door.state.window for door in view.credentials},
            "story": [_chapter(row, words) for row in reversed(story)],
            "pins": _pins(masked),
            "revealed": shown is not None,
            "ready": ready,
            "no_message": no_message,
            "done": done,
        }
        return self._frame.page(ask, "stay.html", here="stay", **values)


def _id(ask: Ask) -> str:
    return ask.request.match_info["id"]


def _reason(ask: Ask) -> str | None:
    return ask.field("reason") or None


def _pins(shown: Shown | None) -> list[tuple[str, list[str]]]:
    """Each PIN with the doors that it opens."""
    doors: dict[str, list[str]] = {}
    for door in () if shown is None else shown.doors:
        doors.setdefault(door.pin, []).append(door.lock)
    return list(doors.items())


def _chapter(row: AuditView, words: Words) -> Chapter:
    kind, _, lock = row.actor.partition(":")
    name, actor = f"story.{row.event}", f"actor.{kind}"
    text = words(name, lock=lock) if words.has(name) else row.event
    return Chapter(
        at=row.at,
        text=text,
        who="" if lock and lock in text else words(actor) if words.has(actor) else row.actor,
        detail="" if row.event in _SAID_WHOLE else row.detail,
    )
