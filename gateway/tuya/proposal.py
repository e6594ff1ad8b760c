"""What a survey found new, as blocks for config.toml. Pure."""

import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence

from gateway.tuya.frames import Version
from gateway.tuya.link import AUTO
from gateway.tuya.survey import Configured, Row
from gateway.tuya.wizard import WizardDevice

PLACEHOLDER = "replace-me-16chr"
_KEY_LENGTH = 16
_MOST_NAME = 40
_GUESS = Version.V34


def proposal(rows: Sequence[Row], configured: Iterable[Configured], *, with_keys: bool) -> str:
    """[[hubs]] and [[locks]] for every row that is offered; empty if there is none.

    A lock whose profile is not known comes commented out. Keys only `with_keys`.
    """
    mine = tuple(configured)
    names = _names(rows, mine)
    hubs = [row for row in rows if row.offered and row.what == "hub"]
    locks = [row for row in rows if row.offered and row.what != "hub"]
    blocks = [
        *(_block("hubs", _hub(row, names, with_keys=with_keys)) for row in hubs),
        *(_lock(row, names, with_keys=with_keys) for row in locks),
    ]
    return "\n".join(block for block in blocks if block)


def _names(rows: Sequence[Row], mine: Sequence[Configured]) -> dict[str, str]:
    """A valid name of its own for every device, by device id."""
    names = {one.device_id: one.name for one in mine}
    taken = set(names.values())
    for row in rows:
        if row.device_id in names or not row.offered:
            continue
        plain = unicodedata.normalize("NFKD", row.name).encode("ascii", "ignore").decode().lower()
        slug = re.sub(r"[^a-z0-9]+", "-", plain)[:_MOST_NAME].strip("-")
        slug = slug or f"{row.what}-{re.sub('[^a-z0-9]', '', row.device_id.lower())[-6:] or 'x'}"
        name, number = slug, 1
        while name in taken:
            number += 1
            name = f"{slug}-{number}"
        names[row.device_id] = name
        taken.add(name)
    return names


def _hub(row: Row, names: Mapping[str, str], *, with_keys: bool) -> Iterator[str]:
    yield _line("name", names[row.device_id])
    yield from _way(row, with_keys=with_keys)


def _lock(row: Row, names: Mapping[str, str], *, with_keys: bool) -> str:
    found, device = row.found, row.device
    if found is None or device is None or not (found.profile or found.tries):
        return ""
    lines = [_line("name", names[row.device_id])]
    lines.append(_line("profile", found.profile or found.tries[0]))
    if device.sub:
        lines.append(_line("hub", names[row.hub]))
        lines.append(_line("device_id", row.device_id))
        lines.append(_node(device))
    else:
        lines += _way(row, with_keys=with_keys)
    if found.overrides:
        lines.append("[locks.overrides]")
        lines += [f"{key} = {_value(value)}" for key, value in found.overrides.items()]
    block = _block("locks", lines)
    if found.profile is not None:
        return block
    head = f"# {row.name or row.device_id}: {found.reason}\n"
    return head + "".join(f"# {line}\n" for line in block.splitlines())


def _node(device: WizardDevice) -> str:
    if device.node_id:
        return _line("node_id", device.node_id)
    if device.uuid:
        return _line("node_id", device.uuid) + "  # the file has no node_id: this is its uuid"
    return _line("node_id", "replace-me") + "  # the file has none: the cid behind the hub"


def _way(row: Row, *, with_keys: bool) -> Iterator[str]:
    yield _line("device_id", row.device_id)
    key = "" if row.device is None else row.device.key
    usable = len(key) == _KEY_LENGTH and key.isascii() and key.isprintable()
    if with_keys and usable:
        yield _line("local_key", key)
    else:
        why = "run again with --keys, or copy it from devices.json"
        if not usable:
            why = "the file has no usable key: run tinytuya's wizard again"
        yield f"{_line('local_key', PLACEHOLDER)}  # {why}"
    heard = "," not in row.address and row.address
    yield _line("address", heard or AUTO)
    told = row.version or ("" if row.device is None else row.device.version)
    if told in set(Version):
        yield _line("version", told)
    else:
        yield f"{_line('version', _GUESS)}  # not heard: a guess, its broadcasts correct it"


def _block(section: str, lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in (f"[[{section}]]", *lines))


def _line(key: str, value: str) -> str:
    return f"{key} = {_value(value)}"


def _value(value: object) -> str:
    """JSON's strings, numbers and lists are TOML's too; all texts here are printable."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_value(one)}" for key, one in value.items()) + " }"
    return json.dumps(value, ensure_ascii=False)
