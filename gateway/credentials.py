"""Brings every lock to what it should hold: one queue a lock, woken by jobs, changes and reports."""

import asyncio
import random  # noqa: TID251 - only as the type of what is injected
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

import structlog

from gateway.clock import Clock
from gateway.domain import events
from gateway.domain.jobs import JobKind
from gateway.domain.listing import lost_codes
from gateway.domain.model import LockSettings, Operation, Property
from gateway.domain.plan import Send, next_sends, settlements
from gateway.errors import LockUnreachableError, StoreError, UnreadablePinError, WrongKeyError
from gateway.ledger import Command, Ledger
from gateway.minting import Mint
from gateway.pin_mending import PinMender
from gateway.ports import (
    ClockSeen,
    CodeReported,
    Confirmed,
    Contended,
    Exchange,
    JobBoard,
    LockDriver,
    LockEvent,
    LockLost,
    LockReached,
    Meter,
    Notice,
    Notifier,
    NotSent,
    Opened,
    Outcome,
    StatusReported,
)
from gateway.store import audit, credentials, placements
from gateway.store.database import Database, Session
from gateway.store.secretbox import SecretBox
from gateway.turn import Turn, pause_after
from gateway.verdicts import Verdicts
from gateway.watch import WRONG_PIN, LockWatch

_RECONNECTS_APART = 30.0  # a new connection wakes the queue at most this often
_STORE_PAUSE = 5.0
_FIRST_LIST = 600.0  # seconds from the start
_LISTS_APART = 24 * 3600.0
_HOPELESS = 10  # failures that lead straight to the longest pause
_FOR_PEOPLE = frozenset(
    {
        events.PIN_ISSUED,
        events.PIN_CHANGED,
        events.CREDENTIAL_OBSERVED,
        events.CODE_REVOKED_USED,
        events.LOCK_CODE_MISSING,
    }
)

T = TypeVar("T")

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Answer:
    """What a lock said and the store refused to record. `begun`: its intent is on disk."""

    command: Command
    outcome: Outcome
    begun: bool


@dataclass(slots=True, kw_only=True)
class _Queue:
    """What is remembered of one lock between two looks at it. Times are monotonic.

    `busy` is held while something is done on the lock; `task` serves the queue.
    """

    settings: LockSettings
    driver: LockDriver
    ledger: Ledger
    verdicts: Verdicts
    busy: asyncio.Lock = field(default_factory=asyncio.Lock)
    task: asyncio.Task[None] | None = None
    awake: asyncio.Event = field(default_factory=asyncio.Event)
    recognised: bool = False  # is it known whether the hardware is the one of before?
    failures: int = 0
    paused_until: float = 0.0
    woken_by_connection_at: float = float("-inf")
    list_at: float  # when the lock's own list is asked for next
    listed_for: frozenset[tuple[int, int]] = frozenset()  # lost codes for which it was asked
    has_lost: bool = False  # codes of ours whose slot only a list can tell
    exchanged_for: str = ""  # the credential of the lock's last exchange
    kept: dict[int, _Answer] = field(default_factory=dict)  # by placement: not recorded yet


class Credentials:
    """The queues of all locks of a property."""

    def __init__(
        self,
        *,
        database: Database,
        box: SecretBox,
        site: Property,
        drivers: Mapping[str, LockDriver],
        board: JobBoard,
        notifier: Notifier,
        clock: Clock,
        now: Callable[[], datetime],
        draw: random.Random,
        mint: Mint,
        meter: Meter,
        sweep: float,
    ) -> None:
        """`sweep`: seconds between two looks at every lock. `now` is the time that may be acted upon: the clock's, or a sure lower bound of it."""
        self._database = database
        self._box = box
        self._pins = PinMender(database=database, box=box, notifier=notifier, now=now)
        self._board = board
        self._notifier = notifier
        self._clock = clock
        self._now = now
        self._draw = draw
        self._meter = meter
        self._sweep_seconds = sweep
        self._events: asyncio.Queue[LockEvent] = asyncio.Queue()
        self._watch = LockWatch(database=database, notifier=notifier, now=now)
        self.last_sweep: float | None = None
        self._tasks: asyncio.TaskGroup | None = None
        self._queues: dict[str, _Queue] = {}
        self.adopt(site=site, drivers=drivers, mint=mint)

    def adopt(self, *, site: Property, drivers: Mapping[str, LockDriver], mint: Mint) -> None:
        """Go on with these locks and rules; a lock whose driver is another one must be `held`."""
        for name in self._queues.keys() - drivers.keys():
            gone = self._queues.pop(name)
            if gone.task is not None:
                gone.task.cancel()
        for name, driver in drivers.items():
            settings = site.lock(name)
            if settings is None:
                continue
            queue = self._queue_of(settings, driver, site, mint)
            before = self._queues.setdefault(name, queue)
            if before is queue:
                self._begin_to_serve(queue)
                continue
            if before.driver is not driver:  # nothing is known of it: neither failures nor lists
                before.failures, before.paused_until = 0, 0.0
                before.list_at, before.listed_for = queue.list_at, queue.listed_for
            if before.settings != settings:  # other hardware, perhaps
                before.recognised = False
            before.settings, before.driver = settings, driver
            before.ledger, before.verdicts = queue.ledger, queue.verdicts
            before.awake.set()

    def _queue_of(
        self, settings: LockSettings, driver: LockDriver, site: Property, mint: Mint
    ) -> _Queue:
        return _Queue(
            settings=settings,
            driver=driver,
            ledger=Ledger(
                settings=settings,
                capabilities=driver.capabilities,
                program_ahead=site.policy.program_ahead,
                mint_ahead=site.policy.mint_ahead,
                box=self._box,
                mint=mint,
                draw=self._draw,
            ),
            verdicts=Verdicts(settings=settings, capabilities=driver.capabilities, mint=mint),
            list_at=self._clock.monotonic() + _FIRST_LIST,
        )

    async def run(self) -> None:
        """Serve the queues until cancelled. What a stopped process left unanswered is resolved."""
        with suppress(StoreError):  # `sent` is resolved as `unknown` is; the store tells of itself
            await self._database.transaction(placements.doubt_unanswered)
            await self._pins.mend()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._listen(), name="lock events")
            tasks.create_task(self._sweep(), name="sweep")
            self._tasks = tasks
            for queue in self._queues.values():
                self._begin_to_serve(queue)

    def _begin_to_serve(self, queue: _Queue) -> None:
        if self._tasks is not None:
            name = f"queue of {queue.settings.name}"
            queue.task = self._tasks.create_task(self._serve(queue), name=name)

    @asynccontextmanager
    async def held(self, locks: Iterable[str]) -> AsyncIterator[None]:
        """Nothing is under way on these locks inside the block; what was has had its answer."""
        async with AsyncExitStack() as stack:
            for name in sorted(locks):
                if name in self._queues:
                    await stack.enter_async_context(self._queues[name].busy)
            yield

    async def rest(self, seconds: float) -> None:
        """Begin nothing more; what is under way has so long to be answered."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds), asyncio.TaskGroup() as tasks:
                for queue in self._queues.values():
                    tasks.create_task(queue.busy.acquire())

    @property
    def contended(self) -> tuple[str, ...]:
        """See `LockWatch.contended`."""
        return self._watch.contended

    def wake(self, lock: str) -> None:
        """Let the lock's queue look again; twice is once."""
        queue = self._queues.get(lock)
        if queue is not None:
            queue.awake.set()

    def wake_credential(self, credential_id: str) -> None:
        """Let the queue of a credential's lock look again: <code>-<lock>."""
        self.wake(credential_id.partition("-")[2])

    async def reach(self, lock: str) -> None:
        """Return once the lock can take a command.

        Raises:
            LockUnreachableError, WrongKeyError: see `LockDriver.ready`.
        """
        await self._queues[lock].driver.ready()

    async def retire(self, lock: str, *, actor: str) -> int | None:
        """End what waits for hardware that is no longer in use; how many codes that were.

        Of a lock that the configuration has, only what is on the hardware it replaced. None: there
        never was a lock of that name.
        """
        queue = self._queues.get(lock)
        now = self._now()

        async def body(session: Session) -> tuple[int | None, list[str]]:
            present = None if queue is None else queue.settings
            if present is None and not await credentials.has_lock(session, lock):
                return None, []
            ended = await placements.retire(session, lock, present, now)
            dropped = [] if present is not None else await credentials.abandon(session, lock, now)
            await audit.append(
                session,
                at=now,
                actor=actor,
                event=events.LOCK_RETIRED,
                detail=f"{len(ended)} codes on it are no longer followed",
                lock=lock,
            )
            return len(ended), dropped

        count, dropped = await self._database.transaction(body)
        self._board.drop(dropped)
        return count

    def last_exchange(self, lock: str, credential_id: str) -> Exchange | None:
        """How long the lock's last operation took, None if it was another credential's."""
        queue = self._queues[lock]
        return queue.driver.last_exchange if queue.exchanged_for == credential_id else None

    def wake_all(self) -> None:
        """Let every queue look again."""
        for queue in self._queues.values():
            queue.awake.set()

    def on_event(self, event: LockEvent) -> None:
        """What a lock told outside of an operation; handled in its order of arrival."""
        self._events.put_nowait(event)

    # --- queues --------------------------------------------------------------------------------

    async def _sweep(self) -> None:
        while True:
            self.wake_all()
            self.last_sweep = self._clock.monotonic()
            await self._clock.sleep(self._sweep_seconds)

    async def _serve(self, queue: _Queue) -> None:
        while True:
            queue.awake.clear()
            try:
                async with queue.busy:
                    await self._record_kept(queue)
                await self._drain(queue)
            except StoreError as error:
                await self._refused(queue, error)
                continue
            await self._rest(queue)

    async def _refused(self, queue: _Queue, error: StoreError) -> None:
        """The store could not be read or written: mend what can be mended, revoke what is due."""
        try:
            if isinstance(error, UnreadablePinError) and await self._pins.mend():
                self.wake_all()
                return
            self._log_refusal(queue.settings.name, error)
            if self._database.condition is not None:
                async with queue.busy:
                    await self._revoke_unrecorded(queue)
        except StoreError as another:
            self._log_refusal(queue.settings.name, another)
        await self._clock.sleep(_STORE_PAUSE)

    def _log_refusal(self, lock: str, error: StoreError) -> None:
        if self._database.condition is None:  # of its condition the database itself tells, once
            _log.error("store.refused", lock=lock, reason=str(error))

    async def _revoke_unrecorded(self, queue: _Queue) -> None:
        """While nothing can be written: a code that is due to go goes, and its outcome is kept.

        A removal may be repeated, so it needs no intent on disk. A create does, and waits.
        """
        state = await self._database.read(queue.ledger.state)
        for send in next_sends(state, self._now()):
            answer = queue.kept.get(send.placement_id or 0)
            done = (
                answer is not None
                and answer.command.operation is Operation.DELETE
                and isinstance(answer.outcome, Confirmed)
            )
            paused = self._clock.monotonic() < queue.paused_until
            if send.kind is not JobKind.REV or done or paused:
                continue
            command = await self._database.read(
                lambda session, send=send: queue.ledger.unrecorded_delete(session, send)  # type: ignore[misc] # mypy cannot type a lambda's default
            )
            try:
                await queue.driver.ready()
            except LockUnreachableError:
                self._pause(queue)
                return
            if command is None:
                continue
            outcome = await self._perform(queue.driver, command)
            if not isinstance(outcome, NotSent):
                queue.kept[command.placement_id] = _Answer(command, outcome, begun=False)
            if isinstance(outcome, Confirmed):
                _log.info("code.removed_unrecorded", lock=queue.settings.name)
            else:
                self._pause(queue)

    async def _record_kept(self, queue: _Queue) -> None:
        """Record the answers that the store refused before."""
        for number, answer in tuple(queue.kept.items()):

            async def body(turn: Turn, answer: _Answer = answer) -> None:
                if not answer.begun:
                    await queue.ledger.record_late(turn, answer.command)
                await queue.verdicts.record(turn, answer.command, answer.outcome)

            await self._write(queue, body)
            del queue.kept[number]

    async def _rest(self, queue: _Queue) -> None:
        """Sleep until woken, or until the pause after a failure has passed."""
        left = queue.paused_until - self._clock.monotonic()
        try:
            async with asyncio.timeout(left if left > 0 else None):
                await queue.awake.wait()
        except TimeoutError:
            pass

    async def _drain(self, queue: _Queue) -> None:
        """Do the next right thing on the lock until there is none."""
        if not queue.recognised:
            await self._recognise(queue)
        going_on = True
        while going_on:
            async with queue.busy:
                going_on = await self._step(queue)

    async def _step(self, queue: _Queue) -> bool:
        """Do the next right thing; False if there is none, or not now."""
        await self._list_lost(queue)
        send = await self._next(queue)
        if send is None:
            await self._list_if_due(queue)
            return False
        if self._clock.monotonic() < queue.paused_until:
            return False
        try:
            await queue.driver.ready()
        except LockUnreachableError as error:
            await self._unreachable(queue, send, error)
            return False
        command = await self._begin(queue)
        if command is None:
            return True
        queue.exchanged_for = command.credential_id
        outcome = await self._perform(queue.driver, command)
        await self._record(queue, command, outcome)
        if isinstance(outcome, NotSent):
            self._pause(queue)
            return False
        queue.failures = 0
        return True

    async def _recognise(self, queue: _Queue) -> None:
        """Codes on the hardware of before are no longer known; what is due is issued anew."""
        count = await self._write(queue, queue.verdicts.recognised)
        queue.recognised = True
        if count:
            name = queue.settings.name
            detail = (
                f"it is other hardware than before: {count} codes on the old one are unknown. Once"
                f" nobody can use that any more: gateway locks retire {name}"
            )
            await self._notify(events.LOCK_REPLACED, name, detail)

    async def _list_lost(self, queue: _Queue) -> None:
        """Ask for the lock's list where codes of unknown slot may be found in it."""
        if not queue.driver.capabilities.can_list:
            return
        state = await self._database.read(queue.ledger.state)
        lost = lost_codes(state, self._now())
        queue.has_lost = bool(lost)
        lost -= queue.listed_for
        if lost and self._clock.monotonic() >= queue.paused_until:
            queue.listed_for |= lost
            await self._list(queue)

    async def _list_if_due(self, queue: _Queue) -> None:
        """Once a day: are our codes still on the lock?"""
        due = self._clock.monotonic() >= queue.list_at
        if due and queue.driver.capabilities.can_list:
            await self._list(queue)

    async def _list(self, queue: _Queue) -> None:
        queue.list_at = self._clock.monotonic() + _LISTS_APART
        try:
            await queue.driver.ready()
        except LockUnreachableError:
            queue.list_at = self._clock.monotonic() + _FIRST_LIST
            return
        codes = await queue.driver.list_codes()
        if codes is None:
            if queue.has_lost:
                queue.list_at = self._clock.monotonic() + _FIRST_LIST
            return

        async def body(turn: Turn) -> None:
            state = await queue.ledger.state(turn.session)
            await queue.verdicts.listed(turn, state, codes)

        await self._write(queue, body)
        queue.awake.set()

    async def _next(self, queue: _Queue) -> Send | None:
        """Settle what needs no lock; then the most urgent operation, None without one."""
        now = self._now()
        state = await self._database.read(queue.ledger.state)
        if queue.ledger.to_mint(state, now) or settlements(state, now):
            await self._settle(queue)
            state = await self._database.read(queue.ledger.state)
        return next(iter(next_sends(state, self._now())), None)

    async def _settle(self, queue: _Queue) -> None:
        async def body(turn: Turn) -> None:
            state = await queue.ledger.state(turn.session)
            if await queue.ledger.mint_due(turn, state):
                state = await queue.ledger.state(turn.session)
            while found := settlements(state, turn.now):
                await queue.ledger.settle(turn, found[0])
                state = await queue.ledger.state(turn.session)

        await self._write(queue, body)

    async def _begin(self, queue: _Queue) -> Command | None:
        """Plan anew and record the first operation, all in one transaction."""

        async def body(turn: Turn) -> Command | None:
            state = await queue.ledger.state(turn.session)
            sends = next_sends(state, turn.now)
            return await queue.ledger.begin(turn, sends[0], state) if sends else None

        return await self._write(queue, body)

    async def _perform(self, driver: LockDriver, command: Command) -> Outcome:
        if command.code is None:
            outcome = await driver.delete(command.address)
        elif command.operation is Operation.MODIFY:
            outcome = await driver.modify(command.address, command.code)
        else:
            outcome = await driver.create(command.address, command.code)
        if driver.last_exchange is not None:
            self._meter.operated(outcome, driver.last_exchange)
        return outcome

    async def _record(self, queue: _Queue, command: Command, outcome: Outcome) -> None:
        """Record what the lock said; where the store refuses, the answer is kept for later."""

        async def body(turn: Turn) -> None:
            await queue.verdicts.record(turn, command, outcome)

        try:
            await self._write(queue, body)
        except StoreError:
            queue.kept[command.placement_id] = _Answer(command, outcome, begun=True)
            raise

    async def _unreachable(self, queue: _Queue, send: Send, error: LockUnreachableError) -> None:
        if isinstance(error, WrongKeyError):
            queue.failures = max(queue.failures, _HOPELESS)
        self._pause(queue)

        async def body(turn: Turn) -> None:
            await turn.fail(send.kind, send.credential_id, error.reason)

        await self._write(queue, body)

    def _pause(self, queue: _Queue) -> None:
        queue.paused_until = self._clock.monotonic() + pause_after(queue.failures, self._draw)
        queue.failures += 1

    async def _write(self, queue: _Queue, body: Callable[[Turn], Awaitable[T]]) -> T:
        """Run `body` in a transaction; once it is committed, tell whom it concerns."""
        turns: list[Turn] = []

        async def transact(session: Session) -> T:
            turn = Turn(session, queue.settings.name, self._now(), self._draw)
            result = await body(turn)
            turns.append(turn)
            return result

        result = await self._database.transaction(transact)
        for turn in turns:
            self._board.drop(turn.dropped)
            self._board.put(turn.put)
            for lock in turn.wake - {queue.settings.name}:
                self.wake(lock)
            for margin in turn.margins:
                self._meter.confirmed(before_check_in=margin)
            await self._announce(queue, turn)
        return result

    async def _announce(self, queue: _Queue, turn: Turn) -> None:
        for told in turn.told:
            _log.info(
                told.event,
                lock=queue.settings.name,
                credential_id=told.credential_id,
                detail=told.detail,
            )
            if told.event in _FOR_PEOPLE and not told.trial:
                await self._notify(told.event, told.credential_id, told.detail)

    async def _notify(self, event: str, subject: str, detail: str) -> None:
        notice = Notice(event=event, at=self._now(), subject=subject, detail=detail)
        await self._notifier.tell(notice)

    # --- what locks tell by themselves ---------------------------------------------------------

    async def _listen(self) -> None:
        while True:
            event = await self._events.get()
            queue = self._queues.get(event.lock)
            if queue is None:
                continue
            try:
                await self._hear(queue, event)
            except StoreError as error:
                self._log_refusal(event.lock, error)

    async def _hear(self, queue: _Queue, event: LockEvent) -> None:
        match event:
            case CodeReported():
                await self._reported(queue, event)
            case Opened(slot=number):
                await self._write(queue, lambda turn: queue.verdicts.opened(turn, number))
                queue.awake.set()
            case LockReached():
                await self._watch.hear(event)
                await self._reached(queue)
            case StatusReported(alarm=alarm):
                await self._watch.hear(event)
                if alarm == WRONG_PIN:
                    await self._write(queue, queue.verdicts.refused_at_keypad)
            case LockLost() | ClockSeen() | Contended():
                await self._watch.hear(event)

    async def _reached(self, queue: _Queue) -> None:
        now = self._clock.monotonic()
        if now < queue.woken_by_connection_at + _RECONNECTS_APART:
            return
        queue.woken_by_connection_at = now
        await self._revive(queue)

    async def revive(self, lock: str) -> None:
        """Let a lock's queue try at once whatever waits after failures."""
        queue = self._queues.get(lock)
        if queue is not None:
            await self._revive(queue)

    def holds_weekly(self, lock: str) -> bool:
        """Can a lock keep a code's hours of the week?"""
        queue = self._queues.get(lock)
        return queue is not None and queue.driver.capabilities.holds_weekly

    async def _revive(self, queue: _Queue) -> None:
        """Forget the pauses and look again."""
        queue.failures = 0
        queue.paused_until = 0.0
        await self._write(queue, Turn.revive)
        queue.awake.set()

    async def _reported(self, queue: _Queue, report: CodeReported) -> None:
        async def body(turn: Turn) -> bool:
            return await queue.verdicts.reported(turn, report)

        if await self._write(queue, body):
            await self._revive(queue)
            return
        await self._watch.foreign(report.lock)
