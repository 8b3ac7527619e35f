"""A4: a superuser rewrites entries, leaves, tiles, roots and checkpoints, but has no key of the log."""

from __future__ import annotations

from tests.audit.sealed import SealedLog

OLD, NEW = b'"number":250', b'"number":251'


def test_a_full_rewrite_without_the_key_fails_at_the_signatures(sealed_log: SealedLog) -> None:
    kept = sealed_log.note()
    sealed_log.rewrite(OLD, NEW)
    verdict = sealed_log.verify(heads=[kept])
    steps = {step.name: step for step in verdict.steps}
    assert steps["tiles"].state == "passed", "the rewriting was thorough"
    assert any("checkpoint 600" in finding for finding in steps["checkpoints"].findings)
    assert any("another root" in finding for finding in steps["signer"].findings)
    assert any("another root" in finding for finding in steps["outside"].findings)
    assert not any("checkpoint 12:" in finding for finding in verdict.findings), "before the change all is as it was"


def test_checkpoints_signed_by_another_key_do_not_count(sealed_log: SealedLog) -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

    from audit.merkle.checkpoint import Head, SigningKeys

    own = SigningKeys(sealed_log.signer.origin, Ed25519PrivateKey.generate(), MLDSA44PrivateKey.generate())
    roots = sealed_log.roots_after(OLD, NEW)
    notes = {size: str(own.sign(Head(own.origin, size, root), 1_800_000_000)) for size, root in roots.items()}
    sealed_log.rewrite(OLD, NEW, notes)
    verdict = sealed_log.verify(signer=False)
    assert sum("signatures of" in finding for finding in verdict.findings) == 3
