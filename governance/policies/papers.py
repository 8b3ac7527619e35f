"""Facts that people put on paper, or a receipt: safeguards, evidence, explanations, waivers and freezes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from governance.policies.vocabulary import UNKNOWN, format_time


@dataclass(frozen=True, slots=True)
class SafeguardFact:
    """A transfer mechanism. ``expires_at`` None means that nobody set an end: rules read that as ended.

    ``law`` is the jurisdiction under whose law it was made, empty when nobody said: clauses that one law knows are
    paper under another.
    """

    id: str
    type: str
    status: str
    subjects: Sequence[str]
    regions: Sequence[str]
    expires_at: datetime | None = None
    risk_assessment_at: datetime | None = None
    law: str = ""

    def values(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "type": self.type,
            "status": self.status,
            "subjects": sorted(set(self.subjects)),
            "regions": sorted(set(self.regions)),
            "expires_at": _time(self.expires_at),
            "risk_assessment_at": _time(self.risk_assessment_at),
            "law": self.law or UNKNOWN,
        }


@dataclass(frozen=True, slots=True)
class EvidenceFact:
    """A document that somebody issued about the version. ``digest`` is the document's, ``artifact_digest`` that of the
    version when it was issued; ``environment`` is empty when it speaks about every one. ``signer`` is the name of the
    key in force whose signature was verified; left out of the document when empty, so that facts stored before there
    were signatures keep their digest.
    """

    id: str
    type: str
    status: str
    subject: str
    digest: str
    issued_by: str
    issued_at: datetime
    artifact_digest: str = ""
    environment: str = ""
    expires_at: datetime | None = None
    signer: str = ""

    def values(self) -> dict[str, Any]:
        signed = {"signer": self.signer} if self.signer else {}
        return {
            "id": self.id,
            "type": self.type,
            "status": self.status,
            "subject": self.subject,
            "digest": self.digest,
            "artifact_digest": self.artifact_digest,
            "environment": self.environment,
            "issued_by": self.issued_by,
            "issued_at": _time(self.issued_at),
            "expires_at": _time(self.expires_at),
            **signed,
        }


@dataclass(frozen=True, slots=True)
class ExplanationFact:
    """A finished explanation of the version. ``version_digest`` is that of the files that were explained, ``receipt``
    that of what is needed to run it again; ``stale`` are the reasons why it no longer speaks about what is there.
    """

    id: str
    subject: str
    version_digest: str
    method: str
    algorithm: str
    scale: str
    standing: str
    stable: bool
    rows: int
    background: int
    finished_at: datetime
    environment: str
    receipt: str
    level: str = ""
    stale: Sequence[str] = ()
    erased: bool = False

    def values(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "subject": self.subject,
            "version_digest": self.version_digest,
            "method": self.method,
            "algorithm": self.algorithm,
            "level": self.level,
            "scale": self.scale,
            "standing": self.standing,
            "fresh": not self.stale,
            "stale": sorted(set(self.stale)),
            "stable": self.stable,
            "erased": self.erased,
            "rows": self.rows,
            "background": self.background,
            "finished_at": _time(self.finished_at),
            "environment": self.environment,
            "receipt": self.receipt,
        }


@dataclass(frozen=True, slots=True)
class WaiverFact:
    """Leave to go on although one rule of one version of a pack fails for ``subjects``, in one environment and version,
    from ``starts_at`` to before ``ends_at``. ``approved_by`` is empty while nobody but its author said so: then it
    waives nothing.
    """

    id: str
    pack: str
    pack_version: int
    rule: str
    version: str
    environment: str
    subjects: Sequence[str]
    starts_at: datetime
    ends_at: datetime
    approved_by: str = ""

    def values(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "pack": self.pack,
            "pack_version": self.pack_version,
            "rule": self.rule,
            "version": self.version,
            "environment": self.environment,
            "subjects": sorted(set(self.subjects)),
            "approved_by": self.approved_by,
            "starts_at": _time(self.starts_at),
            "ends_at": _time(self.ends_at),
        }


@dataclass(frozen=True, slots=True)
class EmergencyFact:
    """Two people went without the signatures for exactly one subject, from ``starts_at`` to before ``ends_at``."""

    id: str
    version: str
    environment: str
    subject_digest: str
    incident: str
    invoked_by: str
    confirmed_by: str
    starts_at: datetime
    ends_at: datetime

    def values(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "version": self.version,
            "environment": self.environment,
            "subject_digest": self.subject_digest,
            "incident": self.incident,
            "invoked_by": self.invoked_by,
            "confirmed_by": self.confirmed_by,
            "starts_at": _time(self.starts_at),
            "ends_at": _time(self.ends_at),
        }


@dataclass(frozen=True, slots=True)
class ReviewFact:
    """A look back at an emergency that nobody has taken yet; from ``due_at`` on its absence holds the whole model."""

    id: str
    model: str
    version: str
    environment: str
    due_at: datetime
    review_by: Sequence[str]

    def values(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "model": self.model,
            "version": self.version,
            "environment": self.environment,
            "due_at": _time(self.due_at),
            "review_by": sorted(set(self.review_by)),
        }


@dataclass(frozen=True, slots=True)
class IncidentFact:
    """A freeze that reaches the version. ``path`` leads from the version to ``root``, both included."""

    id: str
    title: str
    root: str
    since: datetime
    frozen_at: datetime
    frozen_by: str
    path: Sequence[str]

    def values(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "title": self.title,
            "root": self.root,
            "since": _time(self.since),
            "frozen_at": _time(self.frozen_at),
            "frozen_by": self.frozen_by,
            "path": list(self.path),
        }


#: What stands in facts only when there is any.
Paper = EvidenceFact | ExplanationFact | IncidentFact | WaiverFact | EmergencyFact | ReviewFact


def _time(moment: datetime | None) -> str:
    return format_time(moment) if moment else ""
