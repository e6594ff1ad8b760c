"""Sends through Apprise, off the event loop. Its URLs hold secrets: nothing of them is ever told."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum

from gateway.domain.messages import Composed

_LONGEST = 60.0  # seconds; Apprise's own timeouts are 4 s a step
_THREADS = 4


class Sent(StrEnum):
    """What came of sending."""

    YES = "sent"
    NO = "the service refused it or could not be reached"
    BAD_URL = "Apprise does not understand the url"
    UNKNOWN = "no answer in time"


class AppriseSender:
    """Sends one message at a time to one URL, in threads of its own."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="notify")

    def close(self) -> None:
        """Begin nothing more."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def send(self, url: str, message: Composed) -> Sent:
        """Send it; never raises for a service that does not work."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_LONGEST):
                return await loop.run_in_executor(self._threads, _send, url, message)
        except TimeoutError:
            return Sent.UNKNOWN


def _send(url: str, message: Composed) -> Sent:
    import apprise  # noqa: PLC0415 - 15 MiB that only those who have [[notify]] should pay for

    service = apprise.Apprise()
    try:
        if not service.add(url):
            return Sent.BAD_URL
        sent = service.notify(
            body=message.body, title=message.title, body_format=apprise.NotifyFormat.TEXT
        )
    except Exception:  # noqa: BLE001 - of a hundred services; what they raise may hold the URL
        return Sent.NO
    return Sent.YES if sent else Sent.NO
