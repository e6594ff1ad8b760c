from datetime import date
from itertools import chain, count

import pytest

from gateway.domain.pins import PinRules, is_weak, may_keep, mint, shared_length
from gateway.errors import NoPinLeftError

DATES = (date(2026, 2, 5), date(2026, 2, 8))


def drawing(*numbers):
    """A source of numbers that gives these first, then 483920, 483921, …"""
    source = chain(numbers, count(483920))
    return lambda limit: next(source) % limit


def rules(**changes) -> PinRules:
    return PinRules(**({"dates": DATES, "live": (), "used_recently": lambda pin: False} | changes))


@pytest.mark.parametrize(
    "pin",
    [
        "123456",
        "987654",
        "890123",
        "210987",  # runs
        "111111",
        "121212",
        "123123",  # repeats
        "123321",
        "485584",  # palindromes
        "050226",
        "260205",
        "020526",
        "05022026",  # dates of the stay
    ],
)
def test_a_run_a_repeat_a_palindrome_or_a_date_is_never_minted(pin):
    assert is_weak(pin, DATES)
    assert mint(len(pin), rules(), randbelow=drawing(int(pin))) != pin


def test_leading_zeros_are_kept():
    assert mint(6, rules(), randbelow=drawing(1935)) == "001935"


def test_a_keypad_without_a_digit_never_gets_it():
    for drawn in range(9**6 - 40, 9**6):
        pin = mint(6, rules(keypad="123456789"), randbelow=drawing(drawn))
        assert "0" not in pin
        assert len(pin) == 6


def test_keypads_with_no_digit_in_common_leave_no_pin():
    with pytest.raises(NoPinLeftError):
        mint(6, rules(keypad=""), randbelow=drawing())


def test_a_pin_used_on_these_doors_lately_is_not_minted_again():
    pin = mint(6, rules(used_recently=lambda pin: pin == "483920"), randbelow=drawing())

    assert pin == "483921"


@pytest.mark.parametrize("live", ["4839", "483920", "48392011"])
def test_no_pin_is_a_prefix_of_another_on_the_same_door(live):
    pin = mint(6, rules(live={live}), randbelow=drawing(483920, 739142))

    assert not pin.startswith(live)
    assert not live.startswith(pin)
    assert not may_keep("483920", {live})


def test_it_says_so_when_no_pin_is_left():
    with pytest.raises(NoPinLeftError, match="6 digits"):
        mint(6, rules(used_recently=lambda pin: True), randbelow=drawing())


@pytest.mark.parametrize(
    ("doors", "length"),
    [
        ([(6, 4, 5, 7)], 6),
        ([(6, 4, 5, 7), (7,)], 7),
        ([(6,), (7,)], None),
        ([(8, 7), (4, 7, 8)], 7),
    ],
)
def test_the_doors_of_a_stay_share_a_length_where_they_can(doors, length):
    assert shared_length(doors, 6) == length
