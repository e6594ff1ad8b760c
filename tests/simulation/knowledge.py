"""What the gateway of a story can know by now, and whether anything excuses it for the moment."""

from dataclasses import dataclass

from tests.simulation.oracle import GRACE, HOUR, Views, Violation

A_SECOND = 1.0  # at the very second of a change both answers are right
_CLOCK_SLACK = 300.0
_SETTLED = 60.0  # seconds after a list within which its run is written
_READS_APART = 4.6 * HOUR  # three hours by the clock on the wall may be four
_DEAF = frozenset({"503", "429", "hang up", "html", "404"})


@dataclass(frozen=True)
class Sight:
    """The views of one moment.

    `known`: by what the gateway has had ten minutes to act upon, and all that came after.
    `doubly`: the same for stays that were deleted, whose loss must be read twice.
    `ever`: by everything that was ever true.
    """

    now: float
    known: Views
    doubly: Views
    ever: Views
    has_read: bool
    deleted: frozenset
    vanishing: frozenset  # listings with a stay whose loss was perhaps read once

    def about(self, listing):
        """The view that holds for what guests of a listing may count upon."""
        return self.doubly if listing in self.vanishing else self.known

    def of(self, stay):
        """The view that holds for a stay."""
        return self.doubly if stay in self.deleted else self.known


class Knowledge:
    """Follows the readings of the account, the starts of the gateway and the faults of the doors."""

    def __init__(self, world):
        self._world = world
        self._key = None
        self._views = None
        self._clock_until = 0.0
        self._whole = {}

    def _is_whole(self, read):
        """Was it a truthful reading from start to end, and was its run written?"""
        world = self._world
        settled = read.ended + _SETTLED
        if id(read) not in self._whole:
            whole = not read.stale and not world.account.was_faulty(read.began, settled)
            whole = whole and not any(read.began <= down <= settled for down in world.pi.downs)
            if world.seconds() <= settled:
                return whole
            self._whole[id(read)] = whole
        return self._whole[id(read)]

    def _is_known(self, read):
        now = self._world.seconds()
        return read.ended is not None and read.ended + GRACE <= now and self._is_whole(read)

    def _known_since(self):
        reads = self._world.account.reads
        return next((read.began for read in reversed(reads) if self._is_known(read)), None)

    def _doubly_known_since(self):
        reads = self._world.account.reads
        pairs = zip(reversed(reads[:-1]), reversed(reads[1:]), strict=True)
        return next(
            (
                first.began
                for first, then in pairs
                if self._is_known(first) and self._is_known(then)
            ),
            None,
        )

    def sight(self):
        """What can be known now."""
        account, truth = self._world.account, self._world.truth
        since, doubly = self._known_since(), self._doubly_known_since()
        key = (since, doubly, len(account.versions), len(account.served_stale))
        if key != self._key:
            facts = account.versions[-1].facts
            self._key = key
            self._views = (
                *(
                    Views(truth, truth.since(-1.0 if one is None else one))
                    for one in (since, doubly)
                ),
                Views(truth, truth.since(-1.0)),
                since is not None,
                frozenset(one for one, each in facts.items() if each.deleted),
                self._vanishing(-1.0 if doubly is None else doubly),
            )
        return Sight(self._world.seconds(), *self._views)

    def _vanishing(self, since):
        """Listings that lost a stay in one of the versions since."""
        versions = self._world.truth.since(since)
        last = self._world.account.versions[-1].facts
        return frozenset(
            facts.listing
            for version in versions
            for stay, facts in version.facts.items()
            if facts.entitled and last[stay].deleted
        )

    def last_was_faulty(self):
        """Did a fault touch the last reading of the list?"""
        reads = [read for read in self._world.account.reads if read.ended is not None]
        return bool(reads) and self._world.account.was_faulty(reads[-1].began, reads[-1].ended)

    def check_reads(self):
        """The gateway looks at Stays by its schedule.

        Raises:
            Violation: it does not.
        """
        world, now = self._world, self._world.seconds()
        if not world.pi.up or now - world.pi.up_since <= _READS_APART:
            return
        last = world.account.reads[-1].began if world.account.reads else 0.0
        deaf = any(
            name in _DEAF and (end is None or end > now - 2 * _READS_APART)
            for name, _, end in world.account.fault_spans
        )
        if now - last > _READS_APART and not deaf:
            raise Violation("x", "the gateway does not look at Stays any more")

    # --- excuses -------------------------------------------------------------------------------

    def clock_stepped(self):
        """The clock of the gateway's machine was set."""
        self._clock_until = self._world.seconds() + 3 * HOUR

    def slack(self, door):
        """Seconds by which what opens when may be off: a clock of the two is."""
        stepped = self._world.clock_off != 0 or self._world.seconds() < self._clock_until
        return door.slack + (_CLOCK_SLACK if stepped else A_SECOND)

    def at_peace(self, *doors):
        """Have the gateway and the doors been well for ten minutes?"""
        world, now = self._world, self._world.seconds()
        if not world.pi.up or now - world.pi.up_since < GRACE:
            return False
        return all(door.well and now - door.well_since >= GRACE for door in doors)
