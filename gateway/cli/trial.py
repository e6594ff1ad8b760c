"""The trial of a lock at the door: PINs are written, typed and deleted, and everything is noted."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta

from gateway.cli.bench import Bench, Trial
from gateway.clock import Clock
from gateway.domain.commissioning import Observations

_A_DAY, _A_MINUTE = timedelta(days=1), timedelta(minutes=1)
_LASTS = timedelta(minutes=10)
_LOOKS_APART = 0.3  # seconds
_MARGIN = 10.0  # seconds beyond the lock's own deadline
_TELLS_WITHIN = 10.0  # seconds in which a lock reports an opening
_SETTLES = timedelta(seconds=30)  # after a window's start, for a clock that is a little behind
_ON_LOCK = frozenset({"confirmed", "observed"})

Ask = Callable[[str], Awaitable[bool]]
Say = Callable[[str], None]


class LockTrial:
    """One trial of one lock.

    `ask`: put a question to the technician, True for yes. `deadline`: seconds that the lock has for
    a report.
    """

    def __init__(
        self, bench: Bench, *, ask: Ask, say: Say, clock: Clock, deadline: float, experimental: bool
    ) -> None:
        self._bench = bench
        self._ask = ask
        self._say = say
        self._clock = clock
        self._patience = deadline + _MARGIN
        self._experimental = experimental
        self._open: set[str] = set()  # PINs that are not known to be gone

    async def run(self, *, quick: bool) -> Observations:
        """Go through all of it; `quick` leaves out the PIN that is written ahead of its time."""
        try:
            seen = await self._whole(quick=quick)
        finally:
            await self._clean_up()
        return replace(seen, leftover=bool(self._open))

    async def _whole(self, *, quick: bool) -> Observations:
        self._say("Reaching the lock …")
        reason = await self._bench.reach()
        if reason is not None:
            return Observations(unreachable=reason, experimental=self._experimental)
        self._say("  reached and signed in")
        seen = await self._first(Observations(experimental=self._experimental))
        if seen.opened is not True or seen.deleted is not True:
            return seen
        seen = replace(seen, opened_recent=await self._recent())
        return seen if quick else await self._ahead(seen)

    async def _first(self, seen: Observations) -> Observations:
        """A PIN whose window began a day ago: is it taken, does it open, does it go?"""
        self._say("Writing a PIN for ten minutes …")
        trial = await self._write(-_A_DAY, _LASTS)
        written = await self._until_on_lock(trial)
        if written.evidence not in _ON_LOCK:
            why = written.reason or f"no report within {self._patience:.0f} s"
            return replace(seen, refused=why)
        seen = replace(seen, acknowledged=written.acknowledged, reported=written.reported)
        self._say(f"  confirmed: {_times(written)}")
        opened = await self._ask(f"Type {trial.pin} at the lock. Does the door open?")
        told = await self._tells(trial) if opened else None
        self._say("Deleting it …")
        deleted = await self._remove(trial)
        seen = replace(seen, opened=opened, told=told, deleted=deleted)
        if not opened or not deleted:
            return seen
        self._say("  confirmed to be gone")
        again = await self._ask(f"Type {trial.pin} once more. Does the door open?")
        gone = await self._bench.look(trial.id)
        return replace(seen, opened_when_deleted=again or gone.opened_when_gone)

    async def _recent(self) -> bool | None:
        """Does a PIN open whose window began a minute ago?"""
        self._say("Writing a PIN whose window began a minute ago …")
        trial = await self._write(-_A_MINUTE, _LASTS)
        if (await self._until_on_lock(trial)).evidence not in _ON_LOCK:
            return None
        opened = await self._ask(f"Type {trial.pin} at the lock. Does the door open?")
        await self._remove(trial)
        return opened

    async def _ahead(self, seen: Observations) -> Observations:
        """Does a PIN stay shut before its window, and open in it?"""
        wait = timedelta(seconds=self._patience) + _A_MINUTE
        self._say("Writing a PIN ahead of its time …")
        trial = await self._write(wait, wait + _LASTS)
        if (await self._until_on_lock(trial)).evidence not in _ON_LOCK:
            return seen
        starts = f"{trial.valid_from.astimezone():%H:%M:%S}"
        early = await self._ask(f"Type {trial.pin} now, before {starts}. Does the door open?")
        if self._clock.now() >= trial.valid_from:
            self._say("  that was too late to tell")
            return seen
        seen = replace(seen, opened_early=early)
        if early:
            return seen
        await self._wait(trial.valid_from + _SETTLES)
        on_time = await self._ask(f"Type {trial.pin} again. Does the door open?")
        await self._remove(trial)
        return replace(seen, opened_on_time=on_time)

    async def _wait(self, until: datetime) -> None:
        self._say(f"Its time begins: wait until {until.astimezone():%H:%M:%S} …")
        await self._clock.sleep((until - self._clock.now()).total_seconds())

    # --- what the steps are made of ------------------------------------------------------------

    async def _write(self, opens_in: timedelta, lasts: timedelta) -> Trial:
        trial = await self._bench.write(opens_in=opens_in, lasts=lasts)
        self._open.add(trial.id)
        return trial

    async def _until_on_lock(self, trial: Trial) -> Trial:
        return await self._until(trial, lambda now: now.evidence in _ON_LOCK, self._patience)

    async def _tells(self, trial: Trial) -> bool:
        now = await self._until(trial, lambda now: now.evidence == "observed", _TELLS_WITHIN)
        return now.evidence == "observed"

    async def _remove(self, trial: Trial) -> bool:
        """Delete it; has the lock confirmed that it is gone?"""
        await self._bench.remove(trial.id)
        gone = (await self._until(trial, lambda now: now.gone, self._patience)).gone
        if gone:
            self._open.discard(trial.id)
        return gone

    async def _clean_up(self) -> None:
        for trial in tuple(self._open):
            now = await self._bench.look(trial)
            if not now.gone:
                self._say("Deleting a PIN that is left …")
                await self._remove(now)
            else:
                self._open.discard(trial)

    async def _until(self, trial: Trial, holds: Callable[[Trial], bool], seconds: float) -> Trial:
        """Look until it holds, or until the time is over; the last look."""
        ends = self._clock.monotonic() + seconds
        while True:
            now = await self._bench.look(trial.id)
            if holds(now) or self._clock.monotonic() >= ends:
                return now
            await self._clock.sleep(_LOOKS_APART)


def _times(trial: Trial) -> str:
    acknowledged = "none" if trial.acknowledged is None else f"{trial.acknowledged:.2f} s"
    reported = "late" if trial.reported is None else f"{trial.reported:.2f} s"
    return f"acknowledgement {acknowledged}, report {reported}"
