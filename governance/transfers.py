"""Record and approve transfer safeguards: the lawful path across a border (Transfer Regulation v2.0, articles 4-7)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from audit import log
from audit.actors import Actor
from audit.lifecycle import Lifecycle
from audit.models.events import Event
from audit.refusals import BadInput, Conflict, NotKnown, NotPermitted
from governance.models.transfer import SafeguardStatus, SafeguardType, TransferSafeguard
from registry import queries
from registry import regions as known_regions
from registry.models import Environment

SAFEGUARDS = Lifecycle(field="status", transitions={("proposed", "active"): Event.SAFEGUARD_APPROVED})


def record(
    reference: str,
    *,
    type: str,
    document: str,
    subjects: Sequence[str],
    regions: Sequence[str],
    expires_at: datetime,
    risk_assessment_at: datetime | None = None,
    by: Actor,
) -> TransferSafeguard:
    """Propose a safeguard; it covers nothing until a second person approves it.

    Raises ``BadInput`` for an unknown type, region or subject, an empty list, an end in the past, ``Conflict`` for a
    used reference.
    """
    _validate(reference, type, document, subjects, regions, expires_at)
    known_regions.lookup_all(regions, field="regions")
    _must_be_known(subjects)
    with transaction.atomic():
        if TransferSafeguard.objects.filter(reference=reference).exists():
            raise Conflict(
                _("A safeguard with the reference %(reference)s exists already.") % {"reference": reference},
                code="safeguard.exists",
            )
        safeguard = TransferSafeguard.objects.create(
            reference=reference,
            type=type,
            document=document,
            subjects=sorted(set(subjects)),
            regions=sorted(set(regions)),
            expires_at=expires_at,
            risk_assessment_at=risk_assessment_at,
            recorded_at=timezone.now(),
            recorded_by=by.id,
        )
        log.append(
            Event.SAFEGUARD_RECORDED,
            safeguard,
            facts={
                "type": type,
                "subjects": safeguard.subjects,
                "regions": safeguard.regions,
                "expires_at": expires_at.isoformat(),
                "risk_assessment_at": risk_assessment_at.isoformat() if risk_assessment_at else None,
            },
            private={"document": document},
            by=by,
        )
    return safeguard


def _validate(
    reference: str, type_: str, document: str, subjects: Sequence[str], regions: Sequence[str], expires_at: datetime
) -> None:
    fields: dict[str, str] = {}
    if not reference:
        fields["reference"] = _("Give the safeguard a reference, for example TS-1.")
    if type_ not in SafeguardType.values:
        fields["type"] = _("The type is one of %(types)s.") % {"types": ", ".join(SafeguardType.values)}
    if not document.strip():
        fields["document"] = _("Name the document that holds the clauses, rules or certificate.")
    if not subjects:
        fields["subjects"] = _("Name the data sets or streams that the safeguard covers.")
    if not regions or any(":" not in region for region in regions):
        fields["regions"] = _("Name the regions as provider:region, for example azure:germanywestcentral.")
    if timezone.is_naive(expires_at):
        fields["expires_at"] = _("Give the end with its time zone.")
    elif expires_at <= timezone.now():
        fields["expires_at"] = _("The end lies in the past.")
    if fields:
        raise BadInput(_("The safeguard cannot be recorded as sent."), code="safeguard.invalid", fields=fields)


def _must_be_known(subjects: Sequence[str]) -> None:
    """What flows is a data set, or the inference log of an environment; a misspelt one would silently cover nothing."""
    sets = queries.subjects_known(subject for subject in subjects if subject.startswith("dataset:"))
    slugs = [subject.removeprefix("environment:") for subject in subjects if subject.startswith("environment:")]
    places = {row.subject for row in Environment.objects.filter(slug__in=slugs)}
    unknown = sorted(set(subjects) - sets - places)
    if unknown:
        sentence = _("The registry knows no %(subjects)s; name dataset:… or environment:… as they are registered.") % {
            "subjects": ", ".join(each[:80] for each in unknown[:10])
        }
        raise BadInput(sentence, code="safeguard.subject", fields={"subjects": sentence})


def approve(reference: str, *, reason: str = "", by: Actor) -> TransferSafeguard:
    """Make a proposed safeguard count. Raises ``NotPermitted`` for the person who recorded it."""
    with transaction.atomic():
        safeguard = TransferSafeguard.objects.select_for_update().filter(reference=reference).first()
        if safeguard is None:
            raise NotKnown(
                _("There is no safeguard %(reference)s.") % {"reference": reference}, code="safeguard.unknown"
            )
        if safeguard.recorded_by == by.id:
            raise NotPermitted(
                _("You recorded this safeguard; someone else must approve it."), code="safeguard.self_approval"
            )
        SAFEGUARDS.transition(
            safeguard,
            SafeguardStatus.ACTIVE,
            facts={"recorded_by": safeguard.recorded_by},
            reason=reason,
            changes={"approved_by": by.id, "approved_at": timezone.now()},
            by=by,
        )
    return safeguard
