"""Rounds that take turns, what each cost, and the ratio of two: the numbers of one row."""

import gc
import json
import os
import platform
import resource
import sqlite3
import statistics
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass
class Cost:
    """What something took, in seconds: by the clock, and of the processor."""

    wall: float = 0.0
    cpu: float = 0.0


@contextmanager
def timed():
    """The cost of the block, in this process."""
    gc.collect()  # what was left behind before is not paid for here
    cost = Cost()
    wall, cpu = time.perf_counter(), time.process_time()
    try:
        yield cost
    finally:
        cost.wall, cost.cpu = time.perf_counter() - wall, time.process_time() - cpu


@dataclass(frozen=True)
class Figure:
    """One line of the table.

    `of`: what was measured. `value`: the median, or what was counted. `spread`: half of the values
    lie this far apart. `ratio`: of the medians, gateway by `against`. `target`: the most (or, with
    `least`, the least) that `ratio`, or without one `value`, may be.
    """

    row: int
    of: str
    value: float
    unit: str
    spread: float | None = None
    against: str = ""
    other: float | None = None
    ratio: float | None = None
    target: float | None = None
    least: bool = False

    @property
    def met(self):
        """Is the target met? None without one."""
        if self.target is None:
            return None
        reached = self.value if self.ratio is None else self.ratio
        return reached >= self.target if self.least else reached <= self.target


def median(values):
    """The middle of some values."""
    return statistics.median(values)


def spread(values):
    """How far apart the middle half of some values lies."""
    if len(values) < 2:
        return 0.0
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return high - low


def percentile(values, share):
    """The value below which a share (0 to 1) of the values lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


@dataclass
class Duel:
    """Costs of the gateway and of what it is compared with, measured in turns."""

    gateway: list = field(default_factory=list)
    other: list = field(default_factory=list)

    def figures(self, row, of, against, *, target=None):
        """Wall time with its ratio, and the same of the processor."""
        for what, of_cost in (("", lambda one: one.wall), (", CPU", lambda one: one.cpu)):
            mine = [1000 * of_cost(one) for one in self.gateway]
            theirs = [1000 * of_cost(one) for one in self.other]
            yield Figure(
                row=row,
                of=f"{of}{what}",
                value=median(mine),
                unit="ms",
                spread=spread(mine),
                against=against,
                other=median(theirs),
                ratio=median(mine) / median(theirs),
                target=None if what else target,
            )


def table(figures):
    """The figures as a Markdown table."""
    lines = [
        "| row | measured | gateway | spread | compared with | its median | ratio | target | met |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for one in figures:
        bound = "≥" if one.least else "≤"
        unit = " x" if one.ratio is not None else f" {one.unit}"
        cells = (
            str(one.row),
            one.of,
            f"{_short(one.value)} {one.unit}",
            "" if one.spread is None else f"± {_short(one.spread / 2)}",
            one.against,
            "" if one.other is None else f"{_short(one.other)} {one.unit}",
            "" if one.ratio is None else f"{one.ratio:.2f}",
            "" if one.target is None else f"{bound} {one.target:g}{unit}",
            "" if one.met is None else "yes" if one.met else "**no**",
        )
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _short(value):
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def machine():
    """Where it was measured, without its name."""
    return {
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "pinned": len(os.sched_getaffinity(0)) < (os.cpu_count() or 1),
        "load": os.getloadavg(),
    }


def document(figures, growth):
    """All of it for programs."""
    return json.dumps(
        {
            "machine": machine(),
            "figures": [asdict(one) | {"met": one.met} for one in figures],
            "growth": growth,
        },
        indent=1,
        ensure_ascii=False,
    )


def threads():
    """How many threads of the operating system this process has."""
    return len(list(Path("/proc/self/task").iterdir()))


def resident(pid="self"):
    """Memory of a process that is in use, in MiB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def processor_seconds(pid):
    """What a process has used of the processor since it began."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
