"""The queue of one lock: one operation at a time, the most urgent first, for as long as it takes."""

import asyncio
import random  # noqa: TID251 - only as the type of what is injected
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

import structlog
from structlog.contextvars import bound_contextvars

from gateway.clock import Clock
from gateway.domain import events
from gateway.domain.jobs import JobKind
from gateway.domain.listing import lost_codes
from gateway.domain.model import LockSettings, Operation, Policy
from gateway.domain.plan import LockState, Send, next_sends, settlements
from gateway.errors import LockUnreachableError, StoreError, UnreadablePinError, WrongKeyError
from gateway.ledger import Command, Ledger
from gateway.minting import Mint
from gateway.pin_mending import PinMender
from gateway.ports import (
    CodeReported,
    Confirmed,
    Exchange,
    LockDriver,
    Meter,
    NotSent,
    Outcome,
)
from gateway.store.database import Database
from gateway.store.secretbox import SecretBox
from gateway.turn import Turn, Turns, pause_after
from gateway.verdicts import Heard, Verdicts

_RECONNECTS_APART = 30.0  # a new connection wakes the queue at most this often
_STORE_PAUSE = 5.0
_FIRST_LIST = 600.0  # seconds from the start
_LISTS_APART = 24 * 3600.0
_HOPELESS = 10  # failures that lead straight to the longest pause

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Answer:
    """What a lock said and the store refused to record. `begun`: its intent is on disk."""

    command: Command
    outcome: Outcome
    begun: bool


class LockQueue:
    """Brings one lock to what it should hold. What it keeps between two looks is only a hint.

    Attributes:
        busy: held while something is done on the lock.
    """

    def __init__(
        self,
        *,
        settings: LockSettings,
        driver: LockDriver,
        policy: Policy,
        mint: Mint,
        database: Database,
        box: SecretBox,
        turns: Turns,
        pins: PinMender,
        clock: Clock,
        now: Callable[[], datetime],
        draw: random.Random,
        meter: Meter,
        wake_all: Callable[[], None],
    ) -> None:
        """`wake_all`: lets every queue look again."""
        self._database = database
        self._box = box
        self._turns = turns
        self._pins = pins
        self._clock = clock
        self._now = now
        self._draw = draw
        self._meter = meter
        self._wake_all = wake_all
        self.busy = asyncio.Lock()
        self._awake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        # Times are monotonic.
        self._failures = 0
        self._paused_until = 0.0
        self._woken_by_connection_at = float("-inf")
        self._recognised = False  # is it known whether the hardware is the one of before?
        self._list_at = clock.monotonic() + _FIRST_LIST  # when the lock's own list is asked for
        self._listed_for: frozenset[tuple[int, int]] = frozenset()  # lost codes already asked for
        self._has_lost = False  # codes of ours whose slot only a list can tell
        self._exchanged_for = ""  # the credential of the lock's last exchange
        self._kept: dict[int, _Answer] = {}  # by placement: not recorded yet
        self._take(settings, driver, policy, mint)

    def _take(self, settings: LockSettings, driver: LockDriver, policy: Policy, mint: Mint) -> None:
        self.settings, self.driver = settings, driver
        self._ledger = Ledger(
            settings=settings,
            capabilities=driver.capabilities,
            program_ahead=policy.program_ahead,
            mint_ahead=policy.mint_ahead,
            box=self._box,
            mint=mint,
            draw=self._draw,
        )
        self._verdicts = Verdicts(settings=settings, capabilities=driver.capabilities, mint=mint)

    def adopt(
        self, *, settings: LockSettings, driver: LockDriver, policy: Policy, mint: Mint
    ) -> None:
        """Go on with these; `busy` must be held where the driver is another one."""
        if self.driver is not driver:  # nothing is known of it: neither failures nor lists
            self._failures, self._paused_until = 0, 0.0
            self._list_at = self._clock.monotonic() + _FIRST_LIST
            self._listed_for = frozenset()
        if self.settings != settings:  # other hardware, perhaps
            self._recognised = False
        self._take(settings, driver, policy, mint)
        self.wake()

    # --- looking, and looking again ------------------------------------------------------------

    def start(self, tasks: asyncio.TaskGroup) -> None:
        """Serve the lock in a task of this group, until stopped."""
        self._task = tasks.create_task(self._serve(), name=f"queue of {self.settings.name}")

    def stop(self) -> None:
        """Serve the lock no more."""
        if self._task is not None:
            self._task.cancel()

    def wake(self) -> None:
        """Look again; twice is once."""
        self._awake.set()

    async def revive(self) -> None:
        """Forget the pauses after failures and look again."""
        self._failures = 0
        self._paused_until = 0.0
        await self._turns.take(Turn.revive)
        self.wake()

    def last_exchange(self, credential_id: str) -> Exchange | None:
        """How long the lock's last operation took, None if it was another credential's."""
        return self.driver.last_exchange if self._exchanged_for == credential_id else None

    async def _serve(self) -> None:
        while True:
            self._awake.clear()
            try:
                with bound_contextvars(turn_id=str(uuid.uuid4())):
                    async with self.busy:
                        await self._record_kept()
                    await self._drain()
            except StoreError as error:
                await self._refused(error)
                continue
            await self._rest()

    async def _rest(self) -> None:
        """Sleep until woken, or until the pause after a failure has passed."""
        left = self._paused_until - self._clock.monotonic()
        with suppress(TimeoutError):
            async with asyncio.timeout(left if left > 0 else None):
                await self._awake.wait()

    def _pause(self) -> None:
        self._paused_until = self._clock.monotonic() + pause_after(self._failures, self._draw)
        self._failures += 1

    @property
    def _is_paused(self) -> bool:
        return self._clock.monotonic() < self._paused_until

    # --- one operation at a time ---------------------------------------------------------------

    async def _drain(self) -> None:
        """Do the next right thing on the lock until there is none."""
        if not self._recognised:
            await self._recognise()
        going_on = True
        while going_on:
            async with self.busy:
                going_on = await self._step()

    async def _step(self) -> bool:
        """Do the next right thing; False if there is none, or not now."""
        state = await self._state()
        if await self._list_lost(state):
            state = await self._state()
        send = await self._next(state)
        if send is None:
            await self._list_if_due()
            return False
        if self._is_paused:
            return False
        try:
            await self.driver.ready()
        except LockUnreachableError as error:
            await self._unreachable(send, error)
            return False
        command = await self._begin()
        if command is None:
            return True
        self._exchanged_for = command.credential_id
        outcome = await self._perform(command)
        await self._record(command, outcome)
        if isinstance(outcome, NotSent):
            self._pause()
            return False
        self._failures = 0
        return True

    async def _state(self) -> LockState:
        return await self._database.brief_read(
            lambda session: self._ledger.state(session, self._now())
        )

    async def _recognise(self) -> None:
        """Codes on the hardware of before are no longer known; what is due is issued anew."""
        count = await self._turns.take(self._verdicts.recognised)
        self._recognised = True
        if count:
            name = self.settings.name
            detail = (
                f"it is other hardware than before: {count} codes on the old one are unknown. Once"
                f" nobody can use that any more: gateway locks retire {name}"
            )
            await self._turns.notify(events.LOCK_REPLACED, name, detail)

    async def _next(self, state: LockState) -> Send | None:
        """Settle what needs no lock; then the most urgent operation, None without one."""
        now = self._now()
        sends = next_sends(state, now)
        begins = bool(sends) and self.driver.reachable and not self._is_paused
        if settlements(state, now) or (self._ledger.to_mint(state, now) and not begins):
            state = await self._turns.take(self._settle)
            sends = next_sends(state, self._now())
        return next(iter(sends), None)

    async def _settle(self, turn: Turn) -> LockState:
        """Mint the PINs that are due and settle all that can be; the state that it leaves."""
        state = await self._ledger.minted(turn)
        while found := settlements(state, turn.now):
            await self._ledger.settle(turn, found[0])
            state = await self._ledger.state(turn.session, turn.now)
        return state

    async def _begin(self) -> Command | None:
        """Settle, plan anew and record the first operation, all in one transaction."""

        async def body(turn: Turn) -> Command | None:
            state = await self._settle(turn)  # a PIN that is minted only now may be on the lock
            sends = next_sends(state, turn.now)
            return await self._ledger.begin(turn, sends[0], state) if sends else None

        return await self._turns.take(body)

    async def _perform(self, command: Command) -> Outcome:
        driver = self.driver
        if command.code is None:
            outcome = await driver.delete(command.address)
        elif command.operation is Operation.MODIFY:
            outcome = await driver.modify(command.address, command.code)
        else:
            outcome = await driver.create(command.address, command.code)
        if driver.last_exchange is not None:
            self._meter.operated(outcome, driver.last_exchange)
        return outcome

    async def _record(self, command: Command, outcome: Outcome) -> None:
        """Record what the lock said; where the store refuses, the answer is kept for later."""

        async def body(turn: Turn) -> None:
            await self._verdicts.record(turn, command, outcome)

        try:
            await self._turns.take(body)
        except StoreError:
            self._kept[command.placement_id] = _Answer(command, outcome, begun=True)
            raise

    async def _unreachable(self, send: Send, error: LockUnreachableError) -> None:
        if isinstance(error, WrongKeyError):
            self._failures = max(self._failures, _HOPELESS)
        self._pause()

        async def body(turn: Turn) -> None:
            # A PIN is minted whether or not it can be sent: the guest may be told.
            await self._ledger.minted(turn)
            await turn.fail(send.kind, send.credential_id, error.reason)

        await self._turns.take(body)

    # --- the lock's own list -------------------------------------------------------------------

    async def _list_lost(self, state: LockState) -> bool:
        """Ask for the lock's list where codes of unknown slot may be found in it. Was it asked for?"""
        if not self.driver.capabilities.can_list:
            return False
        lost = lost_codes(state, self._now())
        self._has_lost = bool(lost)
        lost -= self._listed_for
        if not lost or self._is_paused:
            return False
        self._listed_for |= lost
        await self._list()
        return True

    async def _list_if_due(self) -> None:
        """Once a day: are our codes still on the lock?"""
        due = self._clock.monotonic() >= self._list_at
        if due and self.driver.capabilities.can_list:
            await self._list()

    async def _list(self) -> None:
        self._list_at = self._clock.monotonic() + _LISTS_APART
        try:
            await self.driver.ready()
        except LockUnreachableError:
            self._list_at = self._clock.monotonic() + _FIRST_LIST
            return
        codes = await self.driver.list_codes()
        if codes is None:
            if self._has_lost:
                self._list_at = self._clock.monotonic() + _FIRST_LIST
            return

        async def body(turn: Turn) -> None:
            state = await self._ledger.state(turn.session, turn.now)
            await self._verdicts.listed(turn, state, codes)

        await self._turns.take(body)
        self.wake()

    # --- what the lock tells by itself ---------------------------------------------------------

    async def reached(self) -> None:
        """It is newly connected: whatever waits may try at once, though not too often."""
        now = self._clock.monotonic()
        if now < self._woken_by_connection_at + _RECONNECTS_APART:
            return
        self._woken_by_connection_at = now
        await self.revive()

    async def reported(self, report: CodeReported) -> bool:
        """It reported on an operation that was not waited for; False where none of ours explains it."""

        async def body(turn: Turn) -> Heard:
            return await self._verdicts.reported(turn, report)

        heard = await self._turns.take(body)
        if heard is Heard.ANSWER:
            await self.revive()
        return heard is not Heard.FOREIGN

    async def opened(self, number: int) -> None:
        """It was opened with the code of this number."""

        async def body(turn: Turn) -> None:
            await self._verdicts.opened(turn, number)

        await self._turns.take(body)
        self.wake()

    async def refused_at_keypad(self) -> None:
        """A wrong code was typed at it."""
        await self._turns.take(self._verdicts.refused_at_keypad)

    # --- while the store refuses ---------------------------------------------------------------

    async def _refused(self, error: StoreError) -> None:
        """The store could not be read or written: mend what can be mended, revoke what is due."""
        try:
            if isinstance(error, UnreadablePinError) and await self._pins.mend():
                self._wake_all()
                return
            self.log_refusal(error)
            if self._database.condition is not None:
                async with self.busy:
                    await self._revoke_unrecorded()
        except StoreError as another:
            self.log_refusal(another)
        await self._clock.sleep(_STORE_PAUSE)

    def log_refusal(self, error: StoreError) -> None:
        """The store refused something of this lock."""
        if self._database.condition is None:  # of its condition the database itself tells, once
            _log.error("store.refused", lock=self.settings.name, reason=str(error))

    async def _revoke_unrecorded(self) -> None:
        """While nothing can be written: a code that is due to go goes, and its outcome is kept.

        A removal may be repeated, so it needs no intent on disk. A create does, and waits.
        """
        state = await self._state()
        for send in next_sends(state, self._now()):
            answer = self._kept.get(send.placement_id or 0)
            done = (
                answer is not None
                and answer.command.operation is Operation.DELETE
                and isinstance(answer.outcome, Confirmed)
            )
            if send.kind is not JobKind.REV or done or self._is_paused:
                continue
            command = await self._database.brief_read(
                lambda session, send=send: self._ledger.unrecorded_delete(session, send)  # type: ignore[misc] # mypy cannot type a lambda's default
            )
            try:
                await self.driver.ready()
            except LockUnreachableError:
                self._pause()
                return
            if command is None:
                continue
            outcome = await self._perform(command)
            if not isinstance(outcome, NotSent):
                self._kept[command.placement_id] = _Answer(command, outcome, begun=False)
            if isinstance(outcome, Confirmed):
                _log.info("code.removed_unrecorded", lock=self.settings.name)
            else:
                self._pause()

    async def _record_kept(self) -> None:
        """Record the answers that the store refused before."""
        for number, answer in tuple(self._kept.items()):

            async def body(turn: Turn, answer: _Answer = answer) -> None:
                if not answer.begun:
                    await self._ledger.record_late(turn, answer.command)
                await self._verdicts.record(turn, answer.command, answer.outcome)

            await self._turns.take(body)
            del self._kept[number]
