import json
from pathlib import Path

import pytest

from gateway.errors import BadFrameError
from gateway.tuya import frames
from gateway.tuya.frames import Cipher, FrameReader, Version
from gateway.tuya.session import KeyExchange

CAPTURE = json.loads((Path(__file__).parents[2] / "fixtures/tuya-3.4-capture.json").read_text())
KEY = b"0123456789abcdef"


def captured(part):
    exchange = CAPTURE[part]
    return exchange["local_key"].encode("latin-1"), [
        bytes.fromhex(f["hex"]) for f in exchange["frames"]
    ]


def test_a_captured_session_of_a_real_device_decodes():
    local_key, sent = captured("exchange")
    before = Cipher(Version.V34, local_key)
    answer = before.decode(sent[1])
    exchange = KeyExchange(Version.V34, local_key, b"0123456789abcdef")
    finish, session_key = exchange.answer(answer.payload)
    session = Cipher(Version.V34, session_key)

    push, ack = session.decode(sent[4]), session.decode(sent[5])

    assert before.encode(frames.SESS_KEY_NEG_START, exchange.client_nonce, 1) == sent[0]
    assert before.encode(frames.SESS_KEY_NEG_FINISH, finish, 2) == sent[2]
    assert push.command == frames.STATUS
    assert json.loads(push.payload)["data"]["dps"] == {"1": False, "9": 0}
    assert (ack.command, ack.retcode, ack.payload) == (frames.CONTROL_NEW, 0, b"")


def test_our_command_is_the_captured_one_to_the_byte():
    local_key, sent = captured("exchange")
    exchange = KeyExchange(Version.V34, local_key, b"0123456789abcdef")
    _, key = exchange.answer(Cipher(Version.V34, local_key).decode(sent[1]).payload)
    body = b'{"protocol":5,"t":1777961007,"data":{"dps":{"1":false}}}'

    assert Cipher(Version.V34, key).encode(frames.CONTROL_NEW, body, 3) == sent[3]


@pytest.mark.parametrize("version", list(Version))
def test_split_and_coalesced_frames_and_garbage_lose_nothing(version):
    cipher = Cipher(version, KEY)
    sent = [cipher.encode(frames.HEART_BEAT, b"{}", n) for n in range(1, 4)]
    stream = b"\x00garbage\x00\x00" + sent[0] + sent[1] + b"\x00\x00\x55" + sent[2]

    whole = FrameReader().feed(stream)
    reader = FrameReader()
    by_byte = [frame for byte in stream for frame in reader.feed(bytes([byte]))]

    assert whole == by_byte == sent


@pytest.mark.parametrize("version", list(Version))
def test_any_flipped_bit_behind_the_header_is_found(version):
    cipher = Cipher(version, KEY)
    frame = cipher.encode(frames.HEART_BEAT, b'{"gwId":"a"}', 7)
    for position in range(18, len(frame) - 4):
        damaged = frame[:position] + bytes([frame[position] ^ 1]) + frame[position + 1 :]
        with pytest.raises(BadFrameError):
            cipher.decode(damaged)


@pytest.mark.parametrize("version", [Version.V34, Version.V35])
def test_a_frame_under_another_key_is_no_frame(version):
    frame = Cipher(version, KEY).encode(frames.STATUS, b"{}", 1)

    with pytest.raises(BadFrameError):
        Cipher(version, b"fedcba9876543210").decode(frame)


def test_a_frame_of_another_version_is_no_frame():
    frame = Cipher(Version.V33, KEY).encode(frames.STATUS, b"{}", 1)

    with pytest.raises(BadFrameError):
        Cipher(Version.V35, KEY).decode(frame)
