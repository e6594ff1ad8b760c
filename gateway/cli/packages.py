"""Which versions run here, and which of them the gateway was not made for."""

import platform
import re
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version

from gateway.store.database import SQLITE_VERSION

_NAMED = ("gateway", "aiohttp", "aiosqlite", "apscheduler", "cryptography", "tinytuya")


def versions() -> dict[str, str]:
    """The versions that matter most when something is looked into."""
    return {name: _installed(name) or "?" for name in _NAMED} | {
        "python": platform.python_version(),
        "sqlite": SQLITE_VERSION,
    }


def unfit() -> list[str]:
    """Each package outside the bounds that the gateway's own metadata gives, in words."""
    return [words for line in _requirements() if (words := _judge(line)) is not None]


def _requirements() -> Iterator[str]:
    """Those of the daemon; none where the gateway runs from files that were never installed."""
    try:
        lines = requires("gateway") or ()
    except PackageNotFoundError:
        return
    yield from (line for line in lines if ";" not in line)


def _judge(line: str) -> str | None:
    """What is wrong with the package of a line like `aiosqlite<0.23,>=0.22`; None: nothing."""
    name, bounds = re.findall(r"^([\w.-]+)(.*)$", line)[0]
    here = _installed(name)
    if here is None:
        return f"{name} is not installed"
    lowest = re.findall(r">=([\d.]+)", bounds)
    limit = re.findall(r"<([\d.]+)", bounds)
    too_old = any(_numbers(here) < _numbers(one) for one in lowest)
    too_new = any(_numbers(here) >= _numbers(one) for one in limit)
    return f"{name} is {here}, made for {bounds.strip()}" if too_old or too_new else None


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", text)))
