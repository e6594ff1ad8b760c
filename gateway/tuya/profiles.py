"""Lock profiles: all that differs between families, as data."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from gateway.domain.model import Addressing, Operation
from gateway.tuya.codec import (
    Digits,
    Layout,
    ListLayout,
    MethodLayout,
    SequenceLayout,
    TemporaryLayout,
)


class Grade(StrEnum):
    """What a profile is known from, the best first."""

    CAPTURED = "captured"  # bytes of real devices
    DOCUMENTED = "documented"  # Tuya's own documents or source
    INFERRED = "inferred"  # by analogy: experimental


class Signal(StrEnum):
    """What a lock pushes of itself."""

    BATTERY_PERCENT = "battery_percent"
    BATTERY_STATE = "battery_state"
    ALARM = "alarm"
    HIJACK = "hijack"  # opened under duress
    DOORBELL = "doorbell"
    DOOR = "door"


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One family of locks.

    Attributes:
        covers: the locks it is for, in words.
        dps: the data point of each operation.
        list_dp, listing: data point and bytes of the list of codes, where there is one.
        openings: data points that report an opening by PIN, with the number of the code.
        signals: data points that tell of the lock itself.
        pin_lengths: the lengths it takes, the preferred one first.
        direct, behind_hub: can a lock of this family be a peer of its own, or a hub's?
        deadline: seconds to wait for a report, direct and through a hub.
        late: seconds in which a late report may still come.
        grade, evidence: what the layout is known from, in a word and in words.
    """

    name: str
    covers: str
    layout: Layout
    addressing: Addressing
    dps: Mapping[Operation, int]
    list_dp: int | None = None
    listing: ListLayout | None = None
    openings: frozenset[int] = frozenset()
    signals: Mapping[int, Signal] = field(default_factory=dict)
    pin_lengths: tuple[int, ...] = (6, 7, 8, 9, 10)
    direct: bool = False
    behind_hub: bool = True
    member_range: range = range(0)
    sequence_range: range = range(0)
    deadline: tuple[float, float] = (10.0, 40.0)
    late: float = 120.0
    grade: Grade
    evidence: str

    def operation(self, dp: int) -> Operation | None:
        """The operation whose report comes on a data point."""
        return next((one for one, number in self.dps.items() if number == dp), None)


def _dps(create: int, delete: int, modify: int) -> Mapping[Operation, int]:
    return {Operation.CREATE: create, Operation.DELETE: delete, Operation.MODIFY: modify}


_BLE_SIGNALS = {
    8: Signal.BATTERY_PERCENT,
    9: Signal.BATTERY_STATE,
    21: Signal.ALARM,
    22: Signal.HIJACK,
    24: Signal.DOORBELL,
}
_MK_SIGNALS = {23: Signal.ALARM, 35: Signal.DOOR}
_ZIGBEE_SIGNALS = {8: Signal.DOOR, 9: Signal.ALARM, 10: Signal.BATTERY_PERCENT}
_BYTE_MEMBERS = range(60, 101)  # the app counts its members from 1 upward
_WORD_MEMBERS = range(0x4000, 0x8000)
_SEQUENCES = range(1, 901)  # the app counts downward from 999
_TEMPORARY, _PASSWORDS = 0x05, 0x01  # types of code in a list

_BLE_TEMP = Profile(
    name="ble_temp",
    covers="Bluetooth locks (ms, jtmspro) behind a Tuya hub",
    layout=TemporaryLayout(),
    addressing=Addressing.SLOT,
    dps=_dps(create=51, delete=52, modify=53),
    list_dp=54,
    listing=ListLayout(asked=_TEMPORARY),
    openings=frozenset({13, 55}),
    signals=_BLE_SIGNALS,
    grade=Grade.DOCUMENTED,
    evidence="layouts: Tuya's SDK for lock makers; the way through a hub: expected, not seen",
)
_ZIGBEE = Profile(
    name="zigbee_temp27",
    covers="Zigbee locks behind a Tuya hub, as captured",
    layout=SequenceLayout(gap=7),
    addressing=Addressing.SEQUENCE,
    dps=_dps(create=24, delete=25, modify=26),
    openings=frozenset({2, 3}),
    signals=_ZIGBEE_SIGNALS,
    pin_lengths=(6,),
    sequence_range=_SEQUENCES,
    grade=Grade.CAPTURED,
    evidence="create: captured from three devices; delete and modify: documented",
)

PROFILES: Mapping[str, Profile] = {
    profile.name: profile
    for profile in (
        Profile(
            name="mk_method",
            covers="Wi-Fi access control (mk): keypads, boards, invisible locks",
            layout=MethodLayout(id_width=2, message_id=True),
            addressing=Addressing.MEMBER,
            dps=_dps(create=1, delete=2, modify=3),
            openings=frozenset({11, 16}),
            signals=_MK_SIGNALS,
            pin_lengths=(6, 4, 5, 7, 8, 9, 10),
            direct=True,
            member_range=_WORD_MEMBERS,
            grade=Grade.CAPTURED,
            evidence="create: documented; reports of create and delete: captured; modify: by analogy",
        ),
        Profile(
            name="mk_temp",
            covers="the same, by its temporary passwords",
            layout=TemporaryLayout(id_width=2, message_id=True),
            addressing=Addressing.SLOT,
            dps=_dps(create=5, delete=6, modify=7),
            openings=frozenset({16}),
            signals=_MK_SIGNALS,
            direct=True,
            grade=Grade.INFERRED,
            evidence="the data points exist; their bytes are by analogy: prefer mk_method",
        ),
        _BLE_TEMP,
        replace(
            _BLE_TEMP,
            name="ble_temp_ascii",
            covers="the same, with ASCII digits (T83 and kin)",
            layout=TemporaryLayout(digits=Digits.ASCII),
            grade=Grade.CAPTURED,
            evidence="reported from one model",
        ),
        Profile(
            name="ble_method",
            covers="Bluetooth locks without temporary passwords, behind a Tuya hub",
            layout=MethodLayout(id_width=1, message_id=False),
            addressing=Addressing.MEMBER,
            dps=_dps(create=1, delete=2, modify=3),
            list_dp=54,
            listing=ListLayout(asked=_PASSWORDS),
            openings=frozenset({13}),
            signals=_BLE_SIGNALS,
            member_range=_BYTE_MEMBERS,
            grade=Grade.CAPTURED,
            evidence="layouts: Tuya's SDK; reports captured over Bluetooth; through a hub: not seen",
        ),
        Profile(
            name="ble_keypad",
            covers="Bluetooth keypads beside a lock, behind a Tuya hub",
            layout=TemporaryLayout(),
            addressing=Addressing.SLOT,
            dps=_dps(create=4, delete=5, modify=6),
            list_dp=7,
            listing=ListLayout(asked=_TEMPORARY),
            grade=Grade.INFERRED,
            evidence="the data points were seen on two models; their bytes are by analogy",
        ),
        Profile(
            name="video_method",
            covers="Wi-Fi video and intercom locks that keep their radio on",
            layout=MethodLayout(id_width=1, message_id=True),
            addressing=Addressing.MEMBER,
            dps=_dps(create=1, delete=2, modify=3),
            direct=True,
            member_range=_BYTE_MEMBERS,
            grade=Grade.DOCUMENTED,
            evidence="create: documented; reports: by analogy; whether it listens on the LAN: unknown",
        ),
        _ZIGBEE,
        replace(
            _ZIGBEE,
            name="zigbee_temp21",
            covers="Zigbee locks behind a Tuya hub, as documented",
            layout=SequenceLayout(gap=1),
            grade=Grade.DOCUMENTED,
            evidence="documented by Tuya; every capture shows the form of zigbee_temp27",
        ),
    )
}

UNSUPPORTED: Mapping[str, str] = {
    "unsupported_cloud_pull": (
        "this lock sleeps and fetches its PINs from Tuya's cloud when it wakes: nothing on the LAN"
        " can write one to it. Use a lock with a hub or with mains power"
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Overrides:
    """What one lock does differently from its profile. Empty: nothing."""

    dps: Mapping[Operation, int] = field(default_factory=dict)
    list_dp: int | None = None
    openings: frozenset[int] | None = None
    can_modify: bool | None = None
    digits: Digits | None = None
    message_id: bool | None = None
    deadline: float | None = None
    late: float | None = None
    member_range: range | None = None


def adapted(profile: Profile, overrides: Overrides) -> Profile:
    """The profile with the overrides of one lock."""
    dps = {**profile.dps, **overrides.dps}
    if overrides.can_modify is False:
        dps.pop(Operation.MODIFY, None)
    changed = replace(profile, dps=dps, layout=_layout(profile.layout, overrides))
    if overrides.list_dp is not None:
        changed = replace(changed, list_dp=overrides.list_dp)
    if overrides.openings is not None:
        changed = replace(changed, openings=overrides.openings)
    if overrides.deadline is not None:
        changed = replace(changed, deadline=(overrides.deadline, overrides.deadline))
    if overrides.late is not None:
        changed = replace(changed, late=overrides.late)
    if overrides.member_range is not None:
        changed = replace(changed, member_range=overrides.member_range)
    return changed


def _layout(layout: Layout, overrides: Overrides) -> Layout:
    if overrides.digits is not None and isinstance(
        layout, MethodLayout | TemporaryLayout | SequenceLayout
    ):
        layout = replace(layout, digits=overrides.digits)
    if overrides.message_id is not None and isinstance(layout, MethodLayout | TemporaryLayout):
        layout = replace(layout, message_id=overrides.message_id)
    return layout
