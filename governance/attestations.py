"""Attestations: a decision as a statement that verifies without asking this server.

An in-toto Statement v1 about the version's files, whose predicate is SLSA's Verification Summary (VSA v1, specification
read in its version 1.2), in a DSSE envelope signed with the server's key. It is computed from the recorded decision
alone, so the same decision gives the same bytes for as long as the same key is in use.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from datetime import UTC
from typing import Any

import rfc8785
from django.conf import settings
from django.urls import reverse

from governance import keys
from governance.models.decision import Decision

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://slsa.dev/verification_summary/v1"
#: A name that is a URI, as the VSA asks of extension fields.
EXTENSION = "urn:countersign:decision:1"
#: A result of our own may not begin with ``SLSA_``; ``FAILED`` is the specification's.
ALLOWED = "COUNTERSIGN_GATE_ALLOWED"
FAILED = "FAILED"


def envelope(decision: Decision) -> bytes:
    """The DSSE envelope (v1.0.2) as canonical JSON. Raises ``KeyUnavailable``."""
    key = keys.signer()
    payload = rfc8785.dumps(statement(decision))
    signature = base64.b64encode(key.sign(PAYLOAD_TYPE, payload)).decode()
    return rfc8785.dumps(
        {
            "payload": base64.b64encode(payload).decode(),
            "payloadType": PAYLOAD_TYPE,
            "signatures": [{"keyid": key.kid, "sig": signature}],
        }
    )


def statement(decision: Decision) -> dict[str, Any]:
    """What is signed. Everything but an explicit ``allow`` is FAILED."""
    version = decision.version
    return {
        "_type": STATEMENT,
        "subject": [{"name": version.label, "digest": _digest_set(version.digest)}],
        "predicateType": PREDICATE,
        "predicate": {
            "verifier": {"id": _address("/"), **_engine(decision)},
            "timeVerified": decision.decided_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "resourceUri": resource_uri(decision),
            "policy": {"uri": _address(reverse("governance:policies")), "digest": {"sha256": policy_digest(decision)}},
            "inputAttestations": [*map(_input, decision.facts.get("evidence", ()))],
            "verificationResult": "PASSED" if decision.allows else FAILED,
            "verifiedLevels": [ALLOWED if decision.allows else FAILED],
            EXTENSION: _told(decision),
        },
    }


def resource_uri(decision: Decision) -> str:
    """The version's page; the environment is part of it, so that a yes for staging is none for production."""
    return f"{_address(decision.version.get_absolute_url())}#environment={decision.environment.slug}"


def policy_digest(decision: Decision) -> str:
    """SHA-256, hexadecimal, of the canonical JSON of the packs that decided: ``[{"digest", "pack", "version"}, …]``."""
    packs = [{name: pack[name] for name in ("pack", "version", "digest")} for pack in decision.packs]
    return hashlib.sha256(rfc8785.dumps(packs)).hexdigest()


def _told(decision: Decision) -> dict[str, Any]:
    return {
        "decision": decision.public_id,
        "outcome": decision.outcome,
        "action": decision.action,
        "environment": decision.environment.slug,
        "subject_digest": decision.subject_digest,
        "facts_digest": decision.facts_digest,
        "result_digest": decision.result_digest or None,
        "valid_until": decision.valid_until.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "policy": [
            {
                "name": f"{pack['pack']}/{pack['version']}",
                "uri": _address(f"{reverse('governance:policy', args=[pack['pack']])}/{pack['version']}"),
                "digest": _digest_set(str(pack["digest"])),
            }
            for pack in decision.packs
        ],
    }


def _input(evidence: Mapping[str, Any]) -> dict[str, Any]:
    """A document that the decision looked at, by its digest."""
    return {
        "uri": _address(reverse("governance:evidence_detail", args=[evidence["id"]])),
        "digest": _digest_set(str(evidence["digest"])),
    }


def _engine(decision: Decision) -> dict[str, Any]:
    engine = decision.engine
    return {"version": {engine["name"]: engine["version"]}} if engine.get("name") and engine.get("version") else {}


def _digest_set(digest: str) -> dict[str, str]:
    algorithm, _colon, value = digest.partition(":")
    return {algorithm: value}


def _address(path: str) -> str:
    return str(settings.PUBLIC_URL).rstrip("/") + path
