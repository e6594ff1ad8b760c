"""Crontab text: as APScheduler's trigger, and in words."""

import re
from zoneinfo import ZoneInfo

from apscheduler.triggers.cron import CronTrigger

_FIELDS = 5
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")


def trigger(crontab: str, zone: ZoneInfo) -> CronTrigger:
    """The trigger of a crontab line in a zone. Weekdays count as in cron: 0 and 7 are Sunday.

    Raises:
        ValueError: it is no crontab line of five fields.
    """
    fields = crontab.split()
    if len(fields) != _FIELDS:
        raise ValueError(f"{crontab!r} has {len(fields)} fields instead of {_FIELDS}")
    minute, hour, day, month, weekday = fields
    return CronTrigger(
        minute=minute,
        hour=hour,
        day=day,
        month=month,
        day_of_week=_weekdays(weekday),
        timezone=zone,
    )


def _weekdays(field: str) -> str:
    """The weekday field by names: APScheduler counts from Monday = 0, cron from Sunday."""
    days: set[int] = set()
    for part in field.lower().split(","):
        matched = re.fullmatch(r"(\*|\w+)(?:-(\w+))?(?:/(\d+))?", part)
        if matched is None:
            raise ValueError(f"{field!r} is no weekday field")
        first, last, step = matched.groups()
        start = 0 if first == "*" else _weekday(first)
        end = 6 if first == "*" or (step and not last) else start
        if last:
            end = _weekday(last)
        if end < start:
            end += 7
        days |= {day % 7 for day in range(start, end + 1, int(step or 1))}
    return "*" if len(days) == len(_DAYS) else ",".join(_DAYS[day] for day in sorted(days))


def _weekday(text: str) -> int:
    if text.isdecimal() and int(text) <= len(_DAYS):
        return int(text)
    if text in _DAYS:
        return _DAYS.index(text)
    raise ValueError(f"{text!r} is no weekday")


def describe(crontab: str) -> str:
    """The line with its meaning behind it, where that is a common one."""
    words = _in_words(crontab)
    return crontab if words is None else f"{crontab} ({words})"


def _in_words(crontab: str) -> str | None:
    minute, hour, *days = crontab.split()
    if days != ["*", "*", "*"]:
        return None
    every_minutes = re.fullmatch(r"\*/(\d+)", minute)
    every_hours = re.fullmatch(r"\*/(\d+)", hour)
    words = None
    if crontab.startswith(("* *", "*/1 *")):
        words = "Every minute"
    elif every_minutes and hour == "*":
        words = f"Every {every_minutes[1]} minutes"
    elif minute.isdecimal() and hour == "*":
        words = f"Every hour at minute {int(minute)}" if int(minute) else "Every hour"
    elif minute.isdecimal() and every_hours:
        words = f"Every {every_hours[1]} hours"
    elif minute.isdecimal() and hour.isdecimal():
        words = f"Every day at {int(hour):02d}:{int(minute):02d}"
    return words
