"""What must hold, reckoned from what is true at Stays and at the doors, not from what the gateway thinks.

The windows here are a second reading of the specification's rule; they share no code with the product.
All times are seconds after the start of the story.
"""

from bisect import bisect_right
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
GRACE = 10 * MINUTE
ACTIVATE_BEFORE, REVOKE_AFTER, PROGRAM_AHEAD = 2 * HOUR, 24 * HOUR, 24 * HOUR
USUAL_IN, USUAL_OUT = "15:00", "11:00"


class Violation(AssertionError):  # noqa: N818 - it is no mistake of the code that raises it
    """An invariant does not hold: `which` is its letter, `also` what does not hold beside it."""

    def __init__(self, which, text):
        super().__init__(f"{which}: {text}")
        self.which = which
        self.also = ()


def check_all(*checks):
    """Make every check, whatever the ones before found.

    Raises:
        Violation: the first one found, with the others.
    """
    found = []
    for check in checks:
        try:
            check()
        except Violation as violation:
            found.append(violation)
    if found:
        found[0].also = tuple(found[1:])
        raise found[0]


@lru_cache(maxsize=4096)
def wall_to_utc(day, clock, zone, *, latest):
    """The instant of a wall clock reading: of two the earlier or the latest, of none the one after."""
    naive = datetime.combine(date.fromisoformat(day), time.fromisoformat(clock))
    place = ZoneInfo(zone)
    around = [naive.replace(tzinfo=UTC) + timedelta(days=one) for one in (-1, 1)]
    offsets = {moment.astimezone(place).utcoffset() for moment in around}
    instants = sorted(
        moment
        for offset in offsets
        if (moment := (naive - offset).replace(tzinfo=UTC)).astimezone(place).replace(tzinfo=None)
        == naive
    )
    if instants:
        return instants[-1] if latest else instants[0]
    moment = (naive - max(offsets)).replace(tzinfo=UTC)
    before = moment.astimezone(place).utcoffset()
    while moment.astimezone(place).utcoffset() == before:
        moment += timedelta(minutes=1)
    return moment


class Truth:
    """The windows by each version of an account."""

    def __init__(self, account, *, zone, start, doors):
        """`doors`: the names of the locks of each listing."""
        self.account = account
        self.zone = zone
        self.start = start
        self.doors = doors
        self._windows = {}
        self._first_seen = {}

    def nights(self, facts):
        """Check-in and check-out."""
        arrival = wall_to_utc(
            facts.check_in[0], facts.check_in[1] or USUAL_IN, self.zone, latest=False
        )
        departure = wall_to_utc(
            facts.check_out[0], facts.check_out[1] or USUAL_OUT, self.zone, latest=True
        )
        return (
            (arrival - self.start).total_seconds(),
            (departure - self.start).total_seconds(),
        )

    def windows(self, version):
        """By stay: its window in its unit, None where nothing entitles it."""
        found = self._windows.get(id(version))
        if found is None:
            found = self._windows[id(version)] = self._reckon(version.facts)
        return found

    def _reckon(self, facts):
        nights = {one: self.nights(each) for one, each in facts.items() if each.entitled}
        found = dict.fromkeys(facts)
        for listing in self.doors:
            mine = sorted(
                (one for one in nights if facts[one].listing == listing),
                key=lambda one: (nights[one][0], one),
            )
            begins = {}
            for place, one in enumerate(mine):
                arrival = nights[one][0]
                left = [
                    nights[other][1]
                    for other in mine[:place]
                    if not facts[one].guest_is(facts[other])
                ]
                begins[one] = min(arrival, max([arrival - ACTIVATE_BEFORE, *left]))
            for place, one in enumerate(mine):
                departure = nights[one][1]
                coming = [
                    begins[other]
                    for other in mine[place + 1 :]
                    if not facts[one].guest_is(facts[other])
                ]
                until = max(departure, min([departure + REVOKE_AFTER, *coming]))
                found[one] = (begins[one], until)
        return found

    def since(self, moment):
        """The versions that held at `moment` or later, and those that stale lists showed since."""
        versions = self.account.versions
        first = bisect_right(versions, moment, key=lambda one: one.since) - 1
        found = versions[max(first, 0) :]
        for when, version in reversed(self.account.served_stale):
            if when < moment:
                break
            if version not in found:
                found = [version, *found]
        return found


class Views:
    """What one stay may and must be able to do at one door, by a set of versions."""

    def __init__(self, truth, versions):
        self._truth = truth
        self._versions = versions
        self._exact = {}
        self._found = {}
        self._spans = None

    def of(self, stay, door):
        """(exact, windows, nights): of each version, None where nothing entitles to that door."""
        found = self._found.get((stay, door))
        if found is None:
            found = self._found[stay, door] = self._reckon(stay, door)
        return found

    def _reckon(self, stay, door):
        windows, nights = [], []
        neighbours = set()
        for version in self._versions:
            facts = version.facts.get(stay)
            if facts is None or not facts.entitled:
                windows.append(None)
                nights.append(None)
                continue
            neighbours.add(self._unit(version, facts.listing))
            if door not in self._truth.doors.get(facts.listing, ()):
                windows.append(None)
                nights.append(None)
                continue
            windows.append(self._truth.windows(version)[stay])
            nights.append(self._truth.nights(facts))
        return len(neighbours) <= 1 and len(set(nights)) == 1, windows, nights

    def _unit(self, version, listing):
        key = (id(version), listing)
        if key not in self._exact:
            self._exact[key] = frozenset(
                (one, facts)
                for one, facts in version.facts.items()
                if facts.listing == listing and facts.entitled
            )
        return self._exact[key]

    def may_open(self, stay, door, now, slack):
        """May its PIN open the door now?"""
        exact, windows, nights = self.of(stay, door)
        if exact:
            return any(one and one[0] - slack <= now < one[1] + slack for one in windows)
        return any(
            one and one[0] - ACTIVATE_BEFORE - slack <= now < one[1] + REVOKE_AFTER + slack
            for one in nights
        )

    def may_hold(self, stay, door, now, slack, *, ahead):
        """May its code be on the lock now?"""
        exact, windows, nights = self.of(stay, door)
        spans = windows
        if not exact:
            spans = [one and (one[0] - ACTIVATE_BEFORE, one[1] + REVOKE_AFTER) for one in nights]
        early = slack + (PROGRAM_AHEAD if ahead else 0.0)
        return any(one and one[0] - early <= now < one[1] + slack for one in spans)

    def must_open(self, stay, door, now, slack):
        """Must its PIN open the door now, all else being well?"""
        exact, windows, nights = self.of(stay, door)
        spans = windows if exact else nights
        return bool(spans) and all(
            one and one[0] + GRACE + slack <= now < one[1] - slack for one in spans
        )

    def could_open(self, stay, door, now, slack):
        """Could a window by any of the versions, whoever the neighbours, be open now?"""
        _, _, nights = self.of(stay, door)
        return any(
            one and one[0] - ACTIVATE_BEFORE - slack <= now < one[1] + REVOKE_AFTER + slack
            for one in nights
        )

    def stays_about(self, now):
        """The stays with a window, by any of the versions, that is open or ended in the last hour."""
        if self._spans is None:
            self._spans = {}
            for version in self._versions:
                for stay, window in self._truth.windows(version).items():
                    if window is not None:
                        begin, until = self._spans.get(stay, window)
                        self._spans[stay] = (min(begin, window[0]), max(until, window[1]))
        return sorted(
            stay for stay, (begin, until) in self._spans.items() if begin <= now < until + HOUR
        )

    def same_guest(self, one, other):
        """Are they the same guest in any version?"""
        return any(
            one in version.facts
            and other in version.facts
            and version.facts[one].guest_is(version.facts[other])
            for version in self._versions
        )
