"""A machine of bookings, faults and kills against a plain model: what is on the lock is what should be.

Whatever reaches the lock has been committed before; every code on it stands in the store as one that
may be there; once all is well, the lock holds what the model says.
"""

import asyncio
import io
import os
import sqlite3
import tempfile
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gateway.clock import SystemClock
from gateway.domain import events
from gateway.observability import configure_logging
from gateway.simulator.lock import Faults
from tests.crash import Supervisor, When, mortal
from tests.doorstep import Doorstep, Family
from tests.house import START, assert_keeps_secrets

EXAMPLES = int(os.environ.get("GATEWAY_INTENTS", "25"))  # 2,000: `make intents`
MINUTE = timedelta(minutes=1)
LISTED = Family("ble_temp", "3.4", hub=True)
FAMILIES = (
    Family("mk_method", "3.3", hub=False),
    Family("zigbee_temp27", "3.5", hub=True),
    LISTED,
)
MOST_STAYS = 2  # the brake holds more cancellations than that
BEGINS = st.sampled_from([minutes * MINUTE for minutes in (-60, 0, 1, 40, -90, 100)])
LENGTHS = st.sampled_from([minutes * MINUTE for minutes in (240, 1440, 100, 30)])
# In a connection that stands, the first write to the lock is the request itself.
WRITES = st.one_of(
    st.tuples(st.just("lock"), st.sampled_from([0, 0, 0, 1, 2, 3])),
    st.tuples(st.just("disk"), st.integers(0, 15)),
)
KILLS = st.one_of(st.tuples(WRITES, st.sampled_from(When)), st.none())
WHICH = st.integers(0, MOST_STAYS - 1)
_MAYBE_THERE = "SELECT count(*) FROM placements WHERE evidence NOT IN ('revoked', 'rejected')"
_STUCK = "the lock never"  # told the slot, or said whether it took the PIN
_ON_ITS_WAY = "SELECT count(*) FROM placements WHERE operation = ?"


@dataclass
class Stay:
    """What the model knows of one stay."""

    id: str
    begins: datetime
    ends: datetime
    cancelled: bool = False

    def wants(self, now):
        """Has it a right to its PIN?"""
        return not self.cancelled and self.begins <= now < self.ends


class Intents(RuleBasedStateMachine):
    """One door whose gateway is killed between its writes."""

    @initialize(family=st.sampled_from(FAMILIES))
    def build(self, family):
        self.stays = []
        self.unannounced = []
        self.log = io.StringIO()
        configure_logging(level="debug", format="json", stream=self.log)
        self.closing = ExitStack()
        self.root = Path(self.closing.enter_context(tempfile.TemporaryDirectory()))
        self.runner = self.closing.enter_context(mortal(start=START))
        self.loop = self.runner.get_loop()
        policy = {"activate_before": "0h", "revoke_after": "0h"}
        self.house = Doorstep(self.root / "state", SystemClock(), family=family, policy=policy)
        self.loop.names = {}  # of places that bytes go to
        self._watch()
        self.stopping = asyncio.Event()
        standing = asyncio.Event()
        self.life = self.loop.create_task(self._live(standing))
        self.runner.run(standing.wait())

    async def _live(self, standing):
        async with self.house.standing():
            self.loop.names[self.house.peer.port] = "lock"
            self.supervisor = Supervisor(self.house)
            async with self.supervisor.supervising():
                await self.house.clock.sleep(90)
                standing.set()
                await self.stopping.wait()

    def _watch(self):
        lock = self.house.lock
        execute = lock.execute

        def watched(dp, raw):
            (operation,) = (name for name, number in lock.dps.items() if number == dp)
            if operation != "list" and not self._count(_ON_ITS_WAY, operation):
                self.unannounced.append(operation)
            return execute(dp, raw)

        lock.execute = watched

    def _count(self, query, *values):
        file = f"file:{self.house.folder}/gateway.db?mode=ro"
        with closing(sqlite3.connect(file, uri=True)) as database:
            return database.execute(query, values).fetchone()[0]

    def _pass(self, seconds):
        self.runner.run(self.house.clock.sleep(seconds))

    # --- what happens --------------------------------------------------------------------------

    @property
    def live(self):
        return [stay for stay in self.stays if not stay.cancelled]

    @precondition(lambda self: len(self.live) < MOST_STAYS)
    @rule(begins=BEGINS, length=LENGTHS, kill=KILLS)
    def book(self, begins, length, kill):
        now = self._minute()
        one = self.house.book(self.house.flat, begins, length)
        self.stays.append(Stay(one, now + begins, now + begins + length))
        self._go_on(kill)

    def _minute(self):
        return self.house.clock.now().replace(second=0, microsecond=0)

    @precondition(lambda self: self.live)
    @rule(which=WHICH, begins=BEGINS, length=LENGTHS, kill=KILLS)
    def move(self, which, begins, length, kill):
        stay, now = self.live[which % len(self.live)], self._minute()
        self.house.rebook(stay.id, begins, length)
        stay.begins, stay.ends = now + begins, now + begins + length
        self._go_on(kill)

    @precondition(lambda self: self.live)
    @rule(which=WHICH, kill=KILLS)
    def cancel(self, which, kill):
        self._cancel(self.live[which % len(self.live)])
        self._go_on(kill)

    def _cancel(self, stay):
        self.house.stays.cancel(stay.id)
        stay.cancelled = True

    def _go_on(self, kill):
        """A run and what it leads to, with a kill in the middle of it."""
        if kill is not None:
            (to, number), when = kill
            self.supervisor.arm(number, when, to=to)
        self._pass(31 * 60)

    @rule(minutes=st.sampled_from([6, 31, 120]), kill=KILLS)
    def wait(self, minutes, kill):
        self._go_on(kill)
        self._pass(60 * minutes)

    @rule(how=st.sampled_from(["deaf", "offline", "online", "executed", "not executed", "error"]))
    def falter(self, how):
        lock = self.house.lock
        match how:
            case "offline" | "online":
                lock.online = how == "online"
            case "deaf":
                lock.faults.lose_next_report = True
            case "error":
                lock.faults.error_next = "device busy"
            case _:
                lock.faults.hang_up_on_next = how

    # --- what must hold ------------------------------------------------------------------------

    @invariant()
    def nothing_reached_the_lock_unannounced(self):
        assert self.unannounced == []

    @invariant()
    def every_code_may_be_there_by_the_store(self):
        codes = self.house.lock.codes
        assert len({code.pin for code in codes}) == len(codes)
        assert len(codes) <= self._count(_MAYBE_THERE)

    def teardown(self):
        with self.closing:
            try:
                self.supervisor.disarm()
                self._heal()
                self.runner.run(self._compare())
                for stay in self.stays:
                    self._cancel(stay)
                self._heal()
                stuck = self.runner.run(self._compare())
                assert stuck or self._count("SELECT count(*) FROM jobs") == 0
                assert_keeps_secrets(self.log.getvalue(), self.house.secrets())
            finally:
                self.stopping.set()
                self.runner.run(self._end())

    def _heal(self):
        """All is well again, for three runs and until no window begins or ends at the moment."""
        self.house.lock.faults, self.house.lock.online = Faults(), True
        self._pass(6000)
        while any(
            abs(self.house.clock.now() - edge) < 10 * MINUTE
            for stay in self.stays
            for edge in (stay.begins, stay.ends)
        ):
            self._pass(600)

    async def _end(self):
        await self.life

    async def _compare(self):
        """Is all as the model says? How many codes only a person can reach, and was told of."""
        house, now = self.house, self.house.clock.now()
        inside = stuck = 0
        for stay in self.stays:
            shown = await house.stay(stay.id)
            if shown is not None and self._is_stuck(shown):
                stuck += 1
            elif stay.wants(now):
                inside += 1
                assert shown["pinStatus"] == "active"
                assert house.lock.opens(await house.pin(stay.id))
            else:
                assert shown is None or shown["pinStatus"] in {"revoked", "none", "planned"}
        assert inside <= len(house.lock.codes) <= inside + stuck
        assert inside <= self._count(_MAYBE_THERE) <= inside + stuck
        return stuck

    def _is_stuck(self, shown):
        """A slot that was told in no report and no list: nothing of ours names the code."""
        said = [one["reason"] or "" for one in shown["credentials"]]
        if shown["pinStatus"] != "at_risk" or not any(one.startswith(_STUCK) for one in said):
            return False
        assert self.house.family is LISTED
        assert any(
            one.event in {events.PIN_AT_RISK, events.CREDENTIAL_REVOCATION_LATE}
            and one.subject.startswith(shown["code"])
            for one in self.house.notices.told
        )
        return True


TestIntents = pytest.mark.timeout(7200)(Intents.TestCase)
TestIntents.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=12,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
