"""An authenticator in software: it keeps a key, and answers as an honest or as a hostile one would."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from webauthn.helpers.encode_cbor import encode_cbor

from governance.assertions import from_text, to_text

PRESENT, VERIFIED, ATTESTED = 0x01, 0x04, 0x40
HOST = "https://countersign.example"


def _fresh() -> Any:
    return ec.generate_private_key(ec.SECP256R1())


@dataclass
class Authenticator:
    """``flags``, ``rp_id``, ``origin`` and ``kind`` are what it writes into its answers; ``counter`` goes up by one."""

    key: Any = field(default_factory=_fresh)
    credential_id: bytes = field(default_factory=lambda: os.urandom(32))
    counter: int = 0
    flags: int = PRESENT | VERIFIED
    rp_id: str = "countersign.example"
    origin: str = HOST
    kind: str = ""

    def make(self, options: dict[str, Any], **change: Any) -> str:
        """The answer to ``navigator.credentials.create``, without an attestation."""
        name = len(self.credential_id).to_bytes(2) + self.credential_id
        data = self._data(ATTESTED) + bytes(16) + name + encode_cbor(self._cose())
        attestation = encode_cbor({"fmt": "none", "attStmt": {}, "authData": data})
        response = {
            "clientDataJSON": to_text(self._client_data(options["challenge"], "webauthn.create")),
            "attestationObject": to_text(attestation),
        }
        return self._credential({**response, **change})

    def answer(self, options: dict[str, Any], **change: Any) -> str:
        """The answer to ``navigator.credentials.get``."""
        self.counter += 1
        data, told = self._data(), self._client_data(options["challenge"], "webauthn.get")
        response = {
            "clientDataJSON": to_text(told),
            "authenticatorData": to_text(data),
            "signature": to_text(self.sign(data + hashlib.sha256(told).digest())),
        }
        return self._credential({**response, **change})

    def sign(self, data: bytes) -> bytes:
        if isinstance(self.key, ec.EllipticCurvePrivateKey):
            return self.key.sign(data, ec.ECDSA(SHA256()))
        if isinstance(self.key, rsa.RSAPrivateKey):
            return self.key.sign(data, PKCS1v15(), SHA256())
        assert isinstance(self.key, ed25519.Ed25519PrivateKey)
        return self.key.sign(data)

    def _credential(self, response: dict[str, str]) -> str:
        name = to_text(self.credential_id)
        return json.dumps({"id": name, "rawId": name, "type": "public-key", "response": response})

    def _data(self, more: int = 0) -> bytes:
        host = hashlib.sha256(self.rp_id.encode()).digest()
        return host + bytes([self.flags | more]) + self.counter.to_bytes(4)

    def _client_data(self, challenge: str, kind: str) -> bytes:
        told = {"type": self.kind or kind, "challenge": challenge, "origin": self.origin, "crossOrigin": False}
        return json.dumps(told, separators=(",", ":")).encode()

    def _cose(self) -> dict[int, Any]:
        public = self.key.public_key()
        if isinstance(public, ec.EllipticCurvePublicKey):
            at = public.public_numbers()
            return {1: 2, 3: -7, -1: 1, -2: at.x.to_bytes(32), -3: at.y.to_bytes(32)}
        if isinstance(public, rsa.RSAPublicKey):
            of = public.public_numbers()
            return {1: 3, 3: -257, -1: of.n.to_bytes(256), -2: of.e.to_bytes(3)}
        return {1: 1, 3: -8, -1: 6, -2: public.public_bytes_raw()}


def flipped(text: str, at: int) -> str:
    """Base64url with one bit of its bytes turned."""
    data = bytearray(from_text(text))
    data[at // 8 % len(data)] ^= 1 << at % 8
    return to_text(bytes(data))
