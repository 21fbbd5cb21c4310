"""A device that makes and uses passkeys, in software: it answers as browsers do."""

import hashlib
import json
import secrets
import struct
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url, encode_cbor

PRESENT, VERIFIED, ATTESTED = 0x01, 0x04, 0x40
ES256, P256, EC2 = -7, 1, 2


class Device:
    """One passkey. `counts`: whether it counts its uses; most do not any more."""

    def __init__(
        self, host: str = "localhost", origin: str = "http://localhost", counts: bool = False
    ) -> None:
        self.host, self.origin = host, origin
        self.number = secrets.token_bytes(32)
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.cose = _as_cose(self.key.public_key())
        self.counts = counts
        self.uses = 0
        self.user = b""

    def made(self, options: str, **changed: Any) -> str:
        """The answer to navigator.credentials.create()."""
        asked = json.loads(options)
        self.user = base64url_to_bytes(asked["user"]["id"])
        attested = bytes(16) + struct.pack(">H", len(self.number)) + self.number + self.cose
        authenticator = self._authenticator_data(PRESENT | VERIFIED | ATTESTED) + attested
        statement = {"fmt": "none", "attStmt": {}, "authData": authenticator}
        response = {
            "clientDataJSON": self._said("webauthn.create", asked["challenge"]),
            "attestationObject": bytes_to_base64url(encode_cbor(statement)),
        }
        return self._credential(response | changed)

    def used(self, options: str, **changed: Any) -> str:
        """The answer to navigator.credentials.get()."""
        self.uses += self.counts
        said = self._said("webauthn.get", json.loads(options)["challenge"])
        authenticator = self._authenticator_data(PRESENT | VERIFIED)
        signed = authenticator + hashlib.sha256(base64url_to_bytes(said)).digest()
        response = {
            "clientDataJSON": said,
            "authenticatorData": bytes_to_base64url(authenticator),
            "signature": bytes_to_base64url(self.key.sign(signed, ec.ECDSA(hashes.SHA256()))),
            "userHandle": bytes_to_base64url(self.user),
        }
        return self._credential(response | changed)

    def _authenticator_data(self, flags: int) -> bytes:
        return hashlib.sha256(self.host.encode()).digest() + struct.pack(">BI", flags, self.uses)

    def _said(self, kind: str, challenge: str) -> str:
        said = {"type": kind, "challenge": challenge, "origin": self.origin, "crossOrigin": False}
        return bytes_to_base64url(json.dumps(said).encode())

    def _credential(self, response: dict[str, Any]) -> str:
        number = bytes_to_base64url(self.number)
        return json.dumps({"id": number, "rawId": number, "type": "public-key", "response": response})


def _as_cose(key: ec.EllipticCurvePublicKey) -> bytes:
    at = key.public_numbers()
    x, y = (number.to_bytes(32, "big") for number in (at.x, at.y))
    return encode_cbor({1: EC2, 3: ES256, -1: P256, -2: x, -3: y})
