"""Bugs that the simulation must catch. Each one is planted in a process that plays one story.

This is the only place that reaches into the product: it breaks it on purpose.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta

import structlog

from gateway import derivation, ledger, lock_queue, minting, verdicts
from gateway.domain import entitlement, plan, policy
from gateway.domain.jobs import JobKind
from gateway.domain.model import Operation
from gateway.feed import Reader
from gateway.merging import Merging
from gateway.ports import Confirmed, Unknown
from gateway.store import placements
from tests.simulation.playing import play_apart
from tests.simulation.story import story as story_of


@dataclass(frozen=True)
class Planted:
    """`breaks`: the invariant, by its letter. `plant` breaks the product in this process."""

    says: str
    breaks: str
    plant: Callable[[], None]


def _plant(where, name, bug):
    """Put the bug in the place of what stands there by that name.

    Raises:
        AttributeError: nothing does: the product looks for it elsewhere by now.
    """
    getattr(where, name)
    setattr(where, name, bug)


def _an_hour_late():
    original = plan._is_due

    def late(credential, state, now):
        return original(credential, state, now - timedelta(hours=1))

    _plant(plan, "_is_due", late)


def _gives_up_writing():
    original = plan.next_sends

    def most(state, now):
        return tuple(
            send
            for send in original(state, now)
            if send.kind is JobKind.REV or send.job is None or send.job.attempts < 2
        )

    _plant(lock_queue, "next_sends", most)


def _without_windows():
    _plant(placements, "window_to_write", lambda _window, _mode: None)


def _never_yields():
    def until(stay, _later, _starts, rules):
        return stay.check_out_at + rules.revoke_after

    _plant(policy, "_valid_until", until)


def _silence_is_no():
    async def silent(session, placement_id, operation, *, why):
        await session.execute(
            "UPDATE placements SET evidence = iif(?2 = 'create', 'rejected', evidence),"
            " operation = NULL WHERE id = ?1",
            (placement_id, operation),
        )

    _plant(verdicts.placements, "silent", silent)


def _believes_what_it_sent():
    original = verdicts.Verdicts.record

    async def record(self, turn, command, outcome):
        if isinstance(outcome, Unknown) and command.operation is Operation.CREATE:
            outcome = Confirmed(address=command.address)
        await original(self, turn, command, outcome)

    _plant(verdicts.Verdicts, "record", record)


def _absent_is_cancelled():
    """Neither looked up, nor read again for a guest inside, nor held by the brake."""

    async def look_up(_self, feed, missing, _known):
        feed.gone |= {one.id for one in missing}

    _plant(Reader, "look_up", look_up)
    _plant(entitlement, "BRAKE_STAYS", 10**6)
    original = Merging._missed

    def missed(self, before):
        merged = original(self, before)
        row = replace(merged.row, deleted_at=merged.row.deleted_at or self._now)
        return replace(merged, row=row, first_miss=False)

    _plant(Merging, "_missed", missed)


def _gives_up_revoking():
    original = plan.next_sends

    def most(state, now):
        return tuple(
            send
            for send in original(state, now)
            if send.kind is JobKind.GEN or send.job is None or send.job.attempts < 2
        )

    _plant(lock_queue, "next_sends", most)


def _forgets_the_cancelled():
    async def withdraw(_session, _withdrawals, _now):
        """Nothing is withdrawn."""

    _plant(derivation.credentials, "withdraw", withdraw)


def _takes_the_apps_number():
    original = ledger.Ledger._free

    def free(self, numbers, used):
        return 1 if numbers == self._capabilities.member_range else original(self, numbers, used)

    _plant(ledger.Ledger, "_free", free)


def _logs_the_pin():
    original = minting.Mint._give

    async def give(self, session, doors, pin):
        structlog.get_logger().debug("minted", digits=pin)
        await original(self, session, doors, pin)

    _plant(minting.Mint, "_give", give)


_SEEDS = 200

PLANTED = {
    "a-late": Planted("a PIN is written an hour late", "a", _an_hour_late),
    "a-gives-up": Planted("a create is tried twice, not more", "a", _gives_up_writing),
    "b-no-window": Planted("no window is written to the lock", "b", _without_windows),
    "c-never-yields": Planted("a window never yields to the next guest's", "c", _never_yields),
    "d-silence": Planted("a silent lock is taken for a refusal", "d", _silence_is_no),
    "e-believes": Planted(
        "a create without a report counts as confirmed", "e", _believes_what_it_sent
    ),
    "f-absent": Planted(
        "a stay missing from the list counts as deleted", "f", _absent_is_cancelled
    ),
    "g-gives-up": Planted("a delete is tried twice, not more", "g", _gives_up_revoking),
    "g-forgets": Planted("a cancelled stay keeps its credentials", "g", _forgets_the_cancelled),
    "h-member": Planted(
        "codes are written under the app's own member", "h", _takes_the_apps_number
    ),
    "i-logs": Planted("a minted PIN is logged", "i", _logs_the_pin),
}


def find(name):
    """The first seed of two hundred that catches a planted bug by its invariant, None without one.

    Raises:
        RuntimeError: a story could not be played: the bug cannot be planted there any more.
    """
    planted = PLANTED[name]
    for seed in range(_SEEDS):
        outcome, _ = play_apart(story_of(seed), planted.plant)
        if outcome.which == "!":
            raise RuntimeError(f"{name}: {outcome.text}")
        if planted.breaks in outcome.letters:
            return outcome
    return None
