"""Our driver against simulated locks over real TCP."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from gateway.domain.model import Addressing, CodeAddress, Operation, Refusal, Window
from gateway.errors import LockUnreachableError, WrongKeyError
from gateway.ports import (
    Code,
    CodeReported,
    Confirmed,
    LockLost,
    LockReached,
    NotSent,
    Opened,
    Rejected,
    Unknown,
)
from gateway.simulator.families import FAMILIES
from gateway.simulator.lock import Order
from gateway.tuya.profiles import PROFILES
from tests.site import wired
from tests.virtual_time import in_virtual_time

NOW = datetime.now(UTC).replace(microsecond=0)
WINDOW = Window(valid_from=NOW - timedelta(hours=1), valid_until=NOW + timedelta(hours=1))
LONGER = Window(valid_from=NOW - timedelta(hours=1), valid_until=NOW + timedelta(hours=9))
CODE = Code(pin="483920", window=WINDOW)

ways = pytest.mark.parametrize(
    ("profile", "hub"),
    [
        *((name, True) for name in PROFILES),
        *((name, False) for name, profile in PROFILES.items() if profile.direct),
    ],
)
versions = pytest.mark.parametrize("version", ["3.3", "3.4", "3.5"])


def an_address(wire) -> CodeAddress:
    match wire.driver.capabilities.addressing:
        case Addressing.MEMBER:
            return CodeAddress(member=61, message_id=_message_id(wire))
        case Addressing.SEQUENCE:
            return CodeAddress(sequence=17)
        case Addressing.SLOT:
            return CodeAddress(message_id=_message_id(wire))


def _message_id(wire):
    return 0x0105 if wire.driver.capabilities.uses_message_id else None


@ways
@versions
@in_virtual_time
async def test_a_code_is_created_opens_the_door_is_moved_and_deleted(profile, hub, version):
    async with wired(profile, version, hub=hub, deadline=5) as wire:
        await wire.driver.ready()

        created = await wire.driver.create(an_address(wire), CODE)
        assert isinstance(created, Confirmed)
        assert wire.lock.try_pin("483920")
        if PROFILES[profile].openings:
            opened = await wire.event(Opened)
            assert opened.slot in {created.address.slot, created.address.sequence}

        moved = await wire.driver.modify(created.address, Code(pin="483920", window=LONGER))
        assert isinstance(moved, Confirmed)
        (held,) = wire.lock.codes
        assert held.end == int(LONGER.valid_until.timestamp())
        assert held.pin == "483920"

        deleted = await wire.driver.delete(created.address)
        assert isinstance(deleted, Confirmed)
        assert not wire.lock.try_pin("483920")
        assert sum(wire.lock.creates.values()) == 1


@ways
@pytest.mark.parametrize("order", [Order.PUSH_FIRST, Order.PUSH_ONLY])
@in_virtual_time
async def test_the_report_decides_whether_before_the_acknowledgement_or_without(
    profile, hub, order
):
    async with wired(profile, hub=hub, deadline=5) as wire:
        await wire.driver.ready()
        wire.lock.faults.order = order

        assert isinstance(await wire.driver.create(an_address(wire), CODE), Confirmed)


@ways
@pytest.mark.parametrize("order", [Order.ACK_ONLY, Order.SILENT])
@in_virtual_time
async def test_without_a_report_the_outcome_is_unknown_and_nothing_is_sent_again(
    profile, hub, order
):
    async with wired(profile, hub=hub) as wire:
        await wire.driver.ready()
        wire.lock.faults.order = order

        assert isinstance(await wire.driver.create(an_address(wire), CODE), Unknown)
        assert list(wire.lock.creates.values()) == [1]


@ways
@in_virtual_time
async def test_a_late_report_is_told_with_all_that_it_names(profile, hub):
    async with wired(profile, hub=hub, deadline=0.05) as wire:
        await wire.driver.ready()
        wire.lock.faults.report_delay = 0.1

        assert isinstance(await wire.driver.create(an_address(wire), CODE), Unknown)
        late = await wire.event(CodeReported)

        assert late.operation is Operation.CREATE
        assert isinstance(late.outcome, Confirmed)
        assert late.address.slot is not None or late.address.sequence == 17


@ways
@in_virtual_time
async def test_a_connection_that_goes_after_the_first_byte_leaves_the_outcome_unknown(profile, hub):
    async with wired(profile, hub=hub, deadline=5) as wire:
        await wire.driver.ready()
        wire.lock.faults.hang_up_on_next = "executed"

        assert isinstance(await wire.driver.create(an_address(wire), CODE), Unknown)
        assert wire.lock.holds("483920")


@in_virtual_time
async def test_a_connection_that_went_before_means_that_nothing_was_sent():
    async with wired() as wire:
        await wire.driver.ready()
        await wire.peer.cut()
        await wire.event(LockLost)

        assert isinstance(await wire.driver.create(an_address(wire), CODE), NotSent)
        assert wire.lock.received == []


@pytest.mark.parametrize(
    ("profile", "reason_byte", "reason"),
    [
        ("mk_method", 0x02, Refusal.DUPLICATE),
        ("mk_method", 0x03, Refusal.FULL),
        ("mk_method", 0x04, Refusal.INVALID),
        ("mk_method", 0x07, Refusal.BUSY),
        ("mk_method", 0x0A, Refusal.WEAK),
        ("ble_temp", 0x02, Refusal.FULL),
        ("ble_temp", 0x03, Refusal.DUPLICATE),
        ("zigbee_temp27", 0x02, Refusal.DUPLICATE),
        ("zigbee_temp27", 0x03, Refusal.FULL),
    ],
)
@in_virtual_time
async def test_a_refusal_comes_with_the_locks_own_reason(profile, reason_byte, reason):
    async with wired(profile, hub=True, deadline=5) as wire:
        await wire.driver.ready()
        wire.lock.faults.refusals = [reason_byte]

        assert await wire.driver.create(an_address(wire), CODE) == Rejected(reason=reason)


@ways
@in_virtual_time
async def test_deleting_what_is_not_there_succeeds_or_says_so(profile, hub):
    async with wired(profile, hub=hub, deadline=5) as wire:
        await wire.driver.ready()
        address = CodeAddress(member=61, slot=41, sequence=17)
        outcome = await wire.driver.delete(address)

        if profile.startswith("zigbee"):  # its only answer is `failed`
            assert outcome == Rejected(reason=Refusal.FAILED)
        else:
            assert isinstance(outcome, Confirmed)


@in_virtual_time
async def test_a_code_of_unknown_slot_goes_with_everything_of_its_member():
    async with wired(deadline=5) as wire:
        await wire.driver.ready()
        await wire.driver.create(an_address(wire), CODE)

        outcome = await wire.driver.delete(CodeAddress(member=61))

        assert isinstance(outcome, Confirmed)
        assert wire.lock.codes == []


@versions
@in_virtual_time
async def test_a_wrong_key_is_named_as_such_or_stays_silent(version):
    async with wired("mk_method", version, key="another-key-0000") as wire:
        if version == "3.3":  # there is no sign-in: the lock just never answers
            await wire.driver.ready()
            assert isinstance(await wire.driver.create(an_address(wire), CODE), Unknown)
            return
        with pytest.raises(LockUnreachableError) as caught:
            await wire.driver.ready()
        assert isinstance(caught.value, WrongKeyError)
        assert "wrong key?" in str(caught.value)


@in_virtual_time
async def test_a_lock_that_its_hub_calls_offline_is_unreachable_and_nothing_is_sent():
    async with wired("ble_temp", hub=True) as wire:
        wire.lock.online = False
        await wire.event(LockReached)
        await wire.event(LockLost)

        with pytest.raises(LockUnreachableError, match="offline"):
            await wire.driver.ready()
        assert wire.lock.received == []


@pytest.mark.parametrize(("profile", "latency"), [("ble_temp", 10), ("zigbee_temp27", 25)])
@in_virtual_time
async def test_a_lock_that_takes_its_time_to_wake_is_waited_for(profile, latency):
    async with wired(profile, hub=True, deadline=None) as wire:
        await wire.driver.ready()
        wire.lock.faults.latency = latency

        created = await wire.driver.create(an_address(wire), CODE)
        assert isinstance(created, Confirmed)
        assert isinstance(await wire.driver.delete(created.address), Confirmed)
        assert wire.lock.codes == []


@in_virtual_time
async def test_a_lock_that_wakes_after_the_deadline_tells_late_and_holds_one_code():
    async with wired("ble_temp", hub=True, deadline=5) as wire:
        await wire.driver.ready()
        wire.lock.faults.latency = 60

        assert isinstance(await wire.driver.create(an_address(wire), CODE), Unknown)
        assert wire.lock.codes == []

        late = await wire.event(CodeReported)
        assert late.address.slot == wire.lock.codes[0].slot
        assert len(wire.lock.received) == 1


@in_virtual_time
async def test_a_lock_that_its_hub_calls_nearby_is_written_to():
    async with wired("ble_temp", hub=True, deadline=5) as wire:
        wire.lock.nearby = True
        await wire.driver.ready()

        assert isinstance(await wire.driver.create(an_address(wire), CODE), Confirmed)
        assert wire.driver.reachable is True


@in_virtual_time
async def test_a_lock_that_sleeps_gets_its_code_when_somebody_touches_it():
    async with wired("video_method", deadline=5) as wire:
        await wire.driver.ready()
        await wire.peer.cut()
        await wire.event(LockLost)
        with pytest.raises(LockUnreachableError):
            await wire.driver.ready()

        touched = asyncio.ensure_future(wire.peer.wake(seconds=20))
        await wire.until(lambda: wire.peer.accepting)
        await wire.driver.ready()
        assert isinstance(await wire.driver.create(an_address(wire), CODE), Confirmed)

        await touched
        await wire.event(LockLost)
        assert wire.driver.reachable is False


@in_virtual_time
async def test_a_lock_whose_power_comes_back_is_reached_again_at_once_when_asked():
    async with wired() as wire:
        await wire.driver.ready()
        await wire.peer.cut()
        await wire.event(LockLost)
        with pytest.raises(LockUnreachableError):
            await wire.driver.ready()
        await wire.peer.restore()

        await wire.driver.ready()

        assert wire.driver.reachable is True


@in_virtual_time
async def test_other_locks_and_the_phone_app_on_the_same_connection_decide_nothing():
    async with wired("mk_method", hub=True) as wire:
        await wire.driver.ready()
        wire.lock.faults.order = Order.ACK_ONLY
        operation = asyncio.ensure_future(wire.driver.create(an_address(wire), CODE))
        await wire.until(lambda: wire.lock.received)
        wire.peer.broadcast("another-cid", {"1": "Af8AQAEAAQAAAQU="})
        wire.peer.broadcast(None, {"1": True})
        wire.peer.broadcast("cid-1", {"1": "A/8AAAMACwAAAQU=", "2": "not base64!", "99": 5})

        assert isinstance(await operation, Unknown)
        foreign = await wire.event(CodeReported)
        assert foreign.address.member == 3


@in_virtual_time
async def test_two_locks_behind_one_hub_keep_their_reports_apart():
    for profile in FAMILIES:
        async with wired(profile, hub=True, deadline=5) as wire:
            await wire.driver.ready()
            await wire.driver.create(an_address(wire), CODE)
            assert wire.peer.accepted == 1


@pytest.mark.parametrize("hub", [False, True])
@versions
@in_virtual_time
async def test_a_thousand_commands_at_once_get_each_their_own_answer(hub, version):
    async with wired("mk_method", version, hub=hub, deadline=5) as wire:
        await wire.driver.ready()
        wire.lock.capacity = 1000
        wire.lock.faults.report_delay = 0.2

        async def write(number):
            pin = f"{100_000 + number - number % 10 // 9:06}"  # each tenth has the PIN before it
            address = CodeAddress(member=60 + number % 10, message_id=number)
            return pin, await wire.driver.create(address, Code(pin=pin, window=WINDOW))

        answers = await asyncio.gather(*map(write, range(1000)))

        slots = {held.pin: held.slot for held in wire.lock.codes}
        assert len(slots) == 900
        for number, (pin, answer) in enumerate(answers):
            if number % 10 == 9:
                assert answer == Rejected(reason=Refusal.DUPLICATE)
            else:
                assert answer.address.slot == slots[pin]
        assert wire.peer.accepted == 1
        assert set(wire.lock.creates.values()) == {1}
