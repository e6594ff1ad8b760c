"""What the first screen weighs: bytes on the wire and the server's time, with many stays.

python -m tests.browser.weight [STAYS]
"""

import asyncio
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from gateway.clock import SystemClock
from gateway.observability import configure_logging
from tests.street import Street

_UNITS = 40
_ROUNDS = 20


@dataclass(frozen=True)
class Weight:
    """Bytes of the page as it is sent (compressed) and as it is, with its style and script; milliseconds."""

    stays: int
    sent: int
    plain: int
    assets: int
    median: float
    worst: float


async def first_screen(folder, stays=200):
    """The first screen of forty flats, each with guests one after the other."""
    clock = SystemClock()
    street = Street(folder, clock, seeds=range(_UNITS))
    async with street.standing():
        day = timedelta(days=1)
        for number in range(stays):
            door = street.doors_[number % _UNITS]
            turn = number // _UNITS
            start = timedelta(hours=-20) + turn * 3 * day
            street.book(door.listing, start, 2 * day + timedelta(hours=20), guest=f"Guest {number}")
        async with street.running():
            await street.first_run()
            await street.until(lambda: all(door.lock.codes for door in street.doors_), seconds=120)
            return await _weigh(street, stays)


async def _weigh(street, stays):
    url = f"http://127.0.0.1:{street.gateway.listener.port}"
    cookies = {"gateway_session": street.token}
    seconds, sent, text = [], 0, ""
    for _ in range(_ROUNDS):
        began = time.perf_counter()
        async with street.session.get(f"{url}/", cookies=cookies) as answer:
            text = await answer.text()
            assert answer.status == 200
            sent = int(answer.headers["Content-Length"])
        seconds.append(time.perf_counter() - began)
    assets = 0
    for path in {part.split('"')[0] for part in text.split('"/assets/')[1:]}:
        async with street.session.get(f"{url}/assets/{path}") as answer:
            assets += int(answer.headers["Content-Length"])
    assert text.count('<rect class="stay') > stays / 2  # not all are within these two weeks
    return Weight(
        stays=stays,
        sent=sent,
        plain=len(text.encode()),
        assets=assets,
        median=1000 * statistics.median(seconds),
        worst=1000 * max(seconds),
    )


def main():
    configure_logging(level="error", format="console")
    stays = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    with tempfile.TemporaryDirectory() as folder:
        weight = asyncio.run(first_screen(Path(folder), stays))
    print(  # noqa: T201 - what this command is for
        f"{weight.stays} stays: {weight.sent / 1024:.1f} KB sent ({weight.plain / 1024:.1f} KB before"
        f" compression), {weight.assets / 1024:.1f} KB of style and script once;"
        f" {weight.median:.0f} ms in the middle, {weight.worst:.0f} ms at worst of {_ROUNDS}"
    )


if __name__ == "__main__":
    main()
