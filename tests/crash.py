"""Kills of the whole gateway at one write, to disk or socket, in virtual time.

A kill stops everything at once: no `finally`, no shielded transaction, no byte more. So all that a
gateway does runs in a context that names its `Life`, and three seams ask that life first: whether a
callback may run, whether SQLite may execute, whether bytes may leave. At the kill the files are
copied as they are on disk, every socket is shut, every callback is put aside; the next gateway
starts on the copy. Only when a story is over are the remains unwound (`bury`), still unable to write.
"""

import asyncio
import heapq
import os
import shutil
import socket
import sqlite3
import threading
from asyncio import selector_events
from contextlib import asynccontextmanager, contextmanager, suppress
from contextvars import ContextVar, copy_context
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import aiosqlite.core
import time_machine

from gateway.clock import SystemClock
from tests.virtual_time import VirtualLoop, threads_counted

LIFE = ContextVar("life", default=None)
RESTART_SECONDS = 5


class When(StrEnum):
    """Where a kill strikes. `TORN`: half of the bytes have left."""

    BEFORE = "before"
    TORN = "in the middle of"
    AFTER = "after"


@dataclass(frozen=True)
class Kill:
    """Kill at the `number`-th write of a phase, or of those `to` one place since the `since`-th."""

    number: int
    when: When
    to: str | None = None
    since: int = 0


@dataclass(eq=False)
class Life:
    """One process: what it wrote while `counting`, and whether it was killed."""

    folder: Path
    kill: Kill | None = None
    counting: bool = True
    writes: list = field(default_factory=list)
    dead: bool = False
    frozen: bool = False
    remains: Path | None = None
    parked: list = field(default_factory=list)
    stuck: list = field(default_factory=list)

    def __post_init__(self):
        self.loop = asyncio.get_running_loop()
        self.killed = self.loop.create_future()

    def strikes(self, when):
        """Is this the moment?"""
        kill = self.kill
        if not self.counting or kill is None or when is not kill.when:
            return False
        if kill.to not in {None, self.writes[-1]}:
            return False
        counted = self.writes[kill.since :]
        number = len(counted) if kill.to is None else counted.count(kill.to)
        return number == kill.number + 1

    def note(self, label):
        """A write is about to be done."""
        if self.counting:
            self.writes.append(label)

    def die(self):
        """Stop everything at once; what is on disk stays."""
        self.dead = self.frozen = True
        self.remains = self.folder.with_name(f"{self.folder.name}+")
        shutil.copytree(self.folder, self.remains)
        self.loop.cut_off(self)
        self.killed.set_result(None)

    async def until_buried(self):
        """Where the dead wait for ever, or until somebody unwinds them."""
        if self.frozen:
            future = self.loop.create_future()
            self.stuck.append(future)
            await future
        raise sqlite3.OperationalError("killed")

    async def bury(self, task):
        """Unwind what is left of the process; every seam still refuses it."""
        self.frozen = False
        self.loop._ready.extend(handle for handle in self.parked if not handle.cancelled())
        for future in self.stuck:
            if not future.done():
                future.set_exception(sqlite3.OperationalError("killed"))
        task.cancel()
        await asyncio.wait({task})
        with suppress(BaseException):
            task.result()


# --- the three seams ---------------------------------------------------------------------------


def _parks(handle):
    life = handle._context.get(LIFE)
    if life is None or not life.frozen:
        return False
    life.parked.append(handle)
    return True


class _Handle(asyncio.Handle):
    def _run(self):
        if not _parks(self):
            super()._run()


class _TimerHandle(asyncio.TimerHandle):
    def _run(self):
        if not _parks(self):
            super()._run()


class MortalLoop(VirtualLoop):
    """A loop in virtual time that can put all callbacks of one life aside.

    `names`: whom bytes to a port go to.
    """

    def __init__(self, traveller):
        super().__init__(traveller)
        self.names = {}

    def _call_soon(self, callback, args, context):
        handle = _Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_at(self, when, callback, *args, context=None):
        handle = _TimerHandle(when, callback, args, self, context)
        heapq.heappush(self._scheduled, handle)
        handle._scheduled = True
        return handle

    def run_in_executor(self, executor, func, *args):
        """A life's work in threads is done at once: a file is read or written by it."""
        life = LIFE.get()
        if life is None:
            return super().run_in_executor(executor, func, *args)
        future = self.create_future()
        if not life.dead:
            life.note("file")
            if life.strikes(When.BEFORE):
                life.die()
            else:
                _settle(future, func, args)
                if life.strikes(When.AFTER):
                    life.die()
                    future = self.create_future()
        if life.dead:
            life.stuck.append(future)
        return future

    def _add_reader(self, fd, callback, *args):
        life = LIFE.get()
        if life is None or not life.frozen:
            return super()._add_reader(fd, callback, *args)
        return None

    def _make_socket_transport(
        self, sock, protocol, waiter=None, *, extra=None, server=None, **more
    ):
        return _Transport(self, sock, protocol, waiter, extra, server, **more)

    def cut_off(self, life):
        """Shut every socket of a life, and run none of its callbacks."""
        for place, handle in enumerate(self._ready):
            if not isinstance(handle, _Handle | _TimerHandle) and handle._callback is not None:
                self._ready[place] = _Handle(handle._callback, handle._args, self, handle._context)
        for key in list(self._selector.get_map().values()):
            for handle in filter(None, key.data or ()):
                if handle._context is not None and handle._context.get(LIFE) is life:
                    self._selector.unregister(key.fd)
                    # Not closed: its number must not become another socket's while this one is dead.
                    duplicate = socket.socket(fileno=os.dup(key.fd))
                    with suppress(OSError):
                        duplicate.shutdown(socket.SHUT_RDWR)
                    duplicate.close()
                    break


def _settle(future, func, args):
    try:
        future.set_result(func(*args))
    except BaseException as error:  # noqa: BLE001 - raised where the call was made
        future.set_exception(error)


class _Transport(selector_events._SelectorSocketTransport):
    """Bytes to a socket: one write of its life."""

    def __init__(self, *args, **more):
        self._life = LIFE.get()
        super().__init__(*args, **more)
        _, port = self.get_extra_info("peername") or (None, None)
        self._to = self._loop.names.get(port, "a caller")

    def write(self, data):
        life = self._life
        if life is None:
            super().write(data)
        elif not life.dead:
            self._write(life, bytes(data))

    def writelines(self, list_of_data):
        self.write(b"".join(list_of_data))

    def _write(self, life, data):
        life.note(self._to)
        if life.strikes(When.BEFORE):
            life.die()
            return
        if life.strikes(When.TORN):
            super().write(data[: len(data) // 2])
            life.die()
            return
        super().write(data)
        if life.strikes(When.AFTER):
            life.die()


@contextmanager
def _disk_seam():
    original = aiosqlite.core.Connection._execute

    async def execute(self, call, *args, **kwargs):
        life = LIFE.get()
        if life is None or call == self._conn.close:
            return await original(self, call, *args, **kwargs)
        if life.dead:
            await life.until_buried()
        commits = bool(args) and isinstance(args[0], str) and "COMMIT" in args[0]
        if commits:
            life.note("disk")
            if life.strikes(When.BEFORE):
                life.die()
                await life.until_buried()
        result = _at_once(self, call, *args, **kwargs)
        if commits and life.strikes(When.AFTER):
            life.die()
            await life.until_buried()
        await asyncio.sleep(0)
        return result

    aiosqlite.core.Connection._execute = execute
    try:
        yield
    finally:
        aiosqlite.core.Connection._execute = original


def _at_once(connection, call, *args, **kwargs):
    """In the connection's own thread, waited for: the order of all things is the same each time."""
    done, answers, errors = threading.Event(), [], []

    def work():
        try:
            answers.append(call(*args, **kwargs))
        except BaseException as error:  # noqa: BLE001 - raised where the call was made
            errors.append(error)
        finally:
            done.set()

    connection._tx.put_nowait((None, work))
    done.wait()
    if errors:
        raise errors[0]
    return answers[0]


@contextmanager
def mortal(*, start):
    """An asyncio.Runner on virtual time from `start`, where lives can be killed."""
    with (
        time_machine.travel(start, tick=False) as traveller,
        threads_counted(),
        _disk_seam(),
        asyncio.Runner(loop_factory=lambda: MortalLoop(traveller)) as runner,
    ):
        yield runner


def run_mortal(main, *, start):
    """Run `main(clock)` from `start` on virtual time, where lives can be killed."""
    with mortal(start=start) as runner:
        return runner.run(main(SystemClock()))


# --- a supervisor -------------------------------------------------------------------------------


class Supervisor:
    """Starts the gateway of a house, and starts it again five seconds after a kill.

    `kill` strikes once, at a write while `counting`; more can be armed. `writes`: all that the first
    life wrote meanwhile. `down`: (began, ended) of every time between a kill and the next start.
    """

    def __init__(self, house, kill=None):
        self.house = house
        self.kill = kill
        self.writes = []
        self.lives = []
        self.down = []
        self.seconds = RESTART_SECONDS
        self.counting = False
        self._begun = asyncio.Event()
        self._stopping = asyncio.Event()

    @property
    def struck(self):
        """Has the kill come?"""
        return any(life.dead for life, _ in self.lives)

    @property
    def kills(self):
        """How often it was killed."""
        return sum(life.dead for life, _ in self.lives)

    @asynccontextmanager
    async def supervising(self):
        """The gateway lives inside the block, with interruptions."""
        task = asyncio.ensure_future(self._supervise())
        try:
            yield self
        finally:
            self._stopping.set()
            await task
            for life, remains in self.lives:
                if life.dead:
                    await life.bury(remains)

    def count(self, *, on):
        """Begin or end the phase whose writes count."""
        self.counting = on
        for life, _ in self.lives:
            life.counting = on

    def arm(self, number, when, *, to=None, seconds=RESTART_SECONDS):
        """Kill at the `number`-th write from now, of this life or, if it is dead, of the next."""
        self.count(on=True)
        self.seconds = seconds
        life, _ = self.lives[-1]
        if life.dead:
            self.kill = Kill(number, when, to)
        else:
            life.kill = Kill(number, when, to, since=len(life.writes))

    def disarm(self):
        """No further kill."""
        self.kill = None
        for life, _ in self.lives:
            life.kill = None

    async def until_struck(self):
        """Wait for the kill."""
        await self._begun.wait()
        await self.lives[0][0].killed

    def hold(self):
        """Start the gateway no more."""
        self._stopping.set()

    async def _supervise(self):
        while not self._stopping.is_set():
            kill, self.kill = self.kill, None
            life = Life(self.house.folder, kill=kill, counting=self.counting, writes=self.writes)
            if self.struck:
                life.writes = []
            context = copy_context()
            context.run(LIFE.set, life)
            stop = asyncio.ensure_future(self._stopping.wait())
            task = asyncio.get_running_loop().create_task(self._live(), context=context)
            self.lives.append((life, task))
            self._begun.set()
            await asyncio.wait({stop, task, life.killed}, return_when=asyncio.FIRST_COMPLETED)
            if life.dead:
                self.house.folder = life.remains
                began = self.house.clock.now()
                await asyncio.wait({stop}, timeout=self.seconds)
                self.down.append((began, self.house.clock.now()))
            else:
                task.cancel()
                await asyncio.wait({task})
                if not task.cancelled():
                    task.result()
            stop.cancel()

    async def _live(self):
        async with self.house.running():
            await asyncio.Event().wait()
