"""Lock profiles: all that differs between families, as data."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from gateway.domain.model import Addressing, Operation
from gateway.tuya.codec import (
    Digits,
    Layout,
    MethodLayout,
    SequenceLayout,
    TemporaryLayout,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One family of locks.

    Attributes:
        dps: the data point of each operation.
        openings: data points that report an opening by PIN, with the number of the code.
        deadline: seconds to wait for a report, direct and through a hub.
        late: seconds in which a late report may still come.
        evidence: what the layout is known from.
    """

    name: str
    layout: Layout
    addressing: Addressing
    dps: Mapping[Operation, int]
    openings: frozenset[int]
    pin_lengths: tuple[int, ...]
    uses_message_id: bool = False
    member_range: range = range(0)
    sequence_range: range = range(0)
    battery_percent: int | None = None
    battery_state: int | None = None
    alarm: int | None = None
    deadline: tuple[float, float] = (10.0, 40.0)
    late: float = 120.0
    evidence: str = field(default="")

    def operation(self, dp: int) -> Operation | None:
        """The operation whose report comes on a data point."""
        return next((one for one, number in self.dps.items() if number == dp), None)


def _dps(create: int, delete: int, modify: int) -> Mapping[Operation, int]:
    return {Operation.CREATE: create, Operation.DELETE: delete, Operation.MODIFY: modify}


PROFILES: Mapping[str, Profile] = {
    profile.name: profile
    for profile in (
        Profile(
            name="mk_method",
            layout=MethodLayout(id_width=2, message_id=True),
            addressing=Addressing.MEMBER,
            dps=_dps(create=1, delete=2, modify=3),
            openings=frozenset({11, 16}),
            pin_lengths=(6, 4, 5, 7, 8, 9, 10),
            uses_message_id=True,
            member_range=range(0x4000, 0x8000),
            alarm=23,
            evidence="create: documented; reports of create and delete: captured; modify: by analogy",
        ),
        Profile(
            name="ble_temp",
            layout=TemporaryLayout(),
            addressing=Addressing.SLOT,
            dps=_dps(create=51, delete=52, modify=53),
            openings=frozenset({55}),
            pin_lengths=(6, 7, 8, 9, 10),
            battery_percent=8,
            battery_state=9,
            alarm=21,
            evidence="layouts: Tuya's SDK; the way through a hub: expected, not seen",
        ),
        Profile(
            name="zigbee_temp27",
            layout=SequenceLayout(gap=7),
            addressing=Addressing.SEQUENCE,
            dps=_dps(create=24, delete=25, modify=26),
            openings=frozenset({2, 3}),
            pin_lengths=(6,),
            sequence_range=range(1, 901),
            battery_percent=10,
            alarm=9,
            evidence="create: captured from three devices; modify: documented",
        ),
    )
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Overrides:
    """What one lock does differently from its profile. Empty: nothing."""

    dps: Mapping[Operation, int] = field(default_factory=dict)
    digits: Digits | None = None
    deadline: float | None = None
    late: float | None = None
    member_range: range | None = None


def adapted(profile: Profile, overrides: Overrides) -> Profile:
    """The profile with the overrides of one lock."""
    changed = replace(profile, dps={**profile.dps, **overrides.dps})
    if overrides.digits is not None:
        changed = replace(changed, layout=_with_digits(profile.layout, overrides.digits))
    if overrides.deadline is not None:
        changed = replace(changed, deadline=(overrides.deadline, overrides.deadline))
    if overrides.late is not None:
        changed = replace(changed, late=overrides.late)
    if overrides.member_range is not None:
        changed = replace(changed, member_range=overrides.member_range)
    return changed


def _with_digits(layout: Layout, digits: Digits) -> Layout:
    if isinstance(layout, MethodLayout | TemporaryLayout | SequenceLayout):
        return replace(layout, digits=digits)
    return layout
