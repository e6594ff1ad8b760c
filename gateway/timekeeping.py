"""The time that may be acted upon: the wall clock while it is trusted, else a sure lower bound."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import structlog

from gateway.clock import Clock
from gateway.domain import events
from gateway.domain.trust import TOLERANCE, Doubt, Evidence, Verdict, Witness, judge
from gateway.errors import StoreError
from gateway.store import audit, clock as stored
from gateway.store.clock import Mark
from gateway.store.database import Database, Session
from gateway.turn import LONGEST_PAUSE

# No true time is before it. Raised with a release.
BUILT_AT = datetime(2026, 1, 1, tzinfo=UTC)

_STEP = 2.0  # seconds; a smaller step is no matter
_STAYS_SECONDS = 60.0  # how long after the start Stays' word is waited for
_MARKS_APART = 2400.0  # a run each half hour keeps it as well, without a commit of its own
_SETTLE = 1.0  # NTP sets the clock first and says so afterwards
_LONGEST_PAUSE = 1.2 * LONGEST_PAUSE

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeFiles:
    """What the machine says of its clock; None, or a file that is not there: it says nothing.

    Attributes:
        timesync: the folder of systemd-timesyncd, there while it runs; its file `synchronized` is
            touched each time it has set the clock.
        rtc: the folder of the clocks with a battery.
        boot_id: the file that names this boot.
    """

    timesync: Path | None = None
    rtc: Path | None = None
    boot_id: Path | None = None

    @classmethod
    def of_linux(cls) -> "TimeFiles":
        """Those of the machine itself."""
        return cls(
            timesync=Path("/run/systemd/timesync"),
            rtc=Path("/sys/class/rtc"),
            boot_id=Path("/proc/sys/kernel/random/boot_id"),
        )

    def boot(self) -> str | None:
        """The name of this boot."""
        return None if self.boot_id is None else _text(self.boot_id)

    def ntp_runs(self) -> bool:
        """Does systemd-timesyncd run?"""
        return self.timesync is not None and self.timesync.is_dir()

    def synchronised_at(self) -> float | None:
        """When, in seconds of the wall clock, it last set the clock in this boot."""
        if self.timesync is None:
            return None
        try:
            return (self.timesync / "synchronized").stat().st_mtime
        except OSError:
            return None

    def rtcs(self) -> dict[str, float]:
        """The seconds since the epoch that each clock with a battery shows."""
        if self.rtc is None or not self.rtc.is_dir():
            return {}
        shown = {one.name: _text(one / "since_epoch") for one in sorted(self.rtc.iterdir())}
        return {name: float(text) for name, text in shown.items() if text and text.isdecimal()}


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockState:
    """How the clock stands, for people. `now` is the time that is acted upon."""

    wall: datetime
    now: datetime
    verdict: Verdict


class Timekeeper:
    """Judges the wall clock. It is a Clock whose `now` may be acted upon.

    A time is kept as its distance, in seconds, from the monotonic clock: so it goes on by itself.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        database: Database,
        mark: Mark | None,
        files: TimeFiles,
        cap: float,
        built_at: datetime = BUILT_AT,
    ) -> None:
        """`clock`: the wall clock; its monotonic time begins at the boot. `cap`: seconds between two looks at the files."""
        self._clock = clock
        self._database = database
        self._files = files
        self._cap = cap
        self._built_at = built_at
        self._boot_id = files.boot()
        self._started = clock.monotonic()
        self._mark = None if mark is None else mark.at
        self._marked: float | None = None  # when the mark was last written, monotonic
        self._said: dict[Witness, float] = {}
        self._synchronised_at: float | None = None
        self._rtcs: dict[str, float] = {}  # as they were when last the clock was sure
        self._rtc_seen: dict[str, float] = {}
        self._stays_expected = True
        if mark is not None and mark.boot_id is not None and mark.boot_id == self._boot_id:
            self._steady: float | None = mark.offset
            self._bound, self._stays_expected = mark.offset, False
        else:
            self._steady = None
            self._bound = (self._mark or built_at).timestamp() - self._started
        self._peak = self._bound  # the latest time that was acted upon
        self._changed = asyncio.Event()
        self._looked_at = float("-inf")
        self._seen = self._offset()
        self._verdict = Verdict(trusted=False)
        self._look()
        self._changed.clear()

    @classmethod
    async def load(
        cls,
        *,
        clock: Clock,
        database: Database,
        files: TimeFiles,
        cap: float,
        built_at: datetime = BUILT_AT,
    ) -> "Timekeeper":
        """One that knows the newest trusted time of the store."""
        return cls(
            clock=clock,
            database=database,
            mark=await database.read(stored.mark),
            files=files,
            cap=cap,
            built_at=built_at,
        )

    # --- the clock -----------------------------------------------------------------------------

    def now(self) -> datetime:
        """The time that may be acted upon, aware, in UTC. A step of the wall clock is seen at once."""
        wall, monotonic = self._clock.now(), self._clock.monotonic()
        step = wall.timestamp() - monotonic - self._seen
        if abs(step) > _STEP or monotonic >= self._looked_at + self._cap:
            self._look()
        return wall if self._verdict.trusted else _moment(self._bound + monotonic)

    def monotonic(self) -> float:
        """See `Clock.monotonic`."""
        return self._clock.monotonic()

    async def sleep(self, seconds: float) -> None:
        """See `Clock.sleep`."""
        await self._clock.sleep(seconds)

    @property
    def verdict(self) -> Verdict:
        """The judgement of the wall clock as it is now."""
        self.now()
        return self._verdict

    @property
    def doubt(self) -> str | None:
        """Why the wall clock cannot be trusted and what to do, None while it can."""
        verdict = self.verdict
        return None if verdict.trusted else _advice(verdict)

    def state(self) -> ClockState:
        """How the clock stands."""
        return ClockState(wall=self._clock.now(), now=self.now(), verdict=self._verdict)

    # --- witnesses -----------------------------------------------------------------------------

    def hear_stays(self, date: datetime) -> None:
        """Stays' own clock showed this time just now."""
        self._said[Witness.STAYS] = date.timestamp() - self._clock.monotonic()
        self._stays_expected = False
        self._look(heard=Witness.STAYS)

    def expect_no_stays(self) -> None:
        """The first run has ended, whether or not Stays answered."""
        if self._stays_expected:
            self._stays_expected = False
            self._look()

    async def trust(self, actor: str) -> ClockState:
        """A person vouches for the wall clock, until it is set to another time.

        Raises:
            StoreError: the database refused; nothing has changed.
        """
        wall = self._clock.now()

        async def body(session: Session) -> None:
            await audit.append(
                session,
                at=wall,
                actor=actor,
                event=events.CLOCK_TRUSTED,
                detail=f"a person vouches for {wall:%Y-%m-%d %H:%M:%S} UTC",
            )

        await self._database.transaction(body)
        self._said[Witness.PERSON] = self._offset()
        self._look(heard=Witness.PERSON)
        return self.state()

    # --- judging -------------------------------------------------------------------------------

    def _offset(self) -> float:
        return self._clock.now().timestamp() - self._clock.monotonic()

    def _look(self, *, heard: Witness | None = None) -> None:
        """Judge the wall clock anew."""
        monotonic, offset, acted = self._clock.monotonic(), self._offset(), self._bound
        verdict = self._judge(monotonic, offset)
        if verdict.trusted:
            self._steady = self._bound = offset
        elif heard is not None:
            self._bound = self._said[heard]
        if self._steady is None:
            self._steady = offset
        if verdict.sure:
            self._rtcs = self._rtc_seen
        self._peak = max(self._peak, self._bound)
        if (
            verdict.trusted != self._verdict.trusted
            or abs(offset - self._seen) > _STEP
            or abs(self._bound - acted) > _STEP
        ):
            self._changed.set()
        self._seen, self._verdict, self._looked_at = offset, verdict, monotonic

    def _judge(self, monotonic: float, offset: float) -> Verdict:
        self._hear_ntp(monotonic, offset)
        expected = self._stays_expected and monotonic < self._started + _STAYS_SECONDS
        return judge(
            Evidence(
                wall=_moment(offset + monotonic),
                built=self._built_at,
                mark=self._mark,
                steady=None if self._steady is None else _moment(self._steady + monotonic),
                said={one: _moment(said + monotonic) for one, said in self._said.items()},
                rtc=self._rtc(monotonic, offset),
                ntp_expected=self._files.ntp_runs() and self._synchronised_at is None,
                uptime=timedelta(seconds=monotonic),
                stays_expected=expected,
            )
        )

    def _hear_ntp(self, monotonic: float, offset: float) -> None:
        touched, tolerance = self._files.synchronised_at(), TOLERANCE.total_seconds()
        if touched is None or touched == self._synchronised_at:
            return
        self._synchronised_at = touched
        ago = offset + monotonic - touched
        if -tolerance <= ago <= monotonic - self._looked_at + _STEP:
            self._said[Witness.NTP] = offset  # else the clock was set to another time since

    def _rtc(self, monotonic: float, offset: float) -> datetime | None:
        """The clock with a battery that agrees, and that goes on as it went: not set by hand too."""
        self._rtc_seen = {name: epoch - monotonic for name, epoch in self._files.rtcs().items()}
        tolerance = TOLERANCE.total_seconds()
        for name, shown in self._rtc_seen.items():
            before = self._rtcs.setdefault(name, shown)
            if abs(shown - before) <= tolerance and abs(shown - offset) <= tolerance:
                return _moment(shown + monotonic)
        return None

    # --- what follows --------------------------------------------------------------------------

    async def run(self, stepped: Callable[[], Awaitable[None]]) -> None:
        """Look at the files, keep the mark; `stepped` is awaited when time has changed."""
        while True:
            self.now()
            try:
                await self._keep_mark(self._clock.monotonic())
            except StoreError as error:
                _log.error("store.refused", during="clock", reason=str(error))
            if await self._wait():
                self._look()
                await stepped()

    async def _wait(self) -> bool:
        """Until the next look; True if the time, or the trust in it, has changed."""
        try:
            async with asyncio.timeout(self._cap):
                await self._changed.wait()
        except TimeoutError:
            return False
        await self._clock.sleep(_SETTLE)
        self._changed.clear()
        return True

    @property
    def _was_ahead(self) -> bool:
        """Was a time acted upon that has not come yet? Only a mark that mends that may be kept then."""
        known = self._verdict.sure or Doubt.STAYS_DISAGREES in self._verdict.doubts
        return known and self._peak - self._bound > TOLERANCE.total_seconds()

    async def _keep_mark(self, monotonic: float) -> None:
        """Write the newest trusted time, seldom; at once where it was too late a time."""
        verdict = self.verdict
        due = self._marked is None or monotonic >= self._marked + _MARKS_APART
        if self._was_ahead or (verdict.trusted and due):
            await self._write_mark()

    async def keep_with(self, session: Session) -> None:
        """Keep the mark in a transaction that writes anyway. Where it fails, that mark is left out."""
        if self.verdict.trusted and not self._was_ahead:
            now = self.now()
            await stored.put_mark(session, self._mark_of(now))
            self._mark, self._marked = now, self._clock.monotonic()

    async def close(self) -> None:
        """At a clean stop: keep the mark.

        Raises:
            StoreError: the database refused.
        """
        if self.verdict.trusted:
            await self._write_mark()

    async def _write_mark(self) -> None:
        """Write the newest trusted time; where a later one was acted upon, mend in the same transaction."""
        now = self.now()
        mark, was_ahead = self._mark_of(now), self._was_ahead
        if was_ahead:
            _log.warning("clock.was_ahead", seconds=round(self._peak - self._bound))

        async def body(session: Session) -> None:
            if was_ahead:
                await stored.mend(session, now, timedelta(seconds=_LONGEST_PAUSE))
            await stored.put_mark(session, mark)

        await self._database.transaction(body)
        self._mark, self._marked = now, self._clock.monotonic()
        if was_ahead:
            self._peak = self._bound
            self._changed.set()

    def _mark_of(self, now: datetime) -> Mark:
        return Mark(at=now, boot_id=self._boot_id, offset=self._bound)


def _advice(verdict: Verdict) -> str:
    why = "; ".join(doubt.words for doubt in verdict.doubts)
    return (
        f"the clock of this machine cannot be trusted: {why}. Until then only what is due by the"
        " newest trusted time is done, and guests may wait. Let it reach the Internet (timedatectl"
        " set-ntp true), or set the time and run `gateway clock trust`"
    )


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
