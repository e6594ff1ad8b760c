"""Which profile a lock gets by its codes, as the reference's rules and oddities have it."""

import pytest

from gateway.tuya.profiles import PROFILES
from gateway.tuya.recognition import CLOUD_PULL, Point, is_lock, recognise

METHODS = {1: "unlock_method_create", 2: "unlock_method_delete", 3: "unlock_method_modify"}


def temporary(create, delete, modify):
    return {
        create: "temporary_password_creat",
        delete: "temporary_password_delete",
        modify: "temporary_password_modify",
    }


def codes(points, most=None):
    return {code: Point(dp=dp, most=most) for dp, code in points.items()}


BLE = METHODS | temporary(51, 52, 53) | {54: "synch_method", 13: "unlock_password"}
MK = (
    METHODS
    | temporary(5, 6, 7)
    | {4: "synch_method", 8: "remote_no_pd_setkey", 9: "remote_no_dp_key"}
    | {11: "unlock_password_kit", 16: "unlock_temporary_kit"}
)
KEYPAD = METHODS | temporary(4, 5, 6) | {7: "synch_method"}
ZIGBEE = {24: "password_creat", 25: "password_delete", 26: "password_update"}
CUSTOM = {
    107: "unlock_method_create",
    108: "unlock_method_delete",
    109: "unlock_method_modify",
} | temporary(101, 102, 103)


@pytest.mark.parametrize(
    ("category", "points", "hub", "profile", "overrides"),
    [
        ("jtmspro", BLE, True, "ble_temp", {}),
        ("ms", temporary(51, 52, 53), True, "ble_temp", {}),
        ("mk", MK, False, "mk_method", {}),
        ("", MK, False, "mk_method", {}),  # lucking_hs6: no category, the same codes
        ("mk", METHODS, False, "mk_method", {}),
        ("mk", temporary(5, 6, 7), False, "mk_temp", {}),
        ("jtmspro", KEYPAD, True, "ble_keypad", {}),
        ("jtmspro", ZIGBEE, True, "zigbee_temp27", {}),
        ("videolock", METHODS, False, "video_method", {}),
        ("jtmspro", METHODS, False, "video_method", {}),
        ("jtmspro", METHODS, True, "ble_method", {}),
        (
            "ms",
            {1: "unlock_method_register", 2: "unlock_method_delete"},  # Orion
            True,
            "ble_method",
            {},
        ),
        (
            "ms",
            temporary(101, 102, 103),
            True,
            "ble_temp",
            {"dp": {"create": 101, "delete": 102, "modify": 103}},
        ),
        (
            "ms",
            CUSTOM,
            False,
            "mk_method",
            {"dp": {"create": 107, "delete": 108, "modify": 109}},
        ),
        (
            "ms",
            {101: "temporary_password_creat", 102: "temporary_password_delete"},
            True,
            "ble_temp",
            {"dp": {"create": 101, "delete": 102}, "can_modify": False},
        ),
        (
            "ms",
            temporary(51, 52, 53) | {154: "synch_method", 113: "unlock_password"},
            True,
            "ble_temp",
            {"dp": {"list": 154, "opening": [113]}},
        ),
    ],
)
def test_a_lock_is_recognised_by_its_codes(category, points, hub, profile, overrides):
    found = recognise(category, codes(points), behind_hub=hub)

    assert (found.profile, dict(found.overrides)) == (profile, overrides)
    assert found.profile in PROFILES
    assert PROFILES[found.profile].direct or hub
    assert found.reason


@pytest.mark.parametrize(
    ("category", "points", "hub", "tries"),
    [
        ("mk", {}, False, ("mk_method",)),
        ("videolock", {}, False, ("video_method",)),
        ("jtmspro", {8: "residual_electricity"}, True, ("ble_temp", "ble_method", "zigbee_temp27")),
        ("ms", {}, False, ("mk_method", "video_method")),
        (  # Intelbras IFR7000: 54 and 55 enrol at the lock
            "ms",
            {54: "unlock_method_create", 55: "unlock_method_delete"},
            True,
            ("zigbee_temp27",),
        ),
    ],
)
def test_what_a_mapping_does_not_name_proves_nothing_and_what_to_try_is_said(
    category, points, hub, tries
):
    found = recognise(category, codes(points), behind_hub=hub)

    assert (found.profile, found.tries) == (None, tries)
    assert tries[0] in found.reason


def test_a_lock_that_creates_elsewhere_and_does_not_say_where_it_deletes_gets_no_profile():
    points = {101: "temporary_password_creat"}

    found = recognise("ms", codes(points), behind_hub=True)

    assert (found.profile, found.tries) == (None, ())
    assert "names no temporary_password_delete: use ble_temp once" in found.reason


def test_a_battery_lock_that_pulls_from_the_cloud_is_named_with_its_reason():
    points = {9: "unlock_request", 10: "reply_unlock_request", 2: "unlock_password"}

    found = recognise("ms", codes(points), behind_hub=False)

    assert found.profile == CLOUD_PULL
    assert "fetches its PINs from Tuya's cloud" in found.reason


def test_a_bluetooth_lock_without_a_hub_is_sent_to_one():
    found = recognise("jtmspro", codes(BLE), behind_hub=False)

    assert found.profile is None
    assert "add it to a Tuya Bluetooth hub" in found.reason


@pytest.mark.parametrize(
    ("points", "most", "hub", "profile", "overrides"),
    [
        (ZIGBEE, 21, True, "zigbee_temp21", {}),
        (ZIGBEE, 128, True, "zigbee_temp27", {}),
        (temporary(51, 52, 53), 26, True, "ble_temp", {"pin_lengths": [6]}),
        (temporary(51, 52, 53), 28, True, "ble_temp", {"pin_lengths": [6, 7, 8]}),
        (temporary(51, 52, 53), 128, True, "ble_temp", {}),
    ],
)
def test_the_bytes_a_data_point_takes_decide_form_and_lengths(
    points, most, hub, profile, overrides
):
    found = recognise("jtmspro", codes(points, most), behind_hub=hub)

    assert (found.profile, dict(found.overrides)) == (profile, overrides)


@pytest.mark.parametrize(
    ("category", "points", "lock"),
    [
        ("dj", {1: "switch_led"}, False),
        ("wg2", {}, False),
        ("", {}, False),
        ("jtmspro", {}, True),
        ("", ZIGBEE, True),
        ("qt", {9: "unlock_request"}, True),
    ],
)
def test_what_is_a_lock_at_all(category, points, lock):
    assert is_lock(category, codes(points)) is lock
