"""`make bench`: the seven rows, each beside its floor or rival, as one table and a JSON file.

`python -m tests.benchmarks [--rows 1,2] [--quick] [--growth] [--out FOLDER]`. `--quick` does few rounds
of small sizes; its numbers say little. `--growth` also draws how cost grows with stays, history and
locks, as SVG.
"""

import argparse
import asyncio
import gc
import io
import sys
import tempfile
import time
from pathlib import Path

from gateway.observability import configure_logging
from tests.benchmarks import asking, growing, living, locking, reconciling, scheduling
from tests.benchmarks.account import an_account
from tests.benchmarks.measuring import document, machine, table

ROWS = (1, 2, 3, 4, 5, 6, 7)


async def _row_1(folder, *, quick):
    sizes = (200,) if quick else (1000, 10_000)
    async with an_account(*sizes) as account:
        for stays in sizes:
            rounds = 1 if quick else 5 if stays <= 1000 else 3
            for figure in await reconciling.first_runs(folder, account, stays, rounds):
                yield figure


async def _row_2(folder, *, quick):
    stays, rounds = (200, 2) if quick else (1000, 11)
    async with an_account(stays) as account:
        for figure in await reconciling.later_runs(folder, account, stays, rounds):
            yield figure
        async for figure in reconciling.wear(folder, account, stays):
            yield figure


async def _row_3(folder, *, quick):
    stays, rounds, past = (200, 2, 2000) if quick else (1000, 9, 100_000)
    async with an_account(stays) as account:
        for figure in await reconciling.beside_history(folder, account, stays, rounds, past):
            yield figure


async def _row_4(folder, *, quick):
    count, few, rounds = (200, 50, 1) if quick else (2000, 100, 3)
    async for one in scheduling.many_jobs(folder, count=count, rival_count=few, rounds=rounds):
        yield one


async def _row_5(folder, *, quick):
    hubs, direct, rounds = (1, 8, 1) if quick else (8, 64, 3)
    for one in await locking.many_locks(folder, hubs=hubs, direct=direct, rounds=rounds):
        yield one


async def _row_6(folder, *, quick):
    stays, seconds, rounds = (500, 1, 1) if quick else (5000, 3, 3)
    async for one in asking.status_endpoint(folder, stays=stays, seconds=seconds, rounds=rounds):
        yield one


async def _row_7(folder, *, quick):
    minutes, rounds = (1, 1) if quick else (3, 5)
    async for one in living.whole_process(folder, idle_minutes=minutes, rounds=rounds):
        yield one


_BY_NUMBER = dict(zip(ROWS, (_row_1, _row_2, _row_3, _row_4, _row_5, _row_6, _row_7), strict=True))


async def measured(rows, base, *, quick):
    """The figures of these rows; `base` is on the disk that they are about."""
    figures = []
    for row in rows:
        began = time.perf_counter()
        with tempfile.TemporaryDirectory(dir=base) as folder:
            figures += [one async for one in _BY_NUMBER[row](Path(folder), quick=quick)]
        sys.stderr.write(f"row {row}: {time.perf_counter() - began:.0f} s\n")
    return figures


def _arguments():
    parser = argparse.ArgumentParser(prog="make bench")
    parser.add_argument("--rows", default=",".join(map(str, ROWS)), help="for example 1,2")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--growth", action="store_true")
    parser.add_argument("--out", type=Path, default=Path("bench"))
    found = parser.parse_args()
    found.rows = [int(one) for one in found.rows.split(",") if one]
    return found


async def _main():
    asked = _arguments()
    gc.freeze()  # as `gateway run` does
    configure_logging(level="info", format="json", stream=io.StringIO())
    asked.out.mkdir(exist_ok=True)
    figures = await measured(asked.rows, asked.out, quick=asked.quick)
    growth = {}
    if asked.growth:
        growth = await growing.measured(asked.out, quick=asked.quick)
        growing.draw(growth, asked.out)
    (asked.out / "benchmarks.json").write_text(document(figures, growth))
    where = machine()
    sys.stdout.write(
        f"{table(figures)}\n\nPython {where['python']}, SQLite {where['sqlite']}, {where['machine']},"
        f" {where['cores']} cores, {'pinned' if where['pinned'] else 'not pinned'}\n"
    )


if __name__ == "__main__":
    asyncio.run(_main())
