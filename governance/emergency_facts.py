"""Emergencies as the decision engine reads them. Every gate check asks, so it is one bare statement."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime

from django.db import connection

from governance import policies, sharing
from governance.models.emergency import EmergencyKind
from registry.models import Environment, Model, ModelVersion

_CONFIRMED = """
    SELECT e.reference, e.kind, e.version_id, e.environment_id, v.model_id, v.number, n.slug, e.subject_digest,
           e.incident, e.declared_by, e.confirmed_by, e.starts_at, e.ends_at, e.review_due_at, e.review_by
    FROM governance_emergency e
    JOIN registry_modelversion v ON v.id = e.version_id
    JOIN registry_environment n ON n.id = e.environment_id
    WHERE e.state = 'confirmed' ORDER BY e.id
"""


@dataclass(frozen=True, slots=True)
class Confirmed:
    """An emergency that nobody has reviewed yet, as stored."""

    reference: str
    kind: str
    version_id: int
    environment_id: int
    model_id: int
    number: int
    slug: str
    subject_digest: str
    incident: str
    declared_by: str
    confirmed_by: str
    starts_at: datetime
    ends_at: datetime
    review_due_at: datetime
    review_by: Sequence[str]


def confirmed() -> tuple[Confirmed, ...]:
    """All that nobody has reviewed: few, or nothing goes forward any more."""
    return sharing.once("emergencies", _read)


def _read() -> tuple[Confirmed, ...]:
    with connection.cursor() as cursor:
        cursor.execute(_CONFIRMED)
        names = [each.name for each in fields(Confirmed)]
        rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    return tuple(Confirmed(**{**row, "review_by": json.loads(row["review_by"])}) for row in rows)


def running(
    rows: Sequence[Confirmed], version: ModelVersion, environment: Environment, now: datetime
) -> list[policies.EmergencyFact]:
    """Those whose time runs for this version there; the engine asks whether they are for exactly this subject."""
    return [
        policies.EmergencyFact(
            id=row.reference,
            version=version.subject,
            environment=environment.slug,
            subject_digest=row.subject_digest,
            incident=row.incident,
            invoked_by=row.declared_by,
            confirmed_by=row.confirmed_by,
            starts_at=row.starts_at,
            ends_at=row.ends_at,
        )
        for row in rows
        if (row.version_id, row.environment_id) == (version.pk, environment.pk)
        and row.kind == EmergencyKind.BREAK_GLASS
        and row.starts_at <= now < row.ends_at
    ]


def reviews(rows: Sequence[Confirmed], model: Model) -> list[policies.ReviewFact]:
    """The reviews of the model that are still open, due or not: the engine compares their deadlines with ``now``."""
    return [
        policies.ReviewFact(
            id=row.reference,
            model=model.name,
            version=f"version:{model.name}/{row.number}",
            environment=row.slug,
            due_at=row.review_due_at,
            review_by=row.review_by,
        )
        for row in rows
        if row.model_id == model.pk
    ]
