from gateway.domain.model import Operation
from gateway.simulator.families import FAMILIES
from gateway.tuya.codec import Digits, TemporaryLayout
from gateway.tuya.profiles import PROFILES, Grade, Overrides, adapted


def test_every_profile_says_what_it_is_for_and_what_it_is_known_from():
    for profile in PROFILES.values():
        assert profile.covers
        assert profile.evidence
        assert isinstance(profile.grade, Grade)


def test_every_profile_has_a_simulated_lock():
    assert set(FAMILIES) == set(PROFILES)


def test_the_data_points_of_a_profile_do_not_meet():
    for profile in PROFILES.values():
        numbers = [*profile.dps.values(), *profile.openings, *profile.signals]
        numbers += [] if profile.list_dp is None else [profile.list_dp]
        assert len(numbers) == len(set(numbers)), profile.name


def test_empty_overrides_change_nothing():
    for profile in PROFILES.values():
        assert adapted(profile, Overrides()) == profile


def test_overrides_change_what_they_name():
    changed = adapted(
        PROFILES["ble_temp"],
        Overrides(
            dps={Operation.CREATE: 101, Operation.DELETE: 102},
            list_dp=104,
            openings=frozenset({105}),
            can_modify=False,
            digits=Digits.ASCII,
            message_id=True,
            deadline=7.0,
            late=8.0,
        ),
    )

    assert changed.dps == {Operation.CREATE: 101, Operation.DELETE: 102}
    assert changed.list_dp == 104
    assert changed.openings == {105}
    assert changed.layout == TemporaryLayout(digits=Digits.ASCII, message_id=True)
    assert changed.deadline == (7.0, 7.0)
    assert changed.late == 8.0


def test_the_members_of_a_lock_can_be_moved():
    changed = adapted(PROFILES["mk_method"], Overrides(member_range=range(5, 9)))

    assert changed.member_range == range(5, 9)
