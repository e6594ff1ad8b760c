"""PINs at rest: AES-256-GCM bound to the row they belong to, and a keyed hash for comparing."""

import hashlib
import hmac
import os
import secrets
from pathlib import Path
from typing import Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from gateway.errors import PermanentError, StoreError, UnreadablePinError

_KEY_BYTES = 32
_NONCE_BYTES = 12


class SecretBox:
    """Seals and opens PINs with one key."""

    def __init__(self, key: bytes) -> None:
        if len(key) != _KEY_BYTES:
            raise PermanentError(f"the PIN key has {len(key)} bytes instead of {_KEY_BYTES}")
        self._cipher = AESGCM(_derive(key, b"gateway pin encryption"))
        self._hash_key = _derive(key, b"gateway pin hash")

    @classmethod
    def load(cls, path: Path) -> Self:
        """The box of the key file at `path`; the file is made (0600) when absent.

        Raises:
            PermanentError: the file holds no key, or others may read it.
            StoreError: it can be neither read nor made.
        """
        try:
            if not path.exists():
                _make(path)
            mode = path.stat().st_mode
            key = path.read_bytes()
        except OSError as error:
            raise StoreError(f"the PIN key {path} cannot be read: {error}") from error
        if mode & 0o077:
            raise PermanentError(f"others may read the PIN key: chmod 600 {path}")
        return cls(key)

    def seal(self, pin: str, *, row: str) -> bytes:
        """The PIN, encrypted; it opens only for the same `row`."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, pin.encode("ascii"), row.encode())

    def open(self, sealed: bytes, *, row: str) -> str:
        """The PIN that was sealed for `row`.

        Raises:
            UnreadablePinError: damaged, of another row or of another key.
        """
        try:
            plain = self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], row.encode())
        except (InvalidTag, ValueError):
            raise UnreadablePinError(
                f"the stored PIN of {row} does not open: damaged, or another key"
            ) from None
        return plain.decode("ascii")

    def hash(self, pin: str) -> bytes:
        """A keyed hash: equal for equal PINs, useless without the key."""
        return hmac.digest(self._hash_key, pin.encode("ascii"), hashlib.sha256)


def _derive(key: bytes, purpose: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=_KEY_BYTES, salt=None, info=purpose).derive(key)


def _make(path: Path) -> None:
    """Write a new key, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    partial = path.with_name(path.name + ".new")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(secrets.token_bytes(_KEY_BYTES))
        file.flush()
        os.fsync(file.fileno())
    partial.rename(path)
