"""What should worry a person, and what of it is still to be told: once when it starts, once when it is over."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from gateway.domain import events

START = frozenset({"start"})
_AT_ONCE = timedelta(0)

# What is over sooner is not told: a router that restarts takes its locks away for three minutes.
_HELD_FOR: Mapping[str, timedelta] = {
    events.LOCK_OFFLINE: timedelta(minutes=5),
    events.PIN_AT_RISK: timedelta(minutes=5),
    events.CLOCK_UNTRUSTED: timedelta(minutes=1),  # a boot is in doubt for some seconds
}
# What comes back sooner was not over. Two of the same in a row of cuts are one.
_GONE_FOR: Mapping[str, timedelta] = {
    events.LOCK_OFFLINE: timedelta(minutes=2),
    events.PIN_AT_RISK: timedelta(minutes=2),
    events.HUB_CONTENDED: timedelta(minutes=30),  # a restarted gateway has to find it out again
}

Key = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Obstacle:
    """What stands in a guest's way at one door. `kind` is a word that the texts know, `said` more words."""

    lock: str
    kind: str
    said: str | None = None

    def __str__(self) -> str:
        where = f"{self.lock}: " if self.lock else ""
        return f"{where}{self.kind}" + (f" ({self.said})" if self.said else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """Something that holds now.

    Attributes:
        subject: stay code, credential id, lock, hub, listing or "gateway".
        parts: it is told again when one is among them that was not told yet.
        unit, arrival, obstacles: of a stay, for the texts.
    """

    event: str
    subject: str
    detail: str
    parts: frozenset[str] = START
    unit: str | None = None
    arrival: datetime | None = None
    obstacles: tuple[Obstacle, ...] = ()

    @property
    def key(self) -> Key:
        """What tells it from others."""
        return self.event, self.subject


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """A condition that was seen. `told`: the parts that people know of; none yet: it may be a blip."""

    event: str
    subject: str
    since: datetime
    told: frozenset[str] = frozenset()
    told_at: datetime | None = None
    gone_since: datetime | None = None
    unit: str | None = None

    @property
    def key(self) -> Key:
        """What tells it from others."""
        return self.event, self.subject


@dataclass(frozen=True, slots=True, kw_only=True)
class Telling:
    """What a person is to be told; `alert` is as it stands once they were (None: it is over).

    `id` is the same whenever this very thing is told, and never used for anything else.
    """

    id: str
    event: str
    subject: str
    unit: str | None
    condition: Condition | None  # None: it is over
    again: bool
    alert: Alert | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """What follows from a look. `look_at`: when the next thing is to be told if all stays so."""

    tell: tuple[Telling, ...] = ()
    save: tuple[Alert, ...] = ()
    forget: tuple[Key, ...] = ()
    look_at: datetime | None = None


def follow(conditions: Iterable[Condition], alerts: Iterable[Alert], now: datetime) -> Steps:
    """Compare what holds with what was told."""
    holding = {one.key: one for one in conditions}
    seen = {one.key: one for one in alerts}
    tell: list[Telling] = []
    save: list[Alert] = []
    forget: list[Key] = []
    moments: list[datetime] = []
    for key in sorted(holding.keys() | seen.keys()):
        alert, condition = seen.get(key), holding.get(key)
        if condition is not None:
            fresh = alert or Alert(event=key[0], subject=key[1], since=now, unit=condition.unit)
            since = fresh.since if fresh.told else min(fresh.since, now)  # a clock set back
            fresh = replace(fresh, since=since, gone_since=None)
            due_at = fresh.since + _HELD_FOR.get(key[0], _AT_ONCE)
            if not fresh.told and now < due_at:
                moments.append(due_at)
            elif condition.parts - fresh.told:
                tell.append(_starts(condition, fresh, now))
                continue
            if fresh != alert:
                save.append(fresh)
        elif alert is not None and not alert.told:
            forget.append(key)
        elif alert is not None:
            gone_since = min(alert.gone_since or now, now)
            due_at = gone_since + _GONE_FOR.get(key[0], _AT_ONCE)
            if now >= due_at:
                tell.append(_ends(alert))
            else:
                moments.append(due_at)
                if alert.gone_since is None:
                    save.append(replace(alert, gone_since=now))
    return Steps(
        tell=tuple(tell),
        save=tuple(save),
        forget=tuple(forget),
        look_at=min(moments, default=None),
    )


def _starts(condition: Condition, alert: Alert, now: datetime) -> Telling:
    new = condition.parts - alert.told
    return Telling(
        id=_id(alert, ",".join(sorted(new))),
        event=condition.event,
        subject=condition.subject,
        unit=condition.unit,
        condition=condition,
        again=bool(alert.told),
        alert=replace(alert, told=alert.told | new, told_at=now, unit=condition.unit),
    )


def _ends(alert: Alert) -> Telling:
    return Telling(
        id=_id(alert, "over"),
        event=alert.event,
        subject=alert.subject,
        unit=alert.unit,
        condition=None,
        again=False,
        alert=None,
    )


def _id(alert: Alert, what: str) -> str:
    return f"{alert.event}/{alert.subject}/{alert.since.isoformat(timespec='seconds')}/{what}"
