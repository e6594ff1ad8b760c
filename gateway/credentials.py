"""Joins the queues of all locks: whom to wake, which lock an event is for, which locks there are."""

import asyncio
import random  # noqa: TID251 - only as the type of what is injected
import uuid
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import datetime

from structlog.contextvars import bound_contextvars

from gateway.clock import Clock
from gateway.domain import events
from gateway.domain.model import Property
from gateway.errors import StoreError
from gateway.lock_queue import LockQueue
from gateway.minting import Mint
from gateway.pin_mending import PinMender
from gateway.ports import (
    ClockSeen,
    CodeReported,
    Contended,
    Exchange,
    JobBoard,
    LockDriver,
    LockEvent,
    LockLost,
    LockReached,
    Meter,
    Notifier,
    Opened,
    StatusReported,
)
from gateway.store import audit, credentials, placements
from gateway.store.database import Database, Session
from gateway.store.secretbox import SecretBox
from gateway.turn import Turns
from gateway.watch import WRONG_PIN, LockWatch


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
        self._queues: dict[str, LockQueue] = {}
        self.adopt(site=site, drivers=drivers, mint=mint)

    def adopt(self, *, site: Property, drivers: Mapping[str, LockDriver], mint: Mint) -> None:
        """Go on with these locks and rules; a lock whose driver is another one must be `held`."""
        for name in self._queues.keys() - drivers.keys():
            self._queues.pop(name).stop()
        for name, driver in drivers.items():
            settings = site.lock(name)
            if settings is None:
                continue
            queue = self._queues.get(name)
            if queue is not None:
                queue.adopt(settings=settings, driver=driver, policy=site.policy, mint=mint)
                continue
            queue = self._queues[name] = LockQueue(
                settings=settings,
                driver=driver,
                policy=site.policy,
                mint=mint,
                database=self._database,
                box=self._box,
                turns=self._turns_of(name),
                pins=self._pins,
                clock=self._clock,
                now=self._now,
                draw=self._draw,
                meter=self._meter,
                wake_all=self.wake_all,
            )
            if self._tasks is not None:
                queue.start(self._tasks)

    def _turns_of(self, lock: str) -> Turns:
        return Turns(
            lock=lock,
            database=self._database,
            board=self._board,
            notifier=self._notifier,
            meter=self._meter,
            now=self._now,
            draw=self._draw,
            wake=self.wake,
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
                queue.start(tasks)

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

    # --- waking --------------------------------------------------------------------------------

    async def _sweep(self) -> None:
        while True:
            self.wake_all()
            self.last_sweep = self._clock.monotonic()
            await self._clock.sleep(self._sweep_seconds)

    def wake(self, lock: str) -> None:
        """Let the lock's queue look again; twice is once."""
        queue = self._queues.get(lock)
        if queue is not None:
            queue.wake()

    def wake_credential(self, credential_id: str) -> None:
        """Let the queue of a credential's lock look again: <code>-<lock>."""
        self.wake(credential_id.partition("-")[2])

    def wake_all(self) -> None:
        """Let every queue look again."""
        for queue in self._queues.values():
            queue.wake()

    async def revive(self, lock: str) -> None:
        """Let a lock's queue try at once whatever waits after failures."""
        queue = self._queues.get(lock)
        if queue is not None:
            await queue.revive()

    # --- what others ask -----------------------------------------------------------------------

    @property
    def contended(self) -> tuple[str, ...]:
        """See `LockWatch.contended`."""
        return self._watch.contended

    def holds_weekly(self, lock: str) -> bool:
        """Can a lock keep a code's hours of the week?"""
        queue = self._queues.get(lock)
        return queue is not None and queue.driver.capabilities.holds_weekly

    def last_exchange(self, lock: str, credential_id: str) -> Exchange | None:
        """How long the lock's last operation took, None if it was another credential's."""
        return self._queues[lock].last_exchange(credential_id)

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

    # --- what locks tell by themselves ---------------------------------------------------------

    def on_event(self, event: LockEvent) -> None:
        """What a lock told outside of an operation; handled in its order of arrival."""
        self._events.put_nowait(event)

    async def _listen(self) -> None:
        while True:
            event = await self._events.get()
            queue = self._queues.get(event.lock)
            if queue is None:
                continue
            try:
                with bound_contextvars(turn_id=str(uuid.uuid4())):
                    await self._hear(queue, event)
            except StoreError as error:
                queue.log_refusal(error)

    async def _hear(self, queue: LockQueue, event: LockEvent) -> None:
        match event:
            case CodeReported():
                if not await queue.reported(event):
                    await self._watch.foreign(event.lock)
            case Opened(slot=number):
                await queue.opened(number)
            case LockReached():
                await self._watch.hear(event)
                await queue.reached()
            case StatusReported(alarm=alarm):
                await self._watch.hear(event)
                if alarm == WRONG_PIN:
                    await queue.refused_at_keypad()
            case LockLost() | ClockSeen() | Contended():
                await self._watch.hear(event)
