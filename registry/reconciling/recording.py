"""The side of the record: a handful of queries, whatever the size of the registry."""

from __future__ import annotations

from django.conf import settings

from registry.models import Alias, Deployment, Endpoint, MLflowDelivery, MLflowLook, ModelVersion
from registry.reconciling.approvals import approvals
from registry.reconciling.identity import Address
from registry.reconciling.snapshots import (
    Recorded,
    RecordedAlias,
    RecordedEndpoint,
    RecordedVersion,
    Served,
    Untold,
    Webhooks,
)
from registry.sources import mlflow_outbox


def addresses() -> tuple[Address, ...]:
    """Where every registered endpoint can be asked."""
    return tuple(Address(each.name, each.url, each.identity) for each in Endpoint.objects.all())


def recorded() -> Recorded:
    """What is on record now."""
    untold = mlflow_outbox.untold()
    return Recorded(
        serving=tuple(
            Served(row.environment.slug, row.model.name, row.version.subject, row.digest)
            for row in Deployment.objects.open().with_names()
        ),
        endpoints=tuple(
            RecordedEndpoint(
                row.name, row.environment.slug, row.version.model.name, row.version.subject, row.version.digest
            )
            for row in Endpoint.objects.select_related("environment", "version__model")
        ),
        aliases=tuple(
            RecordedAlias(
                row.model.name,
                row.name,
                row.ledger if row.outside else row.version.subject,
                untold.get((row.model.name, row.name), Untold()),
            )
            for row in Alias.objects.select_related("model", "version__model")
        ),
        versions=_versions(),
        approvals=approvals(),
        webhooks=_webhooks(),
    )


def _versions() -> tuple[RecordedVersion, ...]:
    columns = ("model__name", "number", "digest", "tracking_server", "source_uri", "run_id")
    rows = ModelVersion.objects.order_by("model__name", "number").values_list(*columns)
    return tuple(RecordedVersion(*row) for row in rows)


def _webhooks() -> Webhooks:
    if not settings.MLFLOW_WEBHOOK_SECRET:
        return Webhooks()
    change = MLflowLook.objects.filter(found__gt=0, since__isnull=False).first()
    last = MLflowDelivery.objects.order_by("-received").first()
    return Webhooks(
        set_up=True,
        last_delivery=last.received if last else None,
        change_since=change.since if change else None,
        change_found=change.ended if change else None,
    )
