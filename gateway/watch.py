"""Keeps what locks tell of themselves: reachability, batteries, alarms, doors and clocks."""

from collections.abc import Callable
from datetime import datetime, timedelta

from gateway.domain import events
from gateway.ports import (
    ClockSeen,
    Contended,
    LockLost,
    LockReached,
    Notice,
    Notifier,
    StatusReported,
)
from gateway.store import locks
from gateway.store.database import Database, Session
from gateway.store.locks import Heard

_SKEW_STEP = 5.0  # seconds; smaller changes are not written down
_AGREE = 30.0  # two readings that differ by less are believed
WRONG_PIN = "wrong_password"  # the alarm of a keypad at which a wrong code was typed
_ALARMS_OF_THEIR_OWN = frozenset(  # no message each: somebody mistypes; `battery.low` says it
    {WRONG_PIN, "wrong_finger", "wrong_card", "wrong_face", "low_battery"}
)
_ALARM_REST = timedelta(minutes=10)  # the same alarm is not told again sooner

Watched = LockReached | LockLost | StatusReported | ClockSeen | Contended


class LockWatch:
    """All locks of a property. What happens is told at once; what holds is kept for the alerts."""

    def __init__(
        self, *, database: Database, notifier: Notifier, now: Callable[[], datetime]
    ) -> None:
        self._database = database
        self._notifier = notifier
        self._now = now
        self._alarms: dict[tuple[str, str], datetime] = {}
        self._skews: dict[str, float] = {}
        self._written_skews: dict[str, float] = {}
        self._contended: set[str] = set()

    async def hear(self, event: Watched) -> None:
        """Keep what a lock told."""
        match event:
            case LockReached():
                await self._reachable(event.lock, reachable=True, reason=None)
            case LockLost(why=why):
                await self._reachable(event.lock, reachable=False, reason=why)
            case StatusReported():
                await self._status(event)
            case ClockSeen(skew=skew):
                await self._clock(event.lock, skew)
            case Contended():
                self._contention(event)

    async def _reachable(self, lock: str, *, reachable: bool, reason: str | None) -> None:
        now = self._now()

        async def body(session: Session) -> None:
            await locks.set_reachable(session, lock, reachable=reachable, reason=reason, now=now)

        await self._database.transaction(body)

    async def _status(self, event: StatusReported) -> None:
        heard = Heard(
            battery_percent=event.battery_percent,
            battery_state=event.battery_state,
            alarm=event.alarm,
            door=event.door,
            hijacked=bool(event.hijack),
            doorbell=bool(event.doorbell),
        )
        now = self._now()
        await self._database.transaction(
            lambda session: locks.record_status(session, event.lock, heard, now)
        )
        if event.hijack:
            detail = "it was opened under duress: call for help"
            await self._tell(events.LOCK_HIJACK, event.lock, detail)
        if event.doorbell:
            await self._tell(events.LOCK_DOORBELL, event.lock, "somebody rings")
        if event.alarm is not None and event.alarm not in _ALARMS_OF_THEIR_OWN:
            await self._alarm(event.lock, event.alarm)

    async def _alarm(self, lock: str, alarm: str) -> None:
        now, last = self._now(), self._alarms.get((lock, alarm))
        if last is not None and last <= now < last + _ALARM_REST:
            return
        self._alarms[lock, alarm] = now
        await self._tell(events.LOCK_ALARM, lock, f"it reports {alarm}: have a look")

    async def _clock(self, lock: str, skew: float) -> None:
        last = self._skews.get(lock)
        self._skews[lock] = skew
        if last is None or abs(last - skew) > _AGREE:
            return  # a report that was stored before it was sent shows an older time
        written = self._written_skews.get(lock)
        if written is None or abs(written - skew) > _SKEW_STEP:
            self._written_skews[lock] = skew
            await self._database.transaction(
                lambda session: locks.record_skew(session, lock, round(skew))
            )

    @property
    def contended(self) -> tuple[str, ...]:
        """The hubs and locks from which somebody else and the gateway throw each other out."""
        return tuple(sorted(self._contended))

    def _contention(self, event: Contended) -> None:
        if event.over:
            self._contended.discard(event.peer)
        else:
            self._contended.add(event.peer)

    async def foreign(self, lock: str) -> None:
        """It reported a write that this gateway did not ask for."""
        now = self._now()
        await self._database.transaction(
            lambda session: locks.record_foreign_report(session, lock, now)
        )

    async def _tell(self, event: str, subject: str, detail: str) -> None:
        await self._notifier.tell(
            Notice(event=event, at=self._now(), subject=subject, detail=detail)
        )
