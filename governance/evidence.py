"""Record and withdraw evidence: what shows that something was done for a version, as rules may ask for it.

A machine or a person puts a document's digest on record; the document itself stays where it is. Nothing here decides
whether evidence is enough: that is for a rule, which reads its type, its digests, its age and its end.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import partial

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from audit import log
from audit.actors import Actor
from audit.lifecycle import Lifecycle
from audit.models.events import Event
from audit.refusals import BadInput, Conflict, NotKnown
from governance import evidence_keys, following
from governance.models.evidence import Evidence, EvidenceState, EvidenceType
from registry import naming
from registry.models import Environment, ModelVersion

EVIDENCE = Lifecycle(field="state", transitions={("active", "withdrawn"): Event.EVIDENCE_WITHDRAWN})
#: Why a piece is stale, in words.
STALE: dict[str, Promise] = {
    "withdrawn": gettext_lazy("withdrawn"),
    "expired": gettext_lazy("expired"),
    "another_digest": gettext_lazy("made for another digest"),
}
MOST_TEXT = 4000


@dataclass(frozen=True, slots=True)
class Paper:
    """The document behind a piece of evidence. ``digest`` is ``sha256:`` and 64 hexadecimal digits of its bytes;
    ``author`` names who made it. ``expires_at`` None: it has no end."""

    digest: str
    title: str
    author: str
    issued_at: datetime
    expires_at: datetime | None = None


def record(
    type: str,
    version: ModelVersion,
    paper: Paper,
    *,
    environment: Environment | None = None,
    made_for: str = "",
    envelope: bytes = b"",
    by: Actor,
) -> Evidence:
    """Put evidence for ``version`` on record, for one environment or for every one.

    It is bound to the digest that the registry has of the version now; ``made_for`` is the digest of the files that
    were looked at, when who records it knows. ``envelope`` is a signed statement about them (a DSSE envelope or a
    Sigstore bundle), checked here against the keys in force and not kept. Raises ``BadInput`` with the field for an
    unknown type, a malformed digest, an empty title or author, an issue in the future, an end that is over and an
    envelope that cannot be relied on; ``Conflict`` when it was made for other files or its key does not count.
    """
    naming.choice(type, EvidenceType.values, field="type")
    title = naming.text(paper.title, field="title", limit=200)
    author = naming.text(paper.author, field="author", limit=200)
    naming.digest(paper.digest)
    _must_be_for(version, made_for)
    now = timezone.now()
    _must_be_in_order(paper, now)
    with transaction.atomic():
        key, signed = evidence_keys.believed(envelope, type, version.digest) if envelope else (None, None)
        number = Evidence.next_number()
        row = Evidence(
            pk=number,
            reference=f"EV-{now:%Y}-{number:04d}",
            type=type,
            version=version,
            environment=environment,
            artifact_digest=version.digest,
            digest=paper.digest,
            title=title,
            author=author,
            issued_at=paper.issued_at,
            expires_at=paper.expires_at,
            recorded_at=now,
            issued_by=by.id,
            signed_by=key,
            envelope_digest=signed.digest if signed else "",
            verified_at=now if signed else None,
        )
        row.save(force_insert=True)
        facts = _facts(row)
        if key and signed:
            facts |= {"signed_by": key.subject, "fingerprint": key.fingerprint, "envelope_digest": signed.digest}
            facts["predicate_type"] = signed.predicate_type[:200]
        log.append(
            Event.EVIDENCE_RECORDED, row, facts=facts, private={"document_title": title, "author": author}, by=by
        )
    return row


def _facts(row: Evidence) -> dict[str, str | None]:
    return {
        "type": row.type,
        "digest": row.digest,
        "artifact_digest": row.artifact_digest,
        "issued_at": row.issued_at.isoformat(),
        "expires_at": row.expires_at.isoformat() if row.expires_at else None,
    }


def _must_be_for(version: ModelVersion, made_for: str) -> None:
    if made_for and naming.digest(made_for, field="artifact_digest") != version.digest:
        raise Conflict(
            _("The evidence was made for %(made_for)s, and the files of %(version)s are %(digest)s: it shows nothing.")
            % {"made_for": made_for, "version": version.subject, "digest": version.digest},
            code="evidence.another_digest",
        )


def _must_be_in_order(paper: Paper, now: datetime) -> None:
    fields: dict[str, str] = {}
    if timezone.is_naive(paper.issued_at):
        fields["issued_at"] = _("Give the moment with its time zone.")
    elif paper.issued_at > now:
        fields["issued_at"] = _("Evidence that is not made yet cannot be recorded.")
    elif paper.issued_at < naming.EARLIEST:
        fields["issued_at"] = naming.too_early()
    if paper.expires_at is not None:
        if timezone.is_naive(paper.expires_at):
            fields["expires_at"] = _("Give the end with its time zone.")
        elif paper.expires_at <= now:
            fields["expires_at"] = _("The end lies in the past.")
    if fields:
        raise BadInput(_("The evidence cannot be recorded as sent."), code="evidence.invalid", fields=fields)


@transaction.atomic
def withdraw(reference: str, *, reason: str, by: Actor) -> Evidence:
    """No rule relies on it any more, for good; what serves is decided again. One person is enough: stopping must be
    easy. Raises ``BadInput`` without a reason, ``Conflict`` when it is withdrawn already, ``NotKnown``.
    """
    said = naming.text(reason, field="reason", limit=MOST_TEXT)
    row = find(reference, lock=True)
    EVIDENCE.transition(
        row,
        EvidenceState.WITHDRAWN,
        facts={"type": row.type, "digest": row.digest},
        reason=said,
        changes={"withdrawn_at": timezone.now(), "withdrawn_by": by.id, "withdrawn_reason": said},
        by=by,
    )
    transaction.on_commit(partial(following.order, following.EVERYTHING))
    return row


def find(reference: str, *, lock: bool = False) -> Evidence:
    """The piece with this reference, with its version and environment. Raises ``NotKnown``."""
    rows = named()
    if lock:
        rows = rows.select_for_update(of=("self",))
    found: Evidence | None = rows.filter(reference=reference).first()
    if found is None:
        sentence = _("There is no evidence %(reference)s.") % {"reference": reference[:40]}
        raise NotKnown(sentence, code="evidence.unknown")
    return found


def named() -> QuerySet[Evidence]:
    """Every piece with what it is about, newest first."""
    return Evidence.objects.select_related("version__model", "environment", "signed_by")


def why_stale(row: Evidence, *, at: datetime) -> list[str]:
    """Why no rule may rely on it, in words; empty when it is fresh. Reads the version: select it with the row."""
    return [str(STALE[why]) for why in row.stale(at=at, digest=row.version.digest)]
