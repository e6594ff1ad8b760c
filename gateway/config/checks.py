"""What is wrong with a configuration, in words: each problem with its path and how to mend it."""

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ValidationError

from gateway.config.model import Config, is_loopback
from gateway.domain.model import Addressing
from gateway.tuya.profiles import PROFILES, UNSUPPORTED, Profile

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong. `path` is empty where no key of the file is to blame."""

    path: Path
    what: str

    def text(self, line: int | None) -> str:
        """The problem on one line of text."""
        dotted = ""
        for part in self.path:
            dotted += f"[{part}]" if isinstance(part, int) else f".{part}"
        where = f" (line {line})" if line is not None else ""
        return f"{dotted.removeprefix('.')}{where}: {self.what}" if dotted else self.what


def in_words(error: ValidationError) -> Iterator[Problem]:
    """The problems that pydantic found, without any value."""
    for problem in error.errors(include_input=False, include_url=False, include_context=False):
        path = tuple(problem["loc"])
        match problem["type"]:
            case "missing":
                yield Problem(path, "is missing")
            case "extra_forbidden":
                yield Problem(path, _unknown(path))
            case _:
                what = problem["msg"].removeprefix("Value error, ")
                yield Problem(path, what[:1].lower() + what[1:])


def _unknown(path: Path) -> str:
    model: Any = Config
    for part in path[:-1]:
        if isinstance(part, str) and part in model.model_fields:
            model = _model_in(model.model_fields[part].annotation) or model
    near = difflib.get_close_matches(str(path[-1]), model.model_fields, n=1)
    return "there is no such key" + (f": did you mean {near[0]}?" if near else "")


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        if (found := _model_in(inner)) is not None:
            return found
    return None


def across(document: Mapping[str, Any]) -> Iterator[Problem]:
    """The problems between settings; tolerant of everything that `in_words` names."""
    hubs, locks, listings = (_tables(document, name) for name in ("hubs", "locks", "listings"))
    yield from _stays(document.get("stays"))
    yield from _duplicates("hubs", hubs, "name", "hub")
    yield from _duplicates("locks", locks, "name", "lock")
    yield from _devices("hubs", hubs, "hub")
    yield from _devices("locks", locks, "lock")
    yield from _nodes(locks)
    hub_names = {hub.get("name") for _, hub in hubs}
    policy = document.get("policy")
    length = policy.get("pin_length", 6) if isinstance(policy, dict) else 6
    for index, lock in locks:
        yield from _lock(index, lock, hub_names, length)
    yield from _listings(listings, {lock.get("name") for _, lock in locks})
    http = document.get("http")
    if isinstance(http, dict) and ("tls_cert" in http) != ("tls_key" in http):
        yield Problem(("http",), "tls_cert and tls_key go together")


def _tables(document: Mapping[str, Any], section: str) -> list[tuple[int, Mapping[str, Any]]]:
    entries = document.get(section)
    listed = entries if isinstance(entries, list) else []
    return [(index, entry) for index, entry in enumerate(listed) if isinstance(entry, dict)]


def _stays(stays: Any) -> Iterator[Problem]:
    url = stays.get("url") if isinstance(stays, dict) else None
    if not isinstance(url, str):
        return
    parts = urlsplit(url)
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        yield Problem(("stays", "url"), "plain http would show the credentials: use https")
    if parts.username is not None or parts.password is not None:
        yield Problem(("stays", "url"), "credentials do not belong here: client_id, client_secret")


def _duplicates(
    section: str, entries: Iterable[tuple[int, Mapping[str, Any]]], key: str, word: str
) -> Iterator[Problem]:
    seen: dict[Any, int] = {}
    for index, entry in entries:
        value = entry.get(key)
        if isinstance(value, str) and value in seen:
            yield Problem((section, index, key), f"there is already a {word} {value}: rename one")
        elif isinstance(value, str):
            seen[value] = index


def _devices(
    section: str, entries: Iterable[tuple[int, Mapping[str, Any]]], word: str
) -> Iterator[Problem]:
    seen: dict[Any, Any] = {}
    for index, entry in entries:
        device = entry.get("device_id")
        if isinstance(device, str) and device in seen:
            what = f"the {word} {seen[device]} has this device id too: each {word} has its own"
            yield Problem((section, index, "device_id"), what)
        elif isinstance(device, str):
            seen[device] = entry.get("name")


def _nodes(locks: Iterable[tuple[int, Mapping[str, Any]]]) -> Iterator[Problem]:
    """The cid decides which lock a hub writes to, whatever device id stands beside it."""
    seen: dict[tuple[Any, Any], Any] = {}
    for index, lock in locks:
        hub, node = lock.get("hub"), lock.get("node_id")
        if not isinstance(hub, str) or not isinstance(node, str):
            continue
        if (hub, node) in seen:
            what = f"the lock {seen[hub, node]} behind {hub} has this node id too: it is one lock"
            yield Problem(("locks", index, "node_id"), what)
        else:
            seen[hub, node] = lock.get("name")


def _lock(
    index: int, lock: Mapping[str, Any], hub_names: set[Any], policy_length: Any
) -> Iterator[Problem]:
    path: Path = ("locks", index)
    name = lock.get("profile")
    profile = PROFILES.get(name) if isinstance(name, str) else None
    if isinstance(name, str) and profile is None:
        yield Problem((*path, "profile"), _profile(name))
    yield from _way(path, lock, hub_names)
    if profile is not None:
        yield from _fits(path, lock, profile, policy_length)
    if lock.get("trust_window") is True and lock.get("window") == "none":
        yield Problem((*path, "trust_window"), 'a lock with window = "none" holds no window')


def _fits(
    path: Path, lock: Mapping[str, Any], profile: Profile, policy_length: Any
) -> Iterator[Problem]:
    """Does what is said of a lock go together with its profile?"""
    overrides = lock.get("overrides")
    overrides = overrides if isinstance(overrides, dict) else {}
    if "hub" not in lock and not profile.direct:
        yield Problem((*path, "profile"), f"{profile.name} is for locks behind a hub: name the hub")
    lengths = profile.pin_lengths
    if isinstance(own := overrides.get("pin_lengths"), list):
        lengths = tuple(length for length in own if isinstance(length, int))
    length = lock.get("pin_length", policy_length if lengths == (policy_length,) else None)
    if lengths and isinstance(length, int) and length not in lengths:
        allowed = ", ".join(str(one) for one in sorted(lengths))
        yield Problem((*path, "pin_length"), f"{profile.name} takes {allowed} digits")
    if profile.addressing is Addressing.SEQUENCE and "message_id" in overrides:
        what = f"{profile.name} carries none: remove it"
        yield Problem((*path, "overrides", "message_id"), what)
    if not profile.member_range and "member_range" in overrides:
        what = f"{profile.name} knows no members: remove it"
        yield Problem((*path, "overrides", "member_range"), what)


def _way(path: Path, lock: Mapping[str, Any], hub_names: set[Any]) -> Iterator[Problem]:
    """A lock is behind a hub, or has a key and an address of its own."""
    if "hub" in lock:
        if lock["hub"] not in hub_names:
            yield Problem((*path, "hub"), f"there is no hub {lock['hub']} under [[hubs]]")
        if "node_id" not in lock:
            yield Problem((*path, "node_id"), "is missing: the cid of the lock behind its hub")
        for key in ("local_key", "address", "version"):
            if key in lock:
                yield Problem((*path, key), "belongs to the hub of this lock: remove it here")
    else:
        for key in ("local_key", "address", "version"):
            if key not in lock:
                yield Problem((*path, key), "is missing: give it, or name the lock's hub")


def _profile(name: str) -> str:
    if name in UNSUPPORTED:
        return UNSUPPORTED[name]
    return f"there is no profile {name}: use one of {', '.join(PROFILES)}"


def _listings(
    listings: Iterable[tuple[int, Mapping[str, Any]]], lock_names: set[Any]
) -> Iterator[Problem]:
    owners: dict[str, Any] = {}
    names: set[Any] = set()
    for index, listing in listings:
        locks = listing.get("locks")
        for position, lock in enumerate(locks if isinstance(locks, list) else []):
            if lock not in lock_names:
                what = f"there is no lock {lock} under [[locks]]"
                yield Problem(("listings", index, "locks", position), what)
        ids = listing.get("stays_id")
        name = listing.get("name") or (ids if isinstance(ids, str) else index)
        if name in names:
            yield Problem(("listings", index, "name"), f"there is already a listing {name}")
        names.add(name)
        for stays_id in [ids] if isinstance(ids, str) else ids if isinstance(ids, list) else []:
            if stays_id in owners:
                what = f"{stays_id} belongs to {owners[stays_id]} already: one unit, one entry"
                yield Problem(("listings", index, "stays_id"), what)
            owners.setdefault(str(stays_id), name)
