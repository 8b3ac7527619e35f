"""How governance's records look as JSON. Shapes of gates.md section 5.2."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.urls import reverse

from governance.gate import Answer
from governance.models.decision import Decision
from governance.models.promotion import Promotion
from governance.models.signoff import SignOff
from governance.models.transfer import TransferHalt, TransferSafeguard
from governance.replay import Replay, WhatIf
from registry.models import Deployment


def absolute(view: str, *args: object) -> str:
    """The full address of a page, on the address under which this installation is known."""
    return str(settings.PUBLIC_URL).rstrip("/") + reverse(view, args=list(args))


def instant(when: datetime | None) -> str | None:
    """RFC 3339 in UTC with whole seconds."""
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if when else None


def gate_answer(answer: Answer) -> dict[str, Any]:
    """The answer to a gate check. ``decision_id`` is null for a dry run; ``permit`` is there once, when allowed."""
    verdict, decision = answer.verdict, answer.decision
    case = verdict.case
    return {
        "decision_id": decision.public_id if decision else None,
        "decision": verdict.outcome,
        "mode": "enforce" if decision else "dry_run",
        "action": case.action,
        "model": {
            "name": case.version.model.name,
            "version": str(case.version.number),
            "digest": case.version.digest,
        },
        "environment": case.environment.slug,
        "subject_digest": verdict.subject_digest,
        "decided_at": instant(verdict.decided_at),
        "valid_until": instant(verdict.valid_until),
        "single_use": True,
        "summary": verdict.summary,
        "findings": list(verdict.findings),
        "signoff": {**verdict.signoff, "url": signoff_url(case.promotion, case.version.subject, case.environment.slug)},
        "policy": list(verdict.packs),
        "facts_digest": verdict.facts_digest,
        "engine": dict(verdict.engine),
        "permit": {"secret": answer.secret, "expires_at": instant(answer.permit.expires_at)} if answer.permit else None,
        "links": {"html": absolute("governance:decision", decision.public_id) if decision else None},
    }


def signoff_url(promotion: Promotion | None, version: str, environment: str) -> str:
    """Where to sign; or, when nobody has requested it yet, where to request it."""
    if promotion is not None:
        return absolute("governance:promotion", promotion.pk)
    return f"{absolute('governance:request_promotion')}?version={version}&environment={environment}"


def decision_json(decision: Decision) -> dict[str, Any]:
    """A recorded decision, complete: facts and packs allow anybody to decide it again."""
    return {
        "decision_id": decision.public_id,
        "decision": decision.outcome,
        "action": decision.action,
        "model": {
            "name": decision.version.model.name,
            "version": str(decision.version.number),
            "digest": decision.version.digest,
        },
        "environment": decision.environment.slug,
        "promotion": decision.promotion_id,
        "subject_digest": decision.subject_digest,
        "subject": decision.subject_parts,
        "decided_at": instant(decision.decided_at),
        "valid_until": instant(decision.valid_until),
        "summary": decision.summary,
        "findings": decision.findings,
        "signoff": {
            **decision.signoff,
            "url": signoff_url(decision.promotion, decision.version.subject, decision.environment.slug),
        },
        "policy": decision.packs,
        "facts": decision.facts,
        "facts_digest": decision.facts_digest,
        "inputs": decision.inputs,
        "result_digest": decision.result_digest or None,
        "engine": decision.engine,
        "ci": decision.ci,
        "requested_by": decision.requested_by,
        "links": {"html": absolute("governance:decision", decision.public_id)},
    }


def replay_json(done: Replay) -> dict[str, Any]:
    """What came out of a replay."""
    return {
        "decision_id": done.decision.public_id,
        "same": done.same,
        "recorded": {"decision": done.decision.outcome, "result_digest": done.recorded_digest or None},
        "replayed": {"decision": done.word or None, "result_digest": done.digest or None},
        "differences": list(done.differences),
        "engine": {"then": done.decision.engine, "now": dict(done.engine or {}) or None},
    }


def what_if_json(found: WhatIf) -> dict[str, Any]:
    """What the packs of now make of the facts of then."""
    return {
        "decision_id": found.decision.public_id,
        "recorded": {"decision": found.decision.outcome},
        "now": {"decision": found.word, "summary": found.summary, "findings": list(found.findings)},
        "policy": list(found.packs),
    }


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
        body["signoffs"] = [signoff_json(row) for row in promotion.signoffs.all()]
    return body


def signoff_json(row: SignOff) -> dict[str, Any]:
    """One signature."""
    return {
        "signer": row.signer,
        "role": row.role,
        "meaning": row.meaning,
        "statement": row.statement,
        "comment": row.comment,
        "round": row.round,
        "subject_digest": row.subject_digest,
        "signed_at": instant(row.signed_at),
    }


def deployment_json(row: Deployment) -> dict[str, Any]:
    """What serves since when, on which decision."""
    return {
        "id": row.pk,
        "kind": row.kind,
        "model": {"name": row.model.name, "version": str(row.version.number), "digest": row.digest},
        "environment": row.environment.slug,
        "strategy": row.strategy,
        "weight": row.weight,
        "since": instant(row.since),
        "decision_id": row.decision_id,
        "reason": row.reason,
        "incident": row.incident,
    }


def safeguard_json(row: TransferSafeguard) -> dict[str, Any]:
    """A transfer safeguard."""
    return {
        "reference": row.reference,
        "type": row.type,
        "document": row.document,
        "document_digest": row.document_digest or None,
        "digest_basis": row.digest_basis or None,
        "exporter": row.exporter or None,
        "importer": row.importer or None,
        "subjects": row.subjects,
        "regions": row.regions,
        "status": row.status,
        "expires_at": instant(row.expires_at),
        "risk_assessment_at": instant(row.risk_assessment_at),
        "assessment": row.assessment,
        "recorded_at": instant(row.recorded_at),
        "recorded_by": row.recorded_by,
        "approved_at": instant(row.approved_at),
        "approved_by": row.approved_by or None,
        "revoked_at": instant(row.revoked_at),
        "revoked_by": row.revoked_by or None,
        "revoked_reason": row.revoked_reason or None,
        "links": {"html": absolute("governance:transfer", row.reference)},
    }


def halt_json(row: TransferHalt) -> dict[str, Any]:
    """An order to halt a transfer and notify who received the data."""
    return {
        "safeguard": row.safeguard.reference,
        "state": row.state,
        "relied": row.relied,
        "opened_at": instant(row.opened_at),
        "owner": row.owner or None,
        "done_at": instant(row.done_at),
        "done_by": row.done_by or None,
        "reason": row.reason or None,
        "recipients": row.recipients,
        "links": {"html": absolute("governance:transfer", row.safeguard.reference)},
    }
