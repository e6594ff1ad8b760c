"""The real daemon, killed with SIGKILL at random moments under load, round after round.

`python -m tests.kill ROUNDS` prints what came of it; `make kill` does 300 rounds.
"""

import asyncio
import os
import random
import shutil
import signal
import socket
import sqlite3
import sys
import tempfile
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import aiohttp

from gateway.web.auth import issue_token, load_secret
from tests.house import a_house, assert_keeps_secrets

HOUR, DAY, MINUTE = timedelta(hours=1), timedelta(days=1), timedelta(minutes=1)
_MOST_STAYS = 8
_LATE = 1.0
_SETTLED_EVERY = 25  # rounds
_LOST_REV = """
SELECT c.id FROM credentials c WHERE c.revoked_at IS NULL
  AND (c.wanted = 1 OR EXISTS (SELECT 1 FROM placements p WHERE p.credential_id = c.id
                               AND p.evidence NOT IN ('revoked', 'rejected')))
  AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.id = 'rev-' || c.id)
"""
_LOST_GEN = """
SELECT c.id FROM credentials c WHERE c.revoked_at IS NULL AND c.wanted = 1 AND c.taken_over_by IS NULL
  AND c.confirmed_at IS NULL AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.id = 'gen-' || c.id)
"""
_OPEN_WORK = """
SELECT p.credential_id FROM placements p WHERE p.operation IS NOT NULL
  OR p.evidence NOT IN ('confirmed', 'observed', 'revoked', 'rejected')
UNION SELECT credential_id FROM jobs WHERE run_at <= strftime('%Y-%m-%dT%H:%M:%SZ', 'now')
"""


class Daemon:
    """`gateway run` as a process of its own, with its whole log."""

    def __init__(self, folder, house, **settings):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.log = folder / "gateway.log"
        self.config = folder / "config.toml"
        house.settings = {
            "http": {"host": "127.0.0.1", "port": self.port},
            "log": {"level": "debug"},
        } | settings
        self.config.write_text(house.config_toml())
        self.folder = folder

    @asynccontextmanager
    async def running(self, **environ):
        with self.log.open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "gateway", "run", "-c", str(self.config)),
                stdout=log,
                stderr=log,
                env={"PATH": os.environ["PATH"]} | environ,
            )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.send_signal(signal.SIGKILL)
            await process.wait()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    @property
    def last_good(self):
        return self.folder / "config.last-good.toml"

    async def is_up(self, session):
        try:
            async with session.get(f"{self.url}/readyz") as response:
                return response.status == 200
        except aiohttp.ClientError:
            return False

    async def asks_for_a_run(self, session, token):
        """Ask for a reconciliation; whether it came to one does not matter."""
        headers = {"Authorization": f"Bearer {token}"}
        url = f"{self.url}/api/admin/reconciliation/run"
        try:
            async with session.post(url, headers=headers) as response:
                await response.read()
        except aiohttp.ClientError:
            pass

    def rows(self, query):
        with sqlite3.connect(self.folder / "gateway.db") as database:
            found = database.execute(query).fetchall()
        database.close()
        return found

    def rows_as_killed(self, query):
        """What a query finds in a copy of the files as the kill left them."""
        with tempfile.TemporaryDirectory() as copy:
            for name in ("gateway.db", "gateway.db-wal"):
                if (self.folder / name).exists():
                    shutil.copy(self.folder / name, copy)
            with sqlite3.connect(Path(copy) / "gateway.db") as database:
                if not database.execute("PRAGMA user_version").fetchone()[0]:
                    return []
                found = database.execute(query).fetchall()
            database.close()
        return found


@dataclass
class Campaign:
    """Rounds of kills under load, and what they cost."""

    house: object
    daemon: Daemon
    draw: random.Random
    rounds: int = 0
    start_seconds: float = 1.0  # of the last start
    starting: int = 0  # kills before the daemon answered
    reconciling: int = 0  # kills with a reconciliation under way
    jobs_lost: list = field(default_factory=list)
    stays: dict = field(default_factory=dict)  # live: long id -> flat
    booked: int = 0
    moved: int = 0
    cancelled: int = 0

    @property
    def locks(self):
        return (self.house.street, self.house.apt_101, self.house.apt_102)

    async def round(self):
        """Start, load, kill."""
        self.rounds += 1
        starts = self.draw.random() < 0.2
        async with self.daemon.running():
            load = asyncio.ensure_future(self._load())
            began = time.monotonic()
            if starts:
                await asyncio.sleep(self.draw.uniform(0.3, 1.1) * self.start_seconds)
            else:
                await self.house.until(lambda: self.daemon.is_up(self.house.session), 30)
                self.start_seconds = time.monotonic() - began
                await asyncio.sleep(self.draw.uniform(0.0, 0.8))
            up = await self.daemon.is_up(self.house.session)
            load.cancel()
            await asyncio.gather(load, return_exceptions=True)
        self.starting += not up
        self.reconciling += bool(
            self.daemon.rows_as_killed("SELECT 1 FROM reconciliation_logs WHERE status = 'pending'")
        )
        for query in (_LOST_REV, _LOST_GEN):
            self.jobs_lost += [name for (name,) in self.daemon.rows_as_killed(query)]

    async def _load(self):
        token = issue_token(
            load_secret(self.daemon.folder / "jwt.secret"),
            subject="load",
            ttl=DAY,
            now=self.house.clock.now(),
        )
        while True:
            self._act()
            await self.daemon.asks_for_a_run(self.house.session, token)
            await asyncio.sleep(self.draw.uniform(0.05, 0.3))

    def _act(self):
        house, draw = self.house, self.draw
        if len(self.stays) < 3 or (len(self.stays) < _MOST_STAYS and draw.random() < 0.4):
            flat = draw.choice([house.flat_101, house.flat_102])
            self.booked += 1
            start = -HOUR - draw.randrange(600) * MINUTE
            self.stays[house.book(flat, start, draw.randrange(1, 9) * DAY)] = flat
            return
        one = draw.choice(sorted(self.stays))
        if draw.random() < 0.5:
            self.moved += 1
            house.rebook(one, -HOUR - draw.randrange(600) * MINUTE, draw.randrange(1, 9) * DAY)
        else:
            self.cancelled += 1
            house.stays.cancel(one)
            del self.stays[one]

    async def settle(self):
        """Let one process finish all that is open; stop it with SIGTERM."""
        async with self.daemon.running() as process:
            await self.house.until(lambda: self.daemon.is_up(self.house.session), 30)
            await self.house.until(self._is_settled, 120)
            process.send_signal(signal.SIGTERM)
            if await process.wait() != 0:
                raise AssertionError("it did not end well")

    async def _is_settled(self):
        await asyncio.sleep(0.5)
        done = self.daemon.rows(
            "SELECT status FROM reconciliation_logs ORDER BY started_at DESC, rowid DESC LIMIT 1"
        )
        finished = done and done[0][0] == "success" and not self.daemon.rows(_OPEN_WORK)
        held = self.daemon.rows("SELECT id FROM reservations WHERE held_since IS NOT NULL")
        if held:  # the brake lets go of cancellations that two further runs have read again
            token = issue_token(
                load_secret(self.daemon.folder / "jwt.secret"),
                subject="load",
                ttl=DAY,
                now=self.house.clock.now(),
            )
            await self.daemon.asks_for_a_run(self.house.session, token)
        return finished and not held

    def expected(self):
        """How many codes each lock must hold now."""
        of_101 = sum(flat == self.house.flat_101 for flat in self.stays.values())
        return (len(self.stays), of_101, len(self.stays) - of_101)

    def leftovers(self):
        """Codes on a lock beyond one for each live stay, and those missing."""
        held = [len(lock.codes) for lock in self.locks]
        return [have - want for have, want in zip(held, self.expected(), strict=True)]

    def doubled(self):
        """Creates of a PIN that a lock held already, other than a repetition under its own number."""
        return sum(lock.duplicates.count(False) for lock in self.locks) + sum(
            len(lock.codes) - len({code.pin for code in lock.codes}) for lock in self.locks
        )

    def summary(self):
        """What came of it, in lines."""
        creates = sum(sum(lock.creates.values()) for lock in self.locks)
        repeated = sum(lock.duplicates.count(True) for lock in self.locks)
        return (
            f"rounds                     {self.rounds}"
            f" ({self.starting} killed while starting, {self.reconciling} during a reconciliation)\n"
            f"stays booked/moved/cancelled {self.booked}/{self.moved}/{self.cancelled}\n"
            f"creates received by locks  {creates}"
            f" ({repeated} repeated under their own number after a kill: the profiles' resolution)\n"
            f"jobs lost                  {len(self.jobs_lost)}\n"
            f"doubled creates            {self.doubled()}\n"
            f"codes too many or too few  {self.leftovers()} (street, apt-101, apt-102)\n"
        )


@asynccontextmanager
async def a_campaign(folder, seed):
    """A house with short deadlines, and the daemon that is to be killed."""
    async with a_house(folder, overrides_101={"deadline": 0.5, "late_report": _LATE}) as house:
        for lock in (house.street, house.apt_101, house.apt_102):
            lock.capacity = 200
        yield Campaign(house, Daemon(folder, house), random.Random(seed))


async def _main(rounds):
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        async with a_campaign(Path(folder), seed=rounds) as campaign:
            for _ in range(rounds):
                await campaign.round()
                if campaign.rounds % _SETTLED_EVERY == 0:
                    await campaign.settle()
                    sys.stderr.write(campaign.summary())
            await campaign.settle()
            assert_keeps_secrets(campaign.daemon.log.read_text(), campaign.house.secrets())
            sys.stdout.write(campaign.summary())
            sys.stdout.write(f"seconds                    {time.monotonic() - began:.0f}\n")
            return bool(campaign.jobs_lost or campaign.doubled() or any(campaign.leftovers()))


if __name__ == "__main__":
    sys.exit(asyncio.run(_main(int(sys.argv[1]))))
