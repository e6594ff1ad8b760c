"""How much the gateway does between two turns of its loop, counted in calls of its own functions.

Milliseconds say nothing on a machine that others use.
"""

import sys
from asyncio import base_events
from collections import Counter
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path

import gateway
from gateway.derivation import Derivation
from gateway.feed import Feed, Span
from gateway.minting import Mint
from gateway.store.database import Database
from gateway.store.secretbox import SecretBox
from tests.builders import a_lock, a_property, a_reservation, a_unit, utc

NOW = utc("2026-02-01 12:00")
OURS = str(Path(gateway.__file__).parent)
UNITS = 20
MOST = 5_000  # calls


class Board:
    """A JobBoard that keeps nothing."""

    def put(self, jobs):
        """Nobody waits for them."""

    def drop(self, ids):
        """Nobody waits for them."""


class Silent:
    """A Notifier that tells nobody."""

    async def tell(self, notice):
        """Nobody listens."""


@contextmanager
def turns_counted():
    """For each turn of the loop, what was called in it how often."""
    turns = [Counter()]

    def note(frame, event, _argument):
        if event != "call":
            return
        code = frame.f_code
        if code is base_events.BaseEventLoop._run_once.__code__:
            turns.append(Counter())
        elif code.co_filename.startswith(OURS):
            turns[-1][f"{Path(code.co_filename).stem}.{code.co_qualname}"] += 1

    sys.setprofile(note)
    try:
        yield turns
    finally:
        sys.setprofile(None)


def derivation(folder):
    units = tuple(
        a_unit(name=f"unit {one}", stays_ids=(f"{one:024x}",), locks=(f"lock-{one}",))
        for one in range(UNITS)
    )
    site = a_property(units=units, locks=tuple(a_lock(f"lock-{one}") for one in range(UNITS)))
    mint = Mint(site=site, box=SecretBox.load(folder / "pin.key"))
    return Derivation(site=site, mint=mint, board=Board(), wake=lambda _: None, notifier=Silent())


def feed(stays):
    """So many stays over all units, one after the other."""
    shown = {}
    for number in range(stays):
        start = date(2026, 2, 2) + timedelta(days=3 * (number // UNITS))
        one = a_reservation(
            id=f"{1 << 32 | number:024x}",
            code=f"S{number:05}",
            listing_id=f"{number % UNITS:024x}",
            check_in_date=start,
            check_out_date=start + timedelta(days=2),
            client_id=f"client-{number}",
        )
        shown[one.id] = one
    span = Span(start=date(2026, 2, 1), end=date(2036, 2, 1))
    return Feed(span=span, listed=shown, fetched=stays)


async def test_a_run_over_many_stays_gives_everything_else_its_turns(tmp_path):
    async with Database.open(tmp_path / "gateway.db") as database:
        deriving, shown = derivation(tmp_path), feed(2_000)

        async def run(session):
            decision = await deriving.decide(session, shown, NOW)
            return await deriving.write(session, decision, NOW)

        with turns_counted() as turns:
            first = await database.transaction(run)
            second = await database.transaction(run)

    assert (first.stats.created, second.stats.created) == (2_000, 0)
    assert len(first.put) == 4_000
    assert sum(turns.total() for turns in turns) > 20 * MOST, "something was counted"
    busiest = max(turns, key=Counter.total)
    assert busiest.total() < MOST, busiest.most_common(5)
