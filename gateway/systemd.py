"""What the daemon tells systemd: that it is ready, what it does, and that its work goes on."""

import socket
from collections.abc import Awaitable, Callable, Mapping

import structlog

from gateway.clock import Clock

_MOST_STATUS = 200  # characters

_log = structlog.get_logger()


class ServiceManager:
    """The systemd that started this process; where none did, nothing is told."""

    def __init__(self, environ: Mapping[str, str], *, clock: Clock) -> None:
        self._address = environ.get("NOTIFY_SOCKET", "")
        self._clock = clock
        self._status = ""
        microseconds = environ.get("WATCHDOG_USEC", "")
        #: seconds between two signs of life, None where none is waited for
        self.feeding = int(microseconds) / 2e6 if microseconds.isdecimal() else None

    def ready(self, status: str) -> None:
        """The start, or a reload, is over."""
        self._tell("READY=1", self._status_line(status))

    def reloading(self) -> None:
        """A reload has begun; `ready` ends it."""
        self._tell("RELOADING=1", f"MONOTONIC_USEC={int(self._clock.monotonic() * 1e6)}")

    def stopping(self) -> None:
        """The stop has begun."""
        self._tell("STOPPING=1", self._status_line("stopping"))

    def status(self, status: str) -> None:
        """What `systemctl status` shows; told when it changes."""
        if status != self._status:
            self._tell(self._status_line(status))

    async def watch(self, problems: Callable[[], Awaitable[tuple[str, ...]]]) -> None:
        """Feed the watchdog while `problems` finds none; one that does not answer starves it."""
        if self.feeding is None:
            return
        while True:
            await self._clock.sleep(self.feeding)
            found = await problems()
            if found:
                self.status(f"no progress: {', '.join(found)}")
            else:
                self._tell("WATCHDOG=1")

    def _status_line(self, status: str) -> str:
        self._status = status
        return f"STATUS={status[:_MOST_STATUS]}".replace("\n", " ")

    def _tell(self, *lines: str) -> None:
        if not self._address:
            return
        # a leading @ stands for the NUL of an abstract address
        address = "\0" + self._address[1:] if self._address[0] == "@" else self._address
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as told:
            told.setblocking(False)
            try:
                told.sendto("\n".join(lines).encode(), address)
            except OSError as error:
                _log.warning("systemd.untold", reason=error.strerror)
