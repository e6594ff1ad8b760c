"""`gateway plan`, `reservations` and `pin issue|reissue|revoke`, beside a running daemon."""

import getpass
import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from tests.e2e.test_command_line import beside_a_daemon, gateway

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
pytestmark = pytest.mark.timeout(180)  # every command is a process of its own


def held(lock):
    return {code.pin for code in lock.codes}


async def run(*words, folder, expected=0):
    status, out, err = await gateway(*words, folder=folder)
    assert status == expected, out + err
    return out + err


async def test_a_person_reissues_and_revokes_from_the_command_line(tmp_path):
    async with beside_a_daemon(tmp_path) as (house, _, stay, _):
        code = house.stays.code(stay)
        (old,) = held(house.street)
        typed = ("pin", "reissue", code, "--reason", "told to others")
        status, _, err = await gateway(*typed, folder=tmp_path, SUDO_USER="ana")
        assert status == 0, err

        def changed():
            both = held(house.street) | held(house.apt_101)
            return both if len(both) == 1 and old not in both else None

        (new,) = await house.until(changed, seconds=60)
        assert new != old
        out = await run("pin", "revoke", code, "--json", folder=tmp_path)
        with closing(sqlite3.connect(tmp_path / "gateway.db")) as database:
            acts = (
                "SELECT event, actor FROM audit_log WHERE event IN ('pin.reissued', 'pin.revoked')"
            )
            assert dict(database.execute(acts)) == {
                "pin.reissued": "cli:ana",
                "pin.revoked": f"cli:{getpass.getuser()}",
            }
        assert json.loads(out)["code"] == code
        await house.until(lambda: not held(house.street) | held(house.apt_101), seconds=60)


async def test_a_person_sees_the_stays_and_has_one_looked_at_once_more(tmp_path):
    async with beside_a_daemon(tmp_path) as (house, _, stay, _):
        code = house.stays.code(stay)
        out = await run("reservations", "--status", "confirmed", folder=tmp_path)
        assert code in out
        assert "1 of 1, page 1" in out
        out = await run("pin", "issue", code, folder=tmp_path)
        assert f"{code}: " in out
        await run("pin", "revoke", "XX99X", folder=tmp_path, expected=1)


async def test_a_plan_is_read_as_a_diff(tmp_path):
    async with beside_a_daemon(tmp_path) as (house, _, stay, _):
        assert "Nothing would change." in await run("plan", folder=tmp_path)
        arriving = house.book(house.flat_102, 5 * HOUR, DAY)
        house.stays.cancel(stay)
        out = await run("plan", folder=tmp_path)
        assert f"{house.stays.code(arriving)}  Apto 102  (created)" in out
        assert "+ apt-102: issue" in out
        assert "- street: revoke" in out
        assert "at Stays it is canceled" in out
        shown = json.loads(await run("plan", "--json", folder=tmp_path))
        assert {one["id"] for one in shown["stays"]} == {stay, arriving}
        assert held(house.street)


async def test_somebody_that_stays_does_not_know_gets_a_pin_from_the_command_line(tmp_path):
    until = (datetime.now(UTC) + DAY).strftime("%Y-%m-%d %H:%M")
    async with beside_a_daemon(tmp_path) as (house, _, _, _):
        who = ("--name", "The Cleaner", "--staff", "--lock", "apt-102", "--until", until)
        shown = json.loads(await run("pin", "issue", *who, "--json", folder=tmp_path))
        await house.until(lambda: held(house.apt_102) == {shown["pin"]}, seconds=60)
        hours = ("--day", "mon", "--hours", "08:00-12:00")
        out = await run("pin", "issue", *who, *hours, folder=tmp_path, expected=1)
        assert "cannot keep weekly hours" in out
        out = await run("pin", "issue", *who[:-3], "apt-101", *who[-2:], *hours, folder=tmp_path)
        assert "for The Cleaner" in out


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ([], "name a stay"),
        (["AB12C", "--name", "x"], "name a stay"),
        (["--name", "x"], "--lock and --until"),
        (["--name", "x", "--lock", "apt-101", "--until", "tomorrow"], "--until is a time"),
    ],
)
async def test_an_issue_that_makes_no_sense_says_what_does(tmp_path, words, why):
    status, _, err = await gateway("pin", "issue", *words, folder=tmp_path)
    assert status == 1
    assert why in err
