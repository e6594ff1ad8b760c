"""The machine under the simulation: time that jumps, a network in memory, processes that can be killed.

Everything runs on one thread in an order that a seed decides: SQLite is called in the loop, bytes
between sockets go from hand to hand. A killed process stops between two steps: no `finally` of it runs.
"""

import asyncio
import heapq
import itertools
import socket
from asyncio import events
from collections import deque
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from datetime import timedelta

import aiohttp.connector
import aiosqlite.core

PROCESS = ContextVar("process", default=None)
_FIRST_PORT, _FIRST_DESCRIPTOR = 1024, 1_000_000
_YIELDS = 0.1  # how often another task runs between two calls of SQLite
_DELAYED = 0.02  # how often bytes take a while


class Process:
    """What runs under one context: killed, it does nothing more and writes nothing more.

    `touches` counts what it does to the disk and the network; at `die_at` it is killed.
    `on_death` is called at that very moment.
    """

    def __init__(self, name, on_death, loop):
        self.name = name
        self.loop = loop
        self.dead = False
        self.touches = 0
        self.die_at = None
        self.silent = False  # its peers are not told: the power went
        self.tasks = set()  # kept, so that nothing of a dead one is finalised
        self.on_death = on_death

    def context(self):
        """A context whose tasks and callbacks belong to the process."""
        context = copy_context()
        context.run(PROCESS.set, self)
        return context

    def on_commit(self):
        """A transaction is on the disk for good."""

    def touch(self):
        """Something is about to reach the disk or the network: is the process dead?"""
        if self.dead:
            return True
        self.touches += 1
        if self.die_at is not None and self.touches >= self.die_at:
            self.loop.kill(self)
            return True
        return False


class _Task(asyncio.Task):
    """A task with a hash of its own, so that sets of tasks keep their order from run to run."""

    _numbers = itertools.count()

    def __init__(self, *args, **kwargs):
        self._number = next(_Task._numbers)
        super().__init__(*args, **kwargs)

    def __hash__(self):
        return self._number


class _Handle(events.Handle):
    """One without what the debug mode asks of each; there are tens of thousands in a month."""

    __slots__ = ()

    def __init__(self, callback, args, loop, context):
        self._context = copy_context() if context is None else context
        self._loop = loop
        self._callback = callback
        self._args = args
        self._cancelled = False
        self._repr = None
        self._source_traceback = None


class _Timer(_Handle, events.TimerHandle):
    __slots__ = ()

    def __init__(self, when, callback, args, loop, context):
        super().__init__(callback, args, loop, context)
        self._when = when
        self._scheduled = True


class Machine(asyncio.SelectorEventLoop):
    """The event loop. `draw` decides what is left to chance: delays and the order of tasks.

    `wall`: what the clock of the gateway's machine shows.
    """

    def __init__(self, traveller, draw, wall):
        self._virtual = 0.0
        self.wall = wall
        self._traveller = traveller
        self.draw = draw
        self._listening = {}
        self._dialled = {}
        self._ports = itertools.count(_FIRST_PORT)
        self._readers = {}
        self._order = itertools.count()  # of timers of the same moment
        self.transports = []
        super().__init__()
        self.set_task_factory(self._make_task)

    def _make_task(self, loop, coro, context=None):
        task = _Task(coro, loop=loop, context=context)
        process = PROCESS.get() if context is None else context.get(PROCESS)
        if process is not None:
            process.tasks.add(task)
            task.add_done_callback(process.tasks.discard)
        return task

    # --- time ----------------------------------------------------------------------------------

    def time(self):
        return self._virtual

    def _run_once(self):
        """Run what is ready; if nothing is, time goes on to the next timer. Nothing comes from outside."""
        ready, timers = self._ready, self._scheduled
        while timers and timers[0][2]._cancelled:
            heapq.heappop(timers)
        if not ready and not self._stopping:
            if not timers:
                raise RuntimeError("nothing is left to happen")
            self._jump(timers[0][0] - self._virtual)
        due = self._virtual + self._clock_resolution
        while timers and timers[0][0] < due:
            ready.append(heapq.heappop(timers)[2])
        for _ in range(len(ready)):
            handle = ready.popleft()
            if not handle._cancelled:
                handle._run()

    def _timer_handle_cancelled(self, handle):
        """It is passed over when its time comes."""

    def _jump(self, seconds):
        if seconds > 0:
            self._virtual += seconds
            self.step_clock(timedelta(seconds=seconds))

    def step_clock(self, by):
        """Set the wall clock of the gateway's machine; the loop's own time goes on."""
        self.wall += by
        self._traveller.shift(by)

    # --- processes -----------------------------------------------------------------------------

    def call_soon(self, callback, *args, context=None):
        handle = _Handle(callback, args, self, context)
        if _is_dead(context):
            handle.cancel()
        else:
            self._ready.append(handle)
        return handle

    call_soon_threadsafe = call_soon

    def call_at(self, when, callback, *args, context=None):
        timer = _Timer(when, callback, args, self, context)
        if _is_dead(context):
            timer.cancel()
        else:
            heapq.heappush(self._scheduled, (when, next(self._order), timer))
        return timer

    def call_later(self, delay, callback, *args, context=None):
        return self.call_at(self._virtual + delay, callback, *args, context=context)

    def kill(self, process):
        """The process stops here and now."""
        process.dead = True
        process.on_death()
        for handle in (*self._ready, *(timer for _, _, timer in self._scheduled)):
            if handle._context.get(PROCESS) is process:
                handle.cancel()
        for port, listener in list(self._listening.items()):
            if listener.process is process:
                del self._listening[port]
        for transport in self.transports:
            if transport.process is process and not transport._closing:
                transport.sever(silent=process.silent)
        self.transports = [one for one in self.transports if not one._closing]

    def run_in_executor(self, executor, func, *args):
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - handed on
            future.set_exception(error)
        return future

    # --- the network ---------------------------------------------------------------------------

    async def create_server(self, factory, host=None, port=None, **_options):
        port = port or next(self._ports)
        if port in self._listening:
            raise OSError(98, "Address already in use")
        self._listening[port] = server = _Server(self, port, factory)
        return server

    async def create_connection(self, factory, host=None, port=None, *, sock=None, **_options):
        if sock is not None:
            port = self._dialled.pop(sock)
            sock.close()
        listener = self._listening.get(port)
        if listener is None:
            raise ConnectionRefusedError(111, "Connection refused")
        process = PROCESS.get()
        if process is not None and process.touch():
            await _never()
        near, far = _Transport(self, copy_context()), _Transport(self, listener.context)
        near.peer, far.peer = far, near
        self.transports += (near, far)
        protocol = factory()
        near.attach(protocol)
        listener.take(far)
        return near, protocol

    async def sock_connect(self, sock, address):
        if address[1] not in self._listening:
            raise ConnectionRefusedError(111, "Connection refused")
        self._dialled[sock] = address[1]

    async def sock_accept(self, sock):
        port = sock.getsockname()[1]
        listener = self._listening.get(port)
        if listener is None:
            self._listening[port] = listener = _Accepting(self)
        return await listener.accept(), ("127.0.0.1", port)

    async def connect_accepted_socket(self, factory, sock, **_options):
        protocol = factory()
        sock.transport.attach(protocol)
        return sock.transport, protocol

    def add_reader(self, fd, callback, *args):
        if fd >= _FIRST_DESCRIPTOR:
            self._readers[fd] = (callback, args, copy_context())
            return
        super().add_reader(fd, callback, *args)

    def remove_reader(self, fd):
        if fd >= _FIRST_DESCRIPTOR:
            return self._readers.pop(fd, None) is not None
        return super().remove_reader(fd)

    def is_readable(self, fd):
        """Bytes have come for an accepted socket that nothing reads yet."""
        if fd in self._readers:
            callback, args, context = self._readers[fd]
            self.call_soon(callback, *args, context=context)


def _is_dead(context):
    process = PROCESS.get() if context is None else context.get(PROCESS)
    return process is not None and process.dead


async def _never():
    """The await of a process that is dead."""
    await asyncio.get_running_loop().create_future()


class _Server:
    """What `create_server` gives."""

    def __init__(self, loop, port, factory):
        self._loop, self._port, self._factory = loop, port, factory
        self.context = copy_context()
        self.process = PROCESS.get()
        self.sockets = (_Named(port),)

    def take(self, transport):
        transport.attach(self.context.run(self._factory))

    def is_serving(self):
        return self._loop._listening.get(self._port) is self

    def close(self):
        if self.is_serving():
            del self._loop._listening[self._port]

    async def wait_closed(self):
        """Nothing is left open by `close`."""


class _Named:
    def __init__(self, port):
        self._port = port

    def getsockname(self):
        return "127.0.0.1", self._port


class _Accepting:
    """A listening socket from which connections are taken one by one."""

    def __init__(self, loop):
        self._loop = loop
        self.context = copy_context()
        self.process = PROCESS.get()
        self._waiting = deque()
        self._arrived = asyncio.Event()

    def take(self, transport):
        self._waiting.append(_Accepted(transport))
        self._arrived.set()

    async def accept(self):
        while not self._waiting:
            self._arrived.clear()
            await self._arrived.wait()
        return self._waiting.popleft()


class _Accepted:
    """An accepted socket, as far as a listener looks at one before it hands it on."""

    _descriptors = itertools.count(_FIRST_DESCRIPTOR)

    def __init__(self, transport):
        self.transport = transport
        self._descriptor = next(_Accepted._descriptors)
        transport.on_readable = self._readable

    def _readable(self):
        self.transport.loop.is_readable(self._descriptor)

    def setblocking(self, _flag):
        """It never blocks."""

    def fileno(self):
        return self._descriptor

    def recv(self, _count, _flags=0):
        found = self.transport.peek()
        if found is None:
            raise BlockingIOError
        return found[:1]

    def close(self):
        self.transport.abort()


class _Options:
    """What is left of a socket: an abort resets here, whether it lingers or not."""

    family = socket.AF_INET

    def setsockopt(self, *_option):
        """Nothing depends on one."""


class _Transport(asyncio.Transport):
    """One end of a connection. Bytes come in order; the other end learns of a close, or of a reset."""

    def __init__(self, loop, context):
        super().__init__(
            {"peername": ("127.0.0.1", 1), "sockname": ("127.0.0.1", 2), "socket": _Options()}
        )
        self.loop = loop
        self.peer = None
        self.on_readable = None
        self._context = context
        self.process = context.get(PROCESS)
        self._protocol = None
        self._incoming = deque()  # bytes; None: the end
        self._paused = False
        self._closing = False
        self._severed = False
        self._clear_at = 0.0

    def attach(self, protocol):
        self._protocol = protocol
        self._context.run(protocol.connection_made, self)
        self._soon(self._pump)

    def _soon(self, callback, *args):
        self.loop.call_soon(callback, *args, context=self._context)

    # --- what a protocol asks of it ------------------------------------------------------------

    def write(self, data):
        if self._closing or not data or (self.process is not None and self.process.touch()):
            return
        self._pass_on(bytes(data))

    def writelines(self, chunks):
        self.write(b"".join(chunks))

    def _pass_on(self, item):
        if self._severed:
            return
        loop, peer = self.loop, self.peer
        if peer._closing:
            self._soon(self._reset)
            return
        draw = loop.draw
        now = loop.time()
        at = now + draw.uniform(0.001, 0.3) if draw.random() < _DELAYED else now
        self._clear_at = at = max(at, self._clear_at)
        if at > now:
            loop.call_at(at, peer.arrive, item, context=peer._context)
        else:
            peer.arrive(item)

    def arrive(self, item):
        """Bytes, or the end, come from the other side."""
        if self._closing:
            return
        self._incoming.append(item)
        if self._protocol is not None:
            self._soon(self._pump)
        elif self.on_readable is not None:
            self.on_readable()

    def _pump(self):
        while self._incoming and not self._paused and not self._closing:
            item = self._incoming.popleft()
            if self.process is not None and self.process.touch():
                return
            if item is not None:
                self._protocol.data_received(item)
            elif not self._protocol.eof_received():
                self.close()

    def peek(self):
        """What has come and was not read; None if nothing, empty at the end."""
        if self._closing or (self._incoming and self._incoming[0] is None):
            return b""
        return self._incoming[0] if self._incoming else None

    def close(self):
        if self._closing:
            return
        if self.process is None or not self.process.touch():
            self._pass_on(None)
        self._closing = True
        self._soon(self._lose, None)

    def abort(self):
        if self._closing:
            return
        self._closing = True
        if not self._severed:
            self.peer._soon(self.peer._reset)
        self._soon(self._lose, None)

    def _reset(self):
        if not self._closing:
            self._closing = True
            self._lose(ConnectionResetError(104, "Connection reset by peer"))

    def _lose(self, error):
        if self._protocol is not None:
            self._protocol.connection_lost(error)

    def sever(self, *, silent):
        """The process at this end is gone. `silent`: the other end is not told."""
        self._closing = True
        if silent:
            self.peer._severed = True
        else:
            self.peer._soon(self.peer._reset)

    def is_closing(self):
        return self._closing

    def pause_reading(self):
        self._paused = True

    def resume_reading(self):
        self._paused = False
        self._soon(self._pump)

    def is_reading(self):
        return not self._paused and not self._closing

    def get_write_buffer_size(self):
        return 0

    def set_write_buffer_limits(self, high=None, low=None):
        """Nothing is buffered."""

    def can_write_eof(self):
        return False

    def set_protocol(self, protocol):
        self._protocol = protocol

    def get_protocol(self):
        return self._protocol


# --- the disk ----------------------------------------------------------------------------------


async def _connect(self):
    if self._connection is None:
        self._connection = self._connector()
    return self


def _await(self):
    return self._connect().__await__()


async def _execute(self, function, *args, **kwargs):
    if self._connection is None:
        raise ValueError("Connection closed")
    process = PROCESS.get()
    if process is not None and process.touch():
        await _never()
    result = function(*args, **kwargs)
    if process is None:
        return result
    if args and args[0] == "COMMIT":
        process.on_commit()
    if process.touch():
        await _never()
    if process.loop.draw.random() < _YIELDS:
        await asyncio.sleep(0)
    return result


async def _close(self):
    if self._connection is not None:
        self._connection.close()
        self._connection = None
        self._running = False


def _abandon(self):
    """What the connection of a dead process leaves behind is nobody's concern."""


@contextmanager
def one_thread(loop):
    """SQLite is called in the loop itself, and aiohttp's pool of connections goes by the loop's time."""
    own = {
        "_connect": _connect,
        "__await__": _await,
        "_execute": _execute,
        "close": _close,
        "__del__": _abandon,
    }
    connection = aiosqlite.core.Connection
    replaced = [(connection, name, function) for name, function in own.items()]
    replaced.append((aiohttp.connector, "monotonic", loop.time))
    originals = [(owner, name, getattr(owner, name)) for owner, name, _ in replaced]
    for owner, name, function in replaced:
        setattr(owner, name, function)
    try:
        yield
    finally:
        for owner, name, function in originals:
            setattr(owner, name, function)
