"""Rows 1 to 3: reconciliations, beside the least that reading the same pages can cost."""

import asyncio
import json
import os
import re
import sqlite3
import sys
from contextlib import AsyncExitStack, asynccontextmanager, closing, contextmanager
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

import aiohttp

from gateway.clock import SystemClock
from gateway.derivation import Derivation
from gateway.domain.model import LockSettings, Policy, Property, Unit
from gateway.jobs.scheduler import JobScheduler
from gateway.minting import Mint
from gateway.reconciler import Reconciler, Rules
from gateway.stays.client import StaysClient
from gateway.store.database import Database
from gateway.store.secretbox import SecretBox
from gateway.web.meter import PrometheusMeter
from tests.benchmarks.account import PAGE, UNITS, ZONE, days_ahead, listing
from tests.benchmarks.measuring import Duel, Figure, timed

_MARK, _QUIET_RUNS = "here the runs begin or end", 10


class Impatient(SystemClock):
    """A clock that does not wait: the pauses between two requests to Stays are no work."""

    async def sleep(self, seconds):
        await asyncio.sleep(0)


async def _no_mark(_session):
    """The clock is not kept here."""


class Silent:
    """A notifier that tells nobody."""

    async def tell(self, notice):
        pass


def a_property():
    """Units with a lock each."""
    locks = tuple(
        LockSettings(
            name=f"lock-{number}",
            device_id=f"device-{number}",
        )
        for number in range(UNITS)
    )
    units = tuple(
        Unit(
            name=f"unit-{number}",
            stays_ids=(listing(number),),
            locks=(f"lock-{number}",),
            zone=ZONE,
            check_in_time=time(15),
            check_out_time=time(11),
        )
        for number in range(UNITS)
    )
    return Property(
        zone=ZONE,
        check_in_time=time(15),
        check_out_time=time(11),
        policy=Policy(),
        units=units,
        locks=locks,
    )


@asynccontextmanager
async def a_reconciler(folder, url, *, stays):
    """A reconciler with all that a daemon gives it, and its database."""
    clock, site = Impatient(), a_property()
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(Database.open(folder / "gateway.db"))
        meter = PrometheusMeter()
        scheduler = JobScheduler(
            clock=clock,
            due_by=clock.now,
            wake=lambda _: None,
            reconcile=lambda: asyncio.sleep(0),
            schedule="*/30 * * * *",
            zone=ZONE,
            meter=meter,
            cap=15.0,
        )
        scheduler.start([])
        stack.push_async_callback(scheduler.stop)
        derivation = Derivation(
            site=site,
            mint=Mint(site=site, box=SecretBox.load(folder / "pin.key")),
            board=scheduler,
            wake=lambda _: None,
            notifier=Silent(),
        )
        client = await stack.enter_async_context(
            StaysClient.open(url=f"{url}/{stays}", client_id="c", client_secret="s", clock=clock)
        )
        rules = Rules(
            source=client,
            site=site,
            lookback_days=2,
            horizon_days=days_ahead(stays),
            only_mapped=False,
        )
        yield (
            Reconciler(
                database=database,
                rules=rules,
                derivation=derivation,
                notifier=Silent(),
                meter=meter,
                clock=clock,
                now=clock.now,
                keep_time=_no_mark,
            ),
            database,
        )


async def fetched(session, url, stays):
    """The floor: all pages with bare aiohttp, parsed."""
    found, skip = [], 0
    start = datetime.now(UTC).date() - timedelta(days=2)
    end = start + timedelta(days=days_ahead(stays))
    types = ("reserved", "booked", "contract", "blocked", "maintenance", "canceled")
    while True:
        asked = [("from", str(start)), ("to", str(end)), ("dateType", "included")]
        asked += [("type", one) for one in types] + [("skip", str(skip)), ("limit", str(PAGE))]
        address = f"{url}/{stays}/external/v1/booking/reservations"
        async with session.get(address, params=asked) as response:
            page = json.loads(await response.read())
        if not page:
            return found
        found += page
        skip += len(page)


def written(database, rows):
    """The floor of writing: one `executemany` in one transaction, as durable as the gateway's."""
    database.execute("BEGIN IMMEDIATE")
    database.executemany(
        "INSERT INTO stays VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", [_values(row) for row in rows]
    )
    database.execute("COMMIT")


def _values(row):
    names = ("_id", "id", "type", "_idlisting", "checkInDate", "checkInTime", "checkOutDate")
    names += ("checkOutTime", "_idclient", "partnerCode")
    return (*(row[name] for name in names), row["partner"]["name"])


@contextmanager
def an_empty_table(path):
    """A database with a table like that of the reservations, open inside the block."""
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        database.execute(
            "CREATE TABLE stays (id TEXT PRIMARY KEY, code TEXT, type TEXT, listing_id TEXT,"
            " check_in_date TEXT, check_in_time TEXT, check_out_date TEXT, check_out_time TEXT,"
            " client_id TEXT, partner_code TEXT, channel TEXT) STRICT"
        )
        database.execute("CREATE INDEX stays_code ON stays (code)")
        yield database


async def _run(reconciler, database, *, updated=0):
    """One run that must find `updated` stays changed and nothing else."""
    with timed() as cost:
        succeeded = await reconciler.run()
    row = await _last_run(database)
    if not succeeded or (row["created"], row["updated"], row["errors"]) != (0, updated, 0):
        raise AssertionError(f"a run came to {dict(row)}")
    return cost


async def _last_run(database):
    return await database.read(
        lambda session: session.one(
            "SELECT * FROM reconciliation_logs ORDER BY number DESC LIMIT 1"
        )
    )


async def first_runs(folder, account, stays, rounds):
    """Row 1: an empty store, all stays new."""
    duel = Duel()
    async with aiohttp.ClientSession() as session:
        for number in range(rounds + 1):  # the first one is for the caches
            place = folder / f"first-{stays}-{number}"
            place.mkdir()
            async with a_reconciler(place, account, stays=stays) as (reconciler, database):
                with timed() as mine:
                    await reconciler.run()
                if (await _last_run(database))["created"] != stays:
                    raise AssertionError("a run did not find what it should")
            with an_empty_table(place / "floor.db") as table, timed() as floor:
                rows = await fetched(session, account, stays)
                await asyncio.to_thread(written, table, rows)
            if number:
                duel.gateway.append(mine)
                duel.other.append(floor)
    against = "fetch, `json`, one `executemany`"
    return list(duel.figures(1, f"first run, {stays:,} stays", against, target=2.5))


async def later_runs(folder, account, stays, rounds):
    """Row 2: everything is known; of the stays none, or one in a hundred, has changed.

    The run after a change derives everything once more, and finds nothing; the one after it need not.
    """
    again, unchanged, changed = Duel(), Duel(), Duel()
    async with (
        aiohttp.ClientSession() as session,
        a_reconciler(folder, account, stays=stays) as run_of,
    ):
        await run_of[0].run()
        for number in range(rounds + 1):
            costs = []
            for duel, moved in ((again, False), (unchanged, False), (changed, True)):
                if moved:
                    await _move(session, account, stays)
                mine = await _run(*run_of, updated=moved * stays // 100)
                with timed() as floor:
                    await fetched(session, account, stays)
                costs.append((duel, mine, floor))
            await _move(session, account, stays)
            await _run(*run_of, updated=stays // 100)
            for duel, mine, floor in costs if number else ():
                duel.gateway.append(mine)
                duel.other.append(floor)
    return [
        *unchanged.figures(2, f"{stays:,} stays, none changed", "fetch, `json`", target=1.3),
        *changed.figures(2, f"{stays:,} stays, 1 % changed", "fetch, `json`", target=1.4),
        *again.figures(2, f"{stays:,} stays, the run after a change", "fetch, `json`"),
    ]


async def _move(session, account, stays):
    async with session.post(f"{account}/{stays}/move") as response:
        response.raise_for_status()


async def wear(folder, account, stays):
    """Row 2: what runs that change nothing write to the disk, counted by the kernel and by strace."""
    place = folder / "wear"
    place.mkdir()
    trace = place / "trace"
    process = await asyncio.create_subprocess_exec(
        *("strace", "-f", "-qq", "-e", "trace=fsync,fdatasync,pwrite64", "-o", str(trace)),
        *(sys.executable, "-m", "tests.benchmarks.reconciling", str(place), account, str(stays)),
        stdout=asyncio.subprocess.DEVNULL,
    )
    if await process.wait():
        raise AssertionError("strace or the runs failed")
    begun = False
    syncs = written = 0
    for line in trace.read_text().splitlines():
        if _MARK in line:  # after the first run, and before the end
            begun = not begun
        elif begun and ("fsync(" in line or "fdatasync(" in line):
            syncs += 1
        elif begun and (found := re.search(r"pwrite64\(.* = (\d+)$", line)):
            written += int(found[1])
    yield Figure(row=2, of="syncs of a run without changes", value=syncs / _QUIET_RUNS, unit="")
    yield Figure(
        row=2, of="written by it", value=written / _QUIET_RUNS / 1024, unit="KiB", target=None
    )


async def _quiet_runs(folder, account, stays):
    """Runs that change nothing, between two marks in the trace."""
    async with a_reconciler(folder, account, stays=stays) as (reconciler, database):
        await reconciler.run()
        await database.restart_log()
        descriptor = os.open(folder / "mark", os.O_RDWR | os.O_CREAT)
        os.pwrite(descriptor, _MARK.encode(), 0)
        for _ in range(_QUIET_RUNS):
            await _run(reconciler, database)
        os.pwrite(descriptor, _MARK.encode(), 0)
        os.close(descriptor)


async def beside_history(folder, account, stays, rounds, past):
    """Row 3: the same run beside `past` stays that are over and five times as many log rows."""
    young, old = folder / "young", folder / "old"
    for place in (young, old):
        place.mkdir()
        async with a_reconciler(place, account, stays=stays) as (reconciler, _):
            await reconciler.run()
    remember(old / "gateway.db", past)
    unchanged, changed = Duel(), Duel()
    async with (
        aiohttp.ClientSession() as session,
        a_reconciler(young, account, stays=stays) as of_young,
        a_reconciler(old, account, stays=stays) as of_old,
    ):
        for number in range(rounds + 1):
            costs = []
            for run_of in (of_old, of_young):
                await _run(*run_of)  # the one after a change: see row 2
                quiet = await _run(*run_of)
                await _move(session, account, stays)
                costs.append((quiet, await _run(*run_of, updated=stays // 100)))
                await _move(session, account, stays)
                await _run(*run_of, updated=stays // 100)
            if number:
                for place, duel in enumerate((unchanged, changed)):
                    duel.gateway.append(costs[0][place])
                    duel.other.append(costs[1][place])
    against = "row 2"
    return [
        *unchanged.figures(3, f"none changed, {past:,} past stays", against, target=1.1),
        *changed.figures(3, f"1 % changed, {past:,} past stays", against, target=1.1),
    ]


def remember(path, past):
    """Fill a store with stays that are over, each with its code, and with five rows of logs a stay."""
    start = datetime(2025, 1, 1, tzinfo=UTC)

    def moment(number):
        return (start + number * timedelta(seconds=120)).strftime("%Y-%m-%dT%H:%M:%SZ")

    numbers = range(past)
    with sqlite3.connect(path, isolation_level=None) as database:
        database.execute("BEGIN")
        database.executemany(
            "INSERT INTO reservations (id, code, type, listing_id, check_in_date, check_out_date,"
            " unit, check_in_at, check_out_at, first_seen_at, changed_at)"
            " VALUES (?1, ?1, 'booked', ?2, substr(?3, 1, 10), substr(?4, 1, 10), ?5, ?3, ?4, ?3, ?3)",
            (
                (
                    f"P{one}",
                    listing(one % UNITS),
                    moment(one),
                    moment(one + 1440),
                    f"unit-{one % UNITS}",
                )
                for one in numbers
            ),
        )
        database.executemany(
            "INSERT INTO credentials (id, reservation_id, lock, unit, valid_from, valid_until, wanted,"
            " confirmed_at, revoked_at, created_at, updated_at)"
            " VALUES (?1 || '-' || ?2, ?1, ?2, ?3, ?4, ?5, 1, ?4, ?5, ?4, ?5)",
            (
                (
                    f"P{one}",
                    f"lock-{one % UNITS}",
                    f"unit-{one % UNITS}",
                    moment(one),
                    moment(one + 1440),
                )
                for one in numbers
            ),
        )
        database.execute(
            "INSERT INTO placements (credential_id, lock, device_id, member, slot, pin_hash, evidence,"
            " sent_at, confirmed_at, revoked_at) SELECT id, lock, 'device', 1, 1, randomblob(32),"
            " 'revoked', valid_from, valid_from, valid_until FROM credentials WHERE revoked_at IS NOT NULL"
        )
        database.executemany(
            "INSERT INTO audit_log (at, actor, event, reservation_id, lock, detail)"
            " VALUES (?, 'stays', 'reservation.created', ?, ?, 'booked in a unit, some nights')",
            (
                (moment(one // 5), f"P{one // 5}", f"lock-{one % UNITS}")
                for one in range(5 * past - 5000)
            ),
        )
        database.executemany(
            "INSERT INTO reconciliation_logs (id, started_at, completed_at, duration, status, created_at)"
            " VALUES (?1, ?2, ?2, 100, 'success', ?2)",
            ((f"run-{one}", moment(one)) for one in range(5000)),
        )
        database.execute("COMMIT")
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()


if __name__ == "__main__":
    asyncio.run(_quiet_runs(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
