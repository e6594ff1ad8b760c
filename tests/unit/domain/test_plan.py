from dataclasses import replace
from datetime import timedelta

import pytest

from gateway.domain.jobs import Job, JobKind
from gateway.domain.model import Addressing, Asked, CodeAddress, Evidence, Operation, Window
from gateway.domain.plan import (
    Credential,
    ExpiredOnLock,
    Finished,
    HandBack,
    Issued,
    LockState,
    Placement,
    Standstill,
    Stuck,
    TakeOver,
    next_sends,
    settlements,
)
from tests.builders import utc

CHECK_IN, CHECK_OUT = utc("2026-02-05 18:00"), utc("2026-02-08 14:00")
WINDOW = Window(valid_from=CHECK_IN - timedelta(hours=2), valid_until=CHECK_OUT + timedelta(days=1))
BEFORE = WINDOW.valid_from - timedelta(seconds=1)
ARRIVING = WINDOW.valid_from
INSIDE = CHECK_IN + timedelta(hours=1)
OVER = WINDOW.valid_until
PIN, OTHER_PIN, THIRD_PIN = b"hash one", b"hash two", b"hash three"


def a_credential(credential_id: str = "AB12C-apt-101", **changes) -> Credential:
    window = changes.pop("window", WINDOW)
    values = {
        "id": credential_id,
        "reservation_id": f"stay of {credential_id}",
        "window": window,
        "written": window,
        "wanted": True,
        "pin_hash": PIN,
        "check_in_at": window.valid_from + timedelta(hours=2),
        "check_out_at": window.valid_until - timedelta(days=1),
        "gen": a_job(JobKind.GEN, credential_id),
        "rev": a_job(JobKind.REV, credential_id),
    }
    return Credential(**(values | changes))


def a_job(kind: JobKind, credential_id: str, **changes) -> Job:
    values = {
        "id": f"{kind}-{credential_id}",
        "kind": kind,
        "credential_id": credential_id,
        "run_at": BEFORE,
    }
    return Job(**(values | changes))


def a_code(placement_id: int = 1, **changes) -> Placement:
    values = {
        "id": placement_id,
        "credential_id": "AB12C-apt-101",
        "address": CodeAddress(member=0x4001, slot=7),
        "pin_hash": PIN,
        "written": WINDOW,
        "evidence": Evidence.CONFIRMED,
    }
    return Placement(**(values | changes))


def a_lock(credentials=(), placements=(), **changes) -> LockState:
    values = {
        "lock": "apt-101",
        "addressing": Addressing.MEMBER,
        "can_modify": True,
        "program_ahead": timedelta(0),
        "late_report_time": timedelta(minutes=2),
        "trusts_window": False,
        "credentials": tuple(credentials),
        "placements": tuple(placements),
    }
    return LockState(**(values | changes))


def operations(state, now):
    return [(send.operation, send.credential_id) for send in next_sends(state, now)]


def test_a_pin_is_written_at_valid_from_and_not_a_second_earlier():
    lock = a_lock([a_credential()])

    assert operations(lock, BEFORE) == []
    assert operations(lock, ARRIVING) == [(Operation.CREATE, "AB12C-apt-101")]


def test_a_lock_seen_to_keep_to_windows_is_written_ahead():
    lock = a_lock([a_credential()], program_ahead=timedelta(hours=24))

    assert operations(lock, ARRIVING - timedelta(hours=24)) == [(Operation.CREATE, "AB12C-apt-101")]
    assert operations(lock, ARRIVING - timedelta(hours=25)) == []


def test_a_lost_job_costs_nothing():
    lock = a_lock([a_credential(gen=None, rev=None)])

    assert operations(lock, ARRIVING) == [(Operation.CREATE, "AB12C-apt-101")]


def test_a_code_that_is_as_wanted_is_left_alone():
    lock = a_lock([a_credential()], [a_code()])

    assert operations(lock, INSIDE) == []
    assert settlements(lock, INSIDE) == (Issued(credential_id="AB12C-apt-101"),)


def test_a_code_written_ahead_counts_as_issued_only_once_its_window_opens():
    lock = a_lock([a_credential()], [a_code()], program_ahead=timedelta(hours=24))

    assert settlements(lock, BEFORE) == ()
    assert settlements(lock, ARRIVING) == (Issued(credential_id="AB12C-apt-101"),)


def test_a_code_is_deleted_when_its_window_ends():
    lock = a_lock([a_credential()], [a_code()])

    assert operations(lock, OVER) == [(Operation.DELETE, "AB12C-apt-101")]


def test_a_withdrawn_code_is_deleted_at_once():
    lock = a_lock([a_credential(wanted=False)], [a_code()])

    assert operations(lock, INSIDE) == [(Operation.DELETE, "AB12C-apt-101")]


def test_a_credential_is_finished_only_when_nothing_can_be_on_the_lock():
    over = a_credential()

    assert settlements(a_lock([over], [a_code(evidence=Evidence.UNKNOWN)]), OVER) == ()
    assert settlements(a_lock([over]), OVER) == (Finished(credential_id="AB12C-apt-101"),)


def test_a_moved_window_modifies_the_live_code_in_place():
    longer = replace(WINDOW, valid_until=WINDOW.valid_until + timedelta(days=2))
    lock = a_lock([a_credential(window=longer)], [a_code()])

    assert operations(lock, INSIDE) == [(Operation.MODIFY, "AB12C-apt-101")]


def test_a_lock_that_refuses_to_modify_gets_a_delete_and_then_a_create():
    longer = replace(WINDOW, valid_until=WINDOW.valid_until + timedelta(days=2))
    moved = a_credential(window=longer, issued_before=True)

    refused = a_lock([moved], [a_code(modify_refusals=2)])
    deleted = a_lock([moved])

    assert operations(refused, INSIDE) == [(Operation.DELETE, "AB12C-apt-101")]
    assert operations(deleted, INSIDE) == [(Operation.CREATE, "AB12C-apt-101")]


def test_a_window_moved_into_the_future_takes_the_code_off_and_issues_it_again_then():
    later = Window(
        valid_from=WINDOW.valid_from + timedelta(days=2),
        valid_until=WINDOW.valid_until + timedelta(days=2),
    )
    credential = a_credential(window=later)

    assert operations(a_lock([credential], [a_code()]), INSIDE) == [
        (Operation.DELETE, "AB12C-apt-101")
    ]
    assert operations(a_lock([credential]), INSIDE) == []
    assert operations(a_lock([credential]), later.valid_from) == [
        (Operation.CREATE, "AB12C-apt-101")
    ]


def test_the_old_door_of_a_moved_stay_stays_until_the_new_ones_are_confirmed():
    left = a_credential(wanted=False, lingers=True)

    assert operations(a_lock([left], [a_code()]), INSIDE) == []
    assert operations(a_lock([left], [a_code()]), OVER) == [(Operation.DELETE, "AB12C-apt-101")]
    settled = replace(left, lingers=False)
    assert operations(a_lock([settled], [a_code()]), INSIDE) == [
        (Operation.DELETE, "AB12C-apt-101")
    ]


def test_a_new_pin_is_on_every_door_before_the_old_one_goes():
    credential = a_credential(pin_hash=OTHER_PIN, settled_everywhere=False)
    old = a_code(1)
    new = a_code(2, pin_hash=OTHER_PIN)

    assert operations(a_lock([credential], [old]), INSIDE) == [(Operation.CREATE, "AB12C-apt-101")]
    assert operations(a_lock([credential], [old, new]), INSIDE) == []
    everywhere = replace(credential, settled_everywhere=True)
    sends = next_sends(a_lock([everywhere], [old, new]), INSIDE)
    assert [(send.operation, send.placement_id) for send in sends] == [(Operation.DELETE, 1)]


UNKNOWN = {"evidence": Evidence.UNKNOWN, "operation": Operation.CREATE, "operation_at": INSIDE}


def test_an_unknown_create_by_member_is_cleared_by_that_member_and_created_again():
    code = a_code(address=CodeAddress(member=0x4001), **UNKNOWN)

    assert operations(a_lock([a_credential()], [code]), INSIDE) == [
        (Operation.DELETE, "AB12C-apt-101")
    ]


def test_an_unknown_create_by_sequence_is_sent_again_under_the_same_number():
    code = a_code(address=CodeAddress(sequence=17), **UNKNOWN)
    sends = next_sends(a_lock([a_credential()], [code], addressing=Addressing.SEQUENCE), INSIDE)

    assert [(send.operation, send.placement_id) for send in sends] == [(Operation.CREATE, 1)]


def test_after_a_refused_delete_by_sequence_its_number_is_asked_for_and_then_it_is_deleted_again():
    code = a_code(address=CodeAddress(sequence=17), evidence=Evidence.REVOKING)

    def next_of(**changes):
        lock = a_lock(
            [a_credential(wanted=False)],
            [replace(code, **changes)],
            addressing=Addressing.SEQUENCE,
        )
        return [(send.operation, send.asks) for send in next_sends(lock, INSIDE)]

    assert next_of() == [(Operation.CREATE, True)]
    assert next_of(operation=Operation.CREATE) == [(Operation.DELETE, False)]
    assert next_of(operation=Operation.DELETE) == [(Operation.DELETE, False)]
    assert next_of(evidence=Evidence.CONFIRMED) == [(Operation.DELETE, False)]


def test_a_refused_delete_by_member_is_repeated():
    code = a_code(evidence=Evidence.REVOKING)

    assert operations(a_lock([a_credential(wanted=False)], [code]), INSIDE) == [
        (Operation.DELETE, "AB12C-apt-101")
    ]


def test_an_unknown_create_by_slot_is_repeated_once_after_its_late_report_time():
    code = a_code(address=CodeAddress(), **UNKNOWN)
    lock = a_lock([a_credential()], [code], addressing=Addressing.SLOT)
    twice = replace(lock, placements=(replace(code, creates=2),))
    later = INSIDE + timedelta(minutes=2)

    assert operations(lock, later - timedelta(seconds=1)) == []
    assert operations(lock, later) == [(Operation.CREATE, "AB12C-apt-101")]
    assert operations(twice, later) == []


def test_an_unknown_modify_is_repeated():
    longer = replace(WINDOW, valid_until=WINDOW.valid_until + timedelta(days=2))
    code = a_code(operation=Operation.MODIFY, operation_at=INSIDE)

    assert operations(a_lock([a_credential(window=longer)], [code]), INSIDE) == [
        (Operation.MODIFY, "AB12C-apt-101")
    ]


def test_after_an_unknown_delete_by_slot_creates_wait_two_minutes_of_a_guests_window_at_most():
    leaving = a_credential("OLD1-apt-101", wanted=False, pin_hash=OTHER_PIN)
    code = a_code(
        credential_id="OLD1-apt-101",
        pin_hash=OTHER_PIN,
        address=CodeAddress(slot=40),
        evidence=Evidence.REVOKING,
        operation=Operation.DELETE,
    )
    lock = a_lock([leaving, a_credential()], [code], addressing=Addressing.SLOT)

    assert operations(lock, ARRIVING + timedelta(seconds=119)) == [
        (Operation.DELETE, "OLD1-apt-101")
    ]
    assert operations(lock, ARRIVING + timedelta(minutes=2)) == [
        (Operation.CREATE, "AB12C-apt-101"),
        (Operation.DELETE, "OLD1-apt-101"),
    ]


def test_an_unknown_delete_by_slot_is_not_repeated_while_a_new_code_may_have_that_slot():
    leaving = a_credential("OLD1-apt-101", wanted=False)
    old = a_code(
        1,
        credential_id="OLD1-apt-101",
        address=CodeAddress(slot=40),
        evidence=Evidence.REVOKING,
        operation=Operation.DELETE,
    )
    new = a_code(2, address=CodeAddress(), **UNKNOWN)
    lock = a_lock([leaving, a_credential()], [old, new], addressing=Addressing.SLOT)

    assert operations(lock, INSIDE) == []


def test_a_code_of_unknown_slot_expires_only_on_a_lock_that_keeps_to_windows():
    code = a_code(address=CodeAddress(), **UNKNOWN)
    lock = a_lock([a_credential()], [code], addressing=Addressing.SLOT)

    assert operations(lock, OVER) == []
    assert not any(isinstance(one, ExpiredOnLock) for one in settlements(lock, OVER))
    assert settlements(replace(lock, trusts_window=True), OVER) == (ExpiredOnLock(placement_id=1),)


def test_on_one_lock_the_guest_inside_comes_before_arrivals_and_arrivals_before_revocations():
    longer = replace(WINDOW, valid_until=WINDOW.valid_until + timedelta(days=2))
    inside = a_credential("INSIDE-apt-101", window=longer, issued_before=True)
    arriving = a_credential("ARRIVE-apt-101", pin_hash=OTHER_PIN)
    gone = a_credential("GONE-apt-101", wanted=False, pin_hash=THIRD_PIN)
    codes = [
        a_code(1, credential_id="GONE-apt-101", pin_hash=THIRD_PIN),
        a_code(2, credential_id="INSIDE-apt-101"),
    ]

    assert operations(a_lock([gone, arriving, inside], codes), INSIDE) == [
        (Operation.MODIFY, "INSIDE-apt-101"),
        (Operation.CREATE, "ARRIVE-apt-101"),
        (Operation.DELETE, "GONE-apt-101"),
    ]


def test_a_refused_operation_waits_and_then_steps_behind_those_not_yet_tried():
    tried = a_job(JobKind.GEN, "ARRIVE-apt-101", attempts=1, run_at=INSIDE)
    arriving = a_credential("ARRIVE-apt-101", gen=tried)
    gone = a_credential("GONE-apt-101", wanted=False, pin_hash=OTHER_PIN)
    lock = a_lock([arriving, gone], [a_code(1, credential_id="GONE-apt-101", pin_hash=OTHER_PIN)])

    assert operations(lock, INSIDE - timedelta(seconds=1)) == [(Operation.DELETE, "GONE-apt-101")]
    assert operations(lock, INSIDE) == [
        (Operation.DELETE, "GONE-apt-101"),
        (Operation.CREATE, "ARRIVE-apt-101"),
    ]


def test_a_code_that_cannot_be_removed_keeps_the_same_guest_out_of_no_later_stay():
    over = a_credential("FIRST-apt-101", wanted=False)
    code = a_code(credential_id="FIRST-apt-101", address=CodeAddress(), creates=2, **UNKNOWN)
    later = a_credential(follows="FIRST-apt-101")
    lock = a_lock([over, later], [code], addressing=Addressing.SLOT)

    assert operations(lock, INSIDE) == [(Operation.CREATE, "AB12C-apt-101")]


def test_only_a_code_with_the_present_pin_of_both_stays_is_shared():
    """The old PIN of one, not yet removed, is the present one of the other: it goes first."""
    reissued = a_credential("FIRST-apt-101", pin_hash=OTHER_PIN)
    codes = [
        a_code(1, credential_id="FIRST-apt-101"),
        a_code(2, credential_id="FIRST-apt-101", pin_hash=OTHER_PIN),
    ]
    lock = a_lock([reissued, a_credential()], codes)

    assert not [one for one in settlements(lock, INSIDE) if isinstance(one, TakeOver)]
    assert operations(lock, INSIDE) == [(Operation.DELETE, "FIRST-apt-101")]


@pytest.mark.parametrize(
    "codes",
    [
        [a_code(1, credential_id="FIRST-apt-101"), a_code(2)],
        [a_code(1, credential_id="FIRST-apt-101", asked=Asked.REMOVE)],
        [a_code(1, credential_id="FIRST-apt-101", operation=Operation.MODIFY)],
    ],
    ids=["two codes", "to go", "unanswered"],
)
def test_codes_that_are_not_one_at_rest_are_not_shared(codes):
    lock = a_lock([a_credential("FIRST-apt-101"), a_credential()], codes)

    assert not [one for one in settlements(lock, INSIDE) if isinstance(one, TakeOver)]


def test_the_guest_inside_gets_the_code_back_from_a_stay_that_may_only_be_written_early():
    later = Window(
        valid_from=CHECK_OUT + timedelta(hours=9), valid_until=CHECK_OUT + timedelta(days=4)
    )
    inside = a_credential(taken_over_by="SECOND-apt-101")
    second = a_credential("SECOND-apt-101", window=later)
    code = a_code(credential_id="SECOND-apt-101")
    lock = a_lock([inside, second], [code], program_ahead=timedelta(days=7))

    back = HandBack(placement_ids=(1,), credential_id=inside.id)
    assert back in settlements(lock, CHECK_OUT - timedelta(hours=1))


def test_nothing_is_handed_back_to_a_stay_that_is_over():
    longer = replace(WINDOW, valid_until=WINDOW.valid_until + timedelta(days=2))
    first = a_credential("FIRST-apt-101", taken_over_by="AB12C-apt-101")
    lock = a_lock([first, a_credential(window=longer)], [a_code(written=longer)])

    assert Finished(credential_id=first.id) in settlements(lock, OVER)
    ended = replace(lock, credentials=(first,), placements=())
    assert settlements(ended, OVER) == (Finished(credential_id=first.id),)


def test_a_code_with_the_pin_of_a_stay_that_has_not_begun_is_not_taken_from_the_guest_inside():
    later = Window(
        valid_from=CHECK_OUT + timedelta(days=2), valid_until=CHECK_OUT + timedelta(days=4)
    )
    inside, second = a_credential(), a_credential("SECOND-apt-101", window=later)
    early = a_lock([inside, second], [a_code()], program_ahead=timedelta(days=7))

    assert settlements(early, INSIDE) == (Issued(credential_id=inside.id),)
    assert operations(early, INSIDE) == []

    written = a_code(credential_id="SECOND-apt-101", written=later)
    turned = replace(early, placements=(written,))
    taken = TakeOver(placement_ids=(1,), of="SECOND-apt-101", credential_id=inside.id)
    assert taken in settlements(turned, INSIDE)


@pytest.mark.parametrize("first_still_wanted", [True, False])
def test_the_same_guests_next_stay_takes_the_code_over_instead_of_a_new_one(first_still_wanted):
    first = a_credential("FIRST-apt-101", wanted=first_still_wanted)
    later = Window(valid_from=CHECK_OUT, valid_until=CHECK_OUT + timedelta(days=4))
    second = a_credential("SECOND-apt-101", window=later, follows="FIRST-apt-101")
    lock = a_lock([first, second], [a_code(credential_id="FIRST-apt-101")])

    taken = TakeOver(placement_ids=(1,), of="FIRST-apt-101", credential_id="SECOND-apt-101")
    assert taken in settlements(lock, CHECK_OUT)
    assert taken not in settlements(lock, CHECK_OUT - timedelta(seconds=1))


def test_a_credential_that_was_taken_over_asks_for_nothing_any_more():
    first = a_credential("FIRST-apt-101", taken_over_by="SECOND-apt-101")

    assert operations(a_lock([first]), INSIDE) == []


@pytest.mark.parametrize("had_by", ["FIRST-apt-101", "SECOND-apt-101"])
def test_a_stay_of_the_same_guest_within_another_has_the_code_of_that(had_by):
    first = a_credential("FIRST-apt-101")
    within = Window(valid_from=CHECK_OUT - timedelta(days=2), valid_until=CHECK_OUT)
    second = a_credential("SECOND-apt-101", window=within, follows="FIRST-apt-101")
    lock = a_lock([first, second], [a_code(credential_id=had_by)])

    inside_both = CHECK_OUT - timedelta(days=1)
    codes = (1,) if had_by == second.id else ()
    taken = TakeOver(placement_ids=codes, of=second.id, credential_id=first.id)
    assert taken in settlements(lock, inside_both)
    assert Operation.CREATE not in dict(operations(lock, inside_both))

    waiting = replace(lock, placements=(a_code(credential_id=had_by, operation=Operation.MODIFY),))
    assert not any(isinstance(one, TakeOver) for one in settlements(waiting, inside_both))


def test_of_three_stays_of_one_guest_the_one_that_ends_last_has_the_code():
    ends = [CHECK_OUT, CHECK_OUT - timedelta(hours=5), CHECK_OUT + timedelta(days=1)]
    windows = [Window(valid_from=CHECK_IN, valid_until=end) for end in ends]
    first = a_credential("A-apt-101", window=windows[0])
    second = a_credential(
        "B-apt-101", window=windows[1], follows="A-apt-101", taken_over_by="A-apt-101"
    )
    third = a_credential("C-apt-101", window=windows[2], follows="B-apt-101")
    lock = a_lock([first, second, third], [a_code(credential_id=first.id)])

    taken = TakeOver(placement_ids=(1,), of=first.id, credential_id=third.id)
    assert settlements(lock, INSIDE)[-1] == taken

    first = replace(first, taken_over_by=third.id)
    settled = a_lock([first, second, third], [a_code(credential_id=third.id)])
    assert not any(isinstance(one, TakeOver | HandBack) for one in settlements(settled, INSIDE))


def test_a_stay_that_moved_to_later_has_its_code_for_itself_again_and_takes_nothing_along():
    first = a_credential("FIRST-apt-101")
    later = Window(valid_from=OVER + timedelta(days=3), valid_until=OVER + timedelta(days=5))
    second = a_credential(
        "SECOND-apt-101", window=later, follows=first.id, taken_over_by="FIRST-apt-101"
    )
    lock = a_lock([first, second], [a_code(credential_id=first.id)])

    assert HandBack(placement_ids=(), credential_id=second.id) in settlements(lock, INSIDE)


@pytest.mark.parametrize(
    ("second", "handed_back"),
    [
        ({}, False),
        ({"wanted": False}, True),
        ({"ends": CHECK_OUT}, True),
        ({"missing": True}, True),
    ],
)
def test_a_code_comes_back_when_the_same_guests_next_stay_no_longer_needs_it(second, handed_back):
    first = a_credential("FIRST-apt-101", taken_over_by="SECOND-apt-101")
    later = Window(
        valid_from=CHECK_OUT - timedelta(hours=2),
        valid_until=second.get("ends", CHECK_OUT + timedelta(days=4)),
    )
    heir = a_credential(
        "SECOND-apt-101", window=later, follows="FIRST-apt-101", wanted=second.get("wanted", True)
    )
    missing = "missing" in second
    codes = [] if missing else [a_code(credential_id="SECOND-apt-101")]
    lock = a_lock([first] if missing else [first, heir], codes)

    back = HandBack(placement_ids=() if missing else (1,), credential_id="FIRST-apt-101")
    assert (back in settlements(lock, CHECK_OUT - timedelta(hours=1))) == handed_back


def test_a_code_of_unknown_slot_that_should_go_is_told_of_once():
    code = a_code(address=CodeAddress(), **UNKNOWN)
    told = Stuck(credential_id="AB12C-apt-101", kind=JobKind.REV, why=Standstill.REMOVAL)
    for reason, expected in (
        (None, (told,)),
        ("no connection in time", (told,)),  # what failed before says nothing of this
        (Standstill.REMOVAL, ()),
    ):
        tried = a_job(JobKind.REV, "AB12C-apt-101", attempts=1, last_error=reason)
        lock = a_lock([a_credential(rev=tried)], [code], addressing=Addressing.SLOT)
        assert settlements(lock, OVER) == expected


def test_a_create_that_the_lock_twice_did_not_answer_is_told_of():
    again = a_code(address=CodeAddress(), creates=2, **UNKNOWN)
    lock = a_lock([a_credential()], [again], addressing=Addressing.SLOT)

    later = INSIDE + timedelta(minutes=3)
    assert settlements(lock, INSIDE) == ()
    assert settlements(lock, later) == (
        Stuck(credential_id="AB12C-apt-101", kind=JobKind.GEN, why=Standstill.UNSURE),
    )
    assert operations(lock, later) == []


def test_a_delete_whose_slot_may_be_anothers_by_now_is_told_of():
    gone = a_credential("GONE-apt-101", wanted=False)
    deleting = a_code(
        1,
        credential_id="GONE-apt-101",
        evidence=Evidence.REVOKING,
        operation=Operation.DELETE,
        operation_at=BEFORE - timedelta(hours=1),
    )
    lost = a_code(2, credential_id="LOST-apt-101", address=CodeAddress(), pin_hash=b"other")
    lock = a_lock(
        [gone, a_credential("LOST-apt-101", pin_hash=b"other")],
        [deleting, lost],
        addressing=Addressing.SLOT,
    )

    assert operations(lock, INSIDE) == []
    told = Stuck(credential_id="GONE-apt-101", kind=JobKind.REV, why=Standstill.SLOT)
    assert told in settlements(lock, INSIDE)


def test_a_code_of_unknown_slot_whose_window_should_change_is_told_of():
    longer = Window(valid_from=WINDOW.valid_from, valid_until=WINDOW.valid_until + timedelta(1))
    code = a_code(address=CodeAddress())
    told = Stuck(credential_id="AB12C-apt-101", kind=JobKind.GEN, why=Standstill.WINDOW)
    same = a_lock([a_credential()], [code], addressing=Addressing.SLOT)
    assert told not in settlements(same, INSIDE)
    lock = a_lock([a_credential(window=longer)], [code], addressing=Addressing.SLOT)
    assert settlements(lock, INSIDE) == (told,)
    assert operations(lock, INSIDE) == []
