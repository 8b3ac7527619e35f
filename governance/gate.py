"""The gate: one question from a pipeline, one recorded answer, a permit when the answer is yes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from audit.actors import Actor
from audit.refusals import Conflict
from governance import decisions, permits, promotions
from governance.decisions import Verdict
from governance.facts import Case
from governance.models.decision import Action, Decision
from governance.models.permit import Permit
from governance.models.promotion import OPEN_STATES, Promotion, PromotionState
from registry.models import Deployment, Endpoint, Environment, ModelVersion

#: What a permit is issued for; the other actions change nothing that a permit would guard.
PERMITTED_ACTIONS = (Action.PROMOTE, Action.DEPLOY)
# Every gate check asks this, so it is a bare statement.
_NEWEST = """
    SELECT * FROM governance_promotion WHERE version_id = %s AND environment_id = %s ORDER BY id DESC LIMIT 1
"""
_NEWEST_LOCKED = f"{_NEWEST} FOR UPDATE"


@dataclass(frozen=True)
class Answer:
    """``decision`` is None for a dry run. ``secret`` is shown once and stored nowhere in clear."""

    verdict: Verdict
    decision: Decision | None = None
    permit: Permit | None = None
    secret: str = ""


def check(
    version: ModelVersion,
    environment: Environment,
    *,
    action: str = Action.PROMOTE,
    target: Mapping[str, Any] | None = None,
    rollout: Mapping[str, Any] | None = None,
    dry_run: bool = False,
    ci: Mapping[str, str] | None = None,
    with_permit: bool = True,
    by: Actor,
) -> Answer:
    """Decide and record; a dry run decides the same and records nothing. ``with_permit`` is false for who could not
    keep a permit: an allow then carries none.

    Opens no promotion: where there is none, missing sign-offs leave the answer pending. Raises ``Conflict`` when the
    request names another target or strategy than the environment or the promotion has, or a rollback to a version that
    never served there; ``BadInput`` when neither a promotion nor the request says the share of a strategy that shares.
    """
    _must_fit_environment(version, environment, target or {})
    if action == Action.ROLLBACK:
        _must_have_served(version, environment)
    if dry_run:
        promotion = _promotion_for(version, environment, action, lock=False)
        return Answer(_evaluate(version, environment, action, rollout or {}, promotion, by))
    with transaction.atomic():
        promotion = _promotion_for(version, environment, action, lock=True)
        if promotion is not None and promotion.is_open and promotion.expires_at <= timezone.now():
            promotions.expire(promotion, by=promotions.CLOCK)
            promotion = None
        verdict = _evaluate(version, environment, action, rollout or {}, promotion, by)
        decision = decisions.record(verdict, ci=ci, by=by)
        if promotion is not None and promotion.is_open and action in PERMITTED_ACTIONS:
            promotions.settle(promotion, decision, by=decisions.ENGINE)
        if not decision.allows or action not in PERMITTED_ACTIONS or not with_permit:
            return Answer(verdict, decision)
        permit, secret = permits.issue(decision, by=by)
        return Answer(verdict, decision, permit, secret)


def _promotion_for(version: ModelVersion, environment: Environment, action: str, *, lock: bool) -> Promotion | None:
    """The newest promotion of the version there that still says something.

    An open one; or a rejected one, whose veto stands; or, to give more traffic to what is deployed, the deployed one.
    """
    if action == Action.ROLLBACK:
        return None  # a rollback needs no sign-offs, so it must never settle a promotion that does
    found = Promotion.objects.raw(_NEWEST_LOCKED if lock else _NEWEST, [version.pk, environment.pk])
    promotion = next(iter(found), None)
    if promotion is None:
        return None
    states = {*OPEN_STATES, PromotionState.REJECTED}
    if action in (Action.INCREASE, Action.RUN):
        states.add(PromotionState.DEPLOYED)
    if promotion.state not in states:
        return None
    promotion.version, promotion.environment = version, environment
    return promotion


def _evaluate(
    version: ModelVersion,
    environment: Environment,
    action: str,
    rollout: Mapping[str, Any],
    promotion: Promotion | None,
    by: Actor,
) -> Verdict:
    if promotion is not None:
        _must_fit_plan(promotion, rollout)
        case = decisions.case_of(promotion, action=action)
    else:
        given = {name: rollout[name] for name in ("strategy", "weight") if rollout.get(name) is not None}
        case = Case(version, environment, action, promotions.valid_plan(given), requested_by=by.id)
    return decisions.evaluate(case, needs_signoffs=action != Action.ROLLBACK)


def _must_fit_environment(version: ModelVersion, environment: Environment, target: Mapping[str, Any]) -> None:
    endpoint = target.get("endpoint")
    if endpoint is not None:
        _must_be_registered(str(endpoint), version, environment)
    for key, known in (("provider_region", environment.regions), ("log_sinks", environment.log_sinks)):
        named = target.get(key)
        if named and set(named) != set(known):
            raise Conflict(
                _("The registry knows %(what)s of %(environment)s as %(known)s; the request says %(named)s.")
                % {
                    "what": key,
                    "environment": environment.slug,
                    "known": ", ".join(sorted(known)),
                    "named": ", ".join(sorted(named)),
                },
                code="target.differs",
            )


def _must_be_registered(endpoint: str, version: ModelVersion, environment: Environment) -> None:
    """An endpoint is named by its name or its address. It may still serve an older version of the model."""
    rows = Endpoint.objects.filter(environment=environment, version__model_id=version.model_id)
    known = {text.rstrip("/") for row in rows for text in (row.name, row.url)}
    if endpoint.rstrip("/") not in known:
        raise Conflict(
            _("The registry knows no endpoint %(named)s of this model in %(environment)s. It knows: %(known)s.")
            % {
                "named": endpoint,
                "environment": environment.slug,
                "known": ", ".join(sorted(row.url for row in rows)) or _("none"),
            },
            code="target.differs",
        )


def _must_fit_plan(promotion: Promotion, rollout: Mapping[str, Any]) -> None:
    named, planned = rollout.get("strategy"), promotion.plan.get("strategy")
    if named and named != planned:
        raise Conflict(
            _("Promotion %(number)s was requested as %(planned)s, not as %(named)s: request it anew.")
            % {"number": promotion.pk, "planned": planned, "named": named},
            code="rollout.differs",
        )
    share, asked = promotion.plan.get("weight"), rollout.get("weight")
    if asked is not None and asked != (100 if share is None else share):
        raise Conflict(
            _("Promotion %(number)s was not requested with a share of %(named)s %%: request it anew.")
            % {"number": promotion.pk, "named": asked},
            code="rollout.differs",
        )


def _must_have_served(version: ModelVersion, environment: Environment) -> None:
    if not Deployment.objects.filter(version=version, environment=environment).exists():
        raise Conflict(
            _("%(version)s never served in %(environment)s: request a promotion instead.")
            % {"version": version.label, "environment": environment.slug},
            code="rollback.never_served",
        )
