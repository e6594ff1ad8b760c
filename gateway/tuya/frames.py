"""Frames of protocol 3.3, 3.4 and 3.5, over tinytuya's codec."""

import os
import struct
from dataclasses import dataclass, field
from enum import StrEnum

from tinytuya.core.command_types import (
    BOARDCAST_LPV34 as BROADCAST_34,
    CONTROL,
    CONTROL_NEW,
    DP_QUERY,
    DP_QUERY_NEW,
    HEART_BEAT,
    LAN_EXT_STREAM,
    SESS_KEY_NEG_FINISH,
    SESS_KEY_NEG_RESP,
    SESS_KEY_NEG_START,
    STATUS,
)
from tinytuya.core.crypto_helper import AESCipher
from tinytuya.core.exceptions import DecodeError
from tinytuya.core.header import (
    NO_PROTOCOL_HEADER_CMDS,
    PREFIX_55AA_BIN,
    PREFIX_55AA_VALUE,
    PREFIX_6699_BIN,
    PREFIX_6699_VALUE,
)
from tinytuya.core.message_helper import TuyaMessage, pack_message, parse_header, unpack_message

from gateway.errors import BadFrameError, UndecipherableError

__all__ = [
    "BROADCAST_34",
    "CONTROL",
    "CONTROL_NEW",
    "DP_QUERY",
    "DP_QUERY_NEW",
    "HEART_BEAT",
    "LAN_EXT_STREAM",
    "PREFIX_6699_BIN",
    "SESS_KEY_NEG_FINISH",
    "SESS_KEY_NEG_RESP",
    "SESS_KEY_NEG_START",
    "STATUS",
    "Cipher",
    "Frame",
    "FrameReader",
    "Version",
    "split",
]

_MOST_BYTES = 64 * 1024  # of one frame
_SOURCE_HEADER = 12  # bytes behind "3.x"
_BLOCK = 16
_LARGEST_RETCODE = 0xFFFF
_CODEC_ERRORS = (DecodeError, struct.error, ValueError, TypeError, IndexError)


class Version(StrEnum):
    """Protocol versions that can carry a PIN here."""

    V33 = "3.3"
    V34 = "3.4"
    V35 = "3.5"

    @property
    def negotiates(self) -> bool:
        """Is a session key agreed on after connecting?"""
        return self is not Version.V33


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame from a device, decrypted, its version header taken off."""

    command: int
    sequence: int
    retcode: int
    payload: bytes = field(repr=False)


class Cipher:
    """Encodes and decodes the frames of one connection under one key."""

    def __init__(self, version: Version, key: bytes) -> None:
        self._version = version
        self._key = key
        self._aes = AESCipher(key)

    def encode(self, command: int, payload: bytes, sequence: int) -> bytes:
        """The bytes of a frame to a device."""
        header = (
            b""
            if command in NO_PROTOCOL_HEADER_CMDS
            else self._version.encode() + bytes(_SOURCE_HEADER)
        )
        if self._version is Version.V35:
            message = TuyaMessage(
                sequence,
                command,
                None,
                header + payload,
                0,
                True,
                PREFIX_6699_VALUE,
                os.urandom(12),
            )
            return bytes(pack_message(message, hmac_key=self._key))
        if self._version is Version.V34:
            body, hmac_key = self._aes.encrypt(header + payload, use_base64=False), self._key
        else:
            body, hmac_key = header + self._aes.encrypt(payload, use_base64=False), None
        message = TuyaMessage(sequence, command, 0, body, 0, True, PREFIX_55AA_VALUE, None)
        return bytes(pack_message(message, hmac_key=hmac_key))

    def decode(self, data: bytes) -> Frame:
        """The frame that these bytes are.

        Raises:
            BadFrameError: damaged, of another version or of another key.
        """
        hmac_key = None if self._version is Version.V33 else self._key
        try:
            message = unpack_message(data, hmac_key=hmac_key, no_retcode=False)
        except _CODEC_ERRORS as error:
            raise BadFrameError(f"no frame: {type(error).__name__}") from None
        if not message.crc_good:
            raise BadFrameError("the check of a frame fails")
        expected = PREFIX_6699_VALUE if self._version is Version.V35 else PREFIX_55AA_VALUE
        if message.prefix != expected:
            raise BadFrameError(f"a frame of another version than {self._version}")
        retcode, body = self._split_retcode(message.retcode, message.payload)
        return Frame(message.cmd, message.seqno, retcode, self._plain(body))

    def _split_retcode(self, retcode: int, body: bytes) -> tuple[int, bytes]:
        """Some devices leave the return code out: then its four bytes belong to the body."""
        absent = (
            len(body) % _BLOCK != 0 if self._version is Version.V34 else retcode > _LARGEST_RETCODE
        )
        return (0, struct.pack(">I", retcode) + body) if absent else (retcode, body)

    def _plain(self, body: bytes) -> bytes:
        if not body:
            return b""
        if self._version is Version.V33:
            return self._decrypt(self._without_header(body))
        if self._version is Version.V34:
            body = self._decrypt(body)
        return self._without_header(body)

    def _without_header(self, body: bytes) -> bytes:
        return body[3 + _SOURCE_HEADER :] if body.startswith(self._version.encode()) else body

    def _decrypt(self, body: bytes) -> bytes:
        if not body:
            return b""
        if len(body) % _BLOCK:
            return body  # error texts come in the clear on 3.3
        try:
            plain = self._aes.decrypt(
                body, use_base64=False, decode_text=False, verify_padding=True
            )
        except _CODEC_ERRORS:
            raise UndecipherableError("a frame does not decrypt: another key?") from None
        return bytes(plain)


class FrameReader:
    """Cuts a stream into frames: split, coalesced, with garbage in between."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Take what has arrived; the frames that are complete by it."""
        self._buffer += data
        frames = []
        while (frame := self._next()) is not None:
            frames.append(frame)
        return frames

    def _next(self) -> bytes | None:
        while True:
            self._skip_garbage()
            try:
                header = parse_header(bytes(self._buffer[:18]))
            except _CODEC_ERRORS:
                if len(self._buffer) >= 18:  # noqa: PLR2004 - the longest header: this is none
                    del self._buffer[:1]
                    continue
                return None
            if header.total_length > _MOST_BYTES:
                del self._buffer[:1]
                continue
            if len(self._buffer) < header.total_length:
                return None
            frame = bytes(self._buffer[: header.total_length])
            del self._buffer[: header.total_length]
            return frame

    def _skip_garbage(self) -> None:
        starts = [
            at
            for prefix in (PREFIX_55AA_BIN, PREFIX_6699_BIN)
            if (at := self._buffer.find(prefix)) >= 0
        ]
        if starts:
            del self._buffer[: min(starts)]
        elif len(self._buffer) > 3:  # noqa: PLR2004 - a prefix may be cut in its four bytes
            del self._buffer[:-3]


def split(data: bytes) -> list[bytes]:
    """The frames in one datagram."""
    return FrameReader().feed(data)
