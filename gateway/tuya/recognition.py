"""Which profile a lock has, by the codes that its product names: a guess, with its reason."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.domain.model import CodeAddress, Operation
from gateway.ports import Code
from gateway.tuya.profiles import PROFILES, UNSUPPORTED, Grade

CLOUD_PULL = "unsupported_cloud_pull"
LOCK_CATEGORIES = frozenset({"ms", "jtmspro", "jtmsbh", "mk", "videolock"})
_METHODS = ("unlock_method_create", "unlock_method_delete", "unlock_method_modify")
_REGISTERED = ("unlock_method_register", "unlock_method_delete", "unlock_method_modify")
_TEMPORARY = (
    "temporary_password_creat",
    "temporary_password_delete",
    "temporary_password_modify",
)
_SEQUENCES = ("password_creat", "password_delete", "password_update")
_LIST = "synch_method"
_OPENINGS = (
    "unlock_password",
    "unlock_temporary",
    "unlock_password_kit",
    "unlock_temporary_kit",
)
_ENROLS = 54  # unlock_method_create there begins enrolment at the lock and carries no PIN
_KEYPAD_TEMPORARY, _MK_TEMPORARY, _MK_LIST = 4, 5, 4
_BLE_TEMPORARY, _BLE_LIST = 51, 54
_ZIGBEE_DIGITS = 6
_INCOMPLETE = (
    "its mapping names no data point that takes a PIN; tinytuya's mapping is often incomplete, so"
    " that proves nothing"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One data point of a mapping. `most`: the bytes it takes, where told."""

    dp: int
    most: int | None = None


Codes = Mapping[str, Point]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recognised:
    """What a lock most likely is.

    Attributes:
        profile: a profile's name, one of `UNSUPPORTED`, or None: not known.
        reason: why, and what to do, in words.
        overrides: what differs from the profile, as under [locks.overrides].
        tries: where the profile is not known, those worth trying, the likeliest first.
    """

    profile: str | None
    reason: str
    overrides: Mapping[str, object] = field(default_factory=dict)
    tries: tuple[str, ...] = ()


def is_lock(category: str, codes: Codes) -> bool:
    """Is it a lock at all?"""
    named = {*_METHODS, _REGISTERED[0], *_TEMPORARY, *_SEQUENCES, "unlock_request", *_OPENINGS}
    return category in LOCK_CATEGORIES or not named.isdisjoint(codes)


def recognise(category: str, codes: Codes, *, behind_hub: bool) -> Recognised:
    """The profile of a lock by its category, its codes and the way it is reached."""
    methods = codes.get(_METHODS[0])
    temporary = codes.get(_TEMPORARY[0])
    if _SEQUENCES[0] in codes:
        return _zigbee(codes, behind_hub=behind_hub)
    if methods is not None and methods.dp == _ENROLS:
        return _unknown(
            "its unlock_method_create (54) begins enrolment at the lock and carries no PIN, and no"
            " password_creat is named; on some such locks it exists all the same",
            ("zigbee_temp27",),
        )
    if methods is None and temporary is None and _REGISTERED[0] not in codes:
        return _without_create(category, codes, behind_hub=behind_hub)
    if category == "videolock" and methods is not None:
        return _fits("video_method", "a video lock with unlock_method_create", codes, _METHODS)
    if _is_mk(category, codes):
        return _mk(codes)
    return _behind_hub(codes) if behind_hub else _direct(codes)


def _is_mk(category: str, codes: Codes) -> bool:
    named = {code: point.dp for code, point in codes.items()}
    return category == "mk" or (
        named.get(_TEMPORARY[0]) == _MK_TEMPORARY and named.get(_LIST) in {None, _MK_LIST}
    )


def _mk(codes: Codes) -> Recognised:
    if _METHODS[0] in codes:
        why = f"access control (mk): unlock_method_create at {codes[_METHODS[0]].dp}"
        return _fits("mk_method", why, codes, _METHODS)
    why = (
        "access control (mk) whose mapping names temporary passwords alone; try mk_method first if"
        " it has unlock_method_create all the same"
    )
    return _fits("mk_temp", why, codes, _TEMPORARY)


def _behind_hub(codes: Codes) -> Recognised:
    temporary = codes.get(_TEMPORARY[0])
    if temporary is not None and temporary.dp == _KEYPAD_TEMPORARY:
        why = "a Bluetooth keypad: temporary_password_creat at 4"
        return _fits("ble_keypad", why, codes, _TEMPORARY)
    if temporary is not None:
        why = f"a Bluetooth lock: temporary_password_creat at {temporary.dp}"
        return _fits("ble_temp", why, codes, _TEMPORARY)
    names = _METHODS if _METHODS[0] in codes else _REGISTERED
    why = f"a Bluetooth lock with {names[0]} and without temporary passwords"
    return _fits("ble_method", why, codes, names)


def _direct(codes: Codes) -> Recognised:
    """A lock with Wi-Fi of its own that is no access control by its category."""
    named = {code: point.dp for code, point in codes.items()}
    if named.get(_TEMPORARY[0]) == _BLE_TEMPORARY or named.get(_LIST) == _BLE_LIST:
        return _unknown(
            "a Bluetooth lock that hangs behind no hub: add it to a Tuya Bluetooth hub in the app"
            " and run tinytuya's wizard again",
            (),
        )
    if _TEMPORARY[0] in codes and _METHODS[0] not in codes:
        why = "Wi-Fi of its own and temporary passwords: their bytes are a guess"
        return _fits("mk_temp", why, codes, _TEMPORARY)
    names = _METHODS if _METHODS[0] in codes else _REGISTERED
    if codes[names[0]].dp == PROFILES["video_method"].dps[Operation.CREATE]:
        why = (
            f"Wi-Fi of its own with {names[0]}: most likely a video lock; if it refuses, try"
            " mk_method"
        )
        return _fits("video_method", why, codes, names)
    why = f"Wi-Fi of its own with {names[0]} at {codes[names[0]].dp}: a guess"
    return _fits("mk_method", why, codes, names)


def _zigbee(codes: Codes, *, behind_hub: bool) -> Recognised:
    create = codes[_SEQUENCES[0]]
    if not behind_hub:
        why = "it has password_creat, as Zigbee locks have: these work only behind a hub"
        return _unknown(f"{why}; the file does not say behind which", ())
    short = create.most is not None and create.most < _size("zigbee_temp27", _ZIGBEE_DIGITS)
    why = f"a Zigbee lock: password_creat at {create.dp}"
    if short:
        return _fits("zigbee_temp21", f"{why}, of {create.most} bytes at most", codes, _SEQUENCES)
    return _fits("zigbee_temp27", f"{why}; if it refuses, try zigbee_temp21", codes, _SEQUENCES)


def _without_create(category: str, codes: Codes, *, behind_hub: bool) -> Recognised:
    if "unlock_request" in codes and "reply_unlock_request" in codes and not behind_hub:
        return Recognised(profile=CLOUD_PULL, reason=UNSUPPORTED[CLOUD_PULL])
    if category == "mk":
        return _unknown(_INCOMPLETE, ("mk_method",))
    if category == "videolock":
        return _unknown(_INCOMPLETE, ("video_method",))
    if behind_hub:
        return _unknown(_INCOMPLETE, ("ble_temp", "ble_method", "zigbee_temp27"))
    return _unknown(
        f"{_INCOMPLETE}. If it runs on batteries it sleeps and cannot be driven over the LAN",
        ("mk_method", "video_method"),
    )


def _unknown(why: str, tries: tuple[str, ...]) -> Recognised:
    todo = f"; try {', then '.join(tries)} with gateway locks test" if tries else ""
    return Recognised(profile=None, reason=why + todo, tries=tries)


def _fits(profile: str, why: str, codes: Codes, names: tuple[str, str, str]) -> Recognised:
    """The profile with what the mapping names differently; without a way to delete it is none."""
    overrides, missing = _overrides(profile, codes, names)
    if missing:
        todo = (
            f"use {profile} once its data point is found (tinytuya's DP_Mapping.md says how) and"
            " given as an override"
        )
        return _unknown(f"{why}, but its mapping names no {missing}: {todo}", ())
    grade = PROFILES[profile].grade
    experimental = "; experimental: by analogy" if grade is Grade.INFERRED else ""
    return Recognised(profile=profile, reason=why + experimental, overrides=overrides)


def _overrides(
    profile: str, codes: Codes, names: tuple[str, str, str]
) -> tuple[dict[str, object], str]:
    """What differs, and the code without which the profile's own numbers cannot be trusted."""
    known = PROFILES[profile]
    dp: dict[str, object] = {}
    overrides: dict[str, object] = {}
    for operation, name in zip(
        (Operation.CREATE, Operation.DELETE, Operation.MODIFY), names, strict=True
    ):
        point = codes.get(name)
        if point is not None and point.dp != known.dps[operation]:
            dp[operation.value] = point.dp
    if "create" in dp and names[1] not in codes:
        return {}, names[1]
    if "create" in dp and names[2] not in codes:
        overrides["can_modify"] = False
    listed = codes.get(_LIST)
    if known.list_dp is not None and listed is not None and listed.dp != known.list_dp:
        dp["list"] = listed.dp
    openings = {codes[name].dp for name in _OPENINGS if name in codes}
    if openings and not openings <= known.openings:
        dp["opening"] = sorted(openings)
    if dp:
        overrides["dp"] = dp
    lengths = _lengths(profile, codes[names[0]].most)
    if lengths is not None:
        overrides["pin_lengths"] = lengths
    return overrides, ""


def _lengths(profile: str, most: int | None) -> list[int] | None:
    """The PIN lengths that fit into the bytes a create may have; None: all of the profile's."""
    lengths = PROFILES[profile].pin_lengths
    fitting = [length for length in lengths if most is None or _size(profile, length) <= most]
    return fitting if fitting and len(fitting) < len(lengths) else None


def _size(profile: str, length: int) -> int:
    """Bytes of a create with a PIN of some length."""
    anybody = CodeAddress(member=1, sequence=1, message_id=1)
    return len(PROFILES[profile].layout.create(anybody, Code(pin="1" * length, window=None)))
