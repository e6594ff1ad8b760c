"""The session key of protocol 3.4 and 3.5: three messages after connecting."""

import hashlib
import hmac
import os

from tinytuya.core.crypto_helper import AESCipher

from gateway.errors import BadFrameError
from gateway.tuya.frames import Version

_NONCE = 16
_DIGEST = 32


class KeyExchange:
    """Our side of one exchange."""

    def __init__(self, version: Version, local_key: bytes, nonce: bytes | None = None) -> None:
        self._version = version
        self._local_key = local_key
        self.client_nonce = os.urandom(_NONCE) if nonce is None else nonce

    def answer(self, payload: bytes) -> tuple[bytes, bytes]:
        """To the device's answer: the payload that finishes, and the session key.

        Raises:
            BadFrameError: the device did not prove that it has the key.
        """
        device_nonce, proof = payload[:_NONCE], payload[_NONCE : _NONCE + _DIGEST]
        if not hmac.compare_digest(proof, self._digest(self.client_nonce)):
            raise BadFrameError("the device's answer does not prove the local key")
        return self._digest(device_nonce), self._session_key(device_nonce)

    def _digest(self, nonce: bytes) -> bytes:
        return hmac.digest(self._local_key, nonce, hashlib.sha256)

    def _session_key(self, device_nonce: bytes) -> bytes:
        mixed = bytes(a ^ b for a, b in zip(self.client_nonce, device_nonce, strict=True))
        aes = AESCipher(self._local_key)
        if self._version is Version.V34:
            return bytes(aes.encrypt(mixed, use_base64=False, pad=False))
        sealed = aes.encrypt(mixed, use_base64=False, pad=False, iv=self.client_nonce[:12])
        return bytes(sealed[12:28])
