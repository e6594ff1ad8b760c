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

_LOW_PERCENT, _GOOD_PERCENT = 15, 20
_WORST_SKEW = 120.0  # seconds
_SKEW_STEP = 5.0  # smaller changes are not written down
_AGREE = 30.0  # two readings that differ by less are believed
WRONG_PIN = "wrong_password"  # the alarm of a keypad at which a wrong code was typed
_KEYPAD_ALARMS = frozenset({WRONG_PIN, "wrong_finger", "wrong_card", "wrong_face"})
_ALARM_REST = timedelta(minutes=10)  # the same alarm is not told again sooner

Watched = LockReached | LockLost | StatusReported | ClockSeen | Contended


class LockWatch:
    """All locks of a property. What must be told to a person is told once, when it starts."""

    def __init__(
        self, *, database: Database, notifier: Notifier, now: Callable[[], datetime]
    ) -> None:
        self._database = database
        self._notifier = notifier
        self._now = now
        self._low: set[str] = set()
        self._alarms: dict[tuple[str, str], datetime] = {}
        self._skews: dict[str, float] = {}
        self._written_skews: dict[str, float] = {}
        self._clocks_off: set[str] = set()
        self._contended: set[str] = set()

    async def hear(self, event: Watched) -> None:
        """Keep what a lock told."""
        match event:
            case LockReached():
                await self._reachable(event.lock, reachable=True, reason=None)
            case LockLost(why=why):
                await self._reachable(event.lock, reachable=False, reason=why)
                await self._tell(events.LOCK_OFFLINE, event.lock, why)
            case StatusReported():
                await self._status(event)
            case ClockSeen(skew=skew):
                await self._clock(event.lock, skew)
            case Contended():
                await self._contention(event)

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
        before = await self._database.transaction(
            lambda session: locks.record_status(session, event.lock, heard, now)
        )
        await self._battery(event, before)
        if event.hijack:
            detail = "it was opened under duress: call for help"
            await self._tell(events.LOCK_HIJACK, event.lock, detail)
        if event.doorbell:
            await self._tell(events.LOCK_DOORBELL, event.lock, "somebody rings")
        if event.alarm is not None and event.alarm not in _KEYPAD_ALARMS:
            await self._alarm(event.lock, event.alarm)

    async def _battery(self, event: StatusReported, before: Heard) -> None:
        percent, state = event.battery_percent, event.battery_state
        if percent is not None and percent >= _GOOD_PERCENT:
            self._low.discard(event.lock)
        was_low = before.battery_percent is not None and before.battery_percent <= _LOW_PERCENT
        detail = None
        if percent is not None and percent <= _LOW_PERCENT and not was_low:
            detail = f"{percent} % left: change the batteries"
        elif state in {"low", "poweroff"} and before.battery_state != state:
            detail = f"its battery is {state}: change the batteries"
        if detail is not None and event.lock not in self._low:
            self._low.add(event.lock)
            await self._tell(events.BATTERY_LOW, event.lock, detail)

    async def _alarm(self, lock: str, alarm: str) -> None:
        now, last = self._now(), self._alarms.get((lock, alarm))
        if last is not None and last <= now < last + _ALARM_REST:
            return
        self._alarms[lock, alarm] = now
        if alarm == "low_battery":
            if lock not in self._low:
                self._low.add(lock)
                await self._tell(events.BATTERY_LOW, lock, "it says so: change the batteries")
            return
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
        off = abs(skew) > _WORST_SKEW
        if off and lock not in self._clocks_off:
            direction = "ahead" if skew > 0 else "behind"
            detail = (
                f"its clock, or its hub's, is {abs(skew) / 60:.0f} min {direction}: PINs begin and"
                " end by it. Let its hub reach the Internet for the time"
                + ("" if skew > 0 else ', or set window = "end"')
            )
            await self._tell(events.LOCK_CLOCK_OFF, lock, detail)
        if off:
            self._clocks_off.add(lock)
        else:
            self._clocks_off.discard(lock)

    async def _contention(self, event: Contended) -> None:
        if event.over:
            self._contended.discard(event.peer)
            return
        if event.peer in self._contended:
            return
        self._contended.add(event.peer)
        detail = (
            "somebody else and the gateway throw each other out: close Tuya's app on the local"
            " network and other integrations of this device"
        )
        await self._tell(events.HUB_CONTENDED, event.peer, detail)

    async def _tell(self, event: str, subject: str, detail: str) -> None:
        await self._notifier.tell(
            Notice(event=event, at=self._now(), subject=subject, detail=detail)
        )
