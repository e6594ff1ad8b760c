"""Logs: structured, in UTC, without secrets."""

import logging
import sys
from collections.abc import Iterable, MutableMapping
from typing import Any, TextIO

import structlog
from structlog.tracebacks import ExceptionDictTransformer

_HIDDEN = "[hidden]"
_SHORTEST_SECRET = 4
_SECRET_KEYS = frozenset(
    {
        "pin",
        "pins",
        "code_pin",
        "local_key",
        "client_secret",
        "secret",
        "token",
        "jwt",
        "authorization",
        "password",
        "phone",
        "guest",
        "guest_name",
    }
)
_QUIET = ("apscheduler", "aiohttp", "asyncio", "tinytuya", "aiosqlite")
_SILENT = ("apprise", "urllib3", "requests")  # they name URLs, which hold secrets

Event = MutableMapping[str, Any]


class Redaction:
    """The second line of defence: secret keys and registered values are left out of every event."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets = sorted(
            {secret for secret in secrets if len(secret) >= _SHORTEST_SECRET}, key=len, reverse=True
        )

    def __call__(self, _logger: Any, _method: str, event: Event) -> Event:
        """Structlog's processor."""
        for key, value in event.items():
            event[key] = _HIDDEN if key.lower() in _SECRET_KEYS else self._clean(value)
        return event

    def _clean(self, value: Any) -> Any:
        if isinstance(value, str):
            for secret in self._secrets:
                value = value.replace(secret, _HIDDEN)
            return value
        if isinstance(value, dict):
            return {
                key: _HIDDEN if str(key).lower() in _SECRET_KEYS else self._clean(inner)
                for key, inner in value.items()
            }
        if isinstance(value, list | tuple | set | frozenset):
            return [self._clean(inner) for inner in value]
        return value


def configure_logging(
    *,
    level: str,
    format: str,  # noqa: A002 - the setting's name
    secrets: Iterable[str] = (),
    stream: TextIO | None = None,
) -> None:
    """Set up structlog and the standard library's logging for the process.

    Args:
        level: debug, info, warning or error.
        format: console, json, or auto: console on a terminal, else json.
        secrets: values that must not appear in any line.
        stream: where lines go; stderr by default.
    """
    target = sys.stderr if stream is None else stream
    console = format == "console" or (format == "auto" and target.isatty())
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
    ]
    if console:
        ending: list[Any] = [
            structlog.processors.format_exc_info,
            Redaction(secrets),
            structlog.dev.ConsoleRenderer(colors=target.isatty()),
        ]
    else:
        tracebacks = structlog.processors.ExceptionRenderer(
            ExceptionDictTransformer(show_locals=False)
        )
        ending = [tracebacks, Redaction(secrets), structlog.processors.JSONRenderer()]
    structlog.configure(
        processors=[*shared, *ending],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(target),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(target)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *ending],
        )
    )
    root = logging.getLogger()  # noqa: TID251 - the libraries' own loggers end here
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    for name in _QUIET:  # at DEBUG tinytuya prints keys and PINs
        logging.getLogger(name).setLevel(logging.WARNING)  # noqa: TID251
    # its errors are requests that are none, with a traceback each; those of handlers we log ourselves
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)  # noqa: TID251
    for name in _SILENT:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)  # noqa: TID251
