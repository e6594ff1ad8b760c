"""What the trial of a lock at the door says of it."""

from dataclasses import dataclass
from enum import StrEnum

_SLOW = 20.0  # seconds to a report that a guest at the door would notice


class Suitability(StrEnum):
    """May the lock serve guests?"""

    GOOD = "good"
    WITH_CHANGES = "good with changes"
    UNFIT = "unfit"


@dataclass(frozen=True, slots=True, kw_only=True)
class Observations:
    """What was seen, in the order of the trial. None: the trial did not get that far, or left it out.

    Attributes:
        unreachable: why no connection was made.
        experimental: the profile is known by analogy only.
        refused: why the lock did not confirm the first PIN.
        acknowledged, reported: seconds to the acknowledgement and to the report of the first PIN.
        opened: the first PIN, whose window began a day ago, opened the door.
        told: the lock reported that opening.
        deleted: the lock confirmed that the first PIN is gone.
        opened_when_deleted: it opened the door after that.
        opened_recent: a PIN whose window began a minute ago opened the door.
        opened_early: a PIN opened before its window.
        opened_on_time: the same PIN opened half a minute after its window had begun.
        leftover: a PIN of the trial that the lock has not confirmed to be gone.
    """

    unreachable: str | None = None
    experimental: bool = False
    refused: str | None = None
    acknowledged: float | None = None
    reported: float | None = None
    opened: bool | None = None
    told: bool | None = None
    deleted: bool | None = None
    opened_when_deleted: bool | None = None
    opened_recent: bool | None = None
    opened_early: bool | None = None
    opened_on_time: bool | None = None
    leftover: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """`reasons` in words; `settings`: lines for the lock's table in config.toml."""

    suitability: Suitability
    reasons: tuple[str, ...]
    settings: tuple[str, ...] = ()


def judge(seen: Observations) -> Verdict:
    """The verdict on a lock."""
    faults = _faults(seen)
    notes, settings = _notes(seen)
    if faults:
        return Verdict(suitability=Suitability.UNFIT, reasons=(*faults, *notes))
    changes = any(line != "trust_window = true" for line in settings)
    return Verdict(
        suitability=Suitability.WITH_CHANGES if changes else Suitability.GOOD,
        reasons=notes or ("everything went as it should",),
        settings=settings,
    )


def _faults(seen: Observations) -> tuple[str, ...]:
    """What keeps it from serving guests."""
    found = []
    if seen.unreachable is not None:
        found.append(f"it is not reached: {seen.unreachable}")
    elif seen.refused is not None:
        found.append(f"it did not confirm a PIN: {seen.refused}")
    elif seen.opened is False:
        found.append(
            "it confirmed a PIN that does not open: it reads digits of the other writing"
            " (overrides: digits), it is another profile, or its clock is far off"
        )
    if seen.deleted is False:
        found.append("it did not confirm that a PIN is gone: guests would keep the door")
    if seen.opened_when_deleted:
        found.append("it opens to a PIN that it called deleted: guests would keep the door")
    if seen.leftover:
        found.append("a PIN of this trial may still be on it: the gateway goes on deleting it")
    return tuple(found)


def _notes(seen: Observations) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What is worth knowing, and the settings that follow."""
    notes, settings = [], []
    if seen.opened_recent is False:
        notes.append("its clock is behind: a PIN that had just begun did not open yet")
        settings.append('window = "end"')
    if seen.opened_early:
        notes.append(
            "it does not keep to windows, or its clock is ahead: it opened before the time"
        )
    elif seen.opened_early is False and seen.opened_on_time and seen.opened_recent:
        notes.append("it keeps to windows: PINs may be written ahead of their time")
        settings.append("trust_window = true")
    elif seen.opened_early is False and seen.opened_on_time is False:
        notes.append(
            "a PIN written ahead did not open half a minute after its time: leave trust_window off"
        )
    if seen.told is False:
        notes.append("it did not report the opening: arrivals will not be seen")
    if seen.reported is not None and seen.reported > _SLOW:
        notes.append(f"it reports slowly ({seen.reported:.0f} s)")
    if seen.acknowledged is None and seen.reported is not None:
        notes.append("it reports without an acknowledgement")
    if seen.experimental:
        notes.append("its profile is experimental: known by analogy only")
    return tuple(notes), tuple(settings)
