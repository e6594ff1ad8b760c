"""A run that derives nothing because all is as before would have found nothing, had it derived."""

import random
import sqlite3
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from gateway.derivation import Derivation
from gateway.domain import events
from gateway.domain.entitlement import Changes
from gateway.minting import Mint
from gateway.reconciler import Reconciler, Rules
from gateway.simulator.stays import SimulatedStays, StaysFaults
from gateway.stays.client import StaysClient
from gateway.store import credentials, jobs, locks, meta, reservations
from gateway.store.database import Database
from gateway.store.moments import to_text
from gateway.store.secretbox import SecretBox
from gateway.web.meter import PrometheusMeter
from tests.builders import a_lock, a_property, a_unit, utc
from tests.virtual_time import run_virtual

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
MORNING = utc("2026-02-02 12:00")  # nine o'clock in São Paulo
STEPS = 120


class Deaf:
    """A board and a notifier that do nothing."""

    def put(self, jobs):
        pass

    def drop(self, ids):
        pass

    async def tell(self, notice):
        pass


class Life:
    """A property, its account and its store, to which things happen in no order."""

    def __init__(self, seed, clock, folder):
        self.draw = random.Random(seed)
        self.clock = clock
        self.off = timedelta(0)
        self.folder = folder
        self.stays = SimulatedStays(random.Random(f"account {seed}"))
        self.listings = [self.stays.add_listing(f"Flat {number}") for number in range(4)]
        self.site = a_property(
            units=tuple(
                a_unit(name=f"Flat {number}", stays_ids=(one,), locks=("street", f"door-{number}"))
                for number, one in enumerate(self.listings[:3])
            ),
            locks=tuple(map(a_lock, ("street", "door-0", "door-1", "door-2"))),
        )

    def now(self):
        return self.clock.now() + self.off

    async def open(self, stack):
        await stack.enter_async_context(self.stays.serving())
        self.database = await stack.enter_async_context(Database.open(self.folder / "gateway.db"))
        self.client = await stack.enter_async_context(
            StaysClient.open(
                url=self.stays.url,
                client_id=self.stays.client_id,
                client_secret=self.stays.client_secret,
                clock=self.clock,
            )
        )
        self.mint = Mint(site=self.site, box=SecretBox.load(self.folder / "pin.key"))
        self.derivation = Derivation(
            site=self.site, mint=self.mint, board=Deaf(), wake=lambda _: None, notifier=Deaf()
        )
        self.reconciler = Reconciler(
            database=self.database,
            rules=self._rules(),
            derivation=self.derivation,
            notifier=Deaf(),
            meter=PrometheusMeter(),
            clock=self.clock,
            now=self.now,
            keep_time=lambda session: meta.put(session, "clock.mark", to_text(self.now())),
        )

    def _rules(self):
        return Rules(
            source=self.client,
            site=self.site,
            lookback_days=2,
            horizon_days=30,
            only_mapped=False,
        )

    # --- what happens --------------------------------------------------------------------------

    async def happen(self):
        """Mostly nothing."""
        kinds = (
            (self.nothing, 30),
            (self.book, 3),
            (self.change, 3),
            (self.fail, 2),
            (self.write, 3),
            (self.finish, 2),
            (self.lose_a_job, 1),
            (self.block, 1),
            (self.reload, 1),
            (self.step, 1),
            (self.hear, 4),
            (self.repair_by_hand, 1),
        )
        [act] = self.draw.choices([one for one, _ in kinds], [weight for _, weight in kinds])
        await act()
        minutes = self.draw.choice((1, 30, 30, 30, 30, 30, 240, 1440))
        await self.clock.sleep(60 * minutes)

    async def nothing(self):
        pass

    async def book(self):
        start = self.now().date() + self.draw.randrange(-2, 12) * DAY
        same = self.draw.random() < 0.3 and self.stays.clients
        client = self.draw.choice(sorted(self.stays.clients)) if same else None
        nights = self.draw.randrange(1, 5) * DAY
        self.stays.book(self.draw.choice(self.listings), start, start + nights, client=client)

    async def change(self):
        if not self.stays.reservations:
            return
        one = self.draw.choice(sorted(self.stays.reservations))
        match self.draw.randrange(5):
            case 0:
                self.stays.cancel(one)
            case 1:
                self.stays.delete(one)
            case 2:
                self.stays.change(one, type="booked")
            case 3:
                self.stays.change(one, checkOutTime=self.draw.choice(("09:00", "12:30")))
            case 4:
                self.stays.change(one, _idlisting=self.draw.choice(self.listings))

    async def fail(self):
        self.stays.faults = self.draw.choice(
            (
                StaysFaults(empty=True),
                StaysFaults(last_page_lost=True),
                StaysFaults(more_rows=({"_id": "broken"},)),
            )
        )

    async def write(self):
        """A code comes on a lock."""
        await self.change_rows(
            "INSERT INTO placements (credential_id, lock, device_id, member, pin_hash, evidence,"
            " sent_at) SELECT id, lock, 'device', 1, randomblob(32), 'confirmed', ? FROM credentials"
            " ORDER BY random() LIMIT 1",
            (to_text(self.now()),),
        )

    async def finish(self):
        """What is over is taken off, as the queues would."""
        now = self.now()

        async def body(session):
            rows = await session.all(
                "SELECT id FROM credentials WHERE valid_until <= ?", (to_text(now),)
            )
            for row in rows:
                await session.execute(
                    "UPDATE placements SET evidence = 'revoked' WHERE credential_id = ?",
                    (row["id"],),
                )
                await jobs.drop(session, [f"gen-{row['id']}", f"rev-{row['id']}"])
                await credentials.finish(session, row["id"], now)

        await self.database.transaction(body)

    async def lose_a_job(self):
        await self.change_rows(
            "DELETE FROM jobs WHERE id = (SELECT id FROM jobs ORDER BY random() LIMIT 1)"
        )

    async def block(self):
        now = self.now()

        async def body(session):
            row = await session.one("SELECT id FROM reservations ORDER BY random() LIMIT 1")
            if row is not None:
                await reservations.block(session, row["id"], by="a person", reason=None, now=now)

        await self.database.transaction(body)

    async def reload(self):
        """Another configuration: a unit comes or goes, or the windows are others."""
        policy = replace(self.site.policy, activate_before=self.draw.choice((HOUR, 2 * HOUR)))
        units = list(self.site.units)
        self.draw.shuffle(units)
        if self.draw.random() < 0.3:
            units[0] = replace(units[0], locks=("street",))
        self.adopt(replace(self.site, policy=policy, units=tuple(units)))

    def adopt(self, site):
        self.site = site
        self.derivation.adopt(site=site, mint=self.mint)
        self.reconciler.adopt(self._rules())

    async def step(self):
        """The clock is set."""
        self.off = self.draw.choice((-DAY, -HOUR, HOUR, timedelta(0)))

    async def hear(self):
        """What has to do with no door."""
        now = self.now()

        async def body(session):
            await meta.put(session, "clock.mark", to_text(now))
            await locks.set_reachable(session, "street", reachable=True, reason=None, now=now)

        await self.database.transaction(body)

    async def repair_by_hand(self):
        """By another connection, as with the command line of SQLite."""
        with sqlite3.connect(self.folder / "gateway.db") as other:
            other.execute("UPDATE credentials SET unit = 'elsewhere' WHERE rowid = 1")
        other.close()

    async def change_rows(self, sql, parameters=()):
        await self.database.transaction(lambda session: session.execute(sql, parameters))


async def was_quiet(life):
    """One run; did it derive nothing?"""
    with capture_logs() as logs:
        await life.reconciler.run()
    ended = [one for one in logs if one["event"] == events.RECONCILE_SUCCEEDED]
    return bool(ended) and ended[0]["nothing_new"]


@pytest.mark.parametrize("seed", range(6))
def test_a_run_that_derives_nothing_would_have_found_nothing(tmp_path, seed):
    quiet = []

    async def main(clock):
        async with AsyncExitStack() as stack:
            life = Life(seed, clock, tmp_path)
            await life.open(stack)
            for _ in range(STEPS):
                await life.happen()
                quiet.append(await was_quiet(life))
                if quiet[-1]:
                    decision, _ = await life.reconciler.look_ahead()
                    assert decision.changes == Changes()
                    assert all(one.row == one.before for one in decision.merged.values())
                    assert not decision.notes
                life.stays.faults = StaysFaults()

    run_virtual(main)
    assert STEPS // 8 < sum(quiet) < STEPS - STEPS // 8


# --- what each guard of a quiet run is for --------------------------------------------------------


def living(folder, story):
    """Run `story(life)` from a morning on; the account has a long stay in the last listing, unmapped."""

    async def main(clock):
        async with AsyncExitStack() as stack:
            life = Life(0, clock, folder)
            await life.open(stack)
            today = life.now().date()
            life.stays.book(life.listings[3], today - DAY, today + 20 * DAY)
            await story(life)

    run_virtual(main, start=MORNING)


async def comes_to_rest(life):
    """Runs follow each other until one of them derives nothing."""
    for _ in range(4):
        if await was_quiet(life):
            return
    raise AssertionError("there is always something new")


async def wait(life, duration):
    await life.clock.sleep(duration.total_seconds())


async def column(life, name, reservation):
    row = await life.database.read(
        lambda session: session.one(
            f"SELECT {name} FROM reservations r LEFT JOIN credentials c ON c.reservation_id = r.id"
            " WHERE r.id = ?",
            (reservation,),
        )
    )
    return row[0]


def test_a_run_is_not_quiet_once_time_itself_has_changed_something(tmp_path):
    """A stay that ended a week ago is compared no more: the same guest's next one follows it no more."""

    async def story(life):
        today = life.now().date()
        first = life.stays.book(life.listings[0], today - DAY, today)
        client = life.stays.reservations[first]["_idclient"]
        later = life.stays.book(life.listings[0], today, today + 15 * DAY, client=client)
        await comes_to_rest(life)
        assert await column(life, "follows", later) is not None
        await wait(life, 2 * DAY)
        await life.finish()
        await wait(life, 5 * DAY)
        await comes_to_rest(life)  # at nine: it ended at eleven

        await wait(life, 1.9 * HOUR)
        assert await was_quiet(life)
        assert await column(life, "follows", later) is not None
        await wait(life, HOUR)
        assert not await was_quiet(life)
        assert await column(life, "follows", later) is None
        await comes_to_rest(life)

    living(tmp_path, story)


def test_a_run_is_not_quiet_where_the_clock_was_set_back(tmp_path):
    """What was over by a clock that was ahead is not over."""

    async def story(life):
        units, today = life.site.units, life.now().date()
        guest = life.stays.book(life.listings[0], today - DAY, today)
        life.adopt(replace(life.site, units=units[1:]))
        await comes_to_rest(life)
        life.off = 3 * HOUR
        life.adopt(replace(life.site, units=units))
        await comes_to_rest(life)
        assert await column(life, "wanted", guest) is None

        life.off = timedelta(0)
        assert not await was_quiet(life)
        assert await column(life, "wanted", guest) == 1

    living(tmp_path, story)


def test_a_run_is_not_quiet_on_another_day(tmp_path):
    """The list shows the same, but a stay that it should show by now is missing."""

    async def story(life):
        today = life.now().date()
        guest = life.stays.book(life.listings[0], today + 5 * DAY, today + 7 * DAY)
        await comes_to_rest(life)
        life.stays.move(guest, today + 30 * DAY, today + 32 * DAY)
        await comes_to_rest(life)
        assert await column(life, "check_in_date", guest) == str(today + 30 * DAY)
        life.stays.delete(guest)
        await wait(life, 14 * HOUR)
        assert await was_quiet(life)

        await wait(life, 2 * HOUR)
        assert not await was_quiet(life)
        assert await column(life, "deleted_at", guest) is not None

    living(tmp_path, story)


def test_a_run_is_not_quiet_once_somebody_else_has_written_to_the_database(tmp_path):
    async def story(life):
        today = life.now().date()
        life.stays.book(life.listings[0], today + DAY, today + 3 * DAY)
        await comes_to_rest(life)
        with sqlite3.connect(life.folder / "gateway.db") as other:
            lost = other.execute("DELETE FROM jobs WHERE kind = 'rev' RETURNING id").fetchall()
        other.close()
        assert not await was_quiet(life)
        rows = await life.database.read(
            lambda session: session.all("SELECT id FROM jobs WHERE kind = 'rev'")
        )
        assert sorted(map(tuple, rows)) == sorted(lost) != []

    living(tmp_path, story)


def test_a_run_is_not_quiet_while_the_brake_holds_somebody(tmp_path):
    """Who is held goes as the window of another guest begins, even of one whom a person keeps out."""

    async def story(life):
        today = life.now().date()
        gone = [life.stays.book(one, today, today + 9 * DAY) for one in life.listings[:3]]
        await life.reconciler.run()
        for _ in range(60):
            await life.write()
        other = life.stays.book(life.listings[0], today + DAY, today + 3 * DAY)
        await life.reconciler.run()
        await life.database.transaction(
            lambda session: reservations.block(
                session, other, by="a person", reason=None, now=life.now()
            )
        )
        await life.reconciler.run()
        life.stays.change(other, checkInTime="10:00")
        await life.reconciler.run()
        for one in gone:
            life.stays.delete(one)
        await life.reconciler.run()
        await life.reconciler.run()
        assert await column(life, "held_since", gone[0]) is not None
        await wait(life, 22 * HOUR)  # seven o'clock
        await life.reconciler.run()
        await life.reconciler.run()
        assert await column(life, "held_since", gone[0]) is not None

        await wait(life, 2 * HOUR)  # its window begins at eight, two hours before the check-in
        await life.reconciler.run()
        assert await column(life, "held_since", gone[0]) is None

    living(tmp_path, story)


def test_a_run_is_not_quiet_while_something_is_left_to_the_next_one(tmp_path):
    async def story(life):
        today = life.now().date()
        guest = life.stays.book(life.listings[0], today + DAY, today + 3 * DAY)
        await comes_to_rest(life)
        await life.change_rows(
            "CREATE TRIGGER stuck BEFORE DELETE ON jobs BEGIN SELECT RAISE(ABORT, 'stuck'); END"
        )
        life.stays.cancel(guest)
        assert [await was_quiet(life) for _ in range(4)] == [False] * 4

        await life.change_rows("DROP TRIGGER stuck")
        await comes_to_rest(life)
        row = await life.database.read(
            lambda session: session.one("SELECT count(*) FROM jobs WHERE kind = 'gen'")
        )
        assert row[0] == 0

    living(tmp_path, story)
