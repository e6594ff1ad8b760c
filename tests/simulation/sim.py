"""The simulation as a command. Under one PYTHONHASHSEED: the order of sets is part of a story.

python -m tests.simulation.sim                     # 1,000 seeds of 30 days, two processes
python -m tests.simulation.sim --seed 7            # one seed, with all that happened
python -m tests.simulation.sim --seed 7 --shrink   # without the events that it fails without
python -m tests.simulation.sim --planted           # which seed catches which planted bug
"""

import argparse
import multiprocessing
import os
import sys
import time
from collections import Counter

from tests.simulation.planted import PLANTED, find
from tests.simulation.playing import play_apart
from tests.simulation.shrink import shrunk
from tests.simulation.story import story as story_of

_TOLD = 100  # seeds between two lines of progress


def main():
    """Run what the command line asks for; the exit code is 1 if an invariant was broken."""
    chosen = _arguments()
    if chosen.planted:
        return _planted(chosen)
    if chosen.seed is not None:
        return _one(chosen)
    return _many(chosen)


def _arguments():
    parser = argparse.ArgumentParser(description="The deterministic simulation.")
    parser.add_argument("--seed", type=int, help="play this one and tell the story")
    parser.add_argument("--seeds", default="0-999", help="first-last")
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--shrink", action="store_true")
    parser.add_argument("--log", action="store_true", help="with the gateway's own log")
    parser.add_argument("--planted", action="store_true")
    parser.add_argument("--plant", choices=sorted(PLANTED), help="play with this bug planted")
    return parser.parse_args()


def _one(chosen):
    story = story_of(chosen.seed, chosen.days)
    prepare = PLANTED[chosen.plant].plant if chosen.plant else None
    outcome, log = play_apart(story, prepare)
    if chosen.shrink and outcome.which:
        story = shrunk(story, outcome, prepare)
        outcome, log = play_apart(story, prepare)
    _say(f"{story.zone}, from {story.start}", *story.locks)
    told = [(event.at, f"    {event}") for event in story.events]
    told += [(float(line.split()[0]), line) for line in outcome.trace if line[0].isdigit()]
    end = max((float(line.split()[0]) for line in outcome.trace if line[0].isdigit()), default=0.0)
    _say(*(line for at, line in sorted(told, key=lambda one: one[0]) if at <= end))
    if chosen.log:
        _say(log)
    _say(outcome.text or "every invariant holds", f"{outcome.digest} in {outcome.seconds:.1f} s")
    return 1 if outcome.which else 0


def _many(chosen):
    first, last = map(int, chosen.seeds.split("-"))
    began = time.monotonic()
    found, spent, slowest = Counter(), 0.0, (0.0, 0)
    for outcome in _outcomes(range(first, last + 1), chosen):
        found[outcome.which or "passed"] += 1
        spent += outcome.seconds
        slowest = max(slowest, (outcome.seconds, outcome.seed))
        if outcome.which:
            _say(f"seed {outcome.seed}: {outcome.text}")
        if found.total() % _TOLD == 0:
            _say(f"{found.total()} seeds played, {time.monotonic() - began:.0f} s")
    _say(
        f"{last - first + 1} seeds of {chosen.days} days: "
        + ", ".join(f"{count} {what}" for what, count in sorted(found.items()))
        + f"; {time.monotonic() - began:.0f} s, {spent:.0f} s of processor time"
        + f", {slowest[0]:.0f} s of it for seed {slowest[1]}"
    )
    return 0 if set(found) == {"passed"} else 1


def _outcomes(seeds, chosen):
    """The outcomes of many seeds, as they come, from several processes."""
    context = multiprocessing.get_context("fork")
    results = context.SimpleQueue()
    workers = [
        context.Process(target=_work, args=(seeds[offset :: chosen.jobs], chosen, results))
        for offset in range(chosen.jobs)
    ]
    for worker in workers:
        worker.start()
    for _ in seeds:
        yield results.get()
    for worker in workers:
        worker.join()


def _work(seeds, chosen, results):
    prepare = PLANTED[chosen.plant].plant if chosen.plant else None
    for seed in seeds:
        outcome, _ = play_apart(story_of(seed, chosen.days), prepare)
        results.put(outcome)


def _planted(chosen):
    _say("| | planted bug | invariant | caught by seed | as |", "|---|---|---|---|---|")
    missed = 0
    with multiprocessing.get_context("fork").Pool(chosen.jobs) as pool:
        names = sorted(PLANTED)
        for name, outcome in zip(names, pool.imap(find, names), strict=True):
            missed += outcome is None
            caught = "none" if outcome is None else outcome.seed
            what = "" if outcome is None else outcome.text
            planted = PLANTED[name]
            _say(f"| `{name}` | {planted.says} | {planted.breaks} | {caught} | {what} |")
    return 1 if missed else 0


def _say(*lines):
    sys.stdout.write("\n".join(map(str, lines)) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    if os.environ.get("PYTHONHASHSEED") != "0":
        os.execve(
            sys.executable,
            [sys.executable, "-m", "tests.simulation.sim", *sys.argv[1:]],
            os.environ | {"PYTHONHASHSEED": "0"},
        )
    sys.exit(main())
