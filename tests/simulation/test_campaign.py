"""Hundreds of short stays while the gateway is killed again and again and the locks fail."""

import asyncio
import io
import json
import os
import random
from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest

from gateway.app import Chance
from gateway.domain import events
from gateway.observability import configure_logging
from tests.crash import Supervisor, When, run_mortal
from tests.house import START, assert_keeps_secrets, at
from tests.street import Street, schedule

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
STAYS = int(os.environ.get("GATEWAY_CAMPAIGN_STAYS", "90"))  # 450: `make campaign`
KILLS = STAYS // 15
DOORS = 15
FAILURES = 0.15
ENOUGH = timedelta(seconds=60)
# Two tries that a lock does not answer take seven minutes and a half; a warning waits until it held for
# five, and a minute after a start.
TELLING = timedelta(minutes=14)


@dataclass
class Stay:
    """A stay, and when its PIN came onto the lock."""

    code: str
    begins: datetime
    ends: datetime
    came: datetime | None = None

    def had_time(self, down, needed=ENOUGH):
        """Was the gateway up for long enough while the guest was there?"""
        away = sum(
            (
                max(timedelta(0), min(self.ends, end) - max(self.begins, begin))
                for begin, end in down
            ),
            start=timedelta(0),
        )
        return self.ends - self.begins - away >= needed


class Terrace(Street):
    """Fifteen flats, each with a lock of some family that says what it holds; a PIN lives exactly as
    long as the stay. Of the requests to a lock some are lost, carried out without a word, or refused.
    """

    def __init__(self, folder, clock, draw):
        seeds = (seed for seed in range(100) if schedule(seed).profile != "mk_temp")
        super().__init__(folder, clock, seeds=[next(seeds) for _ in range(DOORS)])
        self.draw = draw
        self.chance = Chance(draw=draw, randbelow=draw.randrange)
        self.asked = self.failed = 0
        self.booked = {door.name: [] for door in self.doors_}
        for door in self.doors_:
            self._let_fail(door)

    def config_values(self):
        return super().config_values() | {"policy": {"activate_before": "0h", "revoke_after": "0h"}}

    def _let_fail(self, door):
        carry_out = door.lock.execute

        def execute(dp, raw):
            self.asked += 1
            fault = None
            if self.draw.random() < FAILURES:
                self.failed += 1
                fault = self.draw.choice(["lost", "unheard", "busy"])
            if fault == "busy":
                door.apply("busy")
            pushes = [] if fault == "lost" else carry_out(dp, raw)
            self._note(door)
            return [] if fault == "unheard" else pushes

        door.lock.execute = execute

    def _note(self, door):
        held = {code.end for code in door.lock.codes}
        for stay in self.booked[door.name]:
            if stay.came is None and int(stay.ends.timestamp()) in held:
                stay.came = self.clock.now()

    def book_all(self):
        """One stay after the other at each door; when the last one ends."""
        for door in self.doors_:
            begins = timedelta(0)
            for _ in range(STAYS // DOORS):
                begins += self.draw.choice([0, 0, 5, 30, 120]) * MINUTE
                length = self.draw.choice([5, 10, 20, 60, 180]) * MINUTE
                code = self.stays.code(self.book(door.listing, begins, length))
                begins, ends = begins + length, START + begins + length
                self.booked[door.name].append(Stay(code, ends - length, ends))
        return max(stays[-1].ends for stays in self.booked.values())

    async def kill(self, supervisor, end):
        """Kill it at random moments until `end`, in the middle of what it writes then."""
        moments = sorted(START + self.draw.random() * (end - START) for _ in range(KILLS))
        for number, moment in enumerate(moments, start=1):
            await at(self, moment)
            supervisor.arm(
                self.draw.randrange(40),
                self.draw.choice([When.BEFORE, When.AFTER]),
                seconds=self.draw.choice([5, 5, 30, 300, 1800]),
            )
            while supervisor.kills < number:
                await self.clock.sleep(1)

    def was_told(self, stay):
        """Did somebody hear that the stay's PIN is not confirmed?"""
        return any(
            notice.event == events.PIN_AT_RISK and stay.code in notice.subject
            for notice in self.notices.told
        )


@pytest.mark.timeout(1800)
def test_of_a_campaign_of_kills_no_code_stays_and_no_guest_is_forgotten(tmp_path):
    log = io.StringIO()
    found = {}

    async def main(clock):
        configure_logging(level="debug", format="json", stream=log)
        terrace = Terrace(tmp_path / "state", clock, random.Random(450))
        async with terrace.standing():
            end = terrace.book_all()
            asyncio.get_running_loop().names = {}
            supervisor = Supervisor(terrace)
            async with supervisor.supervising():
                await terrace.kill(supervisor, end)
                await at(terrace, end + HOUR)
            found["terrace"], found["down"] = terrace, supervisor.down
        assert_keeps_secrets(log.getvalue(), terrace.secrets())

    run_mortal(main, start=START)
    terrace, down = found["terrace"], found["down"]
    stays = [stay for stays in terrace.booked.values() for stay in stays]
    without = [stay for stay in stays if stay.came is None or stay.came >= stay.ends]
    assert (len(stays), len(down)) == (STAYS, KILLS)
    assert terrace.failed >= terrace.asked / 10
    kept = [door for door in terrace.doors_ if door.lock.codes]  # their slots were never told
    assert [door.name for door in kept if not terrace.told_stuck(door)] == []
    assert [code for door in kept for code in door.lock.codes if door.lock.opens(code.pin)] == []
    unheard = [stay for stay in without if not terrace.was_told(stay)]
    assert [stay for stay in unheard if stay.had_time(down, TELLING)] == []
    # What ends before a warning is due was at least tried: the lock gave no answer, or a bad one.
    tried = answered_badly(log.getvalue())
    assert [one for one in unheard if one.had_time(down) and one.code not in tried] == []


def answered_badly(log):
    """The codes of the stays whose PIN a lock refused, or did not answer to."""
    lines = map(json.loads, log.splitlines())
    verdicts = {events.CREDENTIAL_UNKNOWN, events.CREDENTIAL_REJECTED}
    return {one["credential_id"].split("-")[0] for one in lines if one["event"] in verdicts}
