"""How cost grows with stays, history and locks: measured, and drawn as SVG."""

import tempfile
from pathlib import Path

import aiohttp

from tests.benchmarks import reconciling
from tests.benchmarks.account import an_account
from tests.benchmarks.doors import many_doors
from tests.benchmarks.locking import all_at_once
from tests.benchmarks.measuring import median

_WIDTH, _HEIGHT, _MARGIN = 560, 300, 56
_COLOURS = ("#1f6feb", "#d1242f", "#1a7f37")


async def measured(base, *, quick):
    """Milliseconds by number of stays, of past stays and of locks."""
    stays = (100, 200) if quick else (200, 500, 1000, 2000, 4000)
    past = (0, 500) if quick else (0, 25_000, 50_000, 100_000)
    hubs = (1,) if quick else (1, 2, 4, 8)
    with tempfile.TemporaryDirectory(dir=base) as name:
        folder = Path(name)
        return {
            "stays": await _by_stays(folder, stays, rounds=1 if quick else 3),
            "history": await _by_history(folder, past, stays=stays[1], rounds=1 if quick else 3),
            "locks": await _by_locks(folder, hubs),
        }


async def _by_stays(folder, sizes, rounds):
    found = {"first run": [], "none changed": [], "floor: fetch and `json`": []}
    async with an_account(*sizes) as account:
        for stays in sizes:
            place = folder / f"stays-{stays}"
            place.mkdir()
            first = await reconciling.first_runs(place, account, stays, rounds)
            later = await reconciling.later_runs(place, account, stays, rounds)
            found["first run"].append((stays, first[0].value))
            found["none changed"].append((stays, later[0].value))
            found["floor: fetch and `json`"].append((stays, later[0].other))
    return found


async def _by_history(folder, sizes, *, stays, rounds):
    found = {"none changed": [], "without any history": []}
    async with an_account(stays) as account:
        for past in sizes:
            place = folder / f"past-{past}"
            place.mkdir()
            figures = await reconciling.beside_history(place, account, stays, rounds, past)
            found["none changed"].append((past, figures[0].value))
            found["without any history"].append((past, figures[0].other))
    return found


async def _by_locks(folder, sizes):
    found = {"the last PIN confirmed": []}
    async with an_account() as url, aiohttp.ClientSession() as session:
        for hubs in sizes:
            async with many_doors(hubs=hubs, direct=8 * hubs) as peers:
                times = []
                for number in range(2):
                    place = folder / f"hubs-{hubs}-{number}"
                    place.mkdir()
                    seconds, _ = await all_at_once(place, url, peers, session)
                    times.append(1000 * seconds)
                found["the last PIN confirmed"].append((16 * hubs, median(times)))
    return found


# --- drawing -----------------------------------------------------------------------------------


def draw(growth, folder):
    """Write one SVG for each of them."""
    axes = {
        "stays": "stays in the window",
        "history": "past stays in the store, with five log rows each",
        "locks": "locks, half of them behind hubs, each answering after 300 ms",
    }
    for name, series in growth.items():
        (folder / f"growth-{name}.svg").write_text(svg(series, axes[name]))


def svg(series, axis):
    """Lines through points, milliseconds upward, from zero."""
    points = [point for line in series.values() for point in line]
    right = max(x for x, _ in points) or 1
    top = max(y for _, y in points) * 1.1

    def place(x, y):
        across = _MARGIN + x / right * (_WIDTH - 2 * _MARGIN)
        return across, _HEIGHT - _MARGIN - y / top * (_HEIGHT - 2 * _MARGIN)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-size="11">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#ffffff"/>',
        '<g font-family="sans-serif">',
    ]
    for step in range(5):
        x, y = right * step / 4, top * step / 4
        (left, up), (across, bottom) = place(0, y), place(x, 0)
        parts.append(
            f'<line x1="{left:.0f}" y1="{up:.1f}" x2="{_WIDTH - _MARGIN}" y2="{up:.1f}" stroke="#d0d7de"/>'
            f'<text x="{left - 6:.0f}" y="{up + 4:.1f}" text-anchor="end">{y:,.0f}</text>'
            f'<text x="{across:.1f}" y="{bottom + 16:.0f}" text-anchor="middle">{x:,.0f}</text>'
        )
    parts.append(
        f'<text x="{_WIDTH / 2}" y="{_HEIGHT - 12}" text-anchor="middle">{axis}</text>'
        f'<text x="12" y="{_MARGIN - 36}">ms</text>'
    )
    for number, ((name, line), colour) in enumerate(zip(series.items(), _COLOURS, strict=False)):
        path = " ".join("{:.1f},{:.1f}".format(*place(*point)) for point in line)
        parts.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>'
            f'<text x="{_MARGIN + 12}" y="{_MARGIN - 20 + 14 * number}" fill="{colour}">{name}</text>'
        )
        parts += [
            '<circle cx="{:.1f}" cy="{:.1f}" r="3" fill="{}"/>'.format(*place(*point), colour)
            for point in line
        ]
    return "\n".join([*parts, "</g></svg>"]) + "\n"
