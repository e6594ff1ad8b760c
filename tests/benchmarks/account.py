"""A Stays account in a process of its own: pages that are made once and served as bytes.

Its loop and its work are not those of what is measured. Each account is served under a path of its
own: `/<stays>`, and with one stay in a hundred a night longer between two `POST /<stays>/move`;
`/arriving` with those who arrive in so many units, once `POST /arriving` has told how many and when.
"""

import asyncio
import json
import random
import sys
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from aiohttp import web

UNITS = 64
LENGTH = 2  # nights of a stay, and one free after it
PAGE = 100
ZONE = ZoneInfo("America/Sao_Paulo")


def listing(number):
    """The long id of a listing."""
    return f"{number:024x}"


def days_ahead(stays):
    """How many days ahead the last of so many stays ends."""
    return (LENGTH + 1) * (stays // UNITS + 2)


def rows(stays, *, moved=False):
    """So many stays over all units, one after the other, from yesterday on; in no order."""
    draw = random.Random(stays)
    first = datetime.now(UTC).date() - timedelta(days=1)
    made = [_row(number, first, draw) for number in range(stays)]
    draw.shuffle(made)
    if moved:
        for row in made[::100]:
            day = date.fromisoformat(row["checkOutDate"]) + timedelta(days=1)
            row["checkOutDate"] = day.isoformat()
    return made


def _row(number, first, draw):
    arrival = first + (LENGTH + 1) * timedelta(days=number // UNITS)
    client = f"{draw.getrandbits(96):024x}"
    return {
        "_id": f"{draw.getrandbits(96):024x}",
        "id": f"S{number:05d}X",
        "creationDate": first.isoformat(),
        "checkInDate": arrival.isoformat(),
        "checkInTime": "15:00",
        "checkOutDate": (arrival + LENGTH * timedelta(days=1)).isoformat(),
        "checkOutTime": "11:00",
        "_idlisting": listing(number % UNITS),
        "_idclient": client,
        "type": "booked",
        "price": {"currency": "BRL", "_f_expected": 1200.5, "_f_total": 1200.5},
        "stats": {"_f_totalPaid": 600.25},
        "guests": 2,
        "guestsDetails": {"adults": 2, "children": 0, "infants": 0},
        "partner": {"_id": client, "name": "API airbnb"},
        "partnerCode": f"HM{draw.getrandbits(40):08X}",
    }


def pages(made):
    """The bytes of each page, the empty one at the end included."""
    starts = range(0, len(made) + PAGE, PAGE)
    return [json.dumps(made[start : start + PAGE]).encode() for start in starts]


def arriving(units, check_in):
    """A guest in each unit, for two nights."""
    arrival = check_in.astimezone(ZONE)
    made = rows(units)
    for number, row in enumerate(made):
        row["_idlisting"] = listing(number)
        row["checkInDate"] = arrival.date().isoformat()
        row["checkInTime"] = arrival.strftime("%H:%M")
        row["checkOutDate"] = (arrival.date() + timedelta(days=LENGTH)).isoformat()
    return made


def _app(sizes):
    served = {"arriving": pages([])}
    otherwise = {}
    for stays in sizes:
        served[str(stays)] = pages(rows(stays))
        otherwise[str(stays)] = pages(rows(stays, moved=True))

    async def page(request):
        number = -(-int(request.query["skip"]) // PAGE)  # rounded up
        body = served[request.match_info["account"]][number]
        return web.Response(body=body, content_type="application/json")

    async def move(request):
        one = request.match_info["account"]
        served[one], otherwise[one] = otherwise[one], served[one]
        return web.Response()

    async def arrive(request):
        told = await request.json()
        made = arriving(told["units"], datetime.fromisoformat(told["checkIn"]))
        served["arriving"] = pages(made)
        return web.Response()

    async def unknown(_request):
        return web.json_response({}, status=404)

    app = web.Application()
    app.router.add_get("/{account}/external/v1/booking/reservations", page)
    app.router.add_get("/{account}/external/v1/{rest:.*}", unknown)
    app.router.add_post("/{account}/move", move)
    app.router.add_post("/arriving", arrive)
    return app


async def _main(sizes):
    runner = web.AppRunner(_app(sizes), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    sys.stdout.write(f"{runner.addresses[0][1]}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


@asynccontextmanager
async def an_account(*sizes):
    """Served inside the block: the address, under which the accounts are."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.benchmarks.account", *map(str, sizes)),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        port = int(await process.stdout.readline())
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        await process.wait()


if __name__ == "__main__":
    asyncio.run(_main([int(one) for one in sys.argv[1:]]))
