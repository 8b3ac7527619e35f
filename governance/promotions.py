"""Every change of a promotion. Its state is derived from a decision; ``lifecycle`` alone writes the cached column."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from audit import log
from audit.actors import Actor
from audit.lifecycle import Lifecycle
from audit.models.events import Event
from audit.refusals import BadInput, Conflict, NotKnown, NotPermitted, Refusal
from governance.models.decision import Decision, Outcome
from governance.models.promotion import OPEN_STATES, Promotion, PromotionState
from registry.models import Environment, ModelVersion, Strategy
from registry.models.deployments import SHARING_STRATEGIES

#: Expires what is overdue.
CLOCK = Actor.system("promotion-clock")
#: A request that nobody finishes expires; nothing is ever approved by waiting.
OPEN_FOR = timedelta(days=14)
logger = logging.getLogger(__name__)

_EVENTS = {
    PromotionState.IN_REVIEW: Event.PROMOTION_IN_REVIEW,
    PromotionState.BLOCKED: Event.PROMOTION_BLOCKED,
    PromotionState.APPROVED: Event.PROMOTION_APPROVED,
    PromotionState.REJECTED: Event.PROMOTION_REJECTED,
    PromotionState.WITHDRAWN: Event.PROMOTION_WITHDRAWN,
    PromotionState.SUPERSEDED: Event.PROMOTION_SUPERSEDED,
    PromotionState.EXPIRED: Event.PROMOTION_EXPIRED,
}
PROMOTIONS = Lifecycle(
    field="state",
    transitions={(here.value, there.value): event for here in OPEN_STATES for there, event in _EVENTS.items()}
    | {(PromotionState.APPROVED.value, PromotionState.DEPLOYED.value): Event.PROMOTION_DEPLOYED}
    # a rejection that was reopened; what comes after it is decided like everything else
    | {(PromotionState.REJECTED.value, PromotionState.IN_REVIEW.value): Event.PROMOTION_IN_REVIEW},
)


def derived_state(outcome: str, *, expires_at: datetime, now: datetime) -> PromotionState:
    """The state of an open promotion: a pure function of the decision, its deadline and the clock.

    Only ``allow`` approves; whatever else the outcome may be, known or not, does not.
    """
    if now >= expires_at:
        return PromotionState.EXPIRED
    if outcome == Outcome.ALLOW:
        return PromotionState.APPROVED
    if outcome == Outcome.PENDING:
        return PromotionState.IN_REVIEW
    return PromotionState.BLOCKED


def request(
    version: ModelVersion,
    environment: Environment,
    *,
    plan: Mapping[str, Any] | None = None,
    reason: str,
    expires_at: datetime | None = None,
    by: Actor,
) -> Promotion:
    """Ask that ``version`` may serve in ``environment``, and have it decided at once.

    ``plan`` is ``{"strategy": ..., "weight": percent}``; default all at once. An older open request for the same model
    and environment is superseded. Raises ``BadInput`` for a missing reason or an unknown strategy, ``Conflict`` when
    this very version is already under way there.
    """
    now = timezone.now()
    plan = valid_plan(plan)
    deadline = expires_at or now + OPEN_FOR
    if not reason.strip():
        raise BadInput(
            _("Say why this version should serve there."), code="promotion.reason", fields={"reason": _("Required.")}
        )
    if deadline <= now:
        raise BadInput(_("The deadline lies in the past."), code="promotion.deadline")
    with transaction.atomic():
        _make_room(version, environment, by=by)
        promotion = Promotion.objects.create(
            version=version,
            environment=environment,
            plan=plan,
            requested_by=by.id,
            requested_at=now,
            reason=reason.strip(),
            expires_at=deadline,
        )
        log.append(
            Event.PROMOTION_REQUESTED,
            promotion,
            facts={
                "digest": version.digest,
                "plan": plan,
                "expires_at": deadline.isoformat(),
            },
            reason=reason.strip(),
            by=by,
        )
        refresh(promotion.pk, by=by)
    promotion.refresh_from_db()
    return promotion


def valid_plan(plan: Mapping[str, Any] | None) -> dict[str, Any]:
    """The plan with its strategy, all at once when none is named.

    Raises ``BadInput`` for an unknown strategy, a share outside 0 to 100, and a strategy that shares without its share:
    what is decided, signed and permitted must say how far it reaches.
    """
    plan = dict(plan or {})
    strategy = plan.setdefault("strategy", Strategy.ALL_AT_ONCE.value)
    if strategy not in Strategy.values:
        raise BadInput(
            _("Unknown rollout strategy “%(strategy)s”; it is one of %(known)s.")
            % {"strategy": strategy, "known": ", ".join(Strategy.values)},
            code="promotion.strategy",
            fields={"strategy": _("Unknown strategy.")},
        )
    weight = plan.get("weight")
    if weight is not None and (isinstance(weight, bool) or not isinstance(weight, int) or not 0 <= weight <= 100):
        raise BadInput(
            _("The share is a whole number of percent, 0 to 100."),
            code="promotion.weight",
            fields={"weight": _("0 to 100.")},
        )
    if weight is None and strategy in SHARING_STRATEGIES and strategy != Strategy.SHADOW:
        sentence = _("Say how many percent of the traffic it takes.")
        raise BadInput(sentence, code="promotion.weight", fields={"weight": sentence})
    return plan


def _make_room(version: ModelVersion, environment: Environment, *, by: Actor) -> None:
    """Supersede older open requests of the same model there."""
    one_requester(version, environment)
    older = Promotion.objects.filter(
        version__model_id=version.model_id, environment=environment, state__in=OPEN_STATES
    ).order_by("pk")
    for promotion in older:
        if promotion.version_id == version.pk:
            raise Conflict(
                _("Promotion %(number)s already asks for this version there.") % {"number": promotion.pk},
                code="promotion.already_open",
            )
        PROMOTIONS.transition(promotion, PromotionState.SUPERSEDED, facts={"by_version": version.subject}, by=by)


def one_requester(version: ModelVersion, environment: Environment) -> None:
    """Whoever opens a promotion of this model there does so alone until the transaction ends: an advisory lock.

    Not the environment's row: a deploy locks a promotion first and that row after it.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [environment.pk, version.model_id])


def locked(number: int) -> Promotion:
    """The promotion with its row locked until the transaction ends. Raises ``NotKnown``."""
    found = (
        Promotion.objects.select_for_update(of=("self",))
        .select_related("version__model", "environment")
        .filter(pk=number)
        .first()
    )
    if found is None:
        raise NotKnown(_("There is no promotion %(number)s.") % {"number": number}, code="promotion.unknown")
    return found


def must_be_open(promotion: Promotion) -> None:
    """Raises ``Conflict`` for a promotion that is over."""
    if not promotion.is_open:
        raise Conflict(
            _("Promotion %(number)s is %(state)s; nothing more can happen to it.")
            % {"number": promotion.pk, "state": promotion.get_state_display()},
            code="promotion.closed",
        )
    if promotion.expires_at <= timezone.now():
        raise Conflict(
            _("The deadline of promotion %(number)s has passed; request it anew.") % {"number": promotion.pk},
            code="promotion.expired",
        )


def refresh(number: int, *, by: Actor) -> Decision:
    """Collect today's facts, decide, record the decision and settle the state it leads to."""
    from governance import decisions

    with transaction.atomic():
        promotion = locked(number)
        must_be_open(promotion)
        return decisions.decide_promotion(promotion, by=by)


def refresh_all(numbers: Iterable[int], *, by: Actor) -> list[int]:
    """``refresh`` each in a transaction of its own; returns those that were still open."""
    done = []
    for number in numbers:
        try:
            refresh(number, by=by)
        except Refusal as refusal:  # it ended meanwhile
            logger.info("promotion %s was not decided again: %s", number, refusal.sentence)
        else:
            done.append(number)
    return done


def settle(promotion: Promotion, decision: Decision, *, by: Actor) -> None:
    """Let a locked, open promotion take the state that ``decision`` leads to.

    When the subject is another than the one that was signed, a new round begins: the sign-offs of the old one stay
    readable and count for nothing.
    """
    state = derived_state(decision.outcome, expires_at=promotion.expires_at, now=decision.decided_at)
    moved = bool(promotion.subject_digest) and promotion.subject_digest != decision.subject_digest
    if state == promotion.state and promotion.subject_digest == decision.subject_digest:
        return
    facts: dict[str, Any] = {"decision": decision.public_id, "subject_digest": decision.subject_digest}
    changes: dict[str, Any] = {"subject_digest": decision.subject_digest, "decided_by": decision}
    if moved:
        changes["round"] = promotion.round + 1
        facts |= {"round": promotion.round + 1, "changed": _changed_parts(promotion, decision)}
    PROMOTIONS.transition(promotion, state, facts=facts, changes=changes, by=by)


def _changed_parts(promotion: Promotion, decision: Decision) -> list[str]:
    before = promotion.decided_by.subject_parts if promotion.decided_by else {}
    names = sorted(before.keys() | decision.subject_parts.keys())
    return [name for name in names if before.get(name) != decision.subject_parts.get(name)]


def withdraw(number: int, *, reason: str, by: Actor) -> Promotion:
    """Take a request back; only its requester can. Raises ``NotPermitted``, ``Conflict``, ``BadInput``."""
    if not reason.strip():
        raise BadInput(
            _("Say why the request is withdrawn."), code="promotion.reason", fields={"reason": _("Required.")}
        )
    with transaction.atomic():
        promotion = locked(number)
        must_be_open(promotion)
        if promotion.requested_by != by.id:
            raise NotPermitted(
                _("Only the person who requested this promotion can withdraw it; you can reject it."),
                code="promotion.not_requester",
            )
        PROMOTIONS.transition(promotion, PromotionState.WITHDRAWN, reason=reason.strip(), by=by)
    return promotion


def expire_due(*, by: Actor) -> list[int]:
    """Expire every open promotion past its deadline, each in a transaction of its own; returns their numbers."""
    due = Promotion.objects.filter(state__in=OPEN_STATES, expires_at__lte=timezone.now()).order_by("pk")
    expired: list[int] = []
    for number in due.values_list("pk", flat=True):
        with transaction.atomic():
            promotion = locked(number)
            if promotion.is_open and promotion.expires_at <= timezone.now():
                expire(promotion, by=by)
                expired.append(number)
    return expired


def expire(promotion: Promotion, *, by: Actor) -> None:
    """End a promotion whose deadline has passed, in the caller's transaction."""
    facts = {"expires_at": promotion.expires_at.isoformat()}
    PROMOTIONS.transition(promotion, PromotionState.EXPIRED, facts=facts, by=by)
