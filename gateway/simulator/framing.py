"""The device's side of protocol 3.3, 3.4 and 3.5: frames and the session key."""

import binascii
import hashlib
import hmac
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

START, ANSWER, FINISH = 0x03, 0x04, 0x05
CONTROL, STATUS, HEARTBEAT, QUERY = 0x07, 0x08, 0x09, 0x0A
CONTROL_NEW, QUERY_NEW, REFRESH, LAN_EXT = 0x0D, 0x10, 0x12, 0x40
WITHOUT_VERSION = frozenset({START, ANSWER, FINISH, HEARTBEAT, QUERY, QUERY_NEW, REFRESH, LAN_EXT})

_OLD, _NEW = b"\x00\x00\x55\xaa", b"\x00\x00\x66\x99"
_OLD_END, _NEW_END = b"\x00\x00\xaa\x55", b"\x00\x00\x99\x66"
_BLOCK = 16


@dataclass(frozen=True, slots=True)
class Received:
    """A frame from a client."""

    command: int
    sequence: int
    payload: bytes = field(repr=False)


def pad(data: bytes) -> bytes:
    """Fill the last block, as every version does."""
    count = _BLOCK - len(data) % _BLOCK
    return data + bytes([count]) * count


def _unpad(data: bytes) -> bytes:
    count = data[-1] if data else 0
    if not 1 <= count <= _BLOCK or data[-count:] != bytes([count]) * count:
        raise ValueError("padding")
    return data[:-count]


def ecb_encrypt(key: bytes, data: bytes) -> bytes:
    """AES-128-ECB of whole blocks."""
    encryptor = Cipher(algorithms.AES(key), modes.ECB()).encryptor()  # noqa: S305 - the protocol's
    return encryptor.update(data) + encryptor.finalize()


def ecb_decrypt(key: bytes, data: bytes) -> bytes:
    """The inverse of `ecb_encrypt`."""
    decryptor = Cipher(algorithms.AES(key), modes.ECB()).decryptor()  # noqa: S305 - the protocol's
    return decryptor.update(data) + decryptor.finalize()


def session_key(version: str, local_key: bytes, client_nonce: bytes, device_nonce: bytes) -> bytes:
    """The key that both sides derive from the two nonces."""
    mixed = bytes(a ^ b for a, b in zip(client_nonce, device_nonce, strict=True))
    if version == "3.4":
        return ecb_encrypt(local_key, mixed)
    return AESGCM(local_key).encrypt(client_nonce[:12], mixed, None)[:_BLOCK]


def proof(local_key: bytes, nonce: bytes) -> bytes:
    """What shows that a side has the local key."""
    return hmac.digest(local_key, nonce, hashlib.sha256)


class Framing:
    """Encodes and decodes as a device of one version, under one key at a time."""

    def __init__(self, version: str, key: bytes) -> None:
        self.version = version
        self.key = key
        self._buffer = b""

    def feed(self, data: bytes) -> Iterator[Received]:
        """The whole frames by now, each under the key of its moment.

        Raises:
            PermissionError: a frame fails its check: another key.
        """
        self._buffer += data
        while (raw := self._cut()) is not None:
            yield self._decode(raw)

    def _cut(self) -> bytes | None:
        prefix = _NEW if self.version == "3.5" else _OLD
        start = self._buffer.find(prefix)
        if start < 0:
            self._buffer = self._buffer[-3:]
            return None
        self._buffer = self._buffer[start:]
        head = 18 if self.version == "3.5" else 16
        if len(self._buffer) < head:
            return None
        length = int.from_bytes(self._buffer[head - 4 : head])
        total = head + length + (4 if self.version == "3.5" else 0)
        if len(self._buffer) < total:
            return None
        raw, self._buffer = self._buffer[:total], self._buffer[total:]
        return raw

    def _decode(self, raw: bytes) -> Received:
        if self.version == "3.5":
            _, _, sequence, command, _ = struct.unpack(">IHIII", raw[:18])
            try:
                plain = AESGCM(self.key).decrypt(raw[18:30], raw[30:-4], raw[4:18])
            except InvalidTag:
                raise PermissionError("tag") from None
            return Received(command, sequence, self._strip(plain))
        _, sequence, command, _ = struct.unpack(">4I", raw[:16])
        if self.version == "3.4":
            body, check = raw[16:-36], raw[-36:-4]
            if not hmac.compare_digest(check, hmac.digest(self.key, raw[:-36], hashlib.sha256)):
                raise PermissionError("hmac")
            return Received(command, sequence, self._strip(_unpad(ecb_decrypt(self.key, body))))
        body = self._strip(raw[16:-8])
        if binascii.crc32(raw[:-8]) != int.from_bytes(raw[-8:-4]):
            raise PermissionError("crc")
        try:
            plain = _unpad(ecb_decrypt(self.key, body)) if body else b""
        except ValueError:
            raise PermissionError("key") from None
        return Received(command, sequence, plain)

    def _strip(self, body: bytes) -> bytes:
        return body[15:] if body.startswith(self.version.encode()) else body

    def encode(
        self, command: int, payload: bytes, *, sequence: int, source: int, retcode: int = 0
    ) -> bytes:
        """A frame to a client. `source` is the sequence in the version header of pushes."""
        header = b""
        if command not in WITHOUT_VERSION and payload:
            header = self.version.encode() + struct.pack(">III", 0, source, 1)
        code = struct.pack(">I", retcode)
        if self.version == "3.5":
            plain = code + header + payload
            length = 12 + len(plain) + 16
            head = struct.pack(">4sHIII", _NEW, 0, sequence, command, length)
            iv = os.urandom(12)
            return head + iv + AESGCM(self.key).encrypt(iv, plain, head[4:]) + _NEW_END
        if self.version == "3.4":
            body = ecb_encrypt(self.key, pad(header + payload)) if payload else b""
            length = 4 + len(body) + 36
            raw = struct.pack(">4sIII", _OLD, sequence, command, length) + code + body
            return raw + hmac.digest(self.key, raw, hashlib.sha256) + _OLD_END
        body = header + (ecb_encrypt(self.key, pad(payload)) if payload else b"")
        length = 4 + len(body) + 8
        raw = struct.pack(">4sIII", _OLD, sequence, command, length) + code + body
        return raw + struct.pack(">I", binascii.crc32(raw)) + _OLD_END
