"""The pages of the house: locks, reconciliations, what the brake holds, matching."""

from collections.abc import Awaitable, Callable

from aiohttp import web

from gateway.domain import events
from gateway.domain.matching import Match
from gateway.domain.model import Property
from gateway.errors import StaysRefusedError, StaysUnavailableError
from gateway.store import audit, overview
from gateway.store.database import Database, ReadSession, Session
from gateway.store.overview import Run, StayView
from gateway.web.matching import as_toml
from gateway.web.page.daemon import Daemon, clock_trusted
from gateway.web.page.frame import Ask, Frame, see
from gateway.web.page.sentences import card
from gateway.web.queries import page_of


class HousePages:
    """Handlers."""

    def __init__(
        self,
        *,
        frame: Frame,
        database: Database,
        daemon: Daemon,
        property_: Callable[[], Property],
        suggestions: Callable[[], Awaitable[list[tuple[Match, bool]]]],
    ) -> None:
        """`suggestions`: listings for locks, each with: is it configured like this?"""
        self._frame = frame
        self._database = database
        self._daemon = daemon
        self._property = property_
        self._suggestions = suggestions

    async def locks(self, ask: Ask) -> web.Response:
        """All locks."""
        names = tuple(lock.name for lock in self._property().locks)
        now = ask.words.now
        rows = await self._database.snapshot(lambda session: overview.locks(session, names, now))
        return self._frame.page(ask, "locks.html", here="locks", locks=rows)

    async def runs(self, ask: Ask) -> web.Response:
        """The log of reconciliations, newest first."""
        page = page_of(ask.request)

        async def body(session: ReadSession) -> tuple[list[Run], int, bool]:
            _, running = await overview.latest_runs(session)
            return *(await overview.runs(session, page)), running

        rows, total, running = await self._database.snapshot(body)
        return self._frame.page(
            ask,
            "runs.html",
            here="runs",
            runs=rows,
            running=running,
            asked=ask.request.query.get("done") == "asked",
            next_run=self._daemon.next_run(),
            page=page,
            pages=max(1, -(-total // overview.PAGE)),
        )

    async def run(self, ask: Ask) -> web.Response:
        """Begin one."""
        await self._daemon.request_run()

        async def body(session: Session) -> None:
            await audit.append(
                session,
                at=ask.words.now,
                actor=ask.visitor.subject,
                event=events.RECONCILE_ASKED,
                detail="a reconciliation, now",
            )

        await self._database.transaction(body)
        return see("/runs?done=asked")

    async def held(self, ask: Ask) -> web.Response:
        """What the brake holds."""
        words, trusted = ask.words, clock_trusted(self._daemon)

        async def body(session: ReadSession) -> tuple[list[overview.HeldView], dict[str, StayView]]:
            rows = await overview.held(session)
            stays = await overview.stays_of(
                session,
                [row.id for row in rows],
                words.now,
                clock_trusted=trusted,
            )
            return rows, stays

        rows, stays = await self._database.snapshot(body)
        return self._frame.page(
            ask,
            "held.html",
            here="held",
            held=[(row, card(stays[row.id], words)) for row in rows],
            decided=ask.request.query.get("decided")
            if ask.request.query.get("decided") in {"confirm", "reject"}
            else None,
        )

    async def decide(self, ask: Ask) -> web.Response:
        """Confirm or reject it."""
        action = ask.field("action")
        if action not in {"confirm", "reject"}:
            raise web.HTTPBadRequest(text='action is "confirm" or "reject"')
        await self._daemon.decide_held(confirm=action == "confirm", actor=ask.visitor.subject)
        return see(f"/held?decided={action}")

    async def matching(self, ask: Ask) -> web.Response:
        """Which lock belongs to which listing, with what to paste."""
        problem, found = None, []
        try:
            found = await self._suggestions()
        except (StaysUnavailableError, StaysRefusedError) as error:
            problem = str(error)
        new = [one for one, mapped in found if not mapped]
        toml = as_toml(
            (one.lock, one.listing.code or one.listing.id, one.listing.name) for one in new
        )
        return self._frame.page(
            ask, "matching.html", here="matching", found=found, toml=toml, problem=problem
        )
