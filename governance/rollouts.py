"""Deploys and rollbacks: recorded only with a permit, or with a reason, and only on what the rules say today."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from audit.actors import Actor
from audit.models.events import Event
from audit.refusals import BadInput, Conflict, NotKnown, Refused
from governance import decisions, emergency_findings, emergency_review, permits, promotions, wording
from governance.attempts import attempt
from governance.decisions import Verdict
from governance.facts import Case
from governance.models.decision import Action, Decision
from governance.models.permit import Permit
from governance.models.promotion import Promotion, PromotionState
from governance.policies.explain import FROZEN
from registry import aliases, deployments, describing, incidents
from registry.models import Deployment, Environment, ModelVersion, Strategy


@dataclass(frozen=True)
class RolledBack:
    """A rollback that was recorded, with the decision that let it."""

    deployment: Deployment
    decision: Decision


def record_deploy(
    decision_id: str,
    *,
    secret: str,
    environment: str,
    strategy: str = "",
    weight: int | None = None,
    record: Any = None,
    alias: str = "",
    by: Actor,
) -> Deployment:
    """Record that what was permitted now serves, with the strategy's own ``record`` when there is one; uses the permit
    up. ``alias`` is pointed at it, only when all of this is recorded.

    Everything is decided once more before: a permit for a subject that changed since is refused. Raises ``NotKnown``
    for an unknown decision, ``BadInput`` for a record that is not whole; and, each recorded as ``permit.refused``: what
    ``permits.present`` raises, ``Conflict`` when the promotion is over, the subject, the strategy or the share another,
    ``Refused`` when the rules deny by now, and what ``aliases.promote`` raises.
    """
    decision = _decision(decision_id)
    if record is not None:
        planned = str(_plan(decision).get("strategy") or Strategy.ALL_AT_ONCE)
        describing.check_record(planned, record, digest=decision.version.digest)
    facts = {**decision.about, "decision": decision.public_id, "presented_for": environment}
    with attempt(Event.PERMIT_REFUSED, decision.subject, facts=facts, by=by):
        promotion = promotions.locked(decision.promotion_id) if decision.promotion_id else None
        permit = permits.present(decision, secret, environment=environment, claimed=True)
        plan = promotion.plan if promotion is not None else _plan(decision)
        _must_be_planned(plan, strategy, weight)
        incidents.no_freeze_until_commit()
        _must_still_hold(decision, promotion, plan)
        _must_be_the_only_claim(promotion, permit)
        if permit.consumed_at is None:
            permits.consume(permit, by=by)
        deployment = _record(decision, permit, plan, weight, by=by)
        emergency_findings.settle(by=by)
        if record is not None:
            describing.describe(deployment, record, by=by)
        if alias:
            aliases.promote(deployment, alias, by=by)
        if promotion is not None and promotion.is_open:
            promotions.PROMOTIONS.transition(
                promotion,
                PromotionState.DEPLOYED,
                facts={"decision": decision.public_id, "deployment": deployment.subject},
                by=by,
            )
    return deployment


def claim(decision_id: str, *, secret: str, environment: str, digest: str = "", by: Actor) -> Permit:
    """Use a permit up at the moment of deploying, before anything is recorded: an admission controller's question.

    What ``record_deploy`` checks is checked here, and nothing else can be deployed on the same approval afterwards: the
    permit is used, and every other permit of its promotion is refused. ``record_deploy`` takes the same permit once
    more, within the hour, to record the deployment that became of it; else the use lapses (``governance.claims``).
    Raises what ``record_deploy`` raises, ``Conflict`` for another digest or when another permit of the promotion was
    claimed.
    """
    decision = _decision(decision_id)
    facts = {**decision.about, "decision": decision.public_id, "presented_for": environment}
    with attempt(Event.PERMIT_REFUSED, decision.subject, facts=facts, by=by):
        promotion = promotions.locked(decision.promotion_id) if decision.promotion_id else None
        permit = permits.present(decision, secret, environment=environment, digest=digest)
        incidents.no_freeze_until_commit()
        _must_still_hold(decision, promotion, promotion.plan if promotion is not None else _plan(decision))
        _must_be_the_only_claim(promotion, permit)
        permits.consume(permit, by=by)
    return permit


def _must_be_the_only_claim(promotion: Promotion | None, permit: Permit) -> None:
    """The caller has locked the promotion, so two claims of it come one after the other."""
    if promotion is None:
        return
    claims = Permit.objects.filter(decision__promotion=promotion, consumed_at__isnull=False, lapsed_at__isnull=True)
    other = claims.exclude(pk=permit.pk).first()
    if other is not None and other.consumed_at is not None:
        raise Conflict(
            _(
                "Another permit of promotion %(number)s was used at %(when)s, and one approval deploys once. Record "
                "that deployment. If none became of it, the use lapses at %(until)s, and another permit deploys then."
            )
            % {
                "number": promotion.pk,
                "when": f"{other.consumed_at:%Y-%m-%d %H:%M UTC}",
                "until": f"{other.record_until:%Y-%m-%d %H:%M UTC}",
            },
            code="permit.claimed",
        )


def _plan(decision: Decision) -> dict[str, Any]:
    """What was asked for: by the promotion, else by whoever asked the gate."""
    if decision.promotion is not None:
        return dict(decision.promotion.plan)
    return dict(decision.subject_parts.get("rollout", {}))


def _record(decision: Decision, permit: Permit, plan: dict[str, Any], weight: int | None, *, by: Actor) -> Deployment:
    return deployments.record_deploy(
        decision.environment,
        decision.version,
        str(plan.get("strategy") or Strategy.ALL_AT_ONCE),
        decision.public_id,
        str(permit.pk),
        weight=weight if weight is not None else plan.get("weight"),
        by=by,
    )


def _decision(public_id: str) -> Decision:
    found = (
        Decision.objects.select_related("version__model", "environment", "promotion")
        .filter(public_id=public_id)
        .first()
    )
    if found is None:
        raise NotKnown(_("There is no decision %(id)s.") % {"id": public_id[:60]}, code="decision.unknown")
    return found


def _must_be_planned(plan: dict[str, Any], strategy: str, weight: int | None) -> None:
    """What was decided and signed is this strategy with this share; a permit for 5 % must not record 100 %."""
    planned = str(plan.get("strategy") or Strategy.ALL_AT_ONCE)
    if strategy and strategy != planned:
        raise Conflict(
            _("The permit is for the strategy %(planned)s, not for %(named)s.")
            % {"planned": planned, "named": strategy},
            code="permit.strategy",
        )
    share = plan.get("weight")
    if weight is not None and weight != (100 if share is None else share):
        raise Conflict(
            _("The permit is not for a share of %(named)s %%. Ask the gate for the share that is deployed.")
            % {"named": weight},
            code="permit.weight",
        )


def _must_still_hold(decision: Decision, promotion: Promotion | None, plan: dict[str, Any]) -> None:
    if promotion is not None and promotion.state != PromotionState.APPROVED:
        raise Conflict(
            _("Promotion %(number)s is %(state)s by now; its permit is void.")
            % {"number": promotion.pk, "state": promotion.get_state_display()},
            code="permit.promotion_closed",
        )
    verdict = _again(decision, promotion, plan)
    frozen = [str(each["message"]) for each in verdict.findings if each["rule"] == FROZEN]
    if frozen:
        raise Refused(
            _("An incident holds this version since it was permitted: %(what)s.") % {"what": frozen[0]},
            reasons=frozen,
            code="permit.frozen",
        )
    if verdict.subject_digest != decision.subject_digest:
        raise Conflict(
            _("What was permitted has changed since. Ask the gate again; changed subjects need new sign-offs."),
            code="permit.stale_subject",
        )
    if verdict.outcome != "allow":
        raise Refused(
            _("The rules no longer allow this: %(summary)s") % {"summary": verdict.summary},
            reasons=[str(each["message"]) for each in verdict.findings if wording.is_problem(each)],
            code="permit.no_longer_allowed",
        )


def _again(decision: Decision, promotion: Promotion | None, plan: dict[str, Any]) -> Verdict:
    if promotion is not None:
        return decisions.evaluate(decisions.case_of(promotion, action=decision.action))
    case = Case(decision.version, decision.environment, decision.action, plan, requested_by=decision.requested_by)
    return decisions.evaluate(case)


def record_rollback(
    version: ModelVersion, environment: Environment, *, reason: str, incident: str, alias: str = "", by: Actor
) -> RolledBack:
    """Go back to a version that served here before, on one person's word, under today's residency rules; ``alias`` is
    pointed at it, only when that is recorded.

    Sign-offs are not needed: going back must be easier than going forward. Raises ``BadInput`` without a reason or an
    incident, ``Conflict`` as the registry and ``aliases.promote`` do, ``Refused`` when today's rules deny the version;
    the denial stays recorded.
    """
    fields = {}
    if not reason.strip():
        fields["reason"] = _("Say why production goes back.")
    if not incident.strip():
        fields["incident"] = _("Name the incident, for example INC-204.")
    if fields:
        raise BadInput(_("A rollback needs a reason and an incident."), code="rollback.incomplete", fields=fields)
    if not Deployment.objects.filter(version=version, environment=environment).exists():
        raise Conflict(
            _("%(version)s never served in %(environment)s: request a promotion instead.")
            % {"version": version.label, "environment": environment.slug},
            code="rollback.never_served",
        )
    case = Case(version, environment, Action.ROLLBACK, {"strategy": Strategy.ALL_AT_ONCE.value}, requested_by=by.id)
    with transaction.atomic():
        incidents.no_freeze_until_commit()
        verdict = decisions.evaluate(case, needs_signoffs=False)
        decision = decisions.record(verdict, by=by)
        if decision.allows:
            deployment = deployments.record_rollback(
                environment,
                version,
                decision.public_id,
                reason=reason.strip(),
                incident=incident.strip(),
                by=by,
            )
            emergency_review.open_for_rollback(
                decision, verdict, reason=reason.strip(), incident=incident.strip(), by=by
            )
            emergency_findings.settle(by=by)
            if alias:
                aliases.promote(deployment, alias, reason=reason.strip(), by=by)
            return RolledBack(deployment, decision)
    raise Refused(
        _("Today's rules do not let %(version)s serve in %(environment)s: %(summary)s")
        % {"version": version.label, "environment": environment.slug, "summary": decision.summary},
        reasons=[str(each["message"]) for each in decision.findings if wording.is_problem(each)],
        code="rollback.denied",
    )
