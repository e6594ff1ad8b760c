"""Reads devices.json, the file in which tinytuya's wizard keeps keys, hubs and data points."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from gateway.errors import BadDevicesFileError
from gateway.tuya.recognition import Point

_MOST_TEXT = 64
_LAST_DP = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class WizardDevice:
    """One device of the account. Texts are printable, and empty where the file does not tell.

    `parent`: the device id of its hub, where it is a sub-device and its hub is in the file.
    """

    device_id: str
    name: str = ""
    key: str = field(default="", repr=False)
    category: str = ""
    product: str = ""
    sub: bool = False
    node_id: str = ""
    uuid: str = ""
    parent: str = ""
    address: str = ""
    version: str = ""
    codes: Mapping[str, Point] = field(default_factory=dict)


def read_devices(text: str) -> tuple[tuple[WizardDevice, ...], tuple[str, ...]]:
    """The devices in the file, and what was left out of it, in words.

    Raises:
        BadDevicesFileError: it is no devices.json.
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise BadDevicesFileError(
            "it is no JSON: give the file that tinytuya's wizard wrote"
        ) from None
    entries = document.get("devices") if isinstance(document, dict) else document
    if not isinstance(entries, list):
        raise BadDevicesFileError(
            "it holds no list of devices: give the devices.json that tinytuya's wizard wrote"
        )
    devices: dict[str, WizardDevice] = {}
    notes = []
    for number, entry in enumerate(entries, start=1):
        device = _device(entry) if isinstance(entry, dict) else None
        if device is None:
            notes.append(f"entry {number} of the file has no device id: left out")
        elif device.device_id in devices:
            notes.append(f"{device.device_id} stands in the file twice: the first one counts")
        else:
            devices[device.device_id] = device
    return tuple(_with_parent(one, devices) for one in devices.values()), tuple(notes)


def printable(value: Any) -> str:
    """A text of the file as it may be shown; empty if it is none."""
    text = value if isinstance(value, str) else ""
    return "".join(letter for letter in text if letter.isprintable()).strip()[:_MOST_TEXT]


def _device(entry: Mapping[str, Any]) -> WizardDevice | None:
    device_id = printable(entry.get("id")) or printable(entry.get("gwId"))
    if not device_id:
        return None
    key, version = entry.get("key"), entry.get("version", entry.get("ver"))
    return WizardDevice(
        device_id=device_id,
        name=printable(entry.get("name")),
        key=key if isinstance(key, str) else "",
        category=printable(entry.get("category")),
        product=printable(entry.get("product_name")),
        sub=entry.get("sub") is True,
        node_id=printable(entry.get("node_id")),
        uuid=printable(entry.get("uuid")),
        parent=printable(entry.get("parent")),
        address=printable(entry.get("ip")),
        version=str(version) if isinstance(version, float) else printable(version),
        codes=_codes(entry.get("mapping")),
    )


def _codes(mapping: Any) -> dict[str, Point]:
    found: dict[str, Point] = {}
    for dp, told in mapping.items() if isinstance(mapping, dict) else ():
        code = printable(told.get("code")) if isinstance(told, dict) else ""
        if code and dp.isascii() and dp.isdecimal() and 1 <= int(dp[:4]) <= _LAST_DP:
            found.setdefault(code, Point(dp=int(dp), most=_most(told.get("values"))))
    return found


def _most(values: Any) -> int | None:
    """`maxlen` of a raw data point; the values come as JSON within JSON too."""
    if isinstance(values, str):
        try:
            values = json.loads(values)
        except (ValueError, RecursionError):
            return None
    most = values.get("maxlen") if isinstance(values, dict) else None
    return most if isinstance(most, int) and not isinstance(most, bool) and most > 0 else None


def _with_parent(device: WizardDevice, devices: Mapping[str, WizardDevice]) -> WizardDevice:
    """The hub it names, else the one device with its key that is no sub-device itself."""
    if not device.sub and not device.parent:
        return device
    if device.parent in devices and device.parent != device.device_id:
        return replace(device, sub=True)
    return replace(device, sub=True, parent=_by_key(device, devices.values()))


def _by_key(device: WizardDevice, devices: Iterable[WizardDevice]) -> str:
    same = (one for one in devices if not one.sub and not one.parent and one.key == device.key)
    return next((one.device_id for one in same if device.key and one is not device), "")
