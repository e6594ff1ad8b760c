"""Makes a failing story short: leaves out what it fails without."""

from dataclasses import replace

from tests.simulation.playing import play_apart

DAY = 86400.0


def shrunk(story, outcome, prepare=None):
    """The story with as few events as break the same invariant still."""

    def fails(events):
        found, _ = play_apart(replace(story, days=days, events=tuple(events)), prepare)
        return found.which == outcome.which

    last = max((float(line.split()[0]) for line in outcome.trace if line[0].isdigit()), default=0)
    days = min(story.days, int(last / DAY) + 2)
    events = [event for event in story.events if event.at <= last]
    size = max(1, len(events) // 2)
    while True:
        kept, start = list(events), 0
        while start < len(kept):
            without = kept[:start] + kept[start + size :]
            if fails(without):
                kept = without
            else:
                start += size
        if size == 1 and len(kept) == len(events):
            return replace(story, days=days, events=tuple(kept))
        events, size = kept, max(1, size // 2)
