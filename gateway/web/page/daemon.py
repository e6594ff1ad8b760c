"""What the pages ask of the rest of the gateway."""

from datetime import datetime
from typing import Protocol

from gateway.timekeeping import ClockState


class Daemon(Protocol):
    """What these pages ask of the rest of the gateway."""

    async def request_run(self) -> None:
        """Begin a reconciliation. Raises RunInProgressError."""
        ...

    def next_run(self) -> datetime | None:
        """When the scheduler runs the next one."""
        ...

    async def decide_held(self, *, confirm: bool, actor: str) -> int:
        """Let go, or keep, what the brake holds; how many stays that were."""
        ...

    def clock_state(self) -> ClockState:
        """How the clock stands."""
        ...


def clock_trusted(daemon: Daemon) -> bool:
    """Does the gateway go by the wall clock?"""
    return daemon.clock_state().verdict.trusted
