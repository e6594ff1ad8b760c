"""A transaction that touches few rows, and may be committed together with others."""

from collections.abc import Awaitable, Callable
from contextvars import copy_context
from typing import Generic, TypeVar

from gateway.store.session import Session

T = TypeVar("T")


class Brief(Generic[T]):
    """What a caller wants done, and what came of it once it has `ended`."""

    def __init__(self, body: Callable[[Session], Awaitable[T]]) -> None:
        self._body = body
        self._context = copy_context()  # another caller may run it
        self._results: list[T] = []
        self._error: Exception | None = None
        self.ended = False

    def run(self, session: Session) -> None:
        """Run the body to its end, which is not yet the transaction's."""
        self._results.append(self._context.run(_run_now, self._body, session))

    def fail(self, error: Exception) -> None:
        """Nothing of it is kept; the first reason counts."""
        self._error = self._error or error

    def outcome(self) -> T:
        """What the body answered, or why nothing of it is kept."""
        if self._error is not None:
            raise self._error
        return self._results[0]


def _run_now(body: Callable[[Session], Awaitable[T]], session: Session) -> T:
    """Nothing else runs meanwhile, so `body` must wait for nothing but its session."""
    steps = body(session).__await__()
    try:
        next(steps)
    except StopIteration as end:
        result: T = end.value
        return result
    steps.close()
    raise RuntimeError("the body of a brief transaction waits for something else than its session")
