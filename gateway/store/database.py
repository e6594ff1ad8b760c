"""The one connection to SQLite that writes: exclusive transactions that cancellation cannot tear."""

import asyncio
import errno
import fcntl
import os
import sqlite3
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import ExitStack, asynccontextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TextIO, TypeVar

import aiosqlite
import structlog

from gateway.clock import Clock, SystemClock
from gateway.domain import events
from gateway.errors import StoreBusyError, StoreError
from gateway.store import audit, generation, meta
from gateway.store.brief import Brief
from gateway.store.condition import DAMAGED, FAILING, FULL, READONLY, condition_of
from gateway.store.doubt import doubt_everything
from gateway.store.generation import GenerationFile
from gateway.store.integrity import AFTER_A_COPY, CLEAN, Recovery, make_whole
from gateway.store.room import Room
from gateway.store.schema import migrations, upgrade
from gateway.store.session import (
    Changes,
    ReadSession as ReadSession,  # noqa: PLC0414 - part of this contract
    Row as Row,  # noqa: PLC0414 - part of this contract
    Session as Session,  # noqa: PLC0414 - part of this contract
    sqlite_of,
)
from gateway.store.snapshots import Snapshots

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

T = TypeVar("T")

_PROBE = "probe"  # in `meta` for a moment
_RECOVERY = (
    "recovery"  # in `meta`: the last one, until a daemon that told of it stops in good order
)
_TOGETHER = 32  # brief transactions in one commit at most
_BY_ERRNO = {errno.ENOSPC: FULL, errno.EDQUOT: FULL, errno.EROFS: READONLY}
_OLDER = f"the database is an older copy. {AFTER_A_COPY}"

_log = structlog.get_logger()

SQLITE_VERSION = sqlite3.sqlite_version

_PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA busy_timeout = 2000",
    "PRAGMA wal_autocheckpoint = 250",
    "PRAGMA journal_size_limit = 1048576",
    "PRAGMA trusted_schema = OFF",
    "PRAGMA cell_size_check = ON",
)
_MUST_HOLD = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}


class Database:
    """The only connection that writes to the database file, and one beside it that reads for people.

    A second process is refused.

    Attributes:
        recovery: what was done at this or an earlier start because the file could not simply be
            gone on with; None once a daemon that knew of it has stopped in good order.
        condition: why the disk refuses writes (`store_full`, `store_readonly`, `store_failing`), or
            that the file is found damaged (`store_damaged`); None while all is well.
        changed: set whenever `condition` changes.
    """

    def __init__(self, connection: aiosqlite.Connection, *, path: Path, room: Room) -> None:
        self._connection = connection
        self._exclusive = asyncio.Lock()
        changes = Changes()
        self._session = Session(connection, changes)
        self._brief_session = Session(connection, changes, in_place=True)
        self._waiting: deque[Brief[Any]] = deque()  # not begun
        self._snapshots: Snapshots | None = None
        self._path = path
        self._generation = GenerationFile(path)
        self.room = room
        self.recovery: Recovery | None = None
        self.condition: str | None = None
        self.changed = asyncio.Event()

    @classmethod
    @asynccontextmanager
    async def open(cls, path: Path, *, clock: Clock | None = None) -> "AsyncIterator[Self]":
        """Open and migrate the database at `path`, created when absent; closed on the way out.

        A damaged one is set aside and a backup put in its place: see `recovery`.

        Raises:
            StoreBusyError: another process holds it.
            StoreNewerError: a newer gateway wrote it.
            StoreError: the file cannot be opened, read or written.
        """
        now = (clock or SystemClock()).now()
        lock_file = hold(path)
        try:
            room = Room(path)
            exclusive = await asyncio.to_thread(_make_way, room)
            beside = await asyncio.to_thread(GenerationFile(path).read)
            recovery = await asyncio.to_thread(
                make_whole,
                path,
                used_before=beside not in {None, 0},
                now=now,
                exclusive=exclusive,
            )
            _create_for_owner(path)
            connection = await _connect(path)
            database = cls(connection, path=path, room=room)
            if exclusive:
                database._note(FULL, "at the start")
            try:
                await database._prepare(exclusive=exclusive)
                await database._begin(beside, recovery, now)
                with ExitStack() as stack:
                    if not exclusive:
                        database._read_beside(stack)
                    try:
                        yield database
                    finally:
                        await database._end()
            finally:
                # aiosqlite's thread is no daemon: left open it keeps the process alive.
                await asyncio.shield(database._close())
        finally:
            lock_file.close()

    async def _prepare(self, *, exclusive: bool) -> None:
        try:
            self._connection.row_factory = aiosqlite.Row
            if exclusive:
                # The index of the write-ahead log is then kept in memory: a full disk has no room for it.
                await self._connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            for pragma in _PRAGMAS:
                await self._connection.execute(pragma)
            await self._check_pragmas()
            await upgrade(self._connection, migrations())
        except (OSError, sqlite3.Error) as error:
            raise StoreError(f"{self._path} cannot be used: {error}") from error

    def _read_beside(self, stack: ExitStack) -> None:
        try:
            self._snapshots = stack.enter_context(Snapshots.open(self._path))
        except sqlite3.Error as error:
            raise StoreError(f"{self._path} cannot be read: {error}") from error

    async def _check_pragmas(self) -> None:
        """SQLite keeps silent when it cannot do what a pragma asks."""
        for pragma, wanted in _MUST_HOLD.items():
            row = await self._session.one(f"PRAGMA {pragma}")
            if row is None or row[0] != wanted:
                found = None if row is None else row[0]
                raise StoreError(
                    f"{self._path} is not safe against power cuts, {pragma} is {found} instead of"
                    f" {wanted}: keep it on a local disk"
                )

    async def _begin(self, beside: int | None, recovery: Recovery | None, now: datetime) -> None:
        """Count this start, and doubt what an older copy says of the locks."""
        if beside is None and await self.read(generation.kept) == 0:
            await self._keep_generation(0)  # from now on its absence is a loss

        async def body(session: Session) -> Recovery | None:
            kept = await generation.kept(session)
            copied = await meta.get(session, generation.COPIED)
            await meta.drop(session, generation.COPIED)
            await meta.put(session, generation.KEY, str(max(kept, beside or 0) + 1))
            session.generation = max(kept, beside or 0) + 1
            await meta.put(session, CLEAN, "0")
            found = recovery
            if generation.is_older(kept, beside=beside, copied=copied is not None):
                await doubt_everything(session, now)
                found = recovery or Recovery(events.STORE_RESTORED, _OLDER)
            if found is None:
                return await _remembered(session)
            await meta.put(session, _RECOVERY, f"{found.event} {found.detail}")
            await audit.append(
                session, at=now, actor="gateway", event=found.event, detail=found.detail
            )
            return found

        try:
            self.recovery = await self.transaction(body)
        except StoreError:
            # A full disk must not keep the doors from being served; an older copy must be doubted.
            kept = await self.read(generation.kept)
            copied = await self.read(lambda session: meta.get(session, generation.COPIED))
            older = generation.is_older(kept, beside=beside, copied=copied is not None)
            if older or recovery is not None or self.condition is None:
                raise
        if self.recovery is not None:
            _log.error(self.recovery.event, detail=self.recovery.detail)
        try:
            await asyncio.to_thread(self.room.keep_reserve)
        except OSError as error:
            _log.warning("store.no_reserve", reason=str(error))

    async def _end(self) -> None:
        """Remember that the end was in good order; where that cannot be written, it was not."""
        if self.condition is not None:
            return
        try:
            await self.transaction(lambda session: meta.put(session, CLEAN, "1"))
        except StoreError as error:
            _log.warning("store.unclean_stop", reason=str(error))

    async def forget_recovery(self) -> None:
        """A person could have read of it on /readyz by now."""
        if self.recovery is not None:
            await self.transaction(lambda session: meta.drop(session, _RECOVERY))

    # --- transactions and reads ----------------------------------------------------------------

    async def transaction(self, body: Callable[[Session], Awaitable[T]]) -> T:
        """Run `body` in one exclusive transaction: all of it is committed, or nothing.

        A caller cancelled meanwhile is cancelled only once the transaction has ended; its outcome
        is then unknown to that caller. `body` awaits nothing but its session.

        Raises:
            StoreError: the database refused; nothing of the body was kept.
        """
        return await self._uncancelled(self._transact(body))

    async def brief_transaction(self, body: Callable[[Session], Awaitable[T]]) -> T:
        """Like `transaction`, for a body that touches few rows; those that wait share one commit.

        Its statements run at once in the event loop, where a trip to the thread and back costs
        more than they do; what waits for a lock or a sync, BEGIN and COMMIT, is in the thread. A
        page that is not in memory is read in the loop: hence the few rows.
        """
        return await self._uncancelled(self._transact_briefly(Brief(body)))

    async def read(self, body: Callable[[Session], Awaitable[T]]) -> T:
        """Run `body`, which only reads, between transactions.

        Raises:
            StoreError: the database refused.
        """
        return await self._uncancelled(self._read(body))

    async def brief_read(self, body: Callable[[Session], Awaitable[T]]) -> T:
        """Like `read`, for a body that touches few rows: see `brief_transaction`."""
        async with self._exclusive:
            await asyncio.sleep(0)  # all queues may look at once: the loop goes on in between
            return await self._ask(body, self._brief_session)

    async def snapshot(self, body: Callable[[ReadSession], Coroutine[Any, Any, T]]) -> T:
        """Run `body` on what is committed, without waiting for a transaction under way.

        For what people are shown or warned of. What is done at a door goes by `read` or `transaction`.

        Raises:
            StoreError: the database refused.
        """
        if self._snapshots is None:
            return await self.read(body)
        try:
            return await self._snapshots.read(body)
        except sqlite3.Error as error:
            raise self._refused("read", error) from error

    async def _transact(self, body: Callable[[Session], Awaitable[T]]) -> T:
        async with self._exclusive:
            self._session.take_generation()
            try:
                await self._session.execute("BEGIN IMMEDIATE")
                result = await body(self._session)
                await self._session.execute("COMMIT")
            except sqlite3.Error as error:
                await self._roll_back()
                raise self._refused("write", error) from error
            except BaseException:
                await self._roll_back()
                raise
            await self._keep_generation(self._session.take_generation())
            return result

    async def _transact_briefly(self, mine: Brief[T]) -> T:
        """Commit what waits, until this one is among it: no caller depends on another's going on."""
        self._waiting.append(mine)
        async with self._exclusive:
            while not mine.ended:
                await self._commit_together()
        return mine.outcome()

    async def _commit_together(self) -> None:
        """Run brief transactions one after the other; one commit ends them all, whatever comes of it."""
        group = [self._waiting.popleft()]
        self._brief_session.take_generation()
        try:
            await self._session.execute("BEGIN IMMEDIATE")
            self._run_part(group[0])
            await asyncio.sleep(0)
            while self._waiting and len(group) < _TOGETHER:
                group.append(self._waiting.popleft())
                self._run_part(group[-1])
                await asyncio.sleep(0)  # the loop goes on, and others may join
            await self._session.execute("COMMIT")
            await self._keep_generation(self._brief_session.take_generation())
        except sqlite3.Error as error:
            refusal = str(self._refused("write", error))
            for one in group:
                one.fail(StoreError(refusal))
            await self._roll_back()
        except BaseException:
            for one in group:
                one.fail(StoreError("the database was interrupted: perhaps nothing is kept"))
            await self._roll_back()
            raise
        finally:
            for one in group:
                one.ended = True

    def _run_part(self, one: Brief[Any]) -> None:
        """Run one of a group: what it raises takes back its own part, unless SQLite takes back all.

        Raises:
            sqlite3.Error: nothing of the whole group is kept.
        """
        sqlite, session = sqlite_of(self._connection), self._brief_session
        generation_before = session.generation
        sqlite.execute("SAVEPOINT brief")
        try:
            one.run(session)
        except Exception as error:
            one.fail(self._refused("write", error) if isinstance(error, sqlite3.Error) else error)
            if not sqlite.in_transaction:
                raise sqlite3.OperationalError(str(error)) from error
            sqlite.execute("ROLLBACK TO brief")
            session.generation = generation_before
        sqlite.execute("RELEASE brief")

    async def _keep_generation(self, number: int | None) -> None:
        """Write the file beside the database; where that fails it lags behind, which harms nobody."""
        if number is None:
            return
        try:
            await asyncio.to_thread(self._generation.write, number)
        except OSError as error:
            self._note(_BY_ERRNO.get(error.errno or 0, FAILING), f"the generation: {error}")

    async def _roll_back(self) -> None:
        self._session.taken_back()
        # SQLITE_FULL and its like roll back by themselves; a second ROLLBACK would hide them.
        if sqlite_of(self._connection).in_transaction:
            await self._session.execute("ROLLBACK")

    async def _read(self, body: Callable[[Session], Awaitable[T]]) -> T:
        async with self._exclusive:
            return await self._ask(body, self._session)

    async def _ask(self, body: Callable[[Session], Awaitable[T]], session: Session) -> T:
        try:
            return await body(session)
        except sqlite3.Error as error:
            raise self._refused("read", error) from error

    def _refused(self, what: str, error: sqlite3.Error) -> StoreError:
        """Note what the disk or the file does; the reserve makes room for the next small writes."""
        condition = condition_of(error)
        if condition is not None:
            if self.room.low:
                condition = FULL
            if condition == FULL:
                self.room.give_up_reserve()
            self._note(condition, str(error))
        refusal = StoreError(f"the database refused a {what}: {error}")
        refusal.__cause__ = error
        return refusal

    def _note(self, condition: str, reason: str) -> None:
        if self.condition != condition:
            _log.error("store.refuses", condition=condition, reason=reason)
            self.condition = condition
            self.changed.set()

    def _worked(self) -> None:
        """A write was kept. A disk that is still as good as full has only lived off the reserve."""
        if self.condition is None or self.condition == DAMAGED or self.room.low:
            return
        _log.info("store.works_again", condition=self.condition)
        with suppress(OSError):
            self.room.keep_reserve()
        self.condition = None
        self.changed.set()

    async def probe(self) -> None:
        """Try a small write, and end `condition` if it is kept.

        Nothing else ends it: SQLite writes nothing where a transaction changed nothing.
        """

        async def body(session: Session) -> None:
            await meta.put(session, _PROBE, "")
            await meta.drop(session, _PROBE)

        with suppress(StoreError):
            await self.transaction(body)
            self._worked()

    async def _close(self) -> None:
        """Close the connection once nobody is at work on it; whoever comes later is refused."""
        async with self._exclusive:
            await self._connection.close()

    # --- copies --------------------------------------------------------------------------------

    async def copy_into(self, target: Path) -> None:
        """Write a consistent copy of the database into an empty file.

        Raises:
            StoreError: it could not be written.
        """
        await self._uncancelled(self._copy_into(target))

    async def _copy_into(self, target: Path) -> None:
        async with self._exclusive:
            try:
                await self._connection.execute("VACUUM INTO ?", (str(target),))
            except sqlite3.Error as error:
                raise StoreError(f"no copy could be made: {error}") from error

    async def restart_log(self) -> None:
        """Bring everything from the write-ahead log into the database, and write the log from its start.

        Its file stays as long as it is, up to `journal_size_limit`: one that grows costs more writes.
        """
        await self.read(lambda session: session.all("PRAGMA wal_checkpoint(RESTART)"))

    async def _uncancelled(self, work: Awaitable[T]) -> T:
        """Wait for `work` to its end whatever happens, then pass a cancellation on."""
        task = asyncio.ensure_future(work)  # noqa: TID251 - awaited to its end right here
        cancelled: asyncio.CancelledError | None = None
        while not task.done():
            try:
                await asyncio.shield(task)
            except asyncio.CancelledError as error:
                cancelled = error
            except BaseException:  # noqa: BLE001, S110 - taken from the task below
                pass
        if cancelled is not None:
            task.exception()  # retrieved: the caller that would have seen it has gone
            raise cancelled
        return task.result()


def _make_way(room: Room) -> bool:
    """Give up the reserve if the disk is full: what is written at the start then fits. Was it?"""
    if not room.low:
        return False
    room.give_up_reserve()
    return True


async def _connect(path: Path) -> aiosqlite.Connection:
    try:
        # Brief transactions use it in the loop's thread, though never while its own thread does.
        return await aiosqlite.connect(path, isolation_level=None, check_same_thread=False)
    except (OSError, sqlite3.Error) as error:
        raise StoreError(f"{path} cannot be opened: {error}") from error


async def _remembered(session: Session) -> Recovery | None:
    """What an earlier start did and nobody may have read of."""
    text = await meta.get(session, _RECOVERY)
    return None if text is None else Recovery(*text.split(" ", 1))


def _create_for_owner(path: Path) -> None:
    """SQLite would make it readable to others."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error}") from error


def lock_path(database: Path) -> Path:
    """The file whose lock holds a database."""
    return database.with_name(database.name + ".lock")


def hold(path: Path) -> TextIO:
    """Hold the database for this process, until the file that is returned is closed.

    Raises:
        StoreBusyError: another process holds it.
        StoreError: the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(lock_path(path), os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise StoreError(f"{path.parent} cannot be written: {error}") from error
    lock_file = os.fdopen(descriptor, "w")
    try:
        fcntl.flock(lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock_file.close()
        raise StoreBusyError(
            f"{path} is in use by another gateway: stop that one first (systemctl stop gateway)"
        ) from error
    return lock_file
