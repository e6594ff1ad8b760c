"""The test vectors of the reference: bytes written out there, not computed here."""

from datetime import UTC, datetime, time

import pytest

from gateway.clock import SystemClock
from gateway.domain.model import CodeAddress, Operation, Refusal, WeeklyHours, Window
from gateway.errors import BadReportError
from gateway.ports import Code
from gateway.simulator.families import MkLock
from gateway.tuya.codec import (
    Digits,
    ListLayout,
    ListPacket,
    MethodLayout,
    SequenceLayout,
    Stage,
    TemporaryLayout,
    from_base64,
    to_base64,
    validity,
)

WINDOW = Window(
    valid_from=datetime(2026, 1, 1, tzinfo=UTC), valid_until=datetime(2026, 1, 2, tzinfo=UTC)
)
OFFICE = WeeklyHours(days=frozenset(range(1, 6)), start=time(9), end=time(17, 30))
CODE = Code(pin="483920", window=WINDOW)
PERMANENT = Code(pin="483920", window=None)
BLE = MethodLayout(id_width=1, message_id=False)
MK = MethodLayout(id_width=2, message_id=True)
VIDEO = MethodLayout(id_width=1, message_id=True)
TEMP = TemporaryLayout()
ZIGBEE27, ZIGBEE21 = SequenceLayout(gap=7), SequenceLayout(gap=1)


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (TEMP.create(CodeAddress(), CODE), "AWlVuQBpVwqAAAAAAAAAAAAAAAYECAMJAgA="),
        (
            TemporaryLayout(digits=Digits.ASCII).create(CodeAddress(), CODE),
            "AWlVuQBpVwqAAAAAAAAAAAAAAAY0ODM5MjA=",
        ),
        (validity(WINDOW), "aVW5AGlXCoAAAAAAAAAAAAA="),
        (validity(WINDOW, OFFICE), "aVW5AGlXCoACAAAAPgkAER4="),
        (TEMP.delete(CodeAddress(slot=0x28)), "KA=="),
        (
            TEMP.modify(CodeAddress(slot=0x28), Code(pin="", window=WINDOW)),
            "KAFpVbkAaVcKgAAAAAAAAAAAAAAA",
        ),
        (ListLayout(asked=0x01).request(), "AQ=="),
        (BLE.create(CodeAddress(member=1), PERMANENT), "AQAAAf84bNMAcrybfwAAAAAAAAAXOwAGBAgDCQIA"),
        (BLE.delete(CodeAddress(member=1, slot=4)), "AQAAAQQB"),
        (BLE.delete(CodeAddress(member=1)), "AAAAAf8A"),
        (
            MK.create(CodeAddress(member=3, message_id=0x0105), CODE),
            "AQAAAAP//2lVuQBpVwqAAAAAAAAAAAAAAAYECAMJAgABBQ==",
        ),
        (MK.delete(CodeAddress(member=4, slot=0x6A)), "AQAAAAQAagE="),
        (
            VIDEO.create(CodeAddress(member=1, message_id=1), CODE),
            "AQAAAf9pVbkAaVcKgAAAAAAAAAAAAAAGBAgDCQIAAAE=",
        ),
        (ZIGBEE21.create(CodeAddress(sequence=0x3E7), CODE), "A+cAAQAAaVW5AGlXCoAANDgzOTIw"),
        (
            ZIGBEE27.create(CodeAddress(sequence=0x3E7), CODE),
            "A+cAAQAAaVW5AGlXCoAAAAAAAAAANDgzOTIw",
        ),
        (ZIGBEE27.delete(CodeAddress(sequence=0x3E7)), "A+cAAQAA"),
    ],
)
def test_requests_are_the_bytes_of_the_reference(raw, text):
    assert to_base64(raw) == text


@pytest.mark.parametrize(
    ("layout", "operation", "text", "address", "verdict"),
    [
        (TEMP, Operation.CREATE, "KAA=", CodeAddress(slot=0x28), Stage.YES),
        (TEMP, Operation.CREATE, "/wI=", CodeAddress(), Refusal.FULL),
        (BLE, Operation.CREATE, "AQAAAf8AAA==", CodeAddress(member=1), Stage.UNDER_WAY),
        (BLE, Operation.CREATE, "Af8AAQQAAA==", CodeAddress(member=1, slot=4), Stage.YES),
        (BLE, Operation.CREATE, "Af8BAQEAAA==", CodeAddress(member=1, slot=1), Stage.YES),
        (BLE, Operation.CREATE, "Af0AAf8AAw==", CodeAddress(member=1), Refusal.FULL),
        (BLE, Operation.DELETE, "AQAAAQQB/w==", CodeAddress(member=1, slot=4), Stage.YES),
        (
            MK,
            Operation.CREATE,
            "A/8AAAMACwAAAQU=",
            CodeAddress(member=3, slot=11, message_id=0x0105),
            Stage.YES,
        ),
        (MK, Operation.DELETE, "AQAAAAQAagH/", CodeAddress(member=4, slot=0x6A), Stage.YES),
        (ZIGBEE21, Operation.CREATE, "A+cAAQAAAQ==", CodeAddress(sequence=0x3E7), Stage.YES),
        (ZIGBEE27, Operation.CREATE, "A+cAAQAAAQ==", CodeAddress(sequence=0x3E7), Stage.YES),
    ],
)
def test_reports_are_read_as_the_reference_has_them(layout, operation, text, address, verdict):
    report = layout.report(operation, from_base64(text))

    assert (report.address, report.verdict) == (address, verdict)


@pytest.mark.parametrize(
    ("text", "packet"),
    [
        ("AAAEAQEBBQECAQ==", ListPacket(number=0, slots=((4, 1), (5, 2)))),
        ("AQE=", ListPacket(number=1, count=1)),
        ("AQA=", ListPacket(number=0, count=0)),
    ],
)
def test_lists_are_read_as_the_reference_has_them(text, packet):
    assert ListLayout(asked=0x01).packet(from_base64(text)) == packet


def test_a_list_shows_only_the_kind_that_was_asked_for():
    raw = bytes.fromhex("0000 0003FF01 01030101 04010101")

    assert ListLayout(asked=0x01).packet(raw).slots == ((4, 1),)


def test_the_remote_key_of_a_simulated_lock_answers_as_captured():
    lock = MkLock(name="gate", device_id="gate", clock=SystemClock())
    set_key = bytes.fromhex("01 0001 6955B900 69570A80 0000") + b"12345678"

    (push,) = lock.execute(8, set_key)

    assert to_base64(push.value) == "AAAB"


def test_the_permanent_block_is_the_one_of_the_app():
    assert validity(None) == bytes.fromhex("386CD300 72BC9B7F 00 00000000 0000 173B")


@pytest.mark.parametrize(
    ("result", "verdict"), [(0xFF, Stage.YES), (0x01, Stage.YES), (0x00, Refusal.FAILED)]
)
def test_deleting_what_does_not_exist_is_done(result, verdict):
    raw = bytes([1, 0, 0, 1, 4, 1, result])

    assert BLE.report(Operation.DELETE, raw).verdict == verdict


def test_a_slot_of_zero_is_a_slot():
    assert TEMP.report(Operation.CREATE, bytes([0, 0])).address.slot == 0


@pytest.mark.parametrize("text", ["", "AQ", "!!!!", None, 5, "KAAA", "AQEBAQEBAQEBAQEBAQEBAQE="])
def test_a_report_that_the_layout_does_not_explain_is_no_verdict(text):
    for layout in (BLE, TEMP, ZIGBEE27):
        with pytest.raises(BadReportError):
            layout.report(Operation.CREATE, from_base64(text))


def test_missing_padding_is_forgiven():
    assert from_base64("KAA") == bytes([0x28, 0])
