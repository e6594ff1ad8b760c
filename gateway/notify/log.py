"""Tells people through the journal."""

import structlog

from gateway.domain import events
from gateway.ports import Notice

_GOOD_NEWS = frozenset({events.PIN_ISSUED})

_log = structlog.get_logger()


class LogNotifier:
    """See `gateway.ports.Notifier`."""

    async def tell(self, notice: Notice) -> None:
        """Write the notice as one line."""
        write = _log.info if notice.over or notice.event in _GOOD_NEWS else _log.warning
        write(
            "notice.told",
            about=notice.event,
            subject=notice.subject,
            detail=notice.detail,
            over=notice.over,
        )
