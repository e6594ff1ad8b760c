from dataclasses import replace

import pytest

from gateway.domain.commissioning import Observations, Suitability, judge

GOOD = Observations(
    acknowledged=0.1,
    reported=0.5,
    opened=True,
    told=True,
    deleted=True,
    opened_when_deleted=False,
    opened_recent=True,
    opened_early=False,
    opened_on_time=True,
)


def test_a_lock_that_does_everything_right_is_good_and_may_be_written_ahead():
    verdict = judge(GOOD)
    assert verdict.suitability is Suitability.GOOD
    assert verdict.settings == ("trust_window = true",)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"unreachable": "silent at sign-in: wrong key?"}, "wrong key"),
        ({"refused": "full"}, "full"),
        ({"opened": False}, "digits"),
        ({"deleted": False}, "would keep the door"),
        ({"opened_when_deleted": True}, "called deleted"),
        ({"leftover": True}, "goes on deleting"),
    ],
)
def test_a_lock_that_may_keep_a_guest_out_or_let_one_in_is_unfit(change, reason):
    verdict = judge(replace(GOOD, **change))
    assert verdict.suitability is Suitability.UNFIT
    assert reason in " ".join(verdict.reasons)
    assert verdict.settings == ()


@pytest.mark.parametrize(
    ("change", "suitability", "settings"),
    [
        ({"opened_recent": False}, Suitability.WITH_CHANGES, ('window = "end"',)),
        ({"opened_early": True, "opened_on_time": None}, Suitability.GOOD, ()),
        ({"opened_early": False, "opened_on_time": False}, Suitability.GOOD, ()),
        ({"opened_early": None, "opened_on_time": None}, Suitability.GOOD, ()),
        ({"told": False}, Suitability.GOOD, ("trust_window = true",)),
    ],
)
def test_settings_follow_from_what_was_seen(change, suitability, settings):
    verdict = judge(replace(GOOD, **change))
    assert (verdict.suitability, verdict.settings) == (suitability, settings)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"reported": 31.0}, "slowly (31 s)"),
        ({"acknowledged": None}, "without an acknowledgement"),
        ({"experimental": True}, "experimental"),
        ({"told": False}, "arrivals will not be seen"),
    ],
)
def test_what_is_worth_knowing_is_said(change, word):
    assert word in " ".join(judge(replace(GOOD, **change)).reasons)
