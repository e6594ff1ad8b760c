"""When a guest is told, and what makes it another message."""

from dataclasses import replace
from datetime import timedelta

import pytest

from gateway.domain.messages import (
    DoorPin,
    StayToTell,
    When,
    is_due,
    phone_digits,
    whatsapp_link,
)
from tests.builders import utc

CHECK_IN, CHECK_OUT = utc("2026-02-05 18:00"), utc("2026-02-08 14:00")
HOUR = timedelta(hours=1)
LONG_AGO = utc("2026-01-01 00:00")


def a_stay(*, pin=b"a", confirmed=True, **changes):
    values = {
        "reservation_id": "6938aaaa",
        "code": "AB12C",
        "unit": "Apto 101",
        "check_in_at": CHECK_IN,
        "check_out_at": CHECK_OUT,
        "guest_read": True,
        "doors": (DoorPin(lock="apt-101", fingerprint=pin, confirmed=confirmed),),
    }
    return StayToTell(**(values | changes))


@pytest.mark.parametrize(
    ("stay", "sending", "hours", "due"),
    [
        (a_stay(), When.CONFIRMED, -2, True),
        (a_stay(confirmed=False), When.CONFIRMED, 1, False),
        (a_stay(confirmed=False), When.MINTED, -40, True),
        (a_stay(pin=None), When.MINTED, -40, False),
        (a_stay(), 6 * HOUR, -7, False),
        (a_stay(), 6 * HOUR, -5, True),
        (a_stay(confirmed=False), 6 * HOUR, -5, False),
        (a_stay(guest_read=False), When.CONFIRMED, -3, False),
        (a_stay(guest_read=False), When.CONFIRMED, -1, True),
        (a_stay(), When.CONFIRMED, 100, False),
        (a_stay(doors=()), When.MINTED, -2, False),
    ],
)
def test_a_guest_is_told_when_it_is_time(stay, sending, hours, due):
    assert is_due(stay, sending, LONG_AGO, CHECK_IN + hours * HOUR) is due


def test_who_was_inside_before_messages_were_sent_is_told_nothing_unless_told_before():
    since = CHECK_IN + HOUR
    stay = a_stay()
    assert not is_due(stay, When.CONFIRMED, since, since + HOUR)
    told = replace(a_stay(pin=b"b"), told=(stay.key,))
    assert is_due(told, When.CONFIRMED, since, since + HOUR)


def test_the_same_again_is_no_message_and_something_else_is_a_correction():
    first = a_stay()
    told = replace(first, told=(first.key,))
    assert told.is_told
    assert told.key == first.key
    assert not told.is_correction
    for other in (
        replace(told, check_out_at=CHECK_OUT + HOUR),
        replace(told, unit="Apto 102"),
        replace(told, doors=(*told.doors, DoorPin(lock="x", fingerprint=b"a", confirmed=True))),
    ):
        assert is_due(other, 6 * HOUR, LONG_AGO, CHECK_IN - 40 * HOUR)
        assert other.is_correction
        assert not other.pin_changed
    assert replace(a_stay(pin=b"b"), told=told.told).pin_changed


def test_what_was_told_first_is_told_again_after_something_else():
    first = a_stay()
    moved = replace(first, check_out_at=CHECK_OUT + HOUR, told=(first.key,))
    back = replace(first, told=(first.key, moved.key))
    assert not back.is_told
    assert len({first.key, moved.key, back.key}) == 3


@pytest.mark.parametrize(
    ("phone", "digits"),
    [("+55 11 91234-5678", "5511912345678"), ("123", None), (None, None), ("٠١٢٣٤٥٦٧٨٩", None)],
)
def test_a_phone_is_its_digits(phone, digits):
    assert phone_digits(phone) == digits


def test_the_link_carries_the_text():
    link = whatsapp_link("5511912345678", "Olá & até {já}\n1")
    assert link == "https://wa.me/5511912345678?text=Ol%C3%A1%20%26%20at%C3%A9%20%7Bj%C3%A1%7D%0A1"
