"""A5: the same with the stolen key of the log. Inside, nothing shows: only a memory outside the database does."""

from __future__ import annotations

import base64
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from audit.merkle.checkpoint import Head, SigningKeys
from tests.audit.sealed import SealedLog

OLD, NEW = b'"number":250', b'"number":251'


def _stolen(state: Path, origin: str) -> SigningKeys:
    seeds = {path.suffixes[0] + path.name.split(".")[0]: path for path in sorted(state.rglob("*.key"))}
    classic = next(path for path in seeds.values() if "ed25519" in path.name)
    modern = next(path for path in seeds.values() if "mldsa44" in path.name)
    return SigningKeys(
        origin,
        Ed25519PrivateKey.from_private_bytes(base64.b64decode(classic.read_text())),
        MLDSA44PrivateKey.from_seed_bytes(base64.b64decode(modern.read_text())),
    )


def test_only_a_memory_outside_the_database_finds_a_rewrite_with_the_stolen_key(
    sealed_log: SealedLog, tmp_path: Path
) -> None:
    kept = sealed_log.note()
    keys = _stolen(tmp_path / "sealed-signer", sealed_log.signer.origin)
    assert set(keys.vkeys) == set(sealed_log.signer.vkeys)
    roots = sealed_log.roots_after(OLD, NEW)
    notes = {size: str(keys.sign(Head(keys.origin, size, root), 1_800_000_000)) for size, root in roots.items()}
    sealed_log.rewrite(OLD, NEW, notes)
    inside = sealed_log.verify(signer=False)
    assert inside.findings == [], "whoever holds the key can write a consistent history"
    assert inside.outcome == "unknown", "without the signer's memory nobody says «verified»"
    assert any("another root" in finding for finding in sealed_log.verify().findings), "the signer remembers"
    outside = sealed_log.verify(signer=False, heads=[kept])
    assert [step.name for step in outside.steps if step.findings] == ["outside"]
    assert outside.outcome == "failed"
