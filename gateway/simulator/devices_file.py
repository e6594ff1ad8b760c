"""The devices.json that tinytuya's wizard would write for simulated peers."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from gateway.simulator.lock import SimulatedLock
from gateway.simulator.peer import SimulatedPeer

_RAW = {"type": "Raw", "values": {"maxlen": 128}}
_METHODS = {
    "1": "unlock_method_create",
    "2": "unlock_method_delete",
    "3": "unlock_method_modify",
}
_MK = _METHODS | {
    "4": "synch_method",
    "5": "temporary_password_creat",
    "6": "temporary_password_delete",
    "7": "temporary_password_modify",
    "8": "remote_no_pd_setkey",
    "9": "remote_no_dp_key",
}
_BLE = _METHODS | {
    "51": "temporary_password_creat",
    "52": "temporary_password_delete",
    "53": "temporary_password_modify",
    "54": "synch_method",
}
_ZIGBEE = {"24": "password_creat", "25": "password_delete", "26": "password_update"}
_VALUES = {
    "mk": {"11": "unlock_password_kit", "16": "unlock_temporary_kit"},
    "ble": {"8": "residual_electricity", "13": "unlock_password", "55": "unlock_temporary"},
    "zigbee": {"2": "unlock_password", "3": "unlock_temporary", "10": "residual_electricity"},
}


def devices_json(peers: Iterable[SimulatedPeer]) -> str:
    """All peers and the locks behind them."""
    entries = []
    for peer in peers:
        alone = peer.lock_of(None)
        if alone is not None:
            entries.append(_lock(peer, alone))
            continue
        hub = {"category": "wg2", "product_name": "Simulated hub", "mapping": {}}
        entries.append(_entry(peer, peer.name, peer.device_id) | hub | _where(peer))
        entries += [_lock(peer, lock) for lock in peer.locks]
    return json.dumps(entries, indent=4)


def _entry(peer: SimulatedPeer, name: str, device_id: str) -> dict[str, Any]:
    return {
        "name": name,
        "id": device_id,
        "key": peer.local_key,
        "mac": "",
        "uuid": f"uuid-{device_id}",
        "category": "",
        "product_name": "",
        "product_id": peer.product,
        "biz_type": 18,
        "model": "",
        "sub": False,
        "icon": "",
        "mapping": {},
    }


def _where(peer: SimulatedPeer) -> dict[str, str]:
    return {"ip": peer.host, "version": peer.version}


def _lock(peer: SimulatedPeer, lock: SimulatedLock) -> dict[str, Any]:
    family = lock.profile.split("_")[0]
    raw = {"mk": _MK, "ble": _BLE, "zigbee": _ZIGBEE}[family]
    lock_itself = {
        "category": "mk" if family == "mk" else "jtmspro",
        "product_name": f"Simulated {family} lock",
        "mapping": _mapping(raw, _VALUES[family]),
    }
    entry = _entry(peer, lock.name, lock.device_id) | lock_itself
    if lock.node_id is None:
        return entry | _where(peer)
    behind = {"sub": True, "node_id": lock.node_id, "parent": peer.device_id}
    return entry | behind | {"product_id": f"sim{family}lock00001"}


def _mapping(raw: Mapping[str, str], values: Mapping[str, str]) -> dict[str, Any]:
    whole = {"type": "Integer", "values": {"min": 0, "max": 999, "scale": 0, "step": 1}}
    return {dp: {"code": code} | _RAW for dp, code in raw.items()} | {
        dp: {"code": code} | whole for dp, code in values.items()
    }
