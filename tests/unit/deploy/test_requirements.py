"""What is installed is pinned whole, by its hashes."""

import re
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


def pinned(page):
    return re.findall(r"^([a-z0-9-]+)==", (ROOT / page).read_text(), re.MULTILINE)


def needed(name):
    """What a distribution needs on this Python, extras left out; () where it is not installed."""
    try:
        return [
            re.match(r"[A-Za-z0-9._-]+", line)[0].lower().replace("_", "-")
            for line in requires(name) or ()
            if ";" not in line
        ]
    except PackageNotFoundError:
        return []


@pytest.mark.parametrize(
    "page", ["requirements.txt", "requirements-dev.txt", "requirements-build.txt"]
)
def test_every_pin_has_hashes_and_nothing_that_it_needs_is_missing(page):
    names = pinned(page)
    blocks = re.split(r"^(?=[a-z0-9-]+==)", (ROOT / page).read_text(), flags=re.MULTILINE)[1:]
    assert len(blocks) == len(names) > 0
    assert all("--hash=sha256:" in block for block in blocks)
    assert {one for name in names for one in needed(name)} <= set(names)
