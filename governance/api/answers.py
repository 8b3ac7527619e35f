"""How governance's records look as JSON. Shapes of gates.md section 5.2."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.conf import settings
from django.urls import reverse
from django.utils import timezone

from governance import steps
from governance.gate import Answer
from governance.models.decision import Decision
from governance.models.emergency import Emergency
from governance.models.evidence import Evidence
from governance.models.evidence_key import EvidenceKey
from governance.models.permit import Permit
from governance.models.promotion import Promotion
from governance.models.transfer import TransferHalt, TransferSafeguard
from governance.models.waiver import Waiver
from governance.policies.actions import as_json
from governance.policies.vocabulary import format_time
from governance.policies.ways import Ways
from governance.replay import Replay, WhatIf
from registry.models import Deployment


def absolute(view: str, *args: object) -> str:
    """The full address of a page, on the address under which this installation is known."""
    return str(settings.PUBLIC_URL).rstrip("/") + reverse(view, args=list(args))


def instant(when: datetime | None) -> str | None:
    """RFC 3339 in UTC with whole seconds."""
    return format_time(when) if when else None


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
        "attestation_url": attestation_url(decision) if decision else None,
        "links": {"html": absolute("governance:decision", decision.public_id) if decision else None},
    }


def attestation_url(decision: Decision) -> str:
    """Where the decision is signed for others."""
    return absolute("governance-api:attestation", decision.public_id)


def permit_json(permit: Permit) -> dict[str, Any]:
    """A permit that was used. Its text is shown by the gate alone."""
    decision = permit.decision
    return {
        "decision_id": decision.public_id,
        "permit": permit.pk,
        "model": {
            "name": decision.version.model.name,
            "version": str(decision.version.number),
            "digest": decision.version.digest,
        },
        "environment": decision.environment.slug,
        "consumed_at": instant(permit.consumed_at),
        "consumed_by": permit.consumed_by,
        "record_until": instant(permit.record_until),
    }


def recorded_answer(decision: Decision) -> dict[str, Any]:
    """A recorded decision in the shape of the gate's answer. Its permit was shown once, and not to be had again."""
    whole = decision_json(decision)
    names: tuple[str, ...] = (
        "decision_id",
        "decision",
        "action",
        "model",
        "environment",
        "subject_digest",
        "decided_at",
        "valid_until",
    )
    names += ("summary", "findings", "signoff", "policy", "facts_digest", "engine", "links")
    return {"mode": "enforce", "single_use": True, "permit": None, **{name: whole[name] for name in names}}


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
        "attestation_url": attestation_url(decision),
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


def ways_json(decision: Decision, found: Ways) -> dict[str, Any]:
    """The ways to pass, as data and in sentences."""
    return {
        "decision_id": decision.public_id,
        **found.as_json(),
        "ways": [
            {
                **way.as_json(),
                "actions": [{"sentence": steps.sentence(each), **as_json(each)} for each in way.actions],
                "steps": [step.text for step in steps.steps(way)],
            }
            for way in found.ways
        ],
        "stuck": [{**each.as_json(), "reason": steps.reason(each)} for each in found.stuck],
        "computed": steps.computed(found),
        "links": {"html": absolute("governance:decision", decision.public_id) + "?ways=1"},
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
        "law": row.law or None,
        "document": row.document,
        "document_digest": row.document_digest or None,
        "digest_basis": row.digest_basis or None,
        "exporter": row.exporter or None,
        "importer": row.importer or None,
        "subjects": row.subjects,
        "regions": row.regions,
        "status": row.status,
        "standing": row.standing(timezone.now()),
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


def waiver_json(row: Waiver, in_force: Mapping[str, int]) -> dict[str, Any]:
    """A waiver. ``standing`` is what the clock and the packs ``in_force`` (name -> version) make of ``state`` now."""
    return {
        "reference": row.reference,
        "pack": row.pack,
        "pack_version": row.pack_version,
        "rule": row.rule,
        "subjects": row.subjects,
        "model": {"name": row.version.model.name, "version": str(row.version.number), "digest": row.version.digest},
        "environment": row.environment.slug,
        "reason": row.reason,
        "control": row.control,
        "state": row.state,
        "standing": row.standing(timezone.now(), in_force),
        "starts_at": instant(row.starts_at),
        "ends_at": instant(row.ends_at),
        "requested_at": instant(row.requested_at),
        "requested_by": row.requested_by,
        "approved_at": instant(row.approved_at),
        "approved_by": row.approved_by or None,
        "revoked_at": instant(row.revoked_at),
        "revoked_by": row.revoked_by or None,
        "revoked_reason": row.revoked_reason or None,
        "links": {"html": absolute("governance:waiver", row.reference)},
    }


def emergency_json(row: Emergency) -> dict[str, Any]:
    """An emergency. ``standing`` is what the clock makes of ``state`` now; ``skipped`` the signatures that lacked."""
    return {
        "reference": row.reference,
        "kind": row.kind,
        "model": {"name": row.version.model.name, "version": str(row.version.number), "digest": row.version.digest},
        "environment": row.environment.slug,
        "subject_digest": row.subject_digest,
        "incident": row.incident,
        "reason": row.reason,
        "skipped": row.skipped,
        "state": row.state,
        "standing": row.standing(timezone.now()),
        "declared_by": row.declared_by,
        "declared_at": instant(row.declared_at),
        "confirmed_by": row.confirmed_by or None,
        "starts_at": instant(row.starts_at),
        "ends_at": instant(row.ends_at),
        "review_by": row.review_by,
        "review_due_at": instant(row.review_due_at),
        "reviewed_by": row.reviewed_by or None,
        "reviewed_at": instant(row.reviewed_at),
        "review_reason": row.review_reason or None,
        "replaced_at": instant(row.replaced_at),
        "links": {"html": absolute("governance:emergency", row.reference)},
    }


def evidence_json(row: Evidence, at: datetime) -> dict[str, Any]:
    """A piece of evidence, and why no rule may rely on it at that moment (``stale``)."""
    return {
        "reference": row.reference,
        "type": row.type,
        "version": row.version.subject,
        "environment": row.where or None,
        "artifact_digest": row.artifact_digest,
        "digest": row.digest,
        "title": row.title,
        "author": row.author,
        "issued_at": instant(row.issued_at),
        "expires_at": instant(row.expires_at),
        "recorded_at": instant(row.recorded_at),
        "issued_by": row.issued_by,
        "signer": row.signer or None,
        "signed_by": row.signed_by.reference if row.signed_by else None,
        "envelope_digest": row.envelope_digest or None,
        "verified_at": instant(row.verified_at),
        "state": row.state,
        "stale": list(row.stale(at=at, digest=row.version.digest)),
        "withdrawn_at": instant(row.withdrawn_at),
        "withdrawn_by": row.withdrawn_by or None,
        "withdrawn_reason": row.withdrawn_reason or None,
        "links": {"html": absolute("governance:evidence_detail", row.reference)},
    }


def evidence_key_json(row: EvidenceKey) -> dict[str, Any]:
    """A key whose signatures on evidence are believed when it is active."""
    return {
        "reference": row.reference,
        "name": row.name,
        "public_key": row.public_key,
        "fingerprint": row.fingerprint,
        "types": row.types,
        "state": row.state,
        "proposed_by": row.proposed_by,
        "proposed_at": instant(row.proposed_at),
        "confirmed_by": row.confirmed_by or None,
        "confirmed_at": instant(row.confirmed_at),
        "withdrawn_by": row.withdrawn_by or None,
        "withdrawn_at": instant(row.withdrawn_at),
        "withdrawn_reason": row.withdrawn_reason or None,
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
