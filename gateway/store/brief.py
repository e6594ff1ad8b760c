"""A transaction that touches few rows, and may be committed together with others."""

from collections.abc import Awaitable, Callable
from contextvars import copy_context
from typing import Generic, TypeVar

from gateway.store.session import Session, at_once

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
        self._results.append(self._context.run(lambda: at_once(self._body(session))))

    def fail(self, error: Exception) -> None:
        """Nothing of it is kept; the first reason counts."""
        self._error = self._error or error

    def outcome(self) -> T:
        """What the body answered, or why nothing of it is kept."""
        if self._error is not None:
            raise self._error
        return self._results[0]
