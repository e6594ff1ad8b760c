"""What a scan says of each device, and the configuration it offers."""

import json
import tomllib
from dataclasses import replace

import pytest
from hypothesis import given, settings, strategies as st

from gateway.config import load
from gateway.errors import BadDevicesFileError
from gateway.tuya.discovery import Sighting
from gateway.tuya.proposal import proposal
from gateway.tuya.survey import Configured, Standing, survey
from gateway.tuya.wizard import read_devices

KEY = "0123456789abcdef"
BLE = {
    "51": {"code": "temporary_password_creat", "type": "Raw", "values": {"maxlen": 128}},
    "52": {"code": "temporary_password_delete", "type": "Raw", "values": {"maxlen": 128}},
    "53": {"code": "temporary_password_modify", "type": "Raw", "values": '{"maxlen": 128}'},
    "54": {"code": "synch_method", "type": "Raw", "values": "{}"},
}
MK = {
    "1": {"code": "unlock_method_create", "type": "Raw", "values": {"maxlen": 128}},
    "2": {"code": "unlock_method_delete", "type": "Raw", "values": {"maxlen": 128}},
}
HEAD = """
[stays]
url = "https://acme.stays.net"
client_id = "x"
client_secret = "x"
"""


def entry(device_id, name="", **more):
    return {"name": name, "id": device_id, "key": KEY, "category": "", "mapping": {}} | more


def a_hub(device_id="hub-1", name="Hub da entrada", **more):
    return entry(device_id, name, category="wg2", version="3.4") | more


def behind(parent, device_id, name="Apto 101", **more):
    place = {"sub": True, "node_id": f"cid-{device_id}", "parent": parent}
    return entry(device_id, name, category="jtmspro", mapping=BLE) | place | more


def an_mk(device_id, name="Porta da rua", **more):
    return entry(device_id, name, category="mk", mapping=MK, version="3.3") | more


def heard(device_id, version="3.4", address="192.168.1.20"):
    return Sighting(device_id, address, version, "product1")


def looked(sightings=(), configured=(), entries=(), *, keys=True):
    devices, _ = read_devices(json.dumps(list(entries)))
    rows = survey(sightings, configured, devices)
    assert len({row.device_id for row in rows}) == len(rows)
    return {row.device_id: row for row in rows}, proposal(rows, configured, with_keys=keys)


def loaded(tmp_path, toml):
    path = tmp_path / "config.toml"
    path.write_text(HEAD + toml)
    return load(path, environ={})


HUB_1 = Configured(
    kind="hub", name="hub-1", device_id="hub-1", address="192.168.1.20", version="3.4"
)

APT = Configured(kind="lock", name="apt", device_id="lock-1", profile="zigbee_temp27", hub="hub-1")


def test_configured_locks_stand_under_their_hub_without_a_file_too():
    rows, _ = looked([heard("hub-1")], [HUB_1, APT])

    assert list(rows) == ["hub-1", "lock-1"]
    assert (rows["lock-1"].standing, rows["lock-1"].hub) == (Standing.KNOWN, "hub-1")


def test_a_lock_configured_behind_a_hub_that_broadcasts_itself_is_told():
    rows, toml = looked([heard("hub-1"), heard("lock-1")], [HUB_1, APT])

    assert rows["lock-1"].standing is Standing.DIFFERS
    assert "it has Wi-Fi of its own" in rows["lock-1"].detail
    assert toml == ""


@pytest.mark.parametrize(
    ("entries", "hub"),
    [
        ([a_hub("hub-2"), behind("hub-2", "lock-1")], "hub-2"),
        ([an_mk("lock-1")], ""),
    ],
)
def test_a_lock_that_the_file_puts_elsewhere_than_the_configuration_is_told_once(entries, hub):
    rows, toml = looked([heard("hub-1")], [HUB_1, APT], entries)

    assert (rows["lock-1"].standing, rows["lock-1"].hub) == (Standing.DIFFERS, hub)
    assert "configured behind hub-1" in rows["lock-1"].detail
    assert "lock-1" not in toml


def test_a_lock_without_a_hub_in_the_file_stands_under_its_configured_one():
    rows, _ = looked([heard("hub-1")], [HUB_1, APT], [behind("gone", "lock-1", key="k")])

    assert (rows["lock-1"].standing, rows["lock-1"].hub) == (Standing.KNOWN, "hub-1")


def test_a_hub_its_lock_and_a_lock_of_its_own_become_a_configuration_that_loads(tmp_path):
    rows, toml = looked(
        [heard("hub-1"), heard("street", "3.3", "192.168.1.21")],
        entries=[a_hub(), behind("hub-1", "lock-1"), an_mk("street")],
    )

    assert {row.standing for row in rows.values()} == {Standing.NEW}
    assert "ble_temp: a Bluetooth lock" in rows["lock-1"].detail
    config = loaded(tmp_path, toml)
    (hub,), (apt, street) = config.hubs, config.locks
    assert (hub.name, hub.address, hub.version) == ("hub-da-entrada", "192.168.1.20", "3.4")
    assert hub.local_key.get_secret_value() == KEY
    assert (apt.profile, apt.hub, apt.node_id) == ("ble_temp", "hub-da-entrada", "cid-lock-1")
    assert (street.profile, street.version, street.address) == ("mk_method", "3.3", "192.168.1.21")


def test_without_keys_none_is_shown_and_what_is_shown_loads_all_the_same(tmp_path):
    _, toml = looked([heard("hub-1")], entries=[a_hub(), behind("hub-1", "l1")], keys=False)

    assert KEY not in toml
    assert "run again with --keys" in toml
    loaded(tmp_path, toml)


def test_locks_that_differ_from_their_profile_come_with_overrides_that_load(tmp_path):
    elsewhere = {
        str(dp): {"code": code, "type": "Raw", "values": {"maxlen": 27}}
        for dp, code in ((101, "temporary_password_creat"), (102, "temporary_password_delete"))
    }
    _, toml = looked([heard("hub-1")], entries=[a_hub(), behind("hub-1", "l1", mapping=elsewhere)])

    (lock,) = loaded(tmp_path, toml).locks
    assert (lock.overrides.dp.create, lock.overrides.dp.delete) == (101, 102)
    assert lock.overrides.can_modify is False
    assert lock.overrides.pin_lengths == (6, 7)


def test_a_lock_behind_a_configured_hub_is_offered_under_its_configured_name():
    rows, toml = looked([heard("hub-1")], [HUB_1], [a_hub(), behind("hub-1", "lock-1")])

    assert rows["hub-1"].standing is Standing.KNOWN
    assert tomllib.loads(toml) == {
        "locks": [
            {
                "name": "apto-101",
                "profile": "ble_temp",
                "hub": "hub-1",
                "device_id": "lock-1",
                "node_id": "cid-lock-1",
            }
        ]
    }


def test_a_lock_whose_hub_the_file_does_not_name_is_found_by_its_key():
    rows, _ = looked([heard("hub-1")], entries=[behind("", "lock-1"), a_hub()])

    assert rows["lock-1"].hub == "hub-1"


def test_what_broadcasts_itself_is_behind_no_hub_whatever_the_file_says(tmp_path):
    liar = behind("hub-1", "lock-1", category="mk", mapping=MK)
    rows, toml = looked([heard("hub-1"), heard("lock-1", "3.3")], entries=[a_hub(), liar])

    assert rows["lock-1"].hub == ""
    assert loaded(tmp_path, toml).locks[0].local_key is not None


def test_a_lock_whose_hub_is_unknown_is_told_and_not_offered():
    rows, toml = looked(entries=[behind("gone", "lock-1", key="another-key-0000"), a_hub()])

    assert "its hub is not in the file" in rows["lock-1"].detail
    assert toml == ""


def test_a_configured_peer_that_moved_or_speaks_another_version_is_told():
    rows, toml = looked([heard("hub-1", "3.5", "192.168.1.77")], [HUB_1])

    assert rows["hub-1"].standing is Standing.DIFFERS
    assert "configured at 192.168.1.20" in rows["hub-1"].detail
    assert "configured with version 3.4, speaks 3.5" in rows["hub-1"].detail
    assert toml == ""


def test_a_configured_peer_that_is_to_be_found_may_be_anywhere():
    anywhere = Configured(
        kind="hub", name="hub-1", device_id="hub-1", address="auto", version="3.4"
    )
    rows, _ = looked([heard("hub-1", "3.4", "10.9.9.9")], [anywhere])

    assert (rows["hub-1"].standing, rows["hub-1"].detail) == (Standing.KNOWN, "")


def test_a_configured_peer_that_is_not_heard_is_named():
    rows, _ = looked([], [HUB_1])

    assert rows["hub-1"].standing is Standing.NOT_HEARD
    assert "not heard: no power" in rows["hub-1"].detail


def test_a_configured_lock_whose_codes_say_another_family_is_told():
    rows, _ = looked([heard("hub-1")], [HUB_1, APT], [a_hub(), behind("hub-1", "lock-1")])

    assert rows["lock-1"].detail == "configured as zigbee_temp27, its codes say ble_temp"


@pytest.mark.parametrize(
    ("version", "said"),
    [("3.1", "too old to carry PINs"), ("3.6", "protocol 3.6"), ("", "no protocol version told")],
)
def test_a_version_that_cannot_be_driven_is_named_and_not_offered(version, said):
    rows, toml = looked(
        [heard("hub-1", version), heard("other", version)],
        entries=[a_hub(), behind("hub-1", "lock-1")],
    )

    assert {row.standing for row in rows.values()} == {Standing.UNSUPPORTED}
    assert said in rows["hub-1"].detail
    assert said in rows["other"].detail
    assert toml == ""


def test_a_battery_lock_is_named_unsupported_with_its_reason():
    pulls = {"9": {"code": "unlock_request"}, "10": {"code": "reply_unlock_request"}}
    rows, toml = looked([heard("l1")], entries=[entry("l1", category="ms", mapping=pulls)])

    assert rows["l1"].standing is Standing.UNSUPPORTED
    assert rows["l1"].detail.startswith("unsupported_cloud_pull: this lock sleeps")
    assert toml == ""


def test_a_lock_of_unknown_profile_is_offered_commented_out_with_what_to_try():
    rows, toml = looked([heard("l1")], entries=[entry("l1", category="mk")])

    assert "profile not known: its mapping names no data point" in rows["l1"].detail
    assert "try mk_method with gateway locks test" in toml
    assert tomllib.loads(toml) == {}
    uncommented = "".join(line.removeprefix("# ") + "\n" for line in toml.splitlines()[1:])
    assert tomllib.loads(uncommented)["locks"][0]["profile"] == "mk_method"


def test_what_is_in_the_file_and_not_heard_is_offered_to_be_found(tmp_path):
    rows, toml = looked(entries=[a_hub(), behind("hub-1", "lock-1"), an_mk("street", version="")])

    assert rows["hub-1"].detail == "not heard; 1 lock behind it"
    config = loaded(tmp_path, toml)
    assert config.hubs[0].address == config.locks[1].address == "auto"


def test_what_is_no_lock_is_listed_only_where_it_was_heard():
    bulb = entry("bulb", "Lâmpada", category="dj", mapping={"1": {"code": "switch_led"}})
    heard_, toml = looked([heard("bulb", "3.1")], entries=[bulb])
    unheard, _ = looked([], entries=[bulb])

    assert heard_["bulb"].standing is Standing.OTHER
    assert (toml, unheard) == ("", {})


def test_a_device_that_nothing_names_is_told_how_to_learn_more():
    rows, _ = looked([heard("x1")])

    assert rows["x1"].detail == "--devices devices.json tells what it is, and its key"


def test_two_devices_of_one_id_are_told():
    twice = [heard("hub-1"), heard("hub-1", address="192.168.1.99")]
    rows, _ = looked(twice, [HUB_1])

    assert rows["hub-1"].address == "192.168.1.20, 192.168.1.99"
    assert "something copies its id" in rows["hub-1"].detail


def test_names_are_valid_and_unlike_each_other_and_those_of_the_configuration(tmp_path):
    names = ["Apto 101", "apto-101", "ÁPTO 101!!", "🔑", "x" * 90, "", "-", "hub-1"]
    entries = [an_mk(f"Lock{n}", name) for n, name in enumerate(names)]
    _, toml = looked(configured=[HUB_1], entries=entries)

    found = [lock.name for lock in loaded(tmp_path, toml).locks]
    assert len(set(found)) == len(names)
    assert found[:3] == ["apto-101", "apto-101-2", "apto-101-3"]
    assert "hub-1" not in found


@pytest.mark.parametrize("text", ["", "nonsense", "5", '"x"', "{}", '{"devices": {}}', "[" * 9999])
def test_a_file_that_is_no_devices_json_is_refused(text):
    with pytest.raises(BadDevicesFileError, match="tinytuya's wizard"):
        read_devices(text)


def test_a_file_with_its_list_under_a_key_and_entries_of_wrong_types_is_read_as_far_as_it_goes():
    entries = [
        5,
        {},
        {"id": 7},
        {"id": ""},
        entry("a", 5, key=[], mapping=[], sub="yes"),
        entry("a"),
    ]

    devices, notes = read_devices(json.dumps({"devices": entries}))

    assert [(one.device_id, one.name, one.key, one.sub) for one in devices] == [
        ("a", "", "", False)
    ]
    assert len(notes) == 5
    assert "a stands in the file twice" in notes[-1]


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=4,
)
ids = st.sampled_from(["a", "b", "c", "\x1b[31m", '"]', "[bold]"])
mappings = st.dictionaries(
    st.sampled_from(["1", "2", "4", "24", "51", "54", "101", "999", "x", "²"]),
    st.fixed_dictionaries(
        {
            "code": st.sampled_from(
                ["unlock_method_create", "temporary_password_creat", "password_creat"]
            )
            | anything,
            "values": anything,
        }
    )
    | anything,
)
entries = st.fixed_dictionaries(
    {"id": ids},
    optional={
        "name": st.text(max_size=20) | anything,
        "key": st.just(KEY) | st.text(min_size=16, max_size=16) | anything,
        "category": st.sampled_from(["mk", "ms", "jtmspro", "wg2", "videolock"]) | anything,
        "sub": st.booleans() | anything,
        "parent": ids | anything,
        "node_id": st.text(max_size=8) | anything,
        "uuid": st.text(max_size=8) | anything,
        "version": st.sampled_from(["3.3", "3.4", "9"]) | anything,
        "mapping": mappings | anything,
    },
)
sightings = st.builds(
    Sighting,
    st.sampled_from("abc"),
    st.just("10.0.0.1"),
    st.sampled_from(["3.3", "3.5", "3.1", ""]),
)


@settings(deadline=None)
@given(st.lists(sightings, max_size=4), st.lists(entries | anything, max_size=5), st.booleans())
def test_no_file_and_no_broadcast_crash_the_survey_or_make_a_configuration_that_does_not_load(
    tmp_path_factory, seen, file, configured
):
    known = [HUB_1, replace(APT, name="a", device_id="a")]
    known = known if configured else []

    rows, toml = looked(seen, known, file)

    assert all(row.detail.isprintable() and row.name.isprintable() for row in rows.values())
    hub = '[[hubs]]\nname = "hub-1"\ndevice_id = "hub-1"\naddress = "auto"\nversion = "3.4"\n'
    hub += f'local_key = "{KEY}"\n'
    loaded(tmp_path_factory.mktemp("c"), (hub if configured else "") + toml)
