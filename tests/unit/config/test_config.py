import re
from datetime import time, timedelta
from pathlib import Path

import pytest
from pydantic import BaseModel

from gateway.config import Config, load
from gateway.config.load import warnings
from gateway.domain.model import WindowMode
from gateway.errors import ConfigError

EXAMPLE = Path(__file__).parents[3] / "config.example.toml"
SECRET = "s3cret-of-the-test"
MINIMAL = f"""\
[stays]
url = "https://acme.stays.net"
client_id = "an-id"
client_secret = "{SECRET}"

[[hubs]]
name = "hub-1"
device_id = "hub-device"
local_key = "0123456789abcdef"
address = "192.0.2.20"
version = "3.4"

[[locks]]
name = "apt-101"
profile = "ble_temp"
hub = "hub-1"
device_id = "lock-device"
node_id = "cid-1"

[[listings]]
stays_id = "AB01C"
name = "Apto 101"
locks = ["apt-101"]
"""


@pytest.fixture
def write(tmp_path):
    def write(text):
        path = tmp_path / "config.toml"
        path.write_text(text)
        return path

    return write


def problems(path, **environ):
    with pytest.raises(ConfigError) as caught:
        load(path, environ=environ)
    assert SECRET not in str(caught.value)
    assert "0123456789abcde" not in str(caught.value)
    return caught.value.problems


def test_the_example_is_valid_and_means_what_it_says():
    config = load(EXAMPLE, environ={})
    site = config.property()

    assert config.policy.activate_before == timedelta(hours=2)
    assert site.units[0].stays_ids == ("AB01C",)
    assert site.units[0].check_in_time == time(15)
    street = site.lock("street-door")
    assert (street.pin_lengths, street.shared, street.window_mode) == ((7,), True, WindowMode.FULL)
    assert site.lock("apt-101").node_id == "0123456789abcdef"


def keys_of(model, seen=()):
    for name, field in model.model_fields.items():
        yield name
        for inner in models_in(field.annotation):
            if inner not in seen:
                yield from keys_of(inner, (*seen, inner))


def models_in(annotation):
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in getattr(annotation, "__args__", ()):
        yield from models_in(inner)


def _names(model, *before):
    for name, field in model.model_fields.items():
        inner = [field.annotation, *getattr(field.annotation, "__args__", ())]
        found = [one for one in inner if isinstance(one, type) and issubclass(one, BaseModel)]
        if not found or name == "dp":
            yield ".".join([*before, name])
        else:
            yield from _names(found[0], *before, name)


def test_every_setting_and_no_other_stands_in_the_portuguese_manual():
    page = (EXAMPLE.parent / "docs/pt-BR.md").read_text()
    rows = re.findall(r"^\| (`[a-z]+\..+?) \|", page[page.index("## Configuração") :], re.MULTILINE)
    named = {one for row in rows for one in re.findall(r"`([a-z_.]+)`", row)}
    assert named - {"locks.overrides"} == set(_names(Config))


def test_every_setting_stands_in_the_example():
    text = EXAMPLE.read_text()

    missing = {key for key in keys_of(Config) if not re.search(rf"\b{key}\b", text)}

    assert missing == set()


def test_the_minimum_is_enough(write):
    config = load(write(MINIMAL), environ={})

    assert config.stays.schedule == "*/30 * * * *"
    assert config.hubs[0].port == 6668
    assert config.property().lock("apt-101").pin_lengths[0] == 6


def test_the_environment_wins_over_the_file(write):
    config = load(
        write(MINIMAL),
        environ={
            "GATEWAY_STAYS__HORIZON_DAYS": "90",
            "GATEWAY_HUBS__0__LOCAL_KEY": "fedcba9876543210",
            "GATEWAY_POLICY__YIELD_TO_NEXT_GUEST": "false",
            "GATEWAY_LISTINGS__0__STAYS_ID": '["AB01C", "AB02C"]',
            "STAYS_API_URL": "https://other.stays.net",
            "LOG_LEVEL": "WARNING",
        },
    )

    assert config.stays.horizon_days == 90
    assert config.hubs[0].local_key.get_secret_value() == "fedcba9876543210"
    assert config.policy.yield_to_next_guest is False
    assert config.listings[0].stays_id == ("AB01C", "AB02C")
    assert config.stays.url == "https://other.stays.net"
    assert config.log.level == "warning"


def test_the_seed_names_are_enough_for_stays():
    config = load(
        None,
        environ={
            "STAYS_API_URL": "https://acme.stays.net",
            "STAYS_API_KEY": "an-id",
            "STAYS_API_SECRET": SECRET,
        },
    )

    assert config.stays.client_secret.get_secret_value() == SECRET


def test_a_secret_may_stand_in_a_file_or_a_systemd_credential(write, tmp_path):
    (tmp_path / "secret").write_text("from-a-file\n")
    (tmp_path / "hubs.hub-1.local_key").write_text("key-of-systemd-1\n")
    text = MINIMAL.replace(
        f'client_secret = "{SECRET}"', f'client_secret_file = "{tmp_path}/secret"'
    )
    text = text.replace('local_key = "0123456789abcdef"\n', "")

    config = load(write(text), environ={"CREDENTIALS_DIRECTORY": str(tmp_path)})

    assert config.stays.client_secret.get_secret_value() == "from-a-file"
    assert config.hubs[0].local_key.get_secret_value() == "key-of-systemd-1"


def test_all_errors_come_at_once_each_with_its_line(write):
    text = MINIMAL.replace("https://acme", "http://acme").replace('"AB01C"', '["AB01C", "AB01C"]')
    text = text.replace('locks = ["apt-101"]', 'locks = ["apt-102"]').replace("cdef", "cde")

    found = problems(write(text))

    assert [problem.split(":")[0] for problem in found] == [
        "hubs[0].local_key (line 9)",
        "stays.url (line 2)",
        "listings[0].locks[0] (line 23)",
        "listings[0].stays_id (line 21)",
    ]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("client_id", "clientid", "did you mean client_id?"),
        ('version = "3.4"', 'version = "3.1"', "hubs[0].version (line 11)"),
        ('profile = "ble_temp"', 'profile = "ble_tmp"', "there is no profile ble_tmp"),
        (
            'profile = "ble_temp"',
            'profile = "unsupported_cloud_pull"',
            "fetches its PINs from Tuya's cloud",
        ),
        ('hub = "hub-1"', 'hub = "hub-2"', "there is no hub hub-2"),
        ('node_id = "cid-1"\n', "", "locks[0].node_id"),
        ('hub = "hub-1"\n', "", "or name the lock's hub"),
        ('hub = "hub-1"\n', "", "is for locks behind a hub"),
        (
            'node_id = "cid-1"\n',
            'node_id = "cid-1"\noverrides = { keypad = "12x" }\n',
            "the digits that the keypad has",
        ),
        (
            'node_id = "cid-1"\n',
            'node_id = "cid-1"\noverrides = { member_range = [9, 3] }\n',
            "the first and the last member",
        ),
        (
            'node_id = "cid-1"\n',
            'node_id = "cid-1"\noverrides = { member_range = [3, 9] }\n',
            "knows no members",
        ),
        (
            'node_id = "cid-1"\n',
            'node_id = "cid-1"\npin_length = 9\noverrides = { pin_lengths = [6, 7] }\n',
            "takes 6, 7 digits",
        ),
        ('stays_id = "AB01C"', 'stays_id = "AB01C"\ntimezone = "Mars/Base"', "America/Sao_Paulo"),
        ("[[hubs]]", '[policy]\nrevoke_after = "a day"\n\n[[hubs]]', '"2h", "90m" or "1d"'),
        ("[[hubs]]", "[http]\njwt_secret = 'short'\n\n[[hubs]]", "32 characters or more"),
        ("[[hubs]]", "[policy]\npin_length = 5\n\n[[hubs]]", None),
        ('name = "Apto 101"', "name = 5", "listings[0].name (line 22)"),
        ("[stays]", "[stays", "no valid TOML"),
    ],
)
def test_each_mistake_is_named_with_its_mend(write, before, after, expected):
    path = write(MINIMAL.replace(before, after, 1))
    if expected is None:
        assert load(path, environ={})
        return

    assert any(expected in problem for problem in problems(path))


def test_a_missing_file_says_what_to_copy(tmp_path):
    (problem,) = problems(tmp_path / "nowhere.toml")

    assert "copy config.example.toml" in problem


def test_an_environment_name_without_a_setting_is_an_error(write):
    found = problems(write(MINIMAL), GATEWAY_STAYS__URLL="x", GATEWAY_HUBS__7__PORT="1")

    assert any("stays.urll" in problem for problem in found)
    assert any("GATEWAY_HUBS__7__PORT: there is no entry 7" in problem for problem in found)


def test_a_pin_length_that_the_profile_does_not_take_is_an_error(write):
    text = MINIMAL.replace('node_id = "cid-1"', 'node_id = "cid-1"\npin_length = 5')

    assert any(
        "ble_temp takes 6, 7, 8, 9, 10 digits" in problem for problem in problems(write(text))
    )


def test_a_lock_that_nobody_can_open_is_a_warning(write):
    extra = (
        '[[locks]]\nname = "attic"\nprofile = "mk_method"\ndevice_id = "x"\n'
        'local_key = "0123456789abcdef"\naddress = "192.0.2.9"\nversion = "3.3"\n\n[[listings]]'
    )
    path = write(MINIMAL.replace("[[listings]]", extra))
    path.chmod(0o600)

    assert warnings(load(path, environ={}), path) == (
        "locks: attic is mapped to no listing: nobody gets a PIN on it",
    )


@pytest.mark.parametrize(
    ("notify", "warned"),
    [
        ("", True),
        ('events = ["pin.issued"]', True),
        ('events = ["pin.message"]', False),
        (" ", False),
    ],
)
def test_messages_whose_failure_nobody_is_told_of_are_a_warning(write, notify, warned):
    told = f'[[notify]]\nurl = "json://x"\n{notify}\n' if notify else ""
    path = write(f'{MINIMAL}\n{told}[messages]\nguest_url = "json://x/{{phone}}"\n')
    path.chmod(0o600)

    found = warnings(load(path, environ={}), path)

    assert (
        any("nobody is told when a guest's message does not go" in one for one in found) == warned
    )


def test_no_secret_shows_in_a_repr(write):
    config = load(write(MINIMAL), environ={})

    assert SECRET not in repr(config)
    assert SECRET in config.secrets()
    assert "0123456789abcdef" in config.secrets()


@pytest.mark.parametrize(
    ("section", "said"),
    [
        (
            '[[notify]]\nurl = "json://x/s3cret-of-the-test"\nevents = ["pin.at_rsk"]',
            "did you mean pin.at_risk",
        ),
        ('[[notify]]\nurl = "s3cret-of-the-test"', "write an Apprise URL"),
        ('[messages]\npin = "{pin} {gest}"', "there is no placeholder {gest}"),
        ('[messages]\npin = "hello {guest}"', "write {pin} where the PIN belongs"),
        ('[messages]\nchanged = "{pin} {guest.name}"', "there is no placeholder {guest.name}"),
        ('[messages]\npin = "{pin} {"', "write {{ and }}"),
        ('[messages]\nsend = "soon"', '"minted", "confirmed" or a time before check-in'),
        ('[messages]\nguest_url = "json://s3cret-of-the-test"', "write {phone}"),
        (
            '[messages]\nguest_url = "json://s3cret-of-the-test/{phone}{pin}"',
            "no other placeholder",
        ),
    ],
)
def test_what_is_wrong_with_messages_is_said_with_a_way_out(write, section, said):
    (problem,) = problems(write(f"{MINIMAL}\n{section}\n"))
    assert said in problem


def test_a_notify_without_events_is_told_the_warnings_and_no_pin(write):
    config = load(write(f'{MINIMAL}\n[[notify]]\nurl = "json://x"\n'), environ={})
    assert "pin.at_risk" in config.notify[0].events
    assert "pin.message" not in config.notify[0].events


def test_two_entries_for_one_device_are_refused(write):
    lock = MINIMAL[MINIMAL.index("[[locks]]") : MINIMAL.index("[[listings]]")]
    hub = MINIMAL[MINIMAL.index("[[hubs]]") : MINIMAL.index("[[locks]]")]

    def found(*more):
        return problems(write(MINIMAL + "\n" + "\n".join(more)))

    mistyped = lock.replace("apt-101", "apt-102").replace("lock-device", "l0ck-device")
    (same_node,) = found(mistyped)
    assert same_node.startswith("locks[1].node_id")
    assert "the lock apt-101 behind hub-1 has this node id too" in same_node
    (same_device,) = found(lock.replace("apt-101", "apt-102").replace("cid-1", "cid-2"))
    assert "the lock apt-101 has this device id too" in same_device
    (same_hub,) = found(hub.replace("hub-1", "hub-2"))
    assert "the hub hub-1 has this device id too" in same_hub
    other = hub.replace("hub-1", "hub-2").replace("hub-device", "hub-device-2")
    behind = mistyped.replace('hub = "hub-1"', 'hub = "hub-2"')
    assert load(write(MINIMAL + "\n" + other + "\n" + behind), environ={})
