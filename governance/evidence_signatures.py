"""Signatures of evidence: one DSSE envelope around one in-toto statement, against one public key. Pure: no Django.

Read are a bare DSSE envelope (v1.0.2) and the Sigstore bundle (v0.3) that ``model_signing`` writes with a plain key.
The signature is over ``PAE(payloadType, payload)``; key ids and hints are unsigned and decide nothing. A defect is told
by its name in ``NotSigned.code``; ``governance.evidence_keys`` has the sentences.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from audit.merkle import edwards
from governance.signing import pae

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENTS = ("https://in-toto.io/Statement/v1", "https://in-toto.io/Statement/v0.1")
MODEL_SIGNING = "https://model_signing/signature/v1.0"
_BUNDLE = re.compile(r"application/vnd\.dev\.sigstore\.bundle(\.v0\.3\+json|\+json;version=0\.3)")
_SHA256 = re.compile("[0-9a-f]{64}")
MOST_BYTES = 256 * 1024
MOST_PEM = 4096
DEEPEST = 32
#: Curve -> the hash that goes with it; no other pair is read.
_HASHES: Mapping[str, hashes.HashAlgorithm] = {"secp256r1": hashes.SHA256(), "secp384r1": hashes.SHA384()}
Key = Ed25519PublicKey | ec.EllipticCurvePublicKey


class NotSigned(ValueError):  # noqa: N818
    """The envelope or key cannot be relied on; ``code`` names why."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class Signed:
    """What a statement says whose signature holds. ``subjects`` are ``sha256:`` digests, each once. ``files`` is the
    digest that the registry would have of the same files; empty when the statement does not list them so that it can
    be computed. ``digest`` is of the envelope's bytes as they were sent."""

    subjects: tuple[str, ...]
    files: str
    predicate_type: str
    digest: str

    def is_about(self, artifact_digest: str) -> bool:
        """Whether it was made for the files with this digest, as the registry computes it."""
        return bool(artifact_digest) and artifact_digest in {*self.subjects, self.files}


@dataclass(frozen=True, slots=True)
class Envelope:
    """An envelope that reads well; nothing about it is known to be true yet."""

    payload: bytes
    signature: bytes
    digest: str

    def holds(self, key: Key) -> bool:
        """Whether its signature is that of the key."""
        told = pae(PAYLOAD_TYPE, self.payload)
        try:
            if isinstance(key, Ed25519PublicKey):
                key.verify(self.signature, told)
            else:
                key.verify(self.signature, told, ec.ECDSA(_HASHES[key.curve.name]))
        except InvalidSignature:
            return False
        return True


def verify(data: bytes, public_key: str) -> Signed:
    """What the envelope says, when it was signed with this key (PEM). Raises ``NotSigned``."""
    envelope, key = read(data), key_of(public_key)
    if not envelope.holds(key):
        raise NotSigned("signature")
    return statement(envelope)


def key_of(pem: str) -> Key:
    """An Ed25519, P-256 or P-384 public key. Raises ``NotSigned`` with «key» or «algorithm»."""
    if len(pem) > MOST_PEM:
        raise NotSigned("key")
    try:
        key = load_pem_public_key(pem.encode())
    except UnsupportedAlgorithm:
        raise NotSigned("algorithm") from None
    except ValueError:
        raise NotSigned("key") from None
    if isinstance(key, Ed25519PublicKey):
        if edwards.defect(key.public_bytes_raw()):
            raise NotSigned("key")
        return key
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in _HASHES:
        return key
    raise NotSigned("algorithm")


def fingerprint(key: Key) -> str:
    """``sha256:`` of the key's SubjectPublicKeyInfo in DER: one name for it, however its PEM is broken into lines."""
    return _sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def pem_of(key: Key) -> str:
    """The key in PEM, without what may stand around it."""
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def read(data: bytes) -> Envelope:
    """The envelope in a DSSE document or a bundle. Raises ``NotSigned`` with what is wrong first."""
    if len(data) > MOST_BYTES:
        raise NotSigned("size")
    document = _object(data)
    if "mediaType" in document or "dsseEnvelope" in document:
        if not _BUNDLE.fullmatch(str(document.get("mediaType"))) or not isinstance(document.get("dsseEnvelope"), dict):
            raise NotSigned("bundle")
        document = document["dsseEnvelope"]
    if document.get("payloadType") != PAYLOAD_TYPE:
        raise NotSigned("payload_type")
    signatures = document.get("signatures")
    if not isinstance(signatures, list) or not signatures or not isinstance(signatures[0], dict):
        raise NotSigned("unsigned")
    if len(signatures) > 1:
        raise NotSigned("several")
    return Envelope(_base64(document.get("payload")), _base64(signatures[0].get("sig")), _sha256(data))


def statement(envelope: Envelope) -> Signed:
    """What the payload says: ask only when the signature holds. Raises ``NotSigned``."""
    said = _object(envelope.payload)
    kind = said.get("predicateType")
    if said.get("_type") not in STATEMENTS or not isinstance(kind, str) or not kind:
        raise NotSigned("statement")
    subjects = said.get("subject")
    if not isinstance(subjects, list) or not subjects:
        raise NotSigned("subject")
    digests = tuple(dict.fromkeys(_subject(each) for each in subjects))
    files = _files(said.get("predicate"), digests) if kind == MODEL_SIGNING else ""
    return Signed(digests, files, kind, envelope.digest)


def _subject(each: Any) -> str:
    digests = each.get("digest") if isinstance(each, dict) else None
    told = digests.get("sha256") if isinstance(digests, dict) else None
    if not isinstance(told, str) or not _SHA256.fullmatch(told):
        raise NotSigned("subject")
    return f"sha256:{told}"


def _files(predicate: Any, subjects: tuple[str, ...]) -> str:
    """The registry's digest of the files that ``model_signing`` lists, whose root digest must be the subject's.

    The library's root digest is of the files' digests alone; the registry's is of their paths too (``countersign
    digest``). Only whole files hashed with SHA-256 say enough to compute one from the other.
    """
    resources = predicate.get("resources") if isinstance(predicate, dict) else None
    method = predicate.get("serialization") if isinstance(predicate, dict) else None
    if not isinstance(resources, list) or not resources or not isinstance(method, dict):
        raise NotSigned("manifest")
    if method.get("method") != "files" or method.get("hash_type") != "sha256":
        raise NotSigned("not_comparable")
    files = [_file(each) for each in resources]
    root = _sha256(b"".join(bytes.fromhex(digest) for _path, digest in files))
    if subjects != (root,) or len({path for path, _digest in files}) != len(files):
        raise NotSigned("manifest")
    listed = [{"path": path, "sha256": digest} for path, digest in sorted(files)]
    return _sha256(json.dumps(listed, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode())


def _file(each: Any) -> tuple[str, str]:
    told = each if isinstance(each, dict) else {}
    path, digest = told.get("name"), told.get("digest")
    if told.get("algorithm") != "sha256":
        raise NotSigned("not_comparable")
    if not isinstance(path, str) or not path or not isinstance(digest, str) or not _SHA256.fullmatch(digest):
        raise NotSigned("manifest")
    return path, digest


def _object(data: bytes) -> dict[str, Any]:
    try:
        text = data.decode()
        if _depth(text) > DEEPEST:
            raise NotSigned("nesting")
        said = json.loads(text, object_pairs_hook=_once, parse_constant=_refuse)
        said_again = json.dumps(said, ensure_ascii=False).encode()  # a lone surrogate cannot be written
    except NotSigned:
        raise
    except (ValueError, RecursionError):
        raise NotSigned("json") from None
    if not isinstance(said, dict) or not said_again:
        raise NotSigned("json")
    return said


def _depth(text: str) -> int:
    """How deep brackets are nested outside strings, counted before anything is parsed."""
    depth = deepest = 0
    for each in re.finditer(r'"(?:[^"\\]|\\.)*+"|[\[{]|[\]}]', text, re.DOTALL):
        mark = each[0]
        if mark in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif mark in "]}":
            depth -= 1
    return deepest


def _once(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise NotSigned("twice")
        found[name] = value
    return found


def _refuse(word: str) -> NoReturn:
    raise ValueError(word)


def _base64(text: Any) -> bytes:
    """Standard or URL-safe, as DSSE allows both; padded, nothing else between."""
    if not isinstance(text, str) or not text:
        raise NotSigned("base64")
    try:
        return base64.b64decode(text.replace("-", "+").replace("_", "/"), validate=True)
    except (binascii.Error, ValueError):
        raise NotSigned("base64") from None


def _sha256(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()
