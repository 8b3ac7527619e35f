"""What governance adds to an export of the log: policy texts, decisions with their facts, sign-offs.

Texts and facts are the very bytes whose digests the entries hold. Comments of sign-offs stay out: they are private, and
leave only as disclosed reasons of their entries.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

from django.db.models import Model, Q, QuerySet

from audit.exports.sources import Document, Wanted
from governance.models import Decision, PolicyPack, SignOff
from governance.models.policy import PackState
from governance.policies.facts import canonical

_PIECE = 500
_DECIDING = (PackState.ACTIVE, PackState.SCHEDULED)
_Row = TypeVar("_Row", bound=Model)


def documents(wanted: Wanted) -> Iterator[Document]:
    """Of the wanted rows; every policy besides that decides or waits for its instant, and those by which a wanted
    decision was made.
    """
    packs = PolicyPack.objects.all()
    ids = wanted.ids("governance_policypack")
    if ids is not None:
        packs = packs.filter(Q(pk__in=ids) | Q(state__in=_DECIDING) | Q(digest__in=_used(wanted)))
    for pack in packs.order_by("id").iterator(_PIECE):
        yield Document("policies", pack.text.encode(), "yaml")
    for decision in _chosen(Decision.objects.all(), wanted.ids("governance_decision")):
        yield Document("facts", canonical(decision.facts))
        yield Document("decisions", canonical(_decision(decision)))
    for signoff in _chosen(SignOff.objects.all(), wanted.ids("governance_signoff")):
        yield Document("signoffs", canonical(_signoff(signoff)))


def _used(wanted: Wanted) -> set[str]:
    """Digests of the policies by which the wanted decisions were made."""
    decisions = _chosen(Decision.objects.only("id", "packs"), wanted.ids("governance_decision"))
    return {str(pack["digest"]) for decision in decisions for pack in decision.packs}


def _chosen(rows: QuerySet[_Row], ids: list[int] | None) -> Iterator[_Row]:
    """The rows in order, some hundred in memory."""
    if ids is None:
        yield from rows.order_by("id").iterator(_PIECE)
        return
    for start in range(0, len(ids), _PIECE):
        yield from rows.filter(pk__in=ids[start : start + _PIECE]).order_by("id")


def _decision(decision: Decision) -> dict[str, Any]:
    return {
        "decision": decision.public_id,
        "action": decision.action,
        "outcome": decision.outcome,
        "summary": decision.summary,
        "findings": decision.findings,
        "signoff": decision.signoff,
        "facts_digest": decision.facts_digest,
        "packs": decision.packs,
        "engine": decision.engine,
        "subject_digest": decision.subject_digest,
        "decided_at": decision.decided_at.isoformat(),
        "valid_until": decision.valid_until.isoformat(),
        "requested_by": decision.requested_by,
    }


def _signoff(signoff: SignOff) -> dict[str, Any]:
    return {
        "signoff": signoff.pk,
        "promotion": signoff.promotion_id,
        "round": signoff.round,
        "signer": signoff.signer,
        "role": signoff.role,
        "meaning": signoff.meaning,
        "statement": signoff.statement,
        "subject_digest": signoff.subject_digest,
        "decision_seen": signoff.decision_seen_id,
        "signed_at": signoff.signed_at.isoformat(),
        "reauthenticated_at": signoff.reauth_at.isoformat(),
        **({"replaces": signoff.replaces_id} if signoff.replaces_id else {}),
        **({"delegation": signoff.delegation.reference} if signoff.delegation else {}),
        "factors": signoff.factors,
    }
