"""One lock: operations out, reports in. See gateway.ports.LockDriver."""

import asyncio
from dataclasses import replace
from typing import Any

import structlog

from gateway.clock import Clock
from gateway.domain.model import Addressing, CodeAddress, Operation, Refusal
from gateway.errors import BadReportError, LockUnreachableError
from gateway.ports import (
    ClockSeen,
    Code,
    CodeReported,
    Confirmed,
    Contended,
    Exchange,
    ListedCode,
    LockCapabilities,
    LockListener,
    LockLost,
    LockReached,
    NotSent,
    Opened,
    Outcome,
    Rejected,
    StatusReported,
    Unknown,
)
from gateway.tuya.codec import ListPacket, Report, Stage, from_base64, to_base64
from gateway.tuya.connection import Connection
from gateway.tuya.link import Ack, Refused
from gateway.tuya.profiles import Profile, Signal

READY_SECONDS = 6.0
_MOST_TEXT = 40  # characters kept of what a lock says in words
_ACK_SECONDS = (
    10.0  # after which a missing acknowledgement no longer holds up the hub's other locks
)

_log = structlog.get_logger()


class _Waiting:
    """An operation in flight: which reports are its own, and the one that decided it.

    `sent_at`, `acknowledged_at`, `reported_at`: the loop's time, None while it has not come.
    """

    def __init__(self, operation: Operation, address: CodeAddress, profile: Profile) -> None:
        self.operation = operation
        self._address = address
        self._profile = profile
        self._loop = asyncio.get_running_loop()
        self.outcome: asyncio.Future[Outcome] = self._loop.create_future()
        self.sent_at = self._loop.time()
        self.acknowledged_at: float | None = None
        self.reported_at: float | None = None

    def owns(self, operation: Operation, report: Report) -> bool:
        """Is it a report on this operation?"""
        mine, seen = self._address, report.address
        if operation is not self.operation or not report.of_pin or self.outcome.done():
            return False
        match self._profile.addressing:
            case Addressing.MEMBER:
                same_message = seen.message_id in {None, mine.message_id} or mine.message_id is None
                deletes = operation is Operation.DELETE
                return seen.member == mine.member and (same_message or deletes)
            case Addressing.SEQUENCE:
                return seen.sequence == mine.sequence
            case Addressing.SLOT:
                same_message = seen.message_id in {None, mine.message_id}
                return same_message and (operation is Operation.CREATE or seen.slot == mine.slot)

    def on_ack(self, ack: "asyncio.Future[Ack]") -> None:
        """An acceptance decides nothing; a refusal, or the end of the connection, does."""
        answer = Unknown(why="the connection went before the lock reported")
        if ack.exception() is not None:
            self.settle(answer)
            return
        self.acknowledged_at = self._loop.time()
        refused = ack.result()
        if refused is not None:
            self.settle(Rejected(reason=_reason_of(refused)))

    def settle(self, outcome: Outcome) -> None:
        """Decide it, unless it is decided."""
        if not self.outcome.done():
            self.outcome.set_result(outcome)

    def exchange(self) -> Exchange:
        """How long it took, as far as it has come."""

        def after(moment: float | None) -> float | None:
            return None if moment is None else moment - self.sent_at

        return Exchange(
            operation=self.operation,
            acknowledged=after(self.acknowledged_at),
            reported=after(self.reported_at),
        )

    def decide(self, report: Report) -> None:
        """Let a report of its own decide it; progress decides nothing."""
        if report.verdict is not Stage.UNDER_WAY:
            self.reported_at = self._loop.time()
        match report.verdict:
            case Stage.UNDER_WAY:
                pass
            case Stage.YES:
                slot = (
                    report.address.slot if report.address.slot is not None else self._address.slot
                )
                self.settle(Confirmed(address=replace(self._address, slot=slot)))
            case Refusal() as reason:
                self.settle(Rejected(reason=reason))


class _Pieces:
    """The pieces of a list that was asked for, in whatever order they come."""

    def __init__(self) -> None:
        self._pieces: dict[int, tuple[ListedCode, ...]] = {}
        self._count: int | None = None
        self.complete: asyncio.Future[tuple[ListedCode, ...] | None] = (
            asyncio.get_running_loop().create_future()
        )

    def take(self, packet: ListPacket) -> None:
        """Keep a piece; the last one in completes the list."""
        if packet.count is None:
            self._pieces[packet.number] = tuple(ListedCode(*entry) for entry in packet.slots)
        else:
            self._count = packet.count
        if self._count is not None and set(self._pieces) == set(range(self._count)):
            self._settle(tuple(code for _, piece in sorted(self._pieces.items()) for code in piece))

    def on_ack(self, ack: "asyncio.Future[Ack]") -> None:
        """A refusal, or the end of the connection, ends the waiting."""
        if ack.exception() is not None or ack.result() is not None:
            self._settle(None)

    def _settle(self, codes: tuple[ListedCode, ...] | None) -> None:
        if not self.complete.done():
            self.complete.set_result(codes)


class TuyaLock:
    """One lock over one connection."""

    def __init__(
        self,
        *,
        name: str,
        cid: str | None,
        profile: Profile,
        pin_lengths: tuple[int, ...],
        connection: Connection,
        clock: Clock,
        listener: LockListener,
    ) -> None:
        self.name = name
        self.cid = cid
        self._profile = profile
        self._pin_lengths = pin_lengths
        self._connection = connection
        self._clock = clock
        self._listener = listener
        self._one_operation = asyncio.Lock()  # reports are told apart by what is in flight
        self._waiting: _Waiting | None = None
        self._pieces: _Pieces | None = None
        self._online = True
        self._reachable: bool | None = None
        self._last_answer: float | None = None
        self._last_exchange: Exchange | None = None

    @property
    def capabilities(self) -> LockCapabilities:
        """See `LockDriver.capabilities`."""
        profile = self._profile
        return LockCapabilities(
            addressing=profile.addressing,
            pin_lengths=self._pin_lengths,
            can_modify=Operation.MODIFY in profile.dps,
            uses_message_id=profile.layout.message_id,
            holds_weekly=profile.layout.holds_weekly,
            can_list=profile.list_dp is not None and profile.listing is not None,
            member_range=profile.member_range,
            sequence_range=profile.sequence_range,
            report_deadline=profile.deadline[0 if self.cid is None else 1],
            late_report_time=profile.late,
        )

    @property
    def reachable(self) -> bool | None:
        """See `LockDriver.reachable`."""
        return self._reachable

    @property
    def last_answer(self) -> float | None:
        """See `LockDriver.last_answer`."""
        return self._last_answer

    @property
    def last_exchange(self) -> Exchange | None:
        """See `LockDriver.last_exchange`."""
        return self._last_exchange

    async def ready(self) -> None:
        """See `LockDriver.ready`."""
        try:
            async with asyncio.timeout(READY_SECONDS):
                await self._connection.ready()
        except TimeoutError:
            looking = self._connection.looking
            reason = "not heard on the network yet" if looking else "no connection in time"
            raise LockUnreachableError(self.name, reason) from None
        if not self._online:
            self._connection.ask_online()
            raise LockUnreachableError(self.name, "its hub says that it is offline")

    async def create(self, address: CodeAddress, code: Code) -> Outcome:
        """See `LockDriver.create`."""
        raw = self._profile.layout.create(address, code)
        return await self._operate(Operation.CREATE, address, raw)

    async def modify(self, address: CodeAddress, code: Code) -> Outcome:
        """See `LockDriver.modify`."""
        raw = self._profile.layout.modify(address, code)
        return await self._operate(Operation.MODIFY, address, raw)

    async def delete(self, address: CodeAddress) -> Outcome:
        """See `LockDriver.delete`."""
        return await self._operate(Operation.DELETE, address, self._profile.layout.delete(address))

    async def list_codes(self) -> tuple[ListedCode, ...] | None:
        """See `LockDriver.list_codes`."""
        profile = self._profile
        if profile.list_dp is None or profile.listing is None:
            return None
        async with self._one_operation:
            return await self._list(profile.list_dp, profile.listing.request())

    async def _list(self, dp: int, request: bytes) -> tuple[ListedCode, ...] | None:
        pieces = self._pieces = _Pieces()
        try:
            async with self._connection.turn:
                try:
                    ack = self._connection.control(self.cid, {str(dp): to_base64(request)})
                except LockUnreachableError:
                    return None
                ack.add_done_callback(pieces.on_ack)
                async with asyncio.timeout(self.capabilities.report_deadline):
                    return await pieces.complete
        except TimeoutError:
            return None
        finally:
            self._pieces = None

    async def _operate(self, operation: Operation, address: CodeAddress, raw: bytes) -> Outcome:
        """Send once; the report decides, whether before or after the acknowledgement, or late."""
        async with self._one_operation:
            return await self._send(operation, address, raw)

    async def _send(self, operation: Operation, address: CodeAddress, raw: bytes) -> Outcome:
        loop = asyncio.get_running_loop()
        waiting = _Waiting(operation, address, self._profile)
        try:
            async with self._connection.turn:
                self._waiting = waiting
                waiting.sent_at = loop.time()
                deadline = waiting.sent_at + self.capabilities.report_deadline
                dp = str(self._profile.dps[operation])
                try:
                    ack = self._connection.control(self.cid, {dp: to_base64(raw)})
                except LockUnreachableError as error:
                    return NotSent(why=error.reason)
                ack.add_done_callback(waiting.on_ack)
                both: set[asyncio.Future[Any]] = {ack, waiting.outcome}
                await asyncio.wait(
                    both,
                    timeout=min(_ACK_SECONDS, self.capabilities.report_deadline),
                    return_when=asyncio.FIRST_COMPLETED,
                )
            async with asyncio.timeout_at(deadline):
                return await waiting.outcome
        except TimeoutError:
            return Unknown(why="the lock did not report in time")
        finally:
            self._waiting = None
            self._last_exchange = waiting.exchange()

    # --- what the connection hears -------------------------------------------------------------

    def on_up(self) -> None:
        """See `Subscriber.on_up`."""
        self._online = True
        self._set_reachable(reachable=True, why="")

    def on_down(self, why: str) -> None:
        """See `Subscriber.on_down`."""
        if self._waiting is not None:
            self._waiting.settle(Unknown(why="the connection went before the lock reported"))
        self._set_reachable(reachable=False, why=why)

    def on_online(self, *, online: bool) -> None:
        """See `Subscriber.on_online`."""
        self._online = online
        self._set_reachable(reachable=online, why="its hub says that it is offline")

    def _set_reachable(self, *, reachable: bool, why: str) -> None:
        if reachable == self._reachable:
            return
        self._reachable = reachable
        self._listener(
            LockReached(lock=self.name) if reachable else LockLost(lock=self.name, why=why)
        )

    def on_contended(self, *, over: bool) -> None:
        """See `Subscriber.on_contended`."""
        self._listener(Contended(lock=self.name, peer=self._connection.endpoint.name, over=over))

    def on_dps(self, dps: dict[int, Any], sent_at: int | None) -> None:
        """See `Subscriber.on_dps`."""
        self._last_answer = self._clock.monotonic()
        if sent_at is not None:
            skew = sent_at - self._clock.now().timestamp()
            self._listener(ClockSeen(lock=self.name, skew=skew))
        if not self._online:
            self.on_online(online=True)
        for dp, value in dps.items():
            operation = self._profile.operation(dp)
            try:
                if operation is not None:
                    report = self._profile.layout.report(operation, from_base64(value))
                    self._on_report(operation, report)
                elif dp == self._profile.list_dp and self._profile.listing is not None:
                    packet = self._profile.listing.packet(from_base64(value))
                    if self._pieces is not None:
                        self._pieces.take(packet)
                elif dp in self._profile.openings:
                    self._listener(Opened(lock=self.name, slot=_number(value)))
            except BadReportError as error:
                _log.info("report.unexplained", lock=self.name, dp=dp, reason=str(error))
        self._on_status(dps)

    def _on_report(self, operation: Operation, report: Report) -> None:
        if self._waiting is not None and self._waiting.owns(operation, report):
            self._waiting.decide(report)
            return
        if report.verdict is Stage.UNDER_WAY:
            return
        outcome: Confirmed | Rejected = Confirmed(address=report.address)
        if isinstance(report.verdict, Refusal):
            outcome = Rejected(reason=report.verdict)
        self._listener(
            CodeReported(
                lock=self.name, operation=operation, address=report.address, outcome=outcome
            )
        )

    def _on_status(self, dps: dict[int, Any]) -> None:
        told = {
            signal: dps[dp]
            for dp, signal in self._profile.signals.items()
            if dps.get(dp) is not None
        }
        if told:
            self._listener(_status(self.name, told))


def _status(lock: str, told: dict[Signal, Any]) -> StatusReported:
    def text(signal: Signal) -> str | None:
        return str(told[signal])[:_MOST_TEXT] if signal in told else None

    def flag(signal: Signal) -> bool | None:
        return bool(told[signal]) if signal in told else None

    percent = told.get(Signal.BATTERY_PERCENT)
    return StatusReported(
        lock=lock,
        battery_percent=percent if isinstance(percent, int) else None,
        battery_state=text(Signal.BATTERY_STATE),
        alarm=text(Signal.ALARM),
        hijack=flag(Signal.HIJACK),
        doorbell=flag(Signal.DOORBELL),
        door=text(Signal.DOOR),
    )


def _reason_of(refused: Refused) -> Refusal:
    """A hub's error names no lock; about a lock it cannot reach it may be lifted by waiting."""
    away = any(word in refused.text.lower() for word in ("offline", "not online", "timeout"))
    return Refusal.TIMEOUT if away else Refusal.FAILED


def _number(value: Any) -> int:
    """The number of the code in an opening record: plain, or the bytes of one.

    Raises:
        BadReportError: neither.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raw = from_base64(value)
    if len(raw) not in {1, 2, 4}:
        raise BadReportError(f"an opening record of {len(raw)} bytes")
    return int.from_bytes(raw)
