"""The routes: JSON in camelCase, times RFC 3339 in UTC."""

import asyncio
import os
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any, BinaryIO, Protocol
from zoneinfo import ZoneInfo

from aiohttp import web

from gateway.clock import Clock
from gateway.domain import events
from gateway.domain.status import StayStatus
from gateway.store import audit, overview
from gateway.store.database import Database, ReadSession, Session
from gateway.store.moments import to_text, to_text_or_none
from gateway.store.overview import AuditView, LockView, Run, StayView
from gateway.timekeeping import ClockState
from gateway.web.answers import answer, body_of, data
from gateway.web.auth import ACTOR, SAFE_CHANNEL
from gateway.web.queries import moment_of, page_of
from gateway.web.reveals import Reveals, Shown
from gateway.web.stays import stay_document

_MOST_SECONDS = 4.0  # of listening: a request has 5 s
_PIECE = 64 * 1024


class Daemon(Protocol):
    """What the API asks of the rest of the gateway."""

    async def request_run(self) -> None:
        """Begin a reconciliation. Raises RunInProgressError."""
        ...

    def next_run(self) -> datetime | None:
        """When the scheduler runs the next one."""
        ...

    def schedule_text(self) -> str:
        """The schedule with its meaning."""
        ...

    def problems(self) -> tuple[str, ...]:
        """Codes of what keeps the gateway from being ready."""
        ...

    def clock_state(self) -> ClockState:
        """How the clock stands."""
        ...

    async def trust_clock(self, actor: str) -> ClockState:
        """A person vouches for the wall clock. Raises StoreError."""
        ...

    async def copy_database(self) -> BinaryIO:
        """A consistent copy of the database, open for reading. Raises StoreError."""
        ...

    async def decide_held(self, *, confirm: bool, actor: str) -> int:
        """Let go, or keep, what the brake holds; how many stays that were."""
        ...

    async def sightings(self, seconds: float) -> list[dict[str, str]]:
        """The devices heard on the LAN meanwhile, as `sightings` shows them.

        Raises:
            CannotListenError: the ports are taken.
        """
        ...


class Api:
    """The handlers of all routes."""

    def __init__(
        self,
        *,
        database: Database,
        reveals: Reveals,
        daemon: Daemon,
        lock_names: Callable[[], tuple[str, ...]],
        zone: Callable[[], ZoneInfo],
        clock: Clock,
    ) -> None:
        self._database = database
        self._reveals = reveals
        self._daemon = daemon
        self._lock_names = lock_names
        self._zone = zone
        self._clock = clock

    async def healthz(self, _request: web.Request) -> web.Response:
        """The process answers."""
        return answer({"status": "ok"})

    async def readyz(self, _request: web.Request) -> web.Response:
        """The gateway does its work."""
        problems = self._daemon.problems()
        if problems:
            return answer({"status": "not_ready", "problems": list(problems)}, status=503)
        # With a clock in doubt the work goes on, and no restart would mend it.
        if not self._clock_trusted():
            return answer({"status": "ready", "problems": ["clock_untrusted"]})
        return answer({"status": "ready"})

    # --- the clock -----------------------------------------------------------------------------

    async def clock(self, _request: web.Request) -> web.Response:
        """How the clock stands."""
        return data(_clock(self._daemon.clock_state()))

    async def trust_clock(self, request: web.Request) -> web.Response:
        """A person vouches for the clock."""
        return data(_clock(await self._daemon.trust_clock(request[ACTOR])))

    async def backup(self, request: web.Request) -> web.StreamResponse:
        """A copy of the database. It holds guests' names, and PINs that only `pin.key` opens."""
        detail = "a copy of the database was handed out"
        await self._audit(request[ACTOR], events.BACKUP_MADE, detail)
        with await self._daemon.copy_database() as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(0)
            response = web.StreamResponse(
                headers={"Content-Type": "application/vnd.sqlite3", "Cache-Control": "no-store"}
            )
            response.content_length = size
            await response.prepare(request)
            while piece := await asyncio.to_thread(file.read, _PIECE):
                await response.write(piece)
            await response.write_eof()
        return response

    # --- reconciliation ------------------------------------------------------------------------

    async def status(self, _request: web.Request) -> web.Response:
        """What ran last, what runs next."""
        last, running = await self._database.snapshot(overview.latest_runs)
        current = "pending" if running else "never_run" if last is None else last.status
        return data(
            {
                "lastRun": None if last is None else _run(last),
                "nextRun": to_text_or_none(self._daemon.next_run()),
                "currentStatus": current,
                "schedule": self._daemon.schedule_text(),
            }
        )

    async def run(self, request: web.Request) -> web.Response:
        """Begin a run."""
        await self._daemon.request_run()
        await self._audit(request[ACTOR], events.RECONCILE_ASKED, "a reconciliation, now")
        return answer({"data": {"status": "pending"}}, status=202)

    async def runs(self, request: web.Request) -> web.Response:
        """The log, newest first."""
        page = page_of(request)
        rows, total = await self._database.snapshot(lambda session: overview.runs(session, page))
        return answer({"data": [_run(row) for row in rows], "page": page, "total": total})

    async def held(self, _request: web.Request) -> web.Response:
        """What the brake holds."""
        rows = await self._database.snapshot(overview.held)
        return data(
            {
                "held": [
                    {
                        "id": row.id,
                        "code": row.code,
                        "unit": row.unit,
                        "since": row.since,
                        "reads": row.reads,
                        "reason": row.type,
                    }
                    for row in rows
                ]
            }
        )

    async def decide_held(self, request: web.Request) -> web.Response:
        """Confirm or reject what the brake holds."""
        body = await body_of(request)
        action = body.get("action")
        if action not in {"confirm", "reject"}:
            raise web.HTTPBadRequest(text='action is "confirm" or "reject"')
        count = await self._daemon.decide_held(confirm=action == "confirm", actor=request[ACTOR])
        return data({"decided": count})

    # --- reservations --------------------------------------------------------------------------

    async def reservations(self, request: web.Request) -> web.Response:
        """A page of stays with their PIN status."""
        page, now, trusted = page_of(request), self._clock.now(), self._clock_trusted()
        status = _status(request.query.get("status"))
        zone = self._zone()
        start, end = (moment_of(request, name, zone) for name in ("from", "to"))
        rows, total = await self._database.snapshot(
            lambda session: overview.stays(
                session,
                status=status,
                start=start,
                end=end,
                page=page,
                now=now,
                clock_trusted=trusted,
            )
        )
        return answer({"data": [stay_document(row) for row in rows], "page": page, "total": total})

    async def reservation(self, request: web.Request) -> web.Response:
        """One stay with its story."""
        now, trusted = self._clock.now(), self._clock_trusted()

        async def body(session: ReadSession) -> tuple[StayView | None, list[AuditView]]:
            found = await overview.find(session, request.match_info["id"])
            if found is None:
                return None, []
            view = await overview.stay(session, found, now, clock_trusted=trusted)
            return view, await overview.audit_of(session, found)

        view, story = await self._database.snapshot(body)
        if view is None:
            raise web.HTTPNotFound(text="there is no such reservation")
        audit_rows = [
            {"at": row.at, "actor": row.actor, "event": row.event, "detail": row.detail}
            for row in story
        ]
        return data({**stay_document(view), "audit": audit_rows})

    async def pin(self, request: web.Request) -> web.Response:
        """The PIN of a stay, masked unless `reveal=true`."""
        reveal = request.query.get("reveal", "false")
        if reveal not in {"true", "false"}:
            raise web.HTTPBadRequest(text="reveal is true or false")
        id_or_code = request.match_info["id"]
        shown = await self._reveals.masked(id_or_code)
        if shown is not None and reveal == "true":
            if not request[SAFE_CHANNEL]:
                return _insecure()
            shown = await self._reveals.whole(id_or_code, actor=request[ACTOR])
        if shown is None:
            raise web.HTTPNotFound(text="there is no PIN for such a reservation")
        return data(_pin(shown))

    async def _audit(
        self, actor: str, event: str, detail: str, reservation_id: str | None = None
    ) -> None:
        async def body(session: Session) -> None:
            await audit.append(
                session,
                at=self._clock.now(),
                actor=actor,
                event=event,
                detail=detail,
                reservation_id=reservation_id,
            )

        await self._database.transaction(body)

    def _clock_trusted(self) -> bool:
        return self._daemon.clock_state().verdict.trusted

    # --- locks ---------------------------------------------------------------------------------

    async def locks(self, _request: web.Request) -> web.Response:
        """All locks."""
        return data([_lock(row) for row in await self._locks()])

    async def sightings(self, request: web.Request) -> web.Response:
        """What is heard on the LAN for some seconds."""
        text = request.query.get("seconds", f"{_MOST_SECONDS}")
        if not re.fullmatch(r"[0-9](\.[0-9]{1,3})?", text) or not 0 < float(text) <= _MOST_SECONDS:
            raise web.HTTPBadRequest(text=f"seconds is a number up to {_MOST_SECONDS:g}")
        return data(await self._daemon.sightings(float(text)))

    async def lock(self, request: web.Request) -> web.Response:
        """One lock."""
        name = request.match_info["name"]
        for row in await self._locks():
            if row.name == name:
                return data(_lock(row))
        raise web.HTTPNotFound(text="there is no such lock")

    async def _locks(self) -> list[LockView]:
        names, now = self._lock_names(), self._clock.now()
        return await self._database.snapshot(lambda session: overview.locks(session, names, now))


def _insecure() -> web.Response:
    body = {
        "error": {"code": "insecure_channel", "message": "revealing a PIN needs TLS: use https"}
    }
    return answer(body, status=403)


def _status(text: str | None) -> StayStatus | None:
    if text is None:
        return None
    try:
        return StayStatus(text)
    except ValueError:
        known = ", ".join(StayStatus)
        raise web.HTTPBadRequest(text=f"status is one of {known}") from None


def _clock(state: ClockState) -> dict[str, Any]:
    verdict = state.verdict
    return {
        "trusted": verdict.trusted,
        "vouchedBy": list(verdict.witnesses),
        "reasons": [] if verdict.trusted else [doubt.words for doubt in verdict.doubts],
        "wall": to_text(state.wall),
        "actsOn": to_text(state.now),
    }


def _run(run: Run) -> dict[str, Any]:
    return {
        "id": run.id,
        "startedAt": run.started_at,
        "completedAt": run.completed_at,
        "duration": run.duration,
        "status": run.status,
        "message": run.message,
        "stats": run.stats,
    }


def _pin(shown: Shown) -> dict[str, Any]:
    return {
        "pin": shown.pin,
        "expiresAt": to_text(max(door.window.valid_until for door in shown.doors)),
        "doors": [
            {
                "lock": door.lock,
                "pin": door.pin,
                "validFrom": to_text(door.window.valid_from),
                "validUntil": to_text(door.window.valid_until),
            }
            for door in shown.doors
        ],
    }


def _lock(view: LockView) -> dict[str, Any]:
    return {
        "name": view.name,
        "configured": view.configured,
        "reachable": view.reachable,
        "since": view.since,
        "lastSeenAt": view.last_seen_at,
        "reason": view.reason,
        "battery": {"percent": view.battery_percent, "state": view.battery_state},
        "alarm": view.alarm,
        "door": view.door,
        "openedAt": view.opened_at,
        "hijackedAt": view.hijacked_at,
        "doorbellAt": view.doorbell_at,
        "clockSkew": view.clock_skew,
        "listedAt": view.listed_at,
        "foreignCodes": view.foreign_codes,
        "strayCodes": view.stray_codes,
        "codes": view.codes,
        "waiting": view.waiting,
    }
