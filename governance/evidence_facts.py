"""What is on record about a version, as facts: pieces of evidence and finished explanations."""

from __future__ import annotations

from collections.abc import Iterable

from explain import jobs, standing
from governance import policies, sharing
from governance.models.evidence import Evidence
from registry.models import Environment, ModelVersion

#: Who records what nobody said: the worker that computed an explanation.
MACHINE = jobs.WORKER.id
_EVIDENCE = """
    SELECT e.id, e.reference, e.type, e.state, e.environment_id, e.artifact_digest, e.digest, e.issued_by, e.issued_at,
        e.expires_at, coalesce(k.name, '') AS key_name
    FROM governance_evidence e LEFT JOIN governance_evidencekey k ON k.id = e.signed_by_id AND k.state = 'active'
    WHERE e.version_id = %s AND (e.environment_id IS NULL OR e.environment_id = %s)
"""


def of(version: ModelVersion, environment: Environment) -> list[policies.EvidenceFact]:
    """Evidence about the version, for every environment or for this one; withdrawn and expired pieces too, so that a
    denial can name them. One query, none while cases are shared."""
    shared, asked = sharing.current(), [version.pk, environment.pk]
    rows: Iterable[Evidence] = shared.evidence_of(*asked) if shared else Evidence.objects.raw(_EVIDENCE, asked)
    return [
        policies.EvidenceFact(
            id=row.reference,
            type=row.type,
            status=row.state,
            subject=version.subject,
            digest=row.digest,
            artifact_digest=row.artifact_digest,
            environment=environment.slug if row.environment_id else "",
            issued_by=row.issued_by,
            issued_at=row.issued_at,
            expires_at=row.expires_at,
            signer=row.key_name,  # type: ignore[attr-defined]  # a column of the query, or of ``signers``
        )
        for row in rows
    ]


def explained(version: ModelVersion) -> list[policies.ExplanationFact]:
    """The newest finished explanations of the version, drafts and stale ones too, so that a denial can name them.
    One query, none while cases are shared."""
    shared = sharing.current()
    rows = shared.explanations_of(version.pk) if shared else standing.newest([version.pk])
    return [
        policies.ExplanationFact(
            id=row.id,
            subject=version.subject,
            version_digest=row.digest,
            method=row.method,
            algorithm=row.algorithm,
            level=row.level,
            scale=row.scale,
            standing=row.standing,
            stable=row.stable,
            rows=row.rows,
            background=row.background,
            finished_at=row.finished_at,
            environment=row.environment,
            receipt=row.receipt,
            stale=row.stale,
            erased=row.erased,
        )
        for row in rows
    ]
