"""What the gateway knows after a create, for every profile, way, version and fault.

`python -m tests.matrix` prints the table of docs/locks.md, each cell from a run of the driver against
a simulated lock over TCP.
"""

import asyncio
import io
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from gateway.domain.model import Addressing, CodeAddress, Refusal
from gateway.errors import LockUnreachableError
from gateway.observability import configure_logging
from gateway.ports import (
    Code,
    CodeReported,
    Confirmed,
    LockLost,
    LockReached,
    NotSent,
    Rejected,
    Unknown,
)
from gateway.simulator.lock import Order
from gateway.tuya.codec import MethodLayout, SequenceLayout, TemporaryLayout
from gateway.tuya.profiles import PROFILES
from tests.builders import utc
from tests.site import Wired, wired
from tests.virtual_time import run_virtual

VERSIONS = ("3.3", "3.4", "3.5")
CODE = Code(pin="483920", window=None)
START = utc("2026-02-02 12:00")
_METHOD = {
    Refusal.FULL: 0x03,
    Refusal.DUPLICATE: 0x02,
    Refusal.WEAK: 0x0A,
    Refusal.INVALID: 0x04,
    Refusal.BUSY: 0x07,
    Refusal.NOT_FOUND: 0xFE,
    Refusal.FAILED: 0x01,
}
_TEMPORARY = {Refusal.FULL: 0x02, Refusal.DUPLICATE: 0x03, Refusal.FAILED: 0x01}
_SEQUENCE = {Refusal.FULL: 0x03, Refusal.DUPLICATE: 0x02, Refusal.FAILED: 0x00}
REFUSALS = {MethodLayout: _METHOD, TemporaryLayout: _TEMPORARY, SequenceLayout: _SEQUENCE}


@dataclass(frozen=True)
class Case:
    """One thing that goes wrong. `expected` None: there is no such thing for this profile and way."""

    name: str
    prepare: Callable[[Wired], object]
    expected: Callable[[str, str, bool], str | None]
    key: str = "0123456789abcdef"
    during: Callable[[Wired], None] | None = None


def always(evidence):
    return lambda _profile, _version, _hub: evidence


def faults(**changes):
    def prepare(wire):
        for name, value in changes.items():
            setattr(wire.lock.faults, name, value)

    return prepare


def peer(**changes):
    def prepare(wire):
        for name, value in changes.items():
            setattr(wire.peer, name, value)

    return prepare


def refused(reason):
    def prepare(wire):
        wire.lock.faults.refusals = [_reasons(wire.lock.profile)[reason]]

    def expected(profile, _version, _hub):
        return f"rejected: {reason}" if reason in _reasons(profile) else None

    return Case(f"refused: {reason}", prepare, expected)


def _reasons(profile):
    return REFUSALS[type(PROFILES[profile].layout)]


def _one_stage(wire):
    wire.lock.two_stage = False


def _offline(wire):
    wire.lock.online = False
    wire.driver.on_online(online=False)


def _nearby(wire):
    wire.lock.nearby = True
    wire.driver.on_online(online=True)


def _foreign_traffic(wire):
    """The phone app enrols a finger, another lock of the hub reports a create, a plain value comes."""
    dp = str(PROFILES[wire.lock.profile].dps[next(iter(PROFILES[wire.lock.profile].dps))])
    wire.peer.broadcast(wire.lock.node_id, {dp: "A/8AAAMACwAAAQU=", "99": 5})
    wire.peer.broadcast("another-cid", {dp: "KAA="})
    wire.peer.broadcast(None, {"1": True})


async def _cut(wire):
    await wire.peer.cut()


async def _idle_close(wire):
    await wire.peer.cut()
    await wire.peer.restore()
    await wire.event(LockLost)
    await wire.event(LockReached)


CASES = (
    Case("nothing", lambda _wire: None, always("confirmed")),
    Case("report before acknowledgement", faults(order=Order.PUSH_FIRST), always("confirmed")),
    Case("report, no acknowledgement", faults(order=Order.PUSH_ONLY), always("confirmed")),
    Case("acknowledgement, no report", faults(order=Order.ACK_ONLY), always("unknown")),
    Case("no answer at all", faults(order=Order.SILENT), always("unknown")),
    Case("carried out when it wakes, in time", faults(latency=8.0), always("confirmed")),
    Case("carried out after the deadline", faults(latency=60.0), always("unknown, then confirmed")),
    Case("report after the deadline", faults(report_delay=60.0), always("unknown, then confirmed")),
    Case("report twice", faults(duplicate_next_report=True), always("confirmed")),
    Case(
        "one report instead of two stages",
        _one_stage,
        lambda profile, _version, _hub: (
            "confirmed" if isinstance(PROFILES[profile].layout, MethodLayout) else None
        ),
    ),
    *(refused(reason) for reason in _METHOD),
    Case("hub's error, no cid", faults(error_next="device busy"), always("rejected: failed")),
    Case("hub's error: offline", faults(error_next="device offline"), always("rejected: timeout")),
    Case(
        "report under another number", faults(spoil_next_report="other number"), always("unknown")
    ),
    Case("report cut short", faults(spoil_next_report="truncated"), always("unknown")),
    Case("report that is no base64", faults(spoil_next_report="no base64"), always("unknown")),
    Case(
        "others' traffic meanwhile",
        faults(report_delay=1.0),
        always("confirmed"),
        during=_foreign_traffic,
    ),
    Case("hangs up, not carried out", faults(hang_up_on_next="not executed"), always("unknown")),
    Case("hangs up, carried out", faults(hang_up_on_next="executed"), always("unknown")),
    Case("connection gone before", _cut, always("planned")),
    Case("idle connection closed, made again", _idle_close, always("confirmed")),
    Case("frames in pieces", peer(splits_frames=True), always("confirmed")),
    Case("garbage between frames", peer(sends_garbage=True), always("confirmed")),
    Case(
        "hub calls it offline",
        _offline,
        lambda _profile, _version, hub: "planned" if hub else None,
    ),
    Case(
        "hub calls it nearby",
        _nearby,
        lambda _profile, _version, hub: "confirmed" if hub else None,
    ),
    Case(
        "wrong key",
        lambda _wire: None,
        lambda _profile, version, _hub: "unknown" if version == "3.3" else "planned",
        key="another-key-0000",
    ),
)


async def cell(case, profile, version, hub):
    """What is known after a create."""
    async with wired(profile, version, hub=hub, key=case.key, deadline=10.0) as wire:
        with suppress(LockUnreachableError):
            await wire.driver.ready()
        prepared = case.prepare(wire)
        if asyncio.iscoroutine(prepared):
            await prepared
        try:
            await wire.driver.ready()
        except LockUnreachableError:
            return "planned"
        operation = asyncio.ensure_future(wire.driver.create(_address(profile), CODE))
        if case.during is not None:
            await wire.until(lambda: wire.lock.received)
            case.during(wire)
        return await _evidence(wire, case, await operation)


def _address(profile):
    message_id = 0x0107 if PROFILES[profile].layout.message_id else None
    match PROFILES[profile].addressing:
        case Addressing.MEMBER:
            return CodeAddress(member=61, message_id=message_id)
        case Addressing.SEQUENCE:
            return CodeAddress(sequence=17)
        case Addressing.SLOT:
            return CodeAddress(message_id=message_id)


async def _evidence(wire, case, outcome):
    match outcome:
        case Confirmed():
            return "confirmed"
        case Rejected(reason=reason):
            return f"rejected: {reason}"
        case NotSent():
            return "planned"
        case Unknown() if "after the deadline" in case.name:
            late = await wire.event(CodeReported)
            return "unknown, then confirmed" if isinstance(late.outcome, Confirmed) else "unknown"
        case Unknown():
            return "unknown"


def ways():
    """Profiles with the way they are reached."""
    for name, profile in PROFILES.items():
        yield name, True
        if profile.direct:
            yield name, False


def run(case):
    """All cells of a case: {(profile, hub, version): evidence}."""
    found = {}

    async def main(_clock):
        for profile, hub in ways():
            for version in VERSIONS:
                if case.expected(profile, version, hub) is not None:
                    found[profile, hub, version] = await cell(case, profile, version, hub)

    run_virtual(main, start=START)
    return found


def table(results):
    """The table of docs/locks.md: one column for each way of addressing codes, direct or not."""
    columns = {
        "mk_method, video_method (direct)": [("mk_method", False), ("video_method", False)],
        "mk_temp (direct)": [("mk_temp", False)],
        "members, hub": [(name, True) for name in PROFILES if _is(name, Addressing.MEMBER)],
        "slots, hub": [(name, True) for name in PROFILES if _is(name, Addressing.SLOT)],
        "sequences, hub": [(name, True) for name in PROFILES if _is(name, Addressing.SEQUENCE)],
    }
    lines = [
        "| what goes wrong | " + " | ".join(columns) + " |",
        "|---" * (len(columns) + 1) + "|",
    ]
    for case, found in results.items():
        cells = [_cell(found, members) for members in columns.values()]
        lines.append(f"| {case} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _is(name, addressing):
    return PROFILES[name].addressing is addressing


def _cell(found, members):
    by_version = {
        version: {found[one, hub, version] for one, hub in members if (one, hub, version) in found}
        for version in VERSIONS
    }
    everything = set().union(*by_version.values())
    if not everything:
        return "-"
    if len(everything) == 1:
        return everything.pop()
    return "; ".join(f"{version}: {'/'.join(sorted(one))}" for version, one in by_version.items())


if __name__ == "__main__":
    configure_logging(level="critical", format="console", stream=io.StringIO())
    sys.stdout.write(table({case.name: run(case) for case in CASES}) + "\n")
