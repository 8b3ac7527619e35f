"""Record, approve and revoke transfer safeguards: the lawful path across a border.

What a risk assessment holds is article 7(2) of the Saudi Regulation on Personal Data Transfer outside the Kingdom,
version 2.0 (SDAIA's English reference text); our paraphrase of its six elements is ``ELEMENT_TITLES``.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.db import transaction
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from audit import log
from audit.actors import Actor
from audit.lifecycle import Lifecycle
from audit.merkle import canonical
from audit.models.events import Event
from audit.refusals import BadInput, Conflict, NotKnown, NotPermitted
from governance import following, second_person
from governance.models.transfer import (
    DIGEST_PATTERN,
    ELEMENTS,
    DigestBasis,
    SafeguardStatus,
    SafeguardType,
    TransferSafeguard,
)
from registry import naming, queries
from registry import regions as known_regions
from registry.models import Environment, Perimeter

SAFEGUARDS = Lifecycle(
    field="status",
    transitions={
        ("proposed", "active"): Event.SAFEGUARD_APPROVED,
        ("proposed", "revoked"): Event.SAFEGUARD_REVOKED,
        ("active", "revoked"): Event.SAFEGUARD_REVOKED,
    },
)
#: What each element of a risk assessment answers: our words for article 7(2) A to F, not the regulation's.
ELEMENT_TITLES: Mapping[str, Promise] = {
    "A": gettext_lazy("Purpose of the transfer and its legal ground"),
    "B": gettext_lazy("What is transferred and processed, how, and in which places"),
    "C": gettext_lazy("Safeguards and measures taken, and why they protect no less than the law at home"),
    "D": gettext_lazy("How the transfer is kept to the least data that the purpose needs"),
    "E": gettext_lazy("Material or moral effects that may follow, and how likely they are"),
    "F": gettext_lazy("Measures that prevent the risks to people, or soften what happens"),
}
MOST_TEXT = 4000


@dataclass(frozen=True, slots=True)
class Papers:
    """What stands behind a safeguard: its document, its parties and its risk assessment.

    ``digest`` is ``sha256:`` and 64 hexadecimal digits, or empty; ``basis`` says who computed it. ``assessment`` has
    no element or all six.
    """

    document: str
    digest: str = ""
    basis: str = ""
    exporter: str = ""
    importer: str = ""
    assessed_at: datetime | None = None
    assessment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Mechanism:
    """What kind of safeguard it is, and the jurisdiction under whose law it is one."""

    type: str
    law: str


def record(
    reference: str,
    *,
    type: str,
    law: str,
    document: str,
    subjects: Sequence[str],
    regions: Sequence[str],
    expires_at: datetime,
    risk_assessment_at: datetime | None = None,
    assessment: Mapping[str, str] | None = None,
    document_digest: str = "",
    digest_basis: str = DigestBasis.STATED,
    exporter: str = "",
    importer: str = "",
    by: Actor,
) -> TransferSafeguard:
    """Propose a safeguard; it covers nothing until a second person approves it.

    ``law`` is the one under whose law it is made (``SA``, ``AE-federal``, ``EU`` …); it excuses under no other.
    ``document_digest`` is the SHA-256 of the document, ``sha256:…``; ``assessment`` has the six elements A to F
    whenever ``risk_assessment_at`` is given. Raises ``BadInput`` for an unknown type, law, region or subject, an empty
    list, an end in the past, a malformed digest or half an assessment, ``Conflict`` for a used reference.
    """
    papers = Papers(
        document=document.strip(),
        digest=document_digest,
        basis=digest_basis if document_digest else "",
        exporter=naming.optional_text(exporter, field="exporter", limit=200),
        importer=naming.optional_text(importer, field="importer", limit=200),
        assessed_at=risk_assessment_at,
        assessment={letter: text.strip() for letter, text in (assessment or {}).items() if text.strip()},
    )
    kind = Mechanism(type, law)
    _validate(reference, kind, subjects, regions, expires_at, papers)
    known_regions.places(regions, field="regions")
    _must_be_known(subjects)
    return _propose(reference, kind, sorted(set(subjects)), sorted(set(regions)), expires_at, papers, by)


@transaction.atomic
def _propose(
    reference: str,
    kind: Mechanism,
    subjects: list[str],
    regions: list[str],
    expires_at: datetime,
    papers: Papers,
    by: Actor,
) -> TransferSafeguard:
    if TransferSafeguard.objects.filter(reference=reference).exists():
        raise Conflict(
            _("A safeguard with the reference %(reference)s exists already.") % {"reference": reference},
            code="safeguard.exists",
        )
    safeguard = TransferSafeguard.objects.create(
        reference=reference,
        type=kind.type,
        law=kind.law,
        document=papers.document,
        document_digest=papers.digest,
        digest_basis=papers.basis,
        exporter=papers.exporter,
        importer=papers.importer,
        subjects=subjects,
        regions=regions,
        expires_at=expires_at,
        risk_assessment_at=papers.assessed_at,
        assessment=dict(papers.assessment),
        recorded_at=timezone.now(),
        recorded_by=by.id,
    )
    facts = {
        "type": kind.type,
        "law": kind.law,
        "subjects": subjects,
        "regions": regions,
        "expires_at": expires_at.isoformat(),
        "document_digest": papers.digest,
        "digest_basis": papers.basis,
        "risk_assessment_at": papers.assessed_at.isoformat() if papers.assessed_at else None,
    }
    log.append(Event.SAFEGUARD_RECORDED, safeguard, facts=facts, private=_private(papers), by=by)
    return safeguard


def _private(papers: Papers) -> dict[str, str]:
    """What may name people: in the log's erasable part."""
    parties = " → ".join(each for each in (papers.exporter, papers.importer) if each)
    assessed = canonical.encode(dict(papers.assessment)).decode() if papers.assessment else ""
    values = {"document": papers.document, "parties": parties, "assessment": assessed}
    return {name: value for name, value in values.items() if value}


def _validate(
    reference: str,
    kind: Mechanism,
    subjects: Sequence[str],
    regions: Sequence[str],
    expires_at: datetime,
    papers: Papers,
) -> None:
    fields: dict[str, str] = {}
    if not reference or reference == "new":  # the page that records one has that address
        fields["reference"] = _("Give the safeguard a reference, for example TS-1.")
    if kind.type not in SafeguardType.values:
        fields["type"] = _("The type is one of %(types)s.") % {"types": ", ".join(SafeguardType.values)}
    if kind.law not in Perimeter.values:
        fields["law"] = _("Say under whose law it is made: one of %(laws)s.") % {"laws": ", ".join(Perimeter.values)}
    if not papers.document:
        fields["document"] = _("Name the document that holds the clauses, rules or certificate.")
    if papers.digest and not re.fullmatch(DIGEST_PATTERN, papers.digest):
        fields["document_digest"] = _("Write the digest as sha256: and 64 hexadecimal digits in lower case.")
    if papers.digest and papers.basis not in DigestBasis.values:
        fields["digest_basis"] = _("Say whether the document was uploaded or its digest stated.")
    if not subjects:
        fields["subjects"] = _("Name the data sets or streams that the safeguard covers.")
    if not regions or any(":" not in region for region in regions):
        fields["regions"] = _(
            "Name the regions as provider:region, for example azure:germanywestcentral; access as country:DE."
        )
    if timezone.is_naive(expires_at):
        fields["expires_at"] = _("Give the end with its time zone.")
    elif expires_at <= timezone.now():
        fields["expires_at"] = _("The end lies in the past.")
    fields |= _half_assessed(papers)
    if fields:
        raise BadInput(_("The safeguard cannot be recorded as sent."), code="safeguard.invalid", fields=fields)


def _half_assessed(papers: Papers) -> dict[str, str]:
    """Field -> what is wrong with the risk assessment: a date without its elements, elements without a date."""
    given, fields = papers.assessment, dict[str, str]()
    missing = [letter for letter in ELEMENTS if letter not in given]
    if odd := sorted(set(given) - set(ELEMENTS)):
        fields["assessment"] = _("The elements are A to F; %(odd)s is none of them.") % {"odd": ", ".join(odd)[:80]}
    elif (given or papers.assessed_at) and missing:
        fields["assessment"] = _(
            "A risk assessment has the six elements A to F (Transfer Regulation, article 7(2)); missing: %(missing)s."
        ) % {"missing": ", ".join(missing)}
    elif given and papers.assessed_at is None:
        fields["risk_assessment_at"] = _("Say when the risk was assessed.")
    elif any(len(text) > MOST_TEXT or "\x00" in text for text in given.values()):
        fields["assessment"] = _("Each element has at most %(limit)d characters.") % {"limit": MOST_TEXT}
    if papers.assessed_at is not None:
        if timezone.is_naive(papers.assessed_at):
            fields["risk_assessment_at"] = _("Give the moment with its time zone.")
        elif papers.assessed_at > timezone.now():
            fields["risk_assessment_at"] = _("An assessment that is not made yet cannot be recorded.")
        elif papers.assessed_at < naming.EARLIEST:
            fields["risk_assessment_at"] = naming.too_early()
    return fields


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


def digest_of_document(content: bytes) -> str:
    """``sha256:`` of a document's bytes, as a safeguard records it."""
    return "sha256:" + hashlib.sha256(content).hexdigest()


def find(reference: str, *, lock: bool = False) -> TransferSafeguard:
    """The safeguard with this reference. Raises ``NotKnown``."""
    rows = TransferSafeguard.objects.select_for_update() if lock else TransferSafeguard.objects.all()
    safeguard: TransferSafeguard | None = rows.filter(reference=reference).first()
    if safeguard is None:
        raise NotKnown(
            _("There is no safeguard %(reference)s.") % {"reference": reference[:40]}, code="safeguard.unknown"
        )
    return safeguard


@transaction.atomic
def approve(reference: str, *, reason: str = "", by: Actor) -> TransferSafeguard:
    """Make a proposed safeguard count. Raises ``NotPermitted`` for the person who recorded it, ``Conflict`` when it
    was approved or revoked before, or has expired meanwhile.
    """
    safeguard = find(reference, lock=True)
    if second_person.is_first(safeguard.recorded_by, by):
        raise NotPermitted(
            _("You recorded this safeguard; someone else must approve it."), code="safeguard.self_approval"
        )
    if safeguard.status == SafeguardStatus.PROPOSED and safeguard.expires_at <= timezone.now():
        raise Conflict(
            _("%(reference)s has expired before anybody approved it. Record a new one.") % {"reference": reference},
            code="safeguard.expired",
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


@transaction.atomic
def revoke(reference: str, *, reason: str, by: Actor) -> TransferSafeguard:
    """End a safeguard, or withdraw one that is only proposed. One person is enough, also who recorded it: stopping
    must be easy. It never counts again; record a new one instead.

    Raises ``BadInput`` without a reason, ``Conflict`` when it is revoked already.
    """
    said = naming.text(reason, field="reason", limit=MOST_TEXT)
    safeguard = find(reference, lock=True)
    SAFEGUARDS.transition(
        safeguard,
        SafeguardStatus.REVOKED,
        facts={"subjects": safeguard.subjects, "regions": safeguard.regions},
        reason=said,
        changes={"revoked_at": timezone.now(), "revoked_by": by.id, "revoked_reason": said},
        by=by,
    )
    transaction.on_commit(following.order)
    return safeguard
