"""Every crontab line that the configuration takes, the scheduler takes too."""

from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, strategies as st
from pydantic import SecretStr, ValidationError

from gateway.config.model import Stays
from gateway.jobs import crontab

WORDS = ["*", "mon", "sun", "sat", "jan", "dec", "x", "-", "/", ",", ""]
NUMBERS = st.integers(0, 70).map(str)
ENTRY = st.one_of(
    NUMBERS,
    st.sampled_from(WORDS),
    st.builds("{}-{}".format, NUMBERS, NUMBERS),
    st.builds("{}/{}".format, st.one_of(NUMBERS, st.just("*")), NUMBERS),
    st.builds("{}-{}/{}".format, NUMBERS, NUMBERS, NUMBERS),
    st.sampled_from(["fri-mon", "mon-fri", "jan-mar", "mar-jan", "*/15", "0-59/5", "1-31/2"]),
    st.text(max_size=6),
)
FIELD = st.lists(ENTRY, min_size=1, max_size=2).map(",".join)
LINES = st.lists(FIELD, min_size=4, max_size=6).map(" ".join)


def taken(line):
    try:
        Stays(
            url="https://x", client_id=SecretStr("a"), client_secret=SecretStr("b"), schedule=line
        )
    except ValidationError:
        return False
    return True


@given(LINES)
def test_a_line_that_is_taken_can_be_scheduled(line):
    if taken(line):
        crontab.trigger(line, ZoneInfo("America/Sao_Paulo"))


@pytest.mark.parametrize(
    "line",
    [
        "*/30 * * * *",
        "0 6-22 * * mon-fri",
        "0,30 * 1-31/2 jan,mar 7",
        "5/20 * * * fri-mon",
        "0 0 1 1 0",
    ],
)
def test_common_lines_are_taken(line):
    assert taken(line)


@pytest.mark.parametrize(
    "line",
    [
        "60 * * * *",
        "*/90 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * * 13 *",
        "* * * * 8",
        "5-1 * * * *",
        "* * * * x",
        "a * * * *",
    ],
)
def test_lines_that_no_scheduler_takes_are_refused(line):
    assert not taken(line)
