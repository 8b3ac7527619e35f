"""Decide: collect the facts, let the pure engine evaluate them, record the decision with its entry.

A decision allows only when the engine said ``allow``. Whatever cannot be collected, compiled or evaluated is the
outcome ``error``, which forbids like a denial.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext, override

from audit import log
from audit.actors import Actor
from audit.models.events import Event
from governance import facts as collecting
from governance import policies, promotions
from governance.facts import Case, Collected
from governance.gates import why_not
from governance.models.decision import Action, Decision, Outcome
from governance.models.promotion import Promotion
from governance.models.roles import Role
from governance.policies.facts import digest_of

#: Who decides: a machine on facts and rules. Who asked is in the entry's facts.
ENGINE = Actor.system("policy-engine")
#: No decision is relied on for longer, whatever else it depends on.
VALID_FOR = timedelta(hours=24)
_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


class Told(Protocol):
    """What a decision says and what it was made from, wherever it is kept."""

    @property
    def outcome(self) -> str: ...
    @property
    def summary(self) -> str: ...
    @property
    def findings(self) -> Sequence[Mapping[str, Any]]: ...
    @property
    def signoff(self) -> Mapping[str, Any]: ...
    @property
    def packs(self) -> Sequence[Mapping[str, Any]]: ...
    @property
    def facts_digest(self) -> str: ...
    @property
    def inputs(self) -> Mapping[str, Any]: ...


def result_digest_of(told: Told) -> str:
    """The address of a decision: of a verdict, of a recorded row, or of one that was made again."""
    return policies.result_digest(
        told.outcome,
        told.summary,
        told.findings,
        signoff=told.signoff,
        policy=told.packs,
        facts_digest=told.facts_digest,
        inputs=told.inputs,
    )


@dataclass(frozen=True)
class Verdict:
    """A decision that is not yet recorded, and may never be (a dry run)."""

    case: Case
    outcome: str
    summary: str
    findings: Sequence[Mapping[str, Any]]
    signoff: Mapping[str, Any]
    facts: Mapping[str, Any]
    facts_digest: str
    inputs: Mapping[str, Any]
    packs: Sequence[Mapping[str, Any]]
    engine: Mapping[str, str]
    subject_parts: Mapping[str, Any]
    subject_digest: str
    decided_at: datetime
    valid_until: datetime
    collected: Collected | None = None

    @property
    def result_digest(self) -> str:
        """The address of what was decided and of what it was decided from."""
        return result_digest_of(self)


def evaluate(case: Case, *, also: Sequence[str] = (), needs_signoffs: bool = True) -> Verdict:
    """Decide ``case`` on today's facts. Writes nothing and never raises for what the facts or packs are."""
    now = timezone.now().replace(microsecond=0)
    try:
        collected = collecting.collect(case, now=now, also=also)
    except policies.MissingFact as missing:
        return _undecidable(case, now, "facts.missing", missing.subject, missing.sentence)
    except policies.PackError as error:
        return _undecidable(case, now, "pack.broken", "policy", str(error))
    inputs = policies.Inputs(collected.events, collected.people, collected.subject_digest, needed=needs_signoffs)
    decided = policies.decide(collected.packs, collected.facts, inputs)
    verdict = decided.decision
    return Verdict(
        case=case,
        outcome=verdict.word if verdict.word in Outcome.values else Outcome.ERROR,
        summary=verdict.summary,
        findings=[finding.as_json() for finding in verdict.findings],
        signoff=decided.signoff,
        facts=dict(collected.facts.document),
        facts_digest=verdict.facts_digest,
        inputs=inputs.as_json(),
        packs=[pack.as_json() for pack in verdict.policy],
        engine=dict(verdict.engine),
        subject_parts=collected.subject_parts,
        subject_digest=collected.subject_digest,
        decided_at=now,
        valid_until=_valid_until(case, verdict.valid_until, now),
        collected=collected,
    )


def _valid_until(case: Case, engine_says: str, now: datetime) -> datetime:
    limits = [now + VALID_FOR]
    if engine_says:
        limits.append(datetime.fromisoformat(engine_says))
    if case.promotion is not None:
        limits.append(case.promotion.expires_at)
    return min(limits)


def _undecidable(case: Case, now: datetime, rule: str, subject: str, sentence: str) -> Verdict:
    """The facts or the rules are not whole: nobody can say yes. Still recorded, with what was missing."""
    finding = {
        "rule": rule,
        "pack": "",
        "outcome": "error",
        "severity": "block",
        "title": _("The gate can be decided"),
        "cites": [],
        "subject": subject,
        "path": [],
        "facts": {},
        "failed": [rule],
        "closest": [],
        "waived_by": "",
        "message": sentence,
        "remedy": _("Complete the registry's record of it, then ask again."),
        "who": ["operator"],
        "where": "",
    }
    parts = {
        "artifact": {"version": case.version.subject, "digest": case.version.digest},
        "environment": case.environment.slug,
        "undecidable": {"rule": rule, "subject": subject, "sentence": sentence},
    }
    return Verdict(
        case=case,
        outcome=Outcome.ERROR,
        summary=_("Cannot be decided: %(sentence)s") % {"sentence": sentence},
        findings=[finding],
        signoff={"state": "error", "missing": []},
        facts={},
        facts_digest=digest_of({}),
        inputs={},
        packs=[],
        engine={},
        subject_parts=parts,
        subject_digest=digest_of(parts),
        decided_at=now,
        valid_until=now,
    )


def record(verdict: Verdict, *, ci: Mapping[str, str] | None = None, by: Actor) -> Decision:
    """Store a verdict with its entry, in the caller's transaction or one of its own. A decision is never changed."""
    case = verdict.case
    with transaction.atomic(savepoint=False):
        decision = Decision.objects.create(
            public_id=new_public_id(),
            version=case.version,
            environment=case.environment,
            promotion=case.promotion,
            action=case.action,
            outcome=verdict.outcome,
            summary=verdict.summary,
            findings=list(verdict.findings),
            signoff=dict(verdict.signoff),
            facts=dict(verdict.facts),
            facts_digest=verdict.facts_digest,
            inputs=dict(verdict.inputs),
            result_digest=verdict.result_digest,
            packs=list(verdict.packs),
            engine=dict(verdict.engine),
            subject_digest=verdict.subject_digest,
            subject_parts=dict(verdict.subject_parts),
            ci=dict(ci or {}),
            decided_at=verdict.decided_at,
            valid_until=verdict.valid_until,
            requested_by=by.id,
        )
        log.append(
            Event.DECISION_RECORDED,
            decision,
            facts={
                "decision": decision.public_id,
                "outcome": decision.outcome,
                "action": decision.action,
                "requested_by": by.id,
                "rules": [
                    {
                        **{name: finding[name] for name in ("rule", "subject", "outcome")},
                        **({"waived_by": finding["waived_by"]} if finding["waived_by"] else {}),
                    }
                    for finding in verdict.findings
                    if finding["outcome"] in ("fail", "error")
                ][:200],
                "missing": verdict.signoff.get("missing", []),
                **{name: verdict.signoff[name] for name in ("emergency", "skipped") if name in verdict.signoff},
                "facts_digest": decision.facts_digest,
                "subject_digest": decision.subject_digest,
                "result_digest": decision.result_digest,
                "packs": [{"pack": pack["pack"], "digest": pack["digest"]} for pack in verdict.packs],
            },
            reason=said(decision.outcome, decision.summary, verdict),
            by=ENGINE,
        )
    return decision


def decide_promotion(
    promotion: Promotion,
    *,
    action: str = Action.PROMOTE,
    ci: Mapping[str, str] | None = None,
    by: Actor,
) -> Decision:
    """Decide a promotion whose row the caller has locked, record it and settle the state it leads to."""
    decision = record(evaluate(case_of(promotion, action=action)), ci=ci, by=by)
    if promotion.is_open:
        promotions.settle(promotion, decision, by=ENGINE)
    return decision


def case_of(promotion: Promotion, *, action: str = Action.PROMOTE) -> Case:
    """The question that a promotion asks."""
    return Case(
        version=promotion.version,
        environment=promotion.environment,
        action=action,
        plan=promotion.plan,
        requested_by=promotion.requested_by,
        promotion=promotion,
    )


def new_public_id() -> str:
    """``dec_`` and a ULID: 48 bits of milliseconds, 80 random bits, Crockford base 32, so that ids sort by time."""
    number = (time.time_ns() // 1_000_000) << 80 | secrets.randbits(80)
    return "dec_" + "".join(_CROCKFORD[number >> shift & 31] for shift in range(125, -1, -5))


def said(outcome: str, summary: str, verdict: Verdict) -> str:
    """A decision in the words of its timeline: those of the log, whatever language the person who asked reads."""
    with override(settings.LANGUAGE_CODE):
        if outcome == Outcome.PENDING:
            return missing_sentence(verdict.signoff) or summary
        return why_not(verdict.findings) or summary


def missing_sentence(signoff: Mapping[str, Any]) -> str:
    """«1 ML lead and 1 compliance officer have not signed.» Empty when nothing is missing."""
    missing = signoff.get("missing", [])
    if not missing:
        return ""
    names = dict(Role.choices)
    wanted = [f"{each['n']} {names.get(each['role'], each['role'])}" for each in missing]
    return ngettext("Waiting for a sign-off: %(who)s.", "Waiting for sign-offs: %(who)s.", len(wanted)) % {
        "who": ", ".join(wanted)
    }
