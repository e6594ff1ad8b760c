"""What becomes of the doors when the database is damaged, lost, old or unreadable."""

import random
import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, timedelta

import pytest

from gateway.clock import SystemClock
from gateway.domain import events
from gateway.errors import StoreError, StoreNewerError
from gateway.pin_mending import PinMender
from gateway.store import backup
from gateway.store.database import Database
from gateway.store.generation import GenerationFile
from gateway.store.secretbox import SecretBox
from gateway.upkeep import Upkeep
from tests.house import START, UNHURRIED, Notices, a_house
from tests.virtual_time import run_virtual

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def told_by(folder, story, **settings):
    """Run `story(house)`, which starts and stops the gateway itself, in virtual time."""
    failures = []

    async def main(clock):
        async with a_house(folder, clock, pace=UNHURRIED, **settings) as house:
            try:
                await story(house)
            except AssertionError as failure:
                failures.append(failure)

    run_virtual(main, start=START)
    for failure in failures:
        raise failure


async def inside(house, flat, length=2 * DAY):
    """A guest who is inside, with the PIN on both doors: the stay and the PIN."""
    stay = house.book(flat, -HOUR, length)
    await house.reconciled()
    await house.pin_status(stay, "active")
    return stay, await house.pin(stay)


async def problems(house):
    return (await house.api("GET", "/readyz"))[1].get("problems", [])


async def settle(house, *doors, minutes=90):
    """Let time pass; each door (a lock and a PIN) is tried every minute. How often it did not open."""
    shut = dict.fromkeys(doors, 0)
    for _ in range(minutes):
        await house.clock.sleep(60)
        for lock, pin in doors:
            shut[lock, pin] += not lock.opens(pin)
    return [shut[door] for door in doors]


def database(folder):
    return folder / "gateway.db"


def replace(folder, copy):
    for suffix in ("-wal", "-shm"):
        database(folder).with_name(f"gateway.db{suffix}").unlink(missing_ok=True)
    shutil.copy(copy, database(folder))


def execute(folder, *statement):
    with closing(sqlite3.connect(database(folder), isolation_level=None)) as connection:
        return connection.execute(*statement).fetchall()


def test_an_older_copy_put_back_takes_no_live_code_of_another_guest(tmp_path):
    copy = tmp_path / "copy.db"

    async def story(house):
        async with house.running():
            gone, _ = await inside(house, house.flat_101, 2 * HOUR)
            stays, stays_pin = await inside(house, house.flat_102)
        shutil.copy(database(tmp_path), copy)
        async with house.running():
            await house.clock.sleep(2 * 3600)
            assert house.apt_101.codes == []
            _, pin = await inside(house, house.flat_101)
            slot = house.apt_101.codes[0].slot
        assert execute_on(copy, "SELECT slot FROM placements WHERE lock = 'apt-101'") == [(slot,)]

        replace(tmp_path, copy)
        async with house.running():
            newer = next(one for one in house.stays.reservations if one not in {gone, stays})
            doors = [(house.street, pin), (house.apt_101, pin), (house.apt_102, stays_pin)]
            assert await settle(house, *doors) == [0, 0, 0]
            assert await problems(house) == ["store_restored"]
            late = events.CREDENTIAL_REVOCATION_LATE
            assert [one.subject for one in house.notices.told if one.event == late] == [
                f"{house.stays.code(gone)}-apt-101"
            ], "a person is told of the slot that nobody may delete"
            # The copy did not know the PIN of the newer stay: it has another one besides.
            other = await house.pin(newer)
            assert house.street.opens(other)
            assert house.apt_101.opens(other)
            assert house.street.opens(stays_pin)
            assert await house.pin(stays) == stays_pin
            assert (await house.stay(stays))["pinStatus"] == "active"
            assert house.notices.events().count(events.STORE_RESTORED) == 1
        async with house.running():
            assert "store_restored" not in await problems(house), "only until a clean restart"

    told_by(tmp_path, story, policy={"revoke_after": "0h"})


def execute_on(path, statement):
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(statement).fetchall()


def test_a_truncated_database_is_set_aside_and_the_last_backup_takes_its_place(tmp_path):
    async def story(house):
        async with house.running():
            stay, pin = await inside(house, house.flat_101)
            await house.clock.sleep(2 * 3600)
            backups = list((tmp_path / "backups").iterdir())
            assert len(backups) == 1
        before = database(tmp_path).stat().st_size
        with database(tmp_path).open("rb+") as file:
            file.truncate(before // 2)
        async with house.running():
            shut = await settle(house, (house.apt_101, pin))
            assert shut == [0]
            assert await house.pin(stay) == pin
            assert house.street.opens(pin)
            assert (await house.stay(stay))["pinStatus"] == "active"
            assert await problems(house) == ["store_restored"]
            notice = next(one for one in house.notices.told if one.event == events.STORE_RESTORED)
            assert backups[0].name in notice.detail
        aside = list(tmp_path.glob("gateway.db.*.aside"))
        assert [one.stat().st_size for one in aside] == [before // 2]
        assert execute(tmp_path, "SELECT actor FROM audit_log WHERE event = 'store.restored'") == [
            ("gateway",)
        ]

    told_by(tmp_path, story)


@pytest.mark.parametrize("fault", ["gone", "empty", "zeroed"])
def test_a_lost_database_without_a_backup_is_begun_anew_loudly_and_the_guest_gets_in(
    tmp_path, fault
):
    async def story(house):
        async with house.running():
            stay, pin = await inside(house, house.flat_101)
        file = database(tmp_path)
        if fault == "gone":
            file.unlink()
        else:
            file.write_bytes(b"" if fault == "empty" else bytes(file.stat().st_size))
        async with house.running():
            assert await settle(house, (house.street, pin), (house.apt_101, pin)) == [0, 0]
            another = await house.pin(stay)
            assert another != pin
            assert house.street.opens(another)
            assert house.apt_101.opens(another)
            assert await problems(house) == ["store_lost"]
            assert house.notices.events().count(events.STORE_LOST) == 1
            assert len(list(tmp_path.glob("*.aside"))) == (0 if fault == "gone" else 1)

    told_by(tmp_path, story)


async def filled(folder):
    """A database with rows enough for many pages, stopped in good order."""
    folder.mkdir()
    async with Database.open(database(folder)) as opened:

        async def body(session):
            await session.execute_many(
                "INSERT INTO audit_log (at, actor, event, detail) VALUES (?, 'a', 'b', ?)",
                [(f"2026-02-02T15:00:{n % 60:02}Z", "x" * 200) for n in range(300)],
            )

        await opened.transaction(body)


async def test_a_flipped_byte_anywhere_never_keeps_the_database_from_opening(tmp_path):
    await filled(tmp_path / "whole")
    draw = random.Random(3)
    size = database(tmp_path / "whole").stat().st_size
    fates = {"as it was": 0, events.STORE_LOST: 0}
    for number in range(100):
        folder = tmp_path / str(number)
        shutil.copytree(tmp_path / "whole", folder)
        at = draw.randrange(size) if number % 4 else draw.randrange(100)
        with database(folder).open("rb+") as file:
            file.seek(at)
            (byte,) = file.read(1)
            file.seek(at)
            file.write(bytes([byte ^ (1 << draw.randrange(8))]))
        newer = False
        try:
            async with Database.open(database(folder)) as opened:
                fate = "as it was" if opened.recovery is None else opened.recovery.event
                fates[fate] += 1
                await opened.transaction(
                    lambda session: session.execute("INSERT INTO meta VALUES ('k', 'v')")
                )
        except StoreNewerError:
            newer = True
        assert newer == (60 <= at < 64 and newer), "only the schema's number can look newer"
        aside = list(folder.glob("*.aside"))
        assert len(aside) == (not newer and fate == events.STORE_LOST)
    assert fates["as it was"] > 20
    assert fates[events.STORE_LOST] > 10


async def test_after_an_unclean_stop_more_is_looked_at(tmp_path):
    await filled(tmp_path / "a")
    with closing(sqlite3.connect(database(tmp_path / "a"), isolation_level=None)) as connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute(
            "INSERT INTO jobs (id, kind, credential_id, run_at) VALUES ('gen-x', 'gen', 'x', '')"
        )
    async with Database.open(database(tmp_path / "a")) as opened:
        assert opened.recovery is None, "quick_check alone does not see it"
    execute(tmp_path / "a", "UPDATE meta SET value = '0' WHERE key = 'clean_stop'")
    async with Database.open(database(tmp_path / "a")) as opened:
        assert opened.recovery.event == events.STORE_LOST
        assert "foreign_key_check" in opened.recovery.detail


async def test_a_kill_between_database_and_counter_is_no_older_copy(tmp_path):
    path = tmp_path / "gateway.db"
    counter = GenerationFile(path)
    async with Database.open(path):
        pass
    before = counter.read()
    async with Database.open(path):
        pass
    counter.write(before)  # the commit was kept, the file not yet written
    async with Database.open(path) as opened:
        assert opened.recovery is None
    assert counter.read() == before + 2

    async def killed_at_its_first_start():
        other = tmp_path / "other.db"
        GenerationFile(other).write(0)
        async with Database.open(other) as opened:
            assert opened.recovery is None

    await killed_at_its_first_start()


@pytest.mark.parametrize("beside", ["missing", "unreadable", "ahead"])
async def test_a_counter_that_is_missing_unreadable_or_ahead_shows_an_older_copy(tmp_path, beside):
    path = tmp_path / "gateway.db"
    async with Database.open(path):
        pass
    file = tmp_path / "gateway.db.generation"
    match beside:
        case "missing":
            file.unlink()
        case "unreadable":
            file.write_bytes(b"\xff\0")
        case "ahead":
            file.write_text("99\n")
    async with Database.open(path) as opened:
        assert opened.recovery.event == events.STORE_RESTORED
    assert GenerationFile(path).read() == (100 if beside == "ahead" else 2)
    async with Database.open(path) as opened:
        assert opened.recovery is not None, "until a daemon that told of it has stopped"
        await opened.forget_recovery()
    async with Database.open(path) as opened:
        assert opened.recovery is None


# --- PINs that do not open ---------------------------------------------------------------------


def spoil(folder, table, where):
    """Flip one bit of the sealed PINs."""
    with closing(sqlite3.connect(database(folder), isolation_level=None)) as connection:
        rows = connection.execute(f"SELECT rowid, pin FROM {table} WHERE {where}").fetchall()
        assert rows
        for rowid, pin in rows:
            flipped = pin[:20] + bytes([pin[20] ^ 1]) + pin[21:]
            connection.execute(f"UPDATE {table} SET pin = ? WHERE rowid = ?", (flipped, rowid))


def test_a_damaged_pin_with_a_copy_is_mended_and_blocks_nobody(tmp_path):
    async def story(house):
        async with house.running():
            stay, pin = await inside(house, house.flat_101)
        spoil(tmp_path, "credentials", "lock = 'apt-101'")
        spoil(tmp_path, "placements", "lock = 'street'")
        other = house.book(house.flat_102, -HOUR, DAY)
        async with house.running():
            await house.pin_status(other, "active")
            await house.pin_status(stay, "active")
            assert await house.doors(stay) == {"street": pin, "apt-101": pin}
            assert house.street.opens(pin)
            assert house.apt_101.opens(pin)
            told = [one for one in house.notices.told if one.event == events.PIN_UNREADABLE]
            assert len(told) == 2
            assert all("mended" in one.detail for one in told)

    told_by(tmp_path, story)


def test_a_damaged_pin_without_a_copy_goes_on_working_until_the_end_of_the_stay(tmp_path):
    async def story(house):
        async with house.running():
            stay, pin = await inside(house, house.flat_101)
        spoil(tmp_path, "credentials", "1")
        spoil(tmp_path, "placements", "1")
        other = house.book(house.flat_102, -HOUR, DAY)
        async with house.running():
            await house.pin_status(other, "active")
            assert await settle(house, (house.street, pin), (house.apt_101, pin)) == [0, 0]
            house.stays.cancel(stay)
            await house.reconciled()
            await house.until(lambda: not house.apt_101.codes)
            assert not house.street.opens(pin)

    told_by(tmp_path, story)


def test_a_damaged_pin_that_must_be_written_again_is_replaced_and_told(tmp_path):
    async def story(house):
        async with house.running():
            stay, pin = await inside(house, house.flat_101)
        spoil(tmp_path, "credentials", "1")
        spoil(tmp_path, "placements", "1")
        house.rebook(stay, -HOUR, 3 * DAY)
        async with house.running():
            await house.reconciled()
            await house.clock.sleep(3600)
            another = await house.pin(stay)
            assert another not in {None, pin}
            for lock in (house.street, house.apt_101):
                assert [code.pin for code in lock.codes] == [another]
            assert events.PIN_CHANGED in house.notices.events()

    told_by(tmp_path, story)


def test_another_key_is_told_once_and_new_stays_get_their_pins(tmp_path):
    async def story(house):
        async with house.running():
            _, pin = await inside(house, house.flat_101)
        (tmp_path / "pin.key").unlink()
        other = house.book(house.flat_102, -HOUR, DAY)
        async with house.running():
            await house.pin_status(other, "active")
            assert house.street.opens(pin)
            assert house.apt_101.opens(pin)
            told = [one for one in house.notices.told if one.event == events.PIN_UNREADABLE]
            assert [one.subject for one in told] == ["gateway"]
            assert "pin.key" in told[0].detail

    told_by(tmp_path, story)


# --- damaged while it runs ---------------------------------------------------------------------


async def test_damage_that_shows_while_it_runs_ends_the_daemon_and_the_next_start_mends_it(
    tmp_path,
):
    path = database(tmp_path)
    told = Notices()
    async with Database.open(path) as opened:

        async def body(session):
            await session.execute_many(
                "INSERT INTO audit_log (at, actor, event, detail) VALUES ('', 'a', 'b', ?)",
                [("x" * 2000,)] * 4000,  # more than the cache of pages holds
            )

        await opened.transaction(body)
        await backup.make(opened, tmp_path / "backups", START)
        await opened.restart_log()
        with path.open("rb+") as file:
            file.seek(200 * 4096)
            file.write(b"\xff" * 1000 * 4096)
        with pytest.raises(StoreError, match="malformed"):
            await opened.read(lambda session: session.all("SELECT detail FROM audit_log"))
        assert opened.condition == "store_damaged"

        upkeep = Upkeep(
            database=opened,
            backups=tmp_path / "backups",
            pins=PinMender(
                database=opened,
                box=SecretBox.load(tmp_path / "pin.key"),
                notifier=told,
                now=SystemClock().now,
            ),
            notifier=told,
            clock=SystemClock(),
            sure=lambda: True,
        )
        upkeep.adopt(zone=UTC, retention_days=30)
        assert upkeep.problems() == ("store_damaged",)
        with pytest.RaisesGroup(StoreError):
            await upkeep.run()
        assert told.events() == [events.STORE_FAILING]

    async with Database.open(path) as opened:
        assert opened.recovery.event == events.STORE_RESTORED
        rows = await opened.read(lambda session: session.all("SELECT detail FROM audit_log"))
        assert len(rows) == 4001, "those of the backup, and that it was put in place"
