"""The page's language, and times as people say them: one file a language."""

import tomllib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from typing import Any
from zoneinfo import ZoneInfo

from gateway.store.moments import from_text

LANGUAGES = ("pt-BR", "en")


@cache
def catalogue(language: str) -> Mapping[str, str]:
    """All texts of a language by their dotted names."""
    file = resources.files("gateway.web.page") / "languages" / f"{language}.toml"
    return dict(_flat(tomllib.loads(file.read_text(encoding="utf-8")), ""))


def _flat(table: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, str]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", str(value)


class Words:
    """One language at one moment, in one zone."""

    def __init__(self, language: str, *, zone: ZoneInfo, now: datetime) -> None:
        self.language = language
        self.now = now
        self.zone = zone
        self._texts = catalogue(language)

    def __call__(self, name: str, **values: object) -> str:
        """The text of a name. With `n`, `<name>.one` where it is 1 and there is such a text."""
        if values.get("n") == 1 and f"{name}.one" in self._texts:
            return self._texts[f"{name}.one"].format_map(values)
        text = self._texts.get(name) or self._texts[f"{name}.many"]
        return text.format_map(values)

    def has(self, name: str) -> bool:
        """Is there such a text?"""
        return name in self._texts

    def together(self, items: list[str]) -> str:
        """A list as people say it: "a, b and c"."""
        if len(items) <= 1:
            return "".join(items)
        return self("and", first=", ".join(items[:-1]), last=items[-1])

    # --- times ---------------------------------------------------------------------------------

    def local(self, moment: datetime | str) -> datetime:
        """A moment by the wall clock of the zone."""
        at = from_text(moment) if isinstance(moment, str) else moment
        return at.astimezone(self.zone)

    def clock(self, moment: datetime | str) -> str:
        """13:02."""
        return f"{self.local(moment):%H:%M}"

    def day(self, moment: datetime | str) -> str:
        """Today, tomorrow, Thu 5 Feb."""
        at = self.local(moment).date()
        away = (at - self.now.astimezone(self.zone).date()).days
        if -1 <= away <= 1:
            return self(("day.yesterday", "day.today", "day.tomorrow")[away + 1])
        year = "" if abs(away) < 300 else f" {at.year}"  # noqa: PLR2004 - days, nearly a year
        return self.date(moment) + year

    def date(self, moment: datetime | str) -> str:
        """Thu 5 Feb."""
        at = self.local(moment)
        weekday = self("day.names").split()[at.weekday()]
        month = self("day.months").split()[at.month - 1]
        return self("day.date", weekday=weekday, day=at.day, month=month)

    def when(self, moment: datetime | str) -> str:
        """Today at 13:02."""
        return self("day.when", day=self.day(moment), time=self.clock(moment))

    def confirmed_when(self, moment: datetime | str) -> str:
        """At 13:02 if it was today, else the day with it."""
        at = self.local(moment)
        if at.date() == self.now.astimezone(self.zone).date():
            return self("day.at", time=self.clock(moment))
        return self("day.on", day=self.day(moment), time=self.clock(moment))

    def away(self, moment: datetime | str) -> str:
        """In 3 h, 5 min ago."""
        at = from_text(moment) if isinstance(moment, str) else moment.astimezone(UTC)
        seconds = (at - self.now).total_seconds()
        minutes = round(abs(seconds) / 60)
        if minutes < 1:
            return self("day.now")
        hours = round(minutes / 60)
        if minutes < 60:  # noqa: PLR2004 - an hour
            length = self("day.minutes", n=minutes)
        elif hours < 48:  # noqa: PLR2004 - two days
            length = self("day.hours", n=hours)
        else:
            length = self("day.days", n=round(hours / 24))
        return self("day.ahead" if seconds > 0 else "day.ago", length=length)
