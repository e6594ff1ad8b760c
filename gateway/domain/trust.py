"""May the wall clock be trusted: what vouches for it, what speaks against it, what follows."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

TOLERANCE = timedelta(minutes=5)
NTP_GRACE = timedelta(minutes=10)  # after the boot


class Witness(StrEnum):
    """Who says what time it is. The RTC's word does not count against another's."""

    NTP = "ntp"
    STAYS = "stays"
    PERSON = "person"
    RTC = "rtc"


class Doubt(StrEnum):
    """What speaks against the wall clock."""

    BEHIND_BUILD = "behind_build"
    BEHIND_MARK = "behind_newest_trusted_time"
    STEPPED = "stepped"
    UNSYNCHRONISED = "unsynchronised"
    STAYS_DISAGREES = "stays_disagrees"
    STAYS_NOT_HEARD = "stays_not_heard"

    @property
    def words(self) -> str:
        """The same for people."""
        return _WORDS[self]


_WORDS = {
    Doubt.BEHIND_BUILD: "it is behind the date of the gateway's own code",
    Doubt.BEHIND_MARK: "it is behind the newest time that was trusted",
    Doubt.STEPPED: "it was set to another time while the gateway ran, and nobody vouches for that",
    Doubt.UNSYNCHRONISED: "systemd-timesyncd has not synchronised it yet",
    Doubt.STAYS_DISAGREES: "Stays' clock shows another time",
    Doubt.STAYS_NOT_HEARD: "Stays has not been asked yet since the start",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What is known about a reading of the wall clock.

    Attributes:
        built: no true time is before it. `mark`: the newest trusted time in the store.
        steady: what the wall clock would show had it not been set since it was last judged; None
            where that is not known.
        said: what NTP, Stays and people said, carried on to now.
        rtc: the clock with a battery; None without one, or where it was set by hand as well.
        ntp_expected: systemd-timesyncd runs and has not synchronised. `uptime`: since the boot.
        stays_expected: the gateway has just started, after a time of which nothing is known, and
            Stays will say what time it is in a moment.
    """

    wall: datetime
    built: datetime
    mark: datetime | None = None
    steady: datetime | None = None
    said: Mapping[Witness, datetime] = field(default_factory=dict)
    rtc: datetime | None = None
    ntp_expected: bool = False
    uptime: timedelta = timedelta(0)
    stays_expected: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The judgement. Where a witness vouches, `doubts` are those that it overrules."""

    trusted: bool
    witnesses: tuple[Witness, ...] = ()
    doubts: tuple[Doubt, ...] = ()

    @property
    def sure(self) -> bool:
        """Does somebody vouch for it who knows the time from elsewhere?"""
        return any(one is not Witness.RTC for one in self.witnesses)


def judge(evidence: Evidence) -> Verdict:
    """Trusted when a witness vouches for it within TOLERANCE, or when nothing speaks against it."""
    doubts = tuple(_doubts(evidence))
    witnesses = [one for one in evidence.said if agree(evidence.said[one], evidence.wall)]
    # One with an empty battery shows an old time, and the machine took it over at boot.
    lost = {Doubt.BEHIND_BUILD, Doubt.BEHIND_MARK} & set(doubts)
    if evidence.rtc is not None and agree(evidence.rtc, evidence.wall) and not lost:
        witnesses.append(Witness.RTC)
    vouched = bool(witnesses)
    if witnesses == [Witness.RTC] and Doubt.STAYS_DISAGREES in doubts:
        vouched = False
    return Verdict(
        trusted=vouched or not doubts,
        witnesses=tuple(sorted(witnesses)) if vouched else (),
        doubts=doubts,
    )


def _doubts(evidence: Evidence) -> Iterator[Doubt]:
    wall = evidence.wall
    if wall < evidence.built:
        yield Doubt.BEHIND_BUILD
    if evidence.mark is not None and wall < evidence.mark - TOLERANCE:
        yield Doubt.BEHIND_MARK
    if evidence.steady is not None and not agree(evidence.steady, wall):
        yield Doubt.STEPPED
    if evidence.ntp_expected and evidence.uptime < NTP_GRACE:
        yield Doubt.UNSYNCHRONISED
    stays = evidence.said.get(Witness.STAYS)
    if stays is not None and not agree(stays, wall):
        yield Doubt.STAYS_DISAGREES
    # A new store has nothing to lose; a clock close to the mark needs nobody to confirm it.
    if evidence.stays_expected and evidence.mark is not None and not agree(evidence.mark, wall):
        yield Doubt.STAYS_NOT_HEARD


def agree(one: datetime, other: datetime) -> bool:
    """Are two readings of the time the same within TOLERANCE?"""
    return abs(one - other) <= TOLERANCE
