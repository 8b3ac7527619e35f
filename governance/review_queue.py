"""What waits for signatures, and whose: one's own, or those that one may give in somebody's place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import OuterRef, Subquery
from django.db.models.functions import JSONObject

from audit.actors import Actor
from governance import delegations, policies
from governance.models.decision import Decision
from governance.models.promotion import Promotion, PromotionState
from governance.models.signoff import SignOff
from governance.models.user import User
from governance.packs import active_packs
from governance.queries import DECIDING


@dataclass(frozen=True, slots=True)
class Lent:
    """Somebody's role in which one may sign in their place, and until when."""

    role: str
    delegator: str
    ends_at: datetime


@dataclass(frozen=True, slots=True)
class Waiting:
    """A promotion under review. ``mine`` are the roles in which the asking person may sign, ``lent`` those of others in
    whose place they may; both empty: not theirs.
    """

    promotion: Promotion
    missing: tuple[Mapping[str, Any], ...]
    mine: tuple[str, ...]
    lent: tuple[Lent, ...] = ()

    @property
    def is_mine(self) -> bool:
        """Whether the asking person can give a signature that is missing."""
        return bool(self.mine or self.lent)


def in_review(actor: Actor) -> list[Waiting]:
    """Every promotion that waits for sign-offs, oldest first, and whether it waits for ``actor``.

    One query; one more for whom somebody lent a role that is missing somewhere: whether its rule allows that.
    """
    newest = Decision.objects.filter(promotion=OuterRef("pk"), action__in=DECIDING).order_by("-id")
    mine = SignOff.objects.filter(
        promotion=OuterRef("pk"), round=OuterRef("round"), signer=actor.id, retraction__isnull=True
    )
    account = User.objects.filter(uuid=actor.id.partition(":")[2]) if actor.kind == "user" else User.objects.none()
    running = delegations.running(actor.id).values(
        told=JSONObject(role="role", delegator="delegator", ends_at="ends_at")
    )
    rows = (
        Promotion.objects.filter(state=PromotionState.IN_REVIEW)
        .select_related("version__model", "environment")
        .annotate(
            missing=Subquery(newest.values("signoff__missing")[:1]),
            my_signature=Subquery(mine.values("pk")[:1]),
            my_username=Subquery(account.values("username")[:1]),
            lent_to_me=ArraySubquery(running),
        )
        .order_by("requested_at", "pk")
    )
    found = [_waiting(row, actor) for row in rows]
    if not any(each.lent for each in found):
        return found
    allowed = _rules_that_may_be_lent()
    return [replace(each, lent=_still(each, allowed)) for each in found]


def review_count(actor: Actor) -> int:
    """How many promotions wait for a signature that ``actor`` can give. As many queries as ``in_review``."""
    return sum(1 for each in in_review(actor) if each.is_mine)


def _waiting(row: Promotion, actor: Actor) -> Waiting:
    missing = tuple(getattr(row, "missing", None) or ())
    username = getattr(row, "my_username", None)
    involved = row.requested_by == actor.id or username in {name.lower() for name in row.version.contributors}
    if involved or getattr(row, "my_signature", None) is not None:
        return Waiting(row, missing, ())
    roles = {str(each["role"]) for each in missing}
    mine = actor.roles & roles if "any" not in roles else actor.roles
    lent = tuple(
        Lent(each["role"], each["delegator"], datetime.fromisoformat(each["ends_at"]))
        for each in getattr(row, "lent_to_me", None) or ()
        if each["role"] in roles - mine and each["delegator"] != row.requested_by
    )
    return Waiting(row, missing, tuple(sorted(mine)), lent)


def _still(each: Waiting, allowed: frozenset[str]) -> tuple[Lent, ...]:
    roles = {str(one["role"]) for one in each.missing if one["rule"] in allowed}
    return tuple(one for one in each.lent if one.role in roles)


def _rules_that_may_be_lent() -> frozenset[str]:
    """None when a pack in force cannot be read: then nobody can sign at all."""
    try:
        packs = active_packs()
    except policies.PackError:
        return frozenset()
    return frozenset(one.rule.id for pack in packs for one in pack.signoffs if one.rule.delegation is not None)
