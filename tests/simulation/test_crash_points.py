"""Killed before, in the middle of and after every write to disk and socket, it ends the same."""

import asyncio
import dataclasses
import io
import os
import shutil
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import pytest

from gateway.domain import events
from gateway.observability import configure_logging
from tests.crash import Kill, Supervisor, When, run_mortal
from tests.doorstep import Doorstep, Family
from tests.house import START, assert_keeps_secrets, at

EVERY = int(os.environ.get("GATEWAY_CRASH_POINTS_EVERY", "6"))  # 1: all of them, `make crash`
HOUR, DAY, MINUTE = timedelta(hours=1), timedelta(days=1), timedelta(minutes=1)

MEMBER = Family("mk_method", "3.3", hub=False)
SEQUENCE = Family("zigbee_temp27", "3.5", hub=True)
LISTED = Family("ble_temp", "3.4", hub=True)
UNLISTED = Family("mk_temp", "3.5", hub=False)
FAMILIES = (MEMBER, SEQUENCE, LISTED, UNLISTED)


def _without_modify(family):
    return dataclasses.replace(family, overrides={"can_modify": False})


@dataclass(frozen=True)
class Story:
    """What people do at which minute, and between which minutes every write is a crash point.

    `acts`: (minute, what is done to the house). At minute 95 the end is looked at, at 100 every stay
    is cancelled, and at 180 all must be gone.
    """

    name: str
    acts: tuple[tuple[int, Callable], ...]
    phase: tuple[int, int]
    settings: dict = dataclasses.field(default_factory=dict, hash=False)


def _book(name, start, length, *, as_guest_of=None):
    def act(house):
        first = house.stay_ids.get(as_guest_of)
        client = house.stays.reservations[first]["_idclient"] if first else None
        house.stay_ids[name] = house.book(house.flat, start, length, client=client)

    return act


def _move(name, start, length):
    return lambda house: house.rebook(house.stay_ids[name], start, length)


def _cancel(name):
    return lambda house: house.stays.cancel(house.stay_ids[name])


def _cancel_all(house):
    for one in house.stay_ids.values():
        house.stays.cancel(one)


async def _same_pin_in_the_app(house):
    house.lock.app_adds(await house.pin(house.stay_ids["a"]), slot=9)


INSIDE = (0, _book("a", -HOUR, 2 * DAY))
STORIES = (
    Story("first start", (INSIDE,), phase=(0, 5)),
    Story("issue", ((10, _book("a", -HOUR, 2 * DAY)),), phase=(25, 40)),
    Story("move", (INSIDE, (10, _move("a", -HOUR, 4 * DAY))), phase=(25, 40)),
    Story("revoke", (INSIDE, (10, _cancel("a"))), phase=(25, 40)),
    Story(
        "end",
        ((0, _book("a", -DAY, DAY + 50 * MINUTE)),),
        phase=(45, 55),
        settings={"policy": {"revoke_after": "0h"}},
    ),
    Story(
        "take-over",
        (
            (0, _book("a", -DAY, DAY + 2 * HOUR)),
            (0, _book("b", 3 * HOUR, 2 * DAY, as_guest_of="a")),
        ),
        phase=(55, 65),
    ),
    Story(
        "refused PIN",
        ((0, _book("a", 3 * HOUR, 2 * DAY)), (10, _same_pin_in_the_app)),
        phase=(55, 65),
        settings={"policy": {"mint_ahead": "72h"}},
    ),
    Story(
        "reconciliation",
        (
            INSIDE,
            (0, _book("c", 3 * DAY, DAY)),
            (10, _move("a", -HOUR, DAY + 5 * HOUR)),
            (10, _cancel("c")),
            (10, _book("d", 6 * DAY, DAY)),
        ),
        phase=(25, 40),
    ),
)
CASES = [(story, family) for story in STORIES for family in FAMILIES]
CASES += [
    (story, _without_modify(one)) for story in STORIES if story.name == "move" for one in FAMILIES
]


def play(folder, story, family, kill=None):
    """The writes that counted, and how it ended."""
    found = {}

    async def main(clock):
        log = io.StringIO()
        configure_logging(level="debug", format="json", stream=log)
        async with Doorstep(folder, clock, family=family, **story.settings).standing() as house:
            house.stay_ids = {}
            asyncio.get_running_loop().names = {house.peer.port: "lock", house.stays.port: "Stays"}
            supervisor = Supervisor(house, kill)
            async with supervisor.supervising():
                for minute, act in _script(story, supervisor, found):
                    await at(house, START + minute * MINUTE)
                    done = act(house)
                    if done is not None:
                        await done
                found["gone"] = await shown(house)
            found["jobs"] = house.rows("SELECT id, kind, run_at, attempts FROM jobs")
            found["pending"] = house.rows(
                "SELECT id FROM reconciliation_logs WHERE status = 'pending'"
            )
            found["told"] = house.notices.events()
            found["creates"] = sum(house.lock.creates.values())
            found["doubled"] = house.lock.duplicates.count(False)
        found["writes"], found["struck"] = supervisor.writes, supervisor.struck
        assert_keeps_secrets(log.getvalue(), house.secrets())

    run_mortal(main, start=START)
    return found


def _script(story, supervisor, found):
    async def look(house):
        found["inside"] = await shown(house)

    begin, end = story.phase
    script = [
        *story.acts,
        (begin, lambda _: supervisor.count(on=True)),
        (end, lambda _: supervisor.count(on=False)),
        (95, look),
        (100, _cancel_all),
        (180, lambda _: None),
    ]
    return sorted(script, key=lambda one: one[0])


async def shown(house):
    """What the API shows of every stay, and whose codes are on the lock with which windows."""
    stays, owners = {}, {}
    for name, one in house.stay_ids.items():
        stay = await house.stay(one)
        stays[name] = (stay["pinStatus"], [_without_times(door) for door in stay["credentials"]])
        owners.setdefault(await house.pin(one), name)
    held = sorted((owners.get(code.pin, "?"), code.start, code.end) for code in house.lock.codes)
    return {"stays": stays, "lock": held}


def _without_times(door):
    """When the lock confirmed is later after a kill; that it did is not."""
    at_some_time = {key: door[key] is not None for key in ("confirmedAt", "revokedAt")}
    return door | at_some_time | {"nextAttemptAt": None}


def kills(writes):
    """Every kill of a phase that wrote so."""
    return [
        Kill(number, when)
        for number, label in enumerate(writes)
        for when in When
        if when is not When.TORN or label in {"lock", "Stays"}
    ]


def differs(story, whole, end):
    """What of an end is not as without the kill, in words."""
    found = [
        f"{what}: {end[what]} instead of {whole[what]}"
        for what in ("inside", "gone", "jobs", "pending")
        if end[what] != whole[what]
    ]
    if end["creates"] > whole["creates"] + 1:
        found.append(f"{end['creates']} creates instead of {whole['creates']}")
    # A PIN that somebody else's code has may be refused once more after the kill.
    if end["doubled"] > whole["doubled"] + (story.name == "refused PIN"):
        found.append(f"{end['doubled']} creates of a PIN that the lock holds")
    return found


def is_told(story, family, end):
    """The ends that the means of the lock do not better, and that a person is told of.

    A slot that was never told cannot be deleted where there is no list. Where the lock holds the same
    digits from elsewhere, `duplicate` after a kill is taken for ours, on all but members; at the end a
    lock that names codes by sequence shows that they were not.
    """
    status, (door,) = end["gone"]["stays"]["a"]
    lets_in = any(owner == "a" for owner, _, _ in end["inside"]["lock"])
    if end["pending"] or not lets_in:
        return False
    if family is SEQUENCE:
        elsewhere = events.CODE_ELSEWHERE in end["told"] and status == "revoked"
        return story.name == "refused PIN" and elsewhere
    if family.profile != UNLISTED.profile and story.name != "refused PIN":
        return False
    return status == "at_risk" and "never told the slot" in door["reason"]


@pytest.mark.parametrize(("story", "family"), CASES, ids=lambda one: getattr(one, "name", str(one)))
@pytest.mark.timeout(900)
def test_it_ends_the_same_wherever_it_is_killed(tmp_path, story, family, record_property):
    whole = play(tmp_path / "whole", story, family)
    told = []
    points = kills(whole["writes"])
    first = 0 if EVERY == 1 else zlib.crc32(f"{story.name} {family}".encode()) % EVERY
    for number, kill in list(enumerate(points))[first::EVERY]:
        end = play(tmp_path / str(number) / "state", story, family, kill)
        where = f"killed {kill.when} write {kill.number} ({whole['writes'][kill.number]})"
        assert end["struck"], where
        found = differs(story, whole, end)
        if found and is_told(story, family, end):
            told.append(where)
        else:
            assert not found, f"{where}: {'; '.join(found)}"
    record_property("points", len(points))
    record_property("told", told)


def test_the_killed_touch_nothing_and_write_nothing_however_long_one_waits(tmp_path):
    story = next(one for one in STORIES if one.name == "issue")
    seen = {}

    async def main(clock):
        configure_logging(level="debug", format="json", stream=io.StringIO())
        async with Doorstep(tmp_path / "state", clock, family=MEMBER).standing() as house:
            house.stay_ids = {}
            asyncio.get_running_loop().names = {}
            supervisor = Supervisor(house, seen["kill"])
            supervisor.count(on=True)
            story.acts[0][1](house)
            async with supervisor.supervising():
                await supervisor.until_struck()
                supervisor.hold()
                (life, _) = supervisor.lives[0]
                await house.clock.sleep(1)  # the lock carries out what has left
                before = _files(life.folder), list(house.lock.received), house.peer.accepted
                told, asked = len(house.notices.told), house.stays.requests.total()
                await house.clock.sleep(3 * 24 * 3600)
                assert (_files(life.folder), house.lock.received, house.peer.accepted) == before
                assert len(house.notices.told) == told
                assert house.stays.requests.total() == asked
                assert life.writes[-1] == life.writes[seen["kill"].number]
                assert len(life.writes) == seen["kill"].number + 1
            assert house.lock.received == before[1]

    for number in range(0, 25, 3):
        for when in (When.BEFORE, When.AFTER):
            seen["kill"] = Kill(number, when)
            shutil.rmtree(tmp_path, ignore_errors=True)
            run_mortal(main, start=START)


def _files(folder):
    return {one.name: one.read_bytes() for one in folder.iterdir() if one.name != "gateway.db-shm"}
