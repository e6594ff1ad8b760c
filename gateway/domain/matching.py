"""Which lock belongs to which listing, by their names: numbers weigh most, a wrong number is a wrong door."""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from gateway.domain.model import Accommodation

THRESHOLD = 0.8
_NUMBERS_WEIGH = 0.7
_PARTLY = 0.9  # all numbers of the lock are among the listing's, which has more
_ONE_SIDED = 0.95  # only one side has more than its number
_TIE = 0.02  # two listings this close: nobody should guess
_UNITS = re.compile(r"--\s*units:.*$", re.IGNORECASE)  # Stays' own suffix of a listing with several
_GENERIC = frozenset(
    [
        "ap",
        "apt",
        "apto",
        "apartamento",
        "apartment",
        "casa",
        "condominio",
        "da",
        "das",
        "de",
        "del",
        "do",
        "dos",
        "door",
        "edificio",
        "entrada",
        "entrance",
        "fechadura",
        "flat",
        "frente",
        "front",
        "gate",
        "haus",
        "house",
        "listing",
        "lock",
        "loft",
        "main",
        "of",
        "porta",
        "portao",
        "principal",
        "quarto",
        "quartos",
        "room",
        "rooms",
        "rua",
        "social",
        "street",
        "studio",
        "suite",
        "test",
        "teste",
        "the",
        "townhouse",
        "unidade",
        "unit",
        "units",
    ]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """A lock and the listing that fits it best. `score`: 0 to 1."""

    lock: str
    listing: Accommodation
    score: float
    reason: str


@dataclass(frozen=True, slots=True)
class _Name:
    numbers: frozenset[str]
    words: tuple[str, ...]

    @property
    def is_generic(self) -> bool:
        return not self.numbers and not self.words


def suggest(
    locks: Iterable[str],
    listings: Iterable[Accommodation],
    *,
    threshold: float = THRESHOLD,
    most: int | None = None,
) -> list[Match]:
    """At most one listing for each lock, the best first.

    A name without a number or a word of its own ("Main door") is no candidate, and a lock that two
    listings fit equally well gets none.
    """
    named = [(one, _name(one.name)) for one in listings if one.name]
    candidates = [(one, name) for one, name in named if not name.is_generic]
    found = []
    for lock in sorted(set(locks)):
        name = _name(lock)
        if name.is_generic:
            continue
        scored = sorted(
            ((*_score(name, other), one) for one, other in candidates),
            key=lambda each: (-each[0], each[2].id),
        )
        good = [each for each in scored if each[0] >= threshold]
        if not good or (len(scored) > 1 and scored[0][0] - scored[1][0] < _TIE):
            continue
        score, reason, listing = good[0]
        found.append(Match(lock=lock, listing=listing, score=score, reason=reason))
    found.sort(key=lambda one: (-one.score, one.lock))
    return found[:most]


def _name(text: str) -> _Name:
    plain = unicodedata.normalize("NFKD", _UNITS.sub("", text).casefold())
    letters = "".join(one for one in plain if not unicodedata.combining(one))
    parts = re.findall(r"\d+|[^\W\d_]+", letters)
    numbers = frozenset(part.lstrip("0") or "0" for part in parts if part.isdecimal())
    words = tuple(part for part in parts if not part.isdecimal() and part not in _GENERIC)
    return _Name(numbers, words)


def _score(lock: _Name, listing: _Name) -> tuple[float, str]:
    """How well two names fit, and why."""
    if lock.numbers and listing.numbers:
        return _by_numbers(lock, listing)
    alike = _alike(lock.words, listing.words)
    if alike is None:
        return 0.0, "nothing in common"
    if lock.numbers or listing.numbers:
        return round(alike * (1 - _NUMBERS_WEIGH), 3), "only one of them has a number"
    return round(alike, 3), f"names {alike:.0%} alike"


def _by_numbers(lock: _Name, listing: _Name) -> tuple[float, str]:
    if not lock.numbers <= listing.numbers:
        return 0.0, "other numbers"
    number = 1.0 if lock.numbers == listing.numbers else _PARTLY
    said = f"number {' '.join(sorted(lock.numbers))}"
    alike = _alike(lock.words, listing.words)
    if alike is None:
        one_sided = bool(lock.words or listing.words)
        return round(number * (_ONE_SIDED if one_sided else 1.0), 3), said
    score = _NUMBERS_WEIGH * number + (1 - _NUMBERS_WEIGH) * alike
    return round(score, 3), f"{said}, names {alike:.0%} alike"


def _alike(one: tuple[str, ...], other: tuple[str, ...]) -> float | None:
    """How alike the words are, 0 to 1; None where a side has none."""
    if not one or not other:
        return None
    from rapidfuzz import fuzz  # noqa: PLC0415 - the daemon needs it only when it is asked

    return float(fuzz.token_sort_ratio(" ".join(one), " ".join(other))) / 100
