"""Data sets: registered with what the law asks about them, reclassified or relocated under the log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from audit import log
from audit.actors import Actor
from audit.changes import changed
from audit.models.events import Event
from audit.refusals import Conflict, NotKnown
from registry import jurisdictions, naming, regions, signals
from registry.models import Classification, Dataset


@transaction.atomic
def register_dataset(
    name: str,
    *,
    classification: str,
    subjects: Sequence[str],
    regions_held: Sequence[str],
    digest: str = "",
    source_uri: str = "",
    confirmed: bool = False,
    by: Actor,
) -> Dataset:
    """Add a data set. ``unknown`` and empty lists are facts too: every gate denies on them, none passes.

    Raises ``BadInput`` for an unknown classification, jurisdiction or region, ``Conflict`` for a taken name.
    """
    naming.name(name)
    if Dataset.objects.filter(name=name).exists():
        raise Conflict(_("A data set “%(name)s” exists already.") % {"name": name}, code="dataset.exists")
    dataset = Dataset(
        name=name,
        digest=digest[:128],
        classification=naming.choice(classification, Classification.values, field="classification"),
        subjects=jurisdictions.known(subjects, field="subjects"),
        regions=[region.id for region in regions.lookup_all(regions_held, field="regions")],
        source_uri=source_uri[:1000],
        confirmed=confirmed,
    )
    dataset.save()
    log.append(Event.DATASET_REGISTERED, dataset, facts=_facts(dataset), by=by)
    signals.dataset_changed.send(sender=Dataset, dataset=dataset, by=by)
    return dataset


@transaction.atomic
def change_dataset(
    dataset: Dataset,
    *,
    classification: str | None = None,
    subjects: Sequence[str] | None = None,
    regions_held: Sequence[str] | None = None,
    confirmed: bool | None = None,
    reason: str = "",
    by: Actor,
) -> Dataset:
    """Reclassify or relocate; ``None`` keeps. Nothing is written when nothing differs."""
    locked = Dataset.objects.select_for_update().get(pk=dataset.pk)
    was = _facts(locked)
    if classification is not None:
        locked.classification = naming.choice(classification, Classification.values, field="classification")
    if subjects is not None:
        locked.subjects = jurisdictions.known(subjects, field="subjects")
    if regions_held is not None:
        locked.regions = [region.id for region in regions.lookup_all(regions_held, field="regions")]
    if confirmed is not None:
        locked.confirmed = confirmed
    facts = _facts(locked)
    if facts == was:
        return locked
    locked.save()
    log.append(Event.DATASET_CHANGED, locked, facts={**facts, **changed(was, facts)}, reason=reason, by=by)
    signals.dataset_changed.send(sender=Dataset, dataset=locked, by=by)
    return locked


def find_dataset(name: str) -> Dataset:
    """The data set with this name. Raises ``NotKnown``."""
    dataset = Dataset.objects.filter(name=name).first()
    if dataset is None:
        raise NotKnown(
            _("There is no data set “%(name)s” in the registry.") % {"name": name[:128]}, code="dataset.unknown"
        )
    return dataset


def _facts(dataset: Dataset) -> dict[str, Any]:
    return {
        "digest": dataset.digest,
        "classification": dataset.classification,
        "subjects": list(dataset.subjects),
        "regions": list(dataset.regions),
        "source_uri": dataset.source_uri,
        "confirmed": dataset.confirmed,
    }
