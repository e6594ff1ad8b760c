"""What is on the LAN beside what is configured and what tinytuya's wizard knows. Pure."""

import ipaddress
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from gateway.tuya.discovery import Sighting
from gateway.tuya.frames import Version
from gateway.tuya.link import AUTO
from gateway.tuya.profiles import UNSUPPORTED
from gateway.tuya.recognition import Recognised, is_lock, recognise
from gateway.tuya.wizard import WizardDevice

_SUPPORTED = frozenset(Version)
_TOO_OLD = "3.1"


class Standing(StrEnum):
    """How a device stands to the configuration."""

    KNOWN = "known"
    DIFFERS = "differs"  # configured, and heard otherwise
    NOT_HEARD = "not heard"  # configured
    NEW = "new"
    UNSUPPORTED = "unsupported"
    OTHER = "other"  # neither lock nor hub


@dataclass(frozen=True, slots=True, kw_only=True)
class Configured:
    """A hub or lock of the configuration. `hub`: the name of the hub it is behind, if any."""

    kind: str  # "hub" or "lock"
    name: str
    device_id: str
    address: str = ""
    version: str = ""
    profile: str = ""
    hub: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One device, with what is to be said of it. `hub`: the device id of its hub, if any."""

    device_id: str
    standing: Standing
    what: str
    detail: str
    name: str = ""
    address: str = ""
    version: str = ""
    product: str = ""
    hub: str = ""
    found: Recognised | None = None
    device: WizardDevice | None = None

    @property
    def offered(self) -> bool:
        """Can it be configured as it stands?"""
        return self.standing is Standing.NEW


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    configured: Mapping[str, Configured]
    devices: Mapping[str, WizardDevice]

    def children(self, device_id: str) -> list[WizardDevice]:
        return [one for one in self.devices.values() if one.sub and one.parent == device_id]


def survey(
    sightings: Iterable[Sighting],
    configured: Sequence[Configured],
    devices: Sequence[WizardDevice],
) -> tuple[Row, ...]:
    """A row for every device heard, configured or in the file, locks behind a hub after it."""
    heard: dict[str, list[Sighting]] = {}
    for sighting in sorted(sightings):
        heard.setdefault(sighting.device_id, []).append(sighting)
    known = _Known(
        configured={one.device_id: one for one in configured},
        devices={one.device_id: _placed(one, heard) for one in devices},
    )
    devices = tuple(known.devices.values())
    peers = [
        *heard,
        *(one.device_id for one in configured if not one.hub and one.device_id not in heard),
        *(one.device_id for one in devices if _is_peer(one, known) and one.device_id not in heard),
    ]
    rows: list[Row] = []
    told = {*peers, *(one.device_id for peer in peers for one in known.children(peer))}
    for device_id in dict.fromkeys(peers):
        rows.append(_peer(device_id, heard.get(device_id, []), known))
        rows += _behind(rows[-1], known, told)
    shown = {row.device_id for row in rows}
    orphans = (one for one in devices if one.sub and one.device_id not in shown)
    rows += [_child(one, None, known) for one in orphans if is_lock(one.category, one.codes)]
    return tuple(rows)


def _behind(hub: Row, known: _Known, told: Container[str]) -> list[Row]:
    """What the file puts behind a hub, then what the configuration alone does (not in `told`)."""
    children = [_child(one, hub, known) for one in known.children(hub.device_id)]
    mine = known.configured.get(hub.device_id)
    return children + [
        Row(
            device_id=one.device_id,
            standing=Standing.KNOWN,
            what=f"lock {one.name}",
            name=one.name,
            detail="",
            hub=hub.device_id,
        )
        for one in known.configured.values()
        if mine is not None and one.hub == mine.name and one.device_id not in told
    ]


def _placed(device: WizardDevice, heard: Mapping[str, object]) -> WizardDevice:
    """What broadcasts itself is behind no hub, whatever the file says."""
    return replace(device, sub=False, parent="") if device.device_id in heard else device


def _is_peer(device: WizardDevice, known: _Known) -> bool:
    """Is it a lock of its own or a hub with locks, which should have been heard?"""
    if device.sub:
        return False
    behind = known.children(device.device_id)
    return is_lock(device.category, device.codes) or any(
        is_lock(one.category, one.codes) for one in behind
    )


def _peer(device_id: str, heard: list[Sighting], known: _Known) -> Row:
    device = known.devices.get(device_id)
    mine = known.configured.get(device_id)
    row = Row(
        device_id=device_id,
        standing=Standing.OTHER,
        what="",
        detail="",
        name="" if device is None else device.name,
        address=", ".join(one.address for one in heard),
        version=heard[-1].version if heard else "",
        product=(heard[-1].product if heard else "") or ("" if device is None else device.product),
        device=device,
    )
    if mine is not None:
        return _configured(row, mine, heard)
    if device is None:
        return _unnamed(row, heard)
    return _new_peer(row, device, heard, known)


def _configured(row: Row, mine: Configured, heard: list[Sighting]) -> Row:
    row = replace(row, what=f"{mine.kind} {mine.name}", name=row.name or mine.name)
    if mine.hub:
        alone = "and broadcasts itself: it has Wi-Fi of its own" if heard else "but not in the file"
        detail = f"configured behind {mine.hub}, {alone}"
        return replace(row, standing=Standing.DIFFERS, detail=detail)
    if not heard:
        where = "" if mine.address == AUTO else f" at {mine.address}"
        detail = f"configured{where}, not heard: no power, no Wi-Fi, or another network?"
        return replace(row, standing=Standing.NOT_HEARD, detail=detail)
    differs = list(_differences(mine, heard))
    standing = Standing.DIFFERS if differs else Standing.KNOWN
    return replace(row, standing=standing, detail="; ".join(differs))


def _differences(mine: Configured, heard: list[Sighting]) -> Iterator[str]:
    seen = heard[-1]
    if len(heard) > 1:
        yield _TWICE
    elif _is_address(mine.address) and mine.address != seen.address:
        yield f'configured at {mine.address}: correct config.toml, or write address = "auto"'
    if seen.version and seen.version != mine.version:
        can = "" if seen.version in _SUPPORTED else ", which cannot be driven"
        yield f"configured with version {mine.version}, speaks {seen.version}{can}"


_TWICE = "heard with two addresses or versions: it has just changed, or something copies its id"


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _unnamed(row: Row, heard: list[Sighting]) -> Row:
    if problem := _cannot(row.version):
        return replace(row, standing=Standing.UNSUPPORTED, what="?", detail=problem)
    detail = "--devices devices.json tells what it is, and its key"
    twice = f"{_TWICE}; " if len(heard) > 1 else ""
    return replace(row, standing=Standing.OTHER, what="?", detail=twice + detail)


def _new_peer(row: Row, device: WizardDevice, heard: list[Sighting], known: _Known) -> Row:
    locks = [one for one in known.children(device.device_id) if is_lock(one.category, one.codes)]
    lock = is_lock(device.category, device.codes)
    if not locks and not lock:
        detail = f"no lock, by its category {device.category}" if device.category else "no lock"
        return replace(row, standing=Standing.OTHER, what="device", detail=detail)
    what = "hub" if locks else "lock"
    if problem := _cannot(row.version) if heard else "":
        return replace(row, standing=Standing.UNSUPPORTED, what=what, detail=problem)
    note = "" if heard else "not heard; "
    note += f"{_TWICE}; " if len(heard) > 1 else ""
    if locks:
        detail = f"{note}{len(locks)} lock{'s' if len(locks) > 1 else ''} behind it"
        return replace(row, standing=Standing.NEW, what=what, detail=detail)
    return _judged(replace(row, what=what), device, note)


def _judged(row: Row, device: WizardDevice, note: str) -> Row:
    """A lock that is not configured, by what its codes say."""
    found = recognise(device.category, device.codes, behind_hub=device.sub)
    if found.profile in UNSUPPORTED:
        detail = f"{found.profile}: {found.reason}"
        return replace(row, standing=Standing.UNSUPPORTED, detail=note + detail, found=found)
    named = found.profile or "profile not known"
    return replace(row, standing=Standing.NEW, detail=f"{note}{named}: {found.reason}", found=found)


def _cannot(version: str) -> str:
    if version in _SUPPORTED:
        return ""
    if version == _TOO_OLD:
        return "protocol 3.1 is too old to carry PINs: update its firmware in the app"
    told = f"protocol {version}" if version else "no protocol version told"
    return f"{told}: this gateway speaks {', '.join(Version)}"


def _child(device: WizardDevice, hub: Row | None, known: _Known) -> Row:
    mine = known.configured.get(device.device_id)
    row = Row(
        device_id=device.device_id,
        standing=Standing.OTHER,
        what="lock",
        detail="",
        name=device.name,
        product=device.product,
        hub="" if hub is None else hub.device_id,
        device=device,
    )
    if not is_lock(device.category, device.codes) and mine is None:
        detail = f"no lock, by its category {device.category}" if device.category else "no lock"
        return replace(row, what="device", detail=detail)
    if mine is not None:
        found = recognise(device.category, device.codes, behind_hub=True)
        other = found.profile not in {None, mine.profile}
        details = [f"configured as {mine.profile}, its codes say {found.profile}"] if other else []
        hubs = known.configured.get(row.hub)
        if hub is not None and (hubs is None or hubs.name != mine.hub):
            details.append(f"configured behind {mine.hub or 'no hub'}, not so in the file")
        standing = Standing.DIFFERS if details else Standing.KNOWN
        detail = "; ".join(details)
        return replace(row, standing=standing, what=f"lock {mine.name}", detail=detail)
    if hub is None:
        detail = "its hub is not in the file: run tinytuya's wizard again"
        return replace(row, standing=Standing.UNSUPPORTED, detail=detail)
    if hub.standing is Standing.UNSUPPORTED:
        return replace(row, standing=Standing.UNSUPPORTED, detail="its hub is not supported")
    return _judged(row, device, "")
