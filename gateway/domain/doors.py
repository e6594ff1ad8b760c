"""What the configuration says of the doors, to be kept, and what another one changes of it, in words."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from gateway.domain.model import Property

Doors = Mapping[str, Mapping[str, Any]]


def doors_of(site: Property) -> Doors:
    """Units with their doors, locks, and the rules of windows: what decides who gets in, as plain values."""
    return {
        "unit": {
            unit.name: {"listings": sorted(unit.stays_ids), "locks": list(unit.locks)}
            for unit in site.units
        },
        "lock": {
            lock.name: {
                "device": f"{lock.device_id}/{lock.node_id or ''}",
                "window": str(lock.window_mode),
                "trust_window": lock.trust_window,
                "shared": lock.shared,
            }
            for lock in site.locks
        },
        "policy": {name: str(value) for name, value in asdict(site.policy).items()},
    }


def differences(before: Doors, after: Doors) -> Iterator[tuple[str | None, str]]:
    """Each change: the lock that it is about, if it is about one, and what changed."""
    for kind in ("unit", "lock"):
        old, new = before.get(kind, {}), after[kind]
        for name in sorted(old.keys() | new.keys()):
            lock = name if kind == "lock" else None
            if name not in new:
                yield lock, f"{kind} {name} left the configuration"
            elif name not in old:
                yield lock, f"{kind} {name} came into the configuration: {_in_words(new[name])}"
            else:
                yield from (
                    (lock, f"{kind} {name}: {one}") for one in _changed(old[name], new[name])
                )
    yield from (
        (None, f"policy: {one}") for one in _changed(before.get("policy", {}), after["policy"])
    )


def _changed(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    for name, value in new.items():
        if name in old and old[name] != value:
            yield f"{name} {_text(old[name])} → {_text(value)}"


def _in_words(values: Mapping[str, Any]) -> str:
    return "; ".join(f"{name} {_text(value)}" for name, value in values.items())


def _text(value: Any) -> str:
    return ", ".join(value) if isinstance(value, list) else str(value)
