"""Evidence of the small world, and the keys that may sign it."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.utils import timezone

from tests import personas

if TYPE_CHECKING:
    from tests.browser.world import World


def evidence(world: World) -> None:
    """A piece that counts, one that has no end, and one that was withdrawn."""
    from governance import evidence as papers

    for number, (kind, ends) in enumerate((("fairness", 2099), ("container", 0), ("validation_report", 2099))):
        row = papers.record(
            kind,
            world.versions[1],
            papers.Paper(
                digest="sha256:" + hashlib.sha256(kind.encode()).hexdigest(),
                title="Hold-out of the third quarter",
                author="Model validation",
                issued_at=datetime(2026, 1, 1, tzinfo=UTC),
                expires_at=datetime(ends, 1, 1, tzinfo=UTC) if ends else None,
            ),
            environment=world.environments["prod-uae"] if number == 0 else None,
            by=personas.get("layla").actor,
        )
        world.evidence.append(row.reference)
    papers.withdraw(world.evidence[-1], reason="The sample was drawn wrong.", by=personas.get("omar").actor)
    _evidence_keys(world)


def _evidence_keys(world: World) -> None:
    """One that counts, and one that waits for its second person."""
    from governance import evidence_keys

    for name in ("fairness-lab", "scanner"):
        key = Ed25519PrivateKey.from_private_bytes(name.ljust(32).encode()).public_key()
        text = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
        row = evidence_keys.propose(name, text, ["fairness", "security_scan"], by=personas.get("omar").actor)
        world.evidence_keys.append(row.reference)
    dana = personas.get("dana").actor
    evidence_keys.confirm(world.evidence_keys[0], reauthenticated_at=timezone.now(), by=dana)
