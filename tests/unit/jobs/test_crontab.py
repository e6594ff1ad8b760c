"""Crontab lines as cron reads them, and in words."""

from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest

from gateway.jobs.crontab import describe, trigger
from tests.builders import utc

ZONE = ZoneInfo("America/Sao_Paulo")
MONDAY = utc("2026-02-02 12:00")  # 09:00 in São Paulo


def fires(line, count=3, start=MONDAY):
    cron, moments, now = trigger(line, ZONE), [], start
    for _ in range(count):
        now = cron.get_next_fire_time(None, now)
        moments.append(now)
        now += timedelta(seconds=1)
    return [f"{moment:%a %H:%M}" for moment in moments]


def test_every_half_hour_is_counted_in_the_zone_of_the_site():
    assert fires("*/30 * * * *") == ["Mon 09:00", "Mon 09:30", "Mon 10:00"]


@pytest.mark.parametrize(
    ("weekdays", "days"),
    [
        ("0", ["Sun", "Sun"]),
        ("7", ["Sun", "Sun"]),
        ("1", ["Mon", "Mon"]),
        ("sun", ["Sun", "Sun"]),
        ("1-5", ["Mon", "Tue", "Wed", "Thu", "Fri", "Mon"]),
        ("MON-FRI", ["Mon", "Tue", "Wed", "Thu", "Fri", "Mon"]),
        ("5-7", ["Fri", "Sat", "Sun", "Fri"]),
        ("sat,sun", ["Sat", "Sun", "Sat"]),
        ("*/2", ["Tue", "Thu", "Sat", "Sun"]),
        ("1-5/2", ["Mon", "Wed", "Fri", "Mon"]),
        ("*", ["Mon", "Tue"]),
    ],
)
def test_weekdays_count_as_cron_counts_them(weekdays, days):
    assert [fire[:3] for fire in fires(f"0 10 * * {weekdays}", len(days))] == days


@pytest.mark.parametrize(
    "line", ["", "* * * *", "* * * * * *", "61 * * * *", "* * * * 8", "* * * * mo", "a * * * *"]
)
def test_what_is_no_crontab_line_is_refused(line):
    with pytest.raises(ValueError):  # noqa: PT011 - APScheduler words its own
        trigger(line, ZONE)


@pytest.mark.parametrize(
    ("line", "meaning"),
    [
        ("*/30 * * * *", "Every 30 minutes"),
        ("* * * * *", "Every minute"),
        ("*/1 * * * *", "Every minute"),
        ("0 * * * *", "Every hour"),
        ("5 * * * *", "Every hour at minute 5"),
        ("0 */2 * * *", "Every 2 hours"),
        ("15 7 * * *", "Every day at 07:15"),
    ],
)
def test_a_common_line_is_told_with_its_meaning(line, meaning):
    assert describe(line) == f"{line} ({meaning})"


def test_another_line_is_told_as_it_is():
    assert describe("0 10 * * 1-5") == "0 10 * * 1-5"
