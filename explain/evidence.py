"""What the registry may show of explanations: it asks by a signal, because it knows nothing of this app."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from explain.models import ExplanationJob, State
from registry.models import ModelVersion
from registry.signals import Evidence


def of_versions(*, versions: Sequence[ModelVersion], **_signal: Any) -> list[Evidence]:
    """The newest finished explanation of each version by each method. One query."""
    rows = (
        ExplanationJob.objects.filter(version__in=versions, state=State.FINISHED)
        .select_related("version__model")
        .only("method", "standing", "receipt_digest", "requested", "ended", "version__number", "version__model__name")
        .order_by("version_id", "method", "-id")
        .distinct("version_id", "method")
    )
    return [
        Evidence(
            version=row.version.label,
            name=row.subject,
            method=row.get_method_display(),
            standing=row.standing,
            digest=row.receipt_digest,
            finished=row.ended or row.requested,
            address=row.get_absolute_url(),
        )
        for row in rows
    ]
