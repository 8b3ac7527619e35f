"""Attestations of decisions: fetched from the server, and verified without it."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from countersign import asking, outputs, settings, signed
from countersign.exits import Exit, Stop

_PAYLOAD_TYPE = "application/vnd.in-toto+json"
_STATEMENT = "https://in-toto.io/Statement/v1"
_PREDICATE = "https://slsa.dev/verification_summary/v1"
_EXTENSION = "urn:countersign:decision:1"
_ALLOWED = "COUNTERSIGN_GATE_ALLOWED"


@dataclass(frozen=True)
class Attestation:
    """What an envelope's statement says. Nothing in it is to be believed unless its signature held."""

    passed: bool
    name: str
    digests: tuple[str, ...]
    verifier: str
    resource: str
    told: Mapping[str, Any]

    @property
    def line(self) -> str:
        """``PASSED  credit-scoring/14 -> prod-uae (promote)  dec_…``."""
        word = "PASSED" if self.passed else "FAILED"
        where, action = self.told.get("environment"), self.told.get("action")
        return f"{word}  {self.name} -> {where} ({action})  {self.told.get('decision')}"


def attest(arguments: argparse.Namespace, shape: str) -> int:
    """Fetch the attestation of a decision into a file; with --key it is verified first."""
    settings.fill(arguments, os.environ, ("url", "token", "decision", "out"))
    path = Path(arguments.out)
    if path.exists():
        raise Stop(Exit.USAGE, f"{path} exists already; name another file.")
    envelope = asking.get(arguments, f"/api/v1/decisions/{quote(arguments.decision, safe='')}/attestation")
    data = json.dumps(envelope, sort_keys=True, separators=(",", ":")).encode()
    try:
        kid, found = opened(data, signed.trusted(arguments) if arguments.key else None)
    except signed.Unclear as error:
        raise Stop(Exit.MISMATCH, f"The answer is no attestation: {error}.") from None
    if found.told.get("decision") != arguments.decision:
        raise Stop(Exit.MISMATCH, f"The answer attests {found.told.get('decision')!r}, not {arguments.decision!r}.")
    try:
        path.write_bytes(data)
    except OSError as error:
        raise Stop(Exit.UNDECIDED, f"{path} could not be written: {error.strerror}.") from error
    state = "signature verified" if arguments.key else "signature not verified: give --key"
    answer = {"file": str(path), "kid": kid, "verified": bool(arguments.key), **_said(found)}
    return outputs.told(answer, shape, [f"ATTESTED  {found.line}", f"  by the key {kid}, {state}", f"  {path}"])


def verify(arguments: argparse.Namespace, shape: str) -> int:
    """Verify an attestation without the server: 0 it holds and passed, 1 it holds and failed, 6 it does not hold."""
    settings.fill(arguments, os.environ, ("file", "key"))
    keys = signed.trusted(arguments)
    try:
        kid, found = opened(signed.content(Path(arguments.file)), keys)
    except signed.Unclear as error:
        raise Stop(Exit.MISMATCH, f"{arguments.file} is no attestation: {error}.") from None
    if arguments.digest and arguments.digest not in found.digests:
        raise Stop(Exit.MISMATCH, f"It is about {', '.join(found.digests)}, not about {arguments.digest}.")
    for name in ("environment", "decision"):
        wanted, got = getattr(arguments, name), found.told.get(name)
        if wanted and wanted != got:
            raise Stop(Exit.MISMATCH, f"It is about the {name} {got!r}, not about {wanted!r}.")
    if arguments.verifier and arguments.verifier.rstrip("/") != found.verifier.rstrip("/"):
        raise Stop(Exit.MISMATCH, f"It is of the verifier {found.verifier!r}, not of {arguments.verifier!r}.")
    lines = [found.line, *(f"  files {each}" for each in found.digests)]
    lines += [f"  by {found.verifier}, key {kid}", f"  subject {found.told.get('subject_digest')}"]
    answer = {"kid": kid, "verified": True, **_said(found)}
    return outputs.told(answer, shape, lines, Exit.ALLOW if found.passed else Exit.DENIED)


def opened(data: bytes, keys: Mapping[str, signed.Key] | None) -> tuple[str, Attestation]:
    """The key's name and what the envelope says. Raises ``Stop`` (mismatch) unless a key of ``keys`` signed it (None:
    do not look), ``Unclear`` for what is no attestation.
    """
    envelope = signed.told(data)
    signatures = envelope.get("signatures")
    if envelope.keys() != {"payload", "payloadType", "signatures"} or envelope["payloadType"] != _PAYLOAD_TYPE:
        raise signed.Unclear("it is not a DSSE envelope of an in-toto statement")
    if not isinstance(signatures, list) or len(signatures) != 1 or not isinstance(signatures[0], dict):
        raise signed.Unclear("it does not carry one signature")
    if signatures[0].keys() != {"keyid", "sig"} or not isinstance(signatures[0]["keyid"], str):
        raise signed.Unclear("its signature does not say by which key it is")
    payload, kid = signed.unbase64(envelope["payload"]), signatures[0]["keyid"]
    signature = signed.unbase64(signatures[0]["sig"])
    if keys is not None:
        if kid not in keys:
            raise Stop(Exit.MISMATCH, f"It is signed by the key {kid!r}, which is not among yours.")
        if not signed.holds(keys[kid], _PAYLOAD_TYPE, payload, signature):
            raise Stop(Exit.MISMATCH, f"The signature of the key {kid} does not hold: it was altered, or forged.")
    return kid, _statement(signed.told(payload))


def _statement(statement: Mapping[str, Any]) -> Attestation:
    if (statement.get("_type"), statement.get("predicateType")) != (_STATEMENT, _PREDICATE):
        raise signed.Unclear("it is a statement of another kind")
    predicate = statement.get("predicate")
    try:
        told = predicate[_EXTENSION]  # type: ignore[index]
        verifier, result = predicate["verifier"]["id"], predicate["verificationResult"]  # type: ignore[index]
        resource, levels = predicate["resourceUri"], predicate["verifiedLevels"]  # type: ignore[index]
        (subject,) = statement["subject"]
        name, digests = subject["name"], tuple(f"{kind}:{value}" for kind, value in subject["digest"].items())
    except (KeyError, TypeError, ValueError, AttributeError):
        raise signed.Unclear("it is not the attestation of a gate's decision") from None
    texts = (verifier, result, resource, name)
    if not all(isinstance(each, str) for each in texts) or not digests or not isinstance(told, dict):
        raise signed.Unclear("it is not the attestation of a gate's decision")
    yes = (result == "PASSED", levels == [_ALLOWED], told.get("outcome") == "allow")
    no = (result == "FAILED", levels == ["FAILED"], told.get("outcome") in ("deny", "pending", "error"))
    if not all(yes) and not all(no):
        raise signed.Unclear("it says yes and no at once")
    return Attestation(all(yes), name, digests, verifier, resource, told)


def _said(found: Attestation) -> dict[str, Any]:
    return {
        "result": "PASSED" if found.passed else "FAILED",
        "subject": {"name": found.name, "digests": list(found.digests)},
        "verifier": found.verifier,
        "resource": found.resource,
        "told": dict(found.told),
    }
