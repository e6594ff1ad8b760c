"""Fifty simulated months hold every invariant; the same seed is the same story; a failure shrinks."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.oracle import wall_to_utc
from tests.simulation.planted import PLANTED
from tests.simulation.story import story

RELIABILITY = Path(__file__).parents[2] / "docs" / "reliability.md"
CAUGHT = dict(
    re.findall(r"^\| `([\w-]+)` \|[^|]*\|[^|]*\| (\d+) \|", RELIABILITY.read_text(), re.MULTILINE)
)


def simulate(*arguments):
    """What the command says, in a process of its own: a story leaves dead gateways behind."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.simulation.sim", "--jobs", "1", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONHASHSEED": "0"},
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.timeout(600)
@pytest.mark.parametrize("first", range(0, 50, 5))
def test_a_month_of_everything_breaks_no_invariant(first):
    code, said = simulate("--seeds", f"{first}-{first + 4}")

    assert code == 0, said
    assert "5 passed" in said


@pytest.mark.timeout(300)
def test_the_same_seed_is_the_same_story_to_the_last_line():
    _, once = simulate("--seed", "3", "--days", "10")
    _, again = simulate("--seed", "3", "--days", "10")

    digest = re.compile(r"^([0-9a-f]{64}) in", re.MULTILINE)
    assert digest.findall(once) == digest.findall(again) != []
    assert len(once.splitlines()) > 100


def test_every_planted_bug_stands_in_the_document():
    assert CAUGHT.keys() == PLANTED.keys()


@pytest.mark.timeout(600)
def test_a_failing_story_shrinks_to_what_it_fails_with():
    whole = simulate("--seed", CAUGHT["i-logs"], "--plant", "i-logs")[1]
    code, short = simulate("--seed", CAUGHT["i-logs"], "--plant", "i-logs", "--shrink")

    events = [line for line in short.splitlines() if line.startswith("    day")]
    assert code == 1
    assert "\ni: " in short
    assert len(events) == 1
    assert "book" in events[0]
    assert len(short) < len(whole)


def test_a_story_is_the_same_data_whenever_it_is_drawn():
    assert story(12) == story(12) != story(13)


@pytest.mark.parametrize(
    ("day", "clock", "zone", "latest", "expected"),
    [
        ("2026-02-05", "15:00", "America/New_York", False, "2026-02-05 20:00"),
        ("2026-03-08", "02:30", "America/New_York", False, "2026-03-08 07:00"),  # in the gap
        ("2026-11-01", "01:30", "America/New_York", False, "2026-11-01 05:30"),
        ("2026-11-01", "01:30", "America/New_York", True, "2026-11-01 06:30"),
        ("2026-10-04", "02:15", "Australia/Lord_Howe", False, "2026-10-03 15:30"),
        ("2026-04-05", "01:45", "Australia/Lord_Howe", True, "2026-04-04 15:15"),
    ],
)
def test_the_oracle_reads_a_wall_clock_by_itself(day, clock, zone, latest, expected):
    assert f"{wall_to_utc(day, clock, zone, latest=latest):%Y-%m-%d %H:%M}" == expected
