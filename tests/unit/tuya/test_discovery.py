"""Broadcasts: ours against captured ones, and against tinytuya's writer and reader."""

import json
from pathlib import Path

import pytest
import tinytuya
from tinytuya.core import PREFIX_6699_VALUE, TuyaMessage, pack_message

from gateway.simulator.broadcasts import UDP_34, UDP_NEW, Announced, asker
from gateway.tuya.discovery import Sighting, question, read_broadcast

CAPTURED = json.loads((Path(__file__).parents[2] / "fixtures/tuya-broadcasts.json").read_text())
VERSIONS = ("3.1", "3.3", "3.4", "3.5")
TOLD = {"ip": "192.168.1.20", "gwId": "bf01", "active": 2, "version": "3.3", "productKey": "key1"}


def captured(name):
    return bytes.fromhex(CAPTURED[name]["hex"])


def announced(version, device_id="bf0123456789abcdef"):
    return Announced(
        device_id=device_id, address="192.168.1.20", version=version, product="key0123456789abc"
    )


@pytest.mark.parametrize(
    ("version", "address"), [("3.3", "192.168.10.115"), ("3.4", "192.168.1.127")]
)
def test_captured_broadcasts_of_real_devices_are_read(version, address):
    seen = read_broadcast(captured(version), "10.0.0.1")

    assert (seen.version, seen.address, seen.product[:3]) == (version, address, "key")


@pytest.mark.parametrize("version", ["3.3", "3.4"])
def test_the_simulator_broadcasts_to_the_byte_what_real_devices_do(version):
    raw = captured(version)
    told = json.loads(tinytuya.decrypt_udp(raw))
    ours = Announced(
        device_id=told["gwId"],
        address=told["ip"],
        version=version,
        product=told["productKey"],
    )

    assert ours.datagram() == raw
    assert raw[11] == CAPTURED[version]["cmd"] == {"3.3": UDP_NEW, "3.4": UDP_34}[version]


@pytest.mark.parametrize("version", VERSIONS)
def test_tinytuya_and_we_read_what_the_simulator_broadcasts(version):
    raw = announced(version).datagram()

    assert json.loads(tinytuya.decrypt_udp(raw))["gwId"] == "bf0123456789abcdef"
    assert read_broadcast(raw, "10.0.0.1") == Sighting(
        "bf0123456789abcdef", "192.168.1.20", version, "key0123456789abc"
    )


@pytest.mark.parametrize("length", range(1, 17))
def test_a_broadcast_in_the_clear_is_read_whatever_its_length(length):
    raw = announced("3.1", device_id="b" * length).datagram()

    assert read_broadcast(raw, "10.0.0.1").device_id == "b" * length


@pytest.mark.parametrize("retcode", [None, 0])
@pytest.mark.parametrize("padding", [b"", b"\0\0\0"])
def test_what_tinytuya_packs_for_3_5_is_read(retcode, padding):
    payload = json.dumps(TOLD | {"version": "3.5"}).encode() + padding
    message = TuyaMessage(0, UDP_NEW, retcode, payload, 0, True, PREFIX_6699_VALUE, True)

    seen = read_broadcast(pack_message(message, hmac_key=tinytuya.udpkey), "10.0.0.1")

    assert (seen.device_id, seen.version) == ("bf01", "3.5")


def test_what_tinytuya_packs_for_3_3_is_read():
    sealed = tinytuya.AESCipher(tinytuya.udpkey).encrypt(json.dumps(TOLD).encode(), False)
    message = TuyaMessage(0, UDP_NEW, 0, b"\0\0\0\0" + sealed, 0)

    assert read_broadcast(pack_message(message), "10.0.0.1").device_id == "bf01"


def test_our_question_names_whom_to_answer_as_the_phone_app_does():
    theirs = json.loads(tinytuya.decrypt_udp(captured("question")))
    ours = question("192.168.1.9")

    assert json.loads(tinytuya.decrypt_udp(ours)) == theirs | {"ip": "192.168.1.9"}
    assert asker(ours) == "192.168.1.9"
    assert asker(captured("question")) == "192.168.1.102"
    assert read_broadcast(ours, "10.0.0.1") is None


@pytest.mark.parametrize(
    "change",
    [
        {"gwId": None},
        {"gwId": 5},
        {"gwId": ""},
        {"gwId": "[bold]\x1b[31m"},
        {"gwId": "bf01\n[[locks]]"},
        {"gwId": "b" * 65},
    ],
)
def test_a_broadcast_without_a_usable_id_is_none(change):
    assert read_broadcast(json.dumps(TOLD | change).encode(), "10.0.0.1") is None


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        ({"ip": "0.0.0.0"}, "10.0.0.1"),
        ({"ip": "evil.example"}, "10.0.0.1"),
        ({"ip": ["192.168.1.1"]}, "10.0.0.1"),
        ({}, "192.168.1.20"),
    ],
)
def test_an_address_that_is_none_is_replaced_by_the_senders(change, wanted):
    assert read_broadcast(json.dumps(TOLD | change).encode(), "10.0.0.1").address == wanted


@pytest.mark.parametrize("value", [None, 3.3, "\x1b[2J", "3.3 " * 40, {}])
def test_a_version_or_product_that_is_no_word_counts_as_not_told(value):
    seen = read_broadcast(
        json.dumps(TOLD | {"version": value, "productKey": value}).encode(), "10.0.0.1"
    )

    assert (seen.version, seen.product) == ("", "")
