"""How promotions, their signatures and delegations look as JSON."""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from governance import assertions, personal
from governance.api.answers import absolute, instant
from governance.changed import changes
from governance.models.decision import Decision
from governance.models.delegation import Delegation
from governance.models.promotion import Promotion
from governance.models.signoff import SignOff
from governance.personal import Personal


def promotion_json(promotion: Promotion, decision: Decision | None = None) -> dict[str, Any]:
    """A promotion; with its newest decision and sign-offs when ``decision`` is given."""
    body: dict[str, Any] = {
        "id": promotion.pk,
        "state": promotion.state,
        "model": {
            "name": promotion.version.model.name,
            "version": str(promotion.version.number),
            "digest": promotion.version.digest,
        },
        "environment": promotion.environment.slug,
        "rollout": promotion.plan,
        "requested_by": promotion.requested_by,
        "requested_at": instant(promotion.requested_at),
        "reason": promotion.reason,
        "expires_at": instant(promotion.expires_at),
        "round": promotion.round,
        "subject_digest": promotion.subject_digest,
        "links": {"html": absolute("governance:promotion", promotion.pk)},
    }
    if decision is not None:
        body["decision"] = {
            "decision_id": decision.public_id,
            "decision": decision.outcome,
            "summary": decision.summary,
            "findings": decision.findings,
            "signoff": decision.signoff,
        }
        rows = list(promotion.signoffs.all())
        own = personal.verified(rows)
        body["signoffs"] = [
            {**signoff_json(row, own.get(row.pk)), **_staleness(row, promotion, decision)} for row in rows
        ]
    return body


def _staleness(row: SignOff, promotion: Promotion, decision: Decision) -> dict[str, Any]:
    """Whether a signature is for another subject, and what changed since it was given."""
    stale = row.round != promotion.round or row.subject_digest != decision.subject_digest
    found = changes(row.decision_seen.subject_parts, decision.subject_parts) if stale else ()
    return {"stale": stale, "changed": [each.as_json() for each in found]}


def signoff_json(row: SignOff, own: Personal | None = None) -> dict[str, Any]:
    """One signature, what was taken back of it, and for whom it was given; with what the signer's own key signed, and
    what verifying it now gave, when there is such.
    """
    taken = getattr(row, "retraction", None)
    return {
        "id": row.pk,
        "signer": row.signer,
        "role": row.role,
        "meaning": row.meaning,
        "statement": row.statement,
        "comment": row.comment,
        "round": row.round,
        "subject_digest": row.subject_digest,
        "signed_at": instant(row.signed_at),
        "delegation": row.delegation.reference if row.delegation else "",
        "on_behalf_of": row.delegation.delegator if row.delegation else "",
        "taken_back": taken.kind if taken else "",
        "taken_back_by": taken.retracted_by if taken else "",
        "taken_back_at": instant(taken.retracted_at) if taken else None,
        "factors": row.factors,
        "factor_count": row.factor_count,
        "personal": personal_json(own) if own is not None else None,
    }


def personal_json(found: Personal) -> dict[str, Any]:
    """Everything with which somebody else verifies it offline (docs/signing-keys.md); bytes are base64url."""
    return {
        "verified": found.verified,
        "why": found.why or None,
        "document": found.row.document,
        "authenticator_data": found.row.authenticator_data,
        "client_data_json": found.row.client_data,
        "signature": found.row.signature,
        "credential_id": found.row.credential_id or None,
        "comment_salt": found.row.comment_salt or None,
        "public_key": assertions.to_text(found.public_key),
        "fingerprint": found.fingerprint,
        "factor": found.row.factor.subject,
        "registered_at": instant(found.registered_at),
        "registered_by_entry": str(found.row.factor.entry),
    }


def delegation_json(row: Delegation) -> dict[str, Any]:
    """Who signs for whom, in which role, until when. ``standing`` is what the clock makes of it."""
    return {
        "reference": row.reference,
        "standing": row.standing(timezone.now()),
        "role": row.role,
        "delegator": row.delegator,
        "delegate": row.delegate,
        "starts_at": instant(row.starts_at),
        "ends_at": instant(row.ends_at),
        "made_at": instant(row.made_at),
        "reason": row.reason,
        "ended_at": instant(row.ended_at) if row.ended_at else None,
        "ended_by": row.ended_by,
        "ended_reason": row.ended_reason,
    }
