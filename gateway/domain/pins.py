"""Minting PINs: which digits a guest may be given."""

import itertools
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import date

from gateway.errors import NoPinLeftError

DECIMAL = "0123456789"
_TRIES = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class PinRules:
    """What the PIN of one stay must keep to.

    Attributes:
        dates: dates of the stay; no PIN spells one.
        live: PINs that are or may be on one of the doors, or are promised for it.
        used_recently: was this PIN used on one of the doors in the last 90 days?
        keypad: the digits that all the doors' keypads have.
    """

    dates: tuple[date, ...]
    live: Collection[str]
    used_recently: Callable[[str], bool]
    keypad: str = DECIMAL


def mint(length: int, rules: PinRules, *, randbelow: Callable[[int], int]) -> str:
    """A PIN of `length` digits that keeps to the rules.

    Raises:
        NoPinLeftError: none was found.
    """
    for _ in range(_TRIES if rules.keypad else 0):
        pin = _written(randbelow(len(rules.keypad) ** length), length, rules.keypad)
        if (
            not is_weak(pin, rules.dates)
            and not _clashes(pin, rules.live)
            and not rules.used_recently(pin)
        ):
            return pin
    raise NoPinLeftError(f"no PIN of {length} digits is left for these doors")


def _written(number: int, length: int, keypad: str) -> str:
    """A number in the digits of a keypad, the leading ones included."""
    digits = []
    for _ in range(length):
        number, digit = divmod(number, len(keypad))
        digits.append(keypad[digit])
    return "".join(reversed(digits))


def may_keep(pin: str, live: Collection[str]) -> bool:
    """Is a PIN minted earlier still free on its doors?"""
    return not _clashes(pin, live)


def is_weak(pin: str, dates: Iterable[date] = ()) -> bool:
    """Is it a run, a repeat, a palindrome or one of the dates?"""
    return (
        _is_run(pin)
        or _is_repeat(pin)
        or pin == pin[::-1]
        or any(_spells(pin, day) for day in dates)
    )


def _is_run(pin: str) -> bool:
    steps = {(int(b) - int(a)) % 10 for a, b in itertools.pairwise(pin)}
    return steps in ({1}, {9})


def _is_repeat(pin: str) -> bool:
    """Is it one piece written two times or more?"""
    return any(
        len(pin) % size == 0 and pin == pin[:size] * (len(pin) // size)
        for size in range(1, len(pin) // 2 + 1)
    )


def _spells(pin: str, day: date) -> bool:
    formats = ("%d%m%y", "%m%d%y", "%y%m%d", "%d%m%Y", "%m%d%Y", "%Y%m%d", "%d%m", "%m%d")
    spellings = {day.strftime(format_) for format_ in formats}
    return pin in spellings or any(len(text) > 4 and text in pin for text in spellings)  # noqa: PLR2004 - day and month alone are too common inside a PIN


def _clashes(pin: str, live: Collection[str]) -> bool:
    return any(pin.startswith(other) or other.startswith(pin) for other in live)


def shared_length(doors: Iterable[tuple[int, ...]], preferred: int) -> int | None:
    """The length that all doors of a stay take, None where there is none.

    Args:
        doors: for each door the lengths it takes, the preferred one first.
        preferred: the policy's length, taken where all allow it.
    """
    lengths = list(doors)
    common = set.intersection(*(set(door) for door in lengths)) if lengths else set()
    if preferred in common:
        return preferred
    return min(
        common, key=lambda length: (length < preferred, abs(length - preferred)), default=None
    )
