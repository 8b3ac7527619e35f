"""Policies and promotions at a moment, made of what the log says (``audit.as_of``). Pure but for the ``_at`` functions.

Shown as of a moment: which version of each policy was in force, with its text when the stored text still has the
digest that the log names; promotions with state, version, environment, round and deadline.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.urls import reverse

from audit.as_of import AsOf, State, states
from audit.models.events import Event
from governance.models.policy import PackState
from governance.models.promotion import OPEN_STATES, PromotionState

PACKS = (
    Event.PACK_DRAFTED,
    Event.PACK_SCHEDULED,
    Event.PACK_UNSCHEDULED,
    Event.PACK_ACTIVATED,
    Event.PACK_RETIRED,
)
PROMOTIONS = (
    Event.PROMOTION_REQUESTED,
    Event.PROMOTION_IN_REVIEW,
    Event.PROMOTION_BLOCKED,
    Event.PROMOTION_APPROVED,
    Event.PROMOTION_REJECTED,
    Event.PROMOTION_WITHDRAWN,
    Event.PROMOTION_SUPERSEDED,
    Event.PROMOTION_EXPIRED,
    Event.PROMOTION_DEPLOYED,
)


@dataclass(frozen=True, slots=True)
class PackThen:
    """One version of one policy; ``changed`` is when it came into its state, ``entry`` the index that says so."""

    slug: str
    version: int
    title: str
    digest: str
    state: str
    drafted: datetime
    changed: datetime
    log_id: int
    entry: int


@dataclass(frozen=True, slots=True)
class PromotionThen:
    """A promotion. ``version`` is ``credit-scoring/14``, ``environment`` a slug."""

    number: int
    version: str
    environment: str
    state: str
    round: int
    log_id: int
    entry: int

    @property
    def is_open(self) -> bool:
        """Whether it could still lead to a deployment."""
        return self.state in OPEN_STATES

    @property
    def url(self) -> str:
        """Its page as it is now."""
        return reverse("governance:promotion", args=[self.number])


def packs_of(found: Iterable[State], at: datetime) -> tuple[PackThen, ...]:
    """Every version of every policy at the moment ``at``, by name, the newest first. Pure.

    A version whose instant came is in force, and the one before it is not, though no entry says so yet.
    """
    kept = [state for state in found if "pack" in state.facts]
    came = {
        state.facts["pack"]: state.facts["version"]
        for state in kept
        if state.facts.get("state") == PackState.SCHEDULED and datetime.fromisoformat(state.facts["instant"]) <= at
    }
    made = [
        PackThen(
            slug=state.facts["pack"],
            version=state.facts["version"],
            title=state.facts["title"],
            digest=state.facts["digest"],
            state=_state(state, came.get(state.facts["pack"])),
            drafted=state.began.recorded_at,
            changed=state.last.recorded_at,
            log_id=state.last.log_id,
            entry=state.last.index,
        )
        for state in kept
    ]
    return tuple(sorted(made, key=lambda each: (each.slug, -each.version)))


def _state(state: State, came: int | None) -> str:
    """The state that the entries say, but for the version ``came`` whose instant came and the one that it replaced."""
    said = str(state.facts.get("state", PackState.DRAFT.value))
    if came is None:
        return said
    if state.facts["version"] == came:
        return PackState.ACTIVE.value
    return PackState.RETIRED.value if said == PackState.ACTIVE else said


def promotions_of(found: Iterable[State]) -> tuple[PromotionThen, ...]:
    """Every promotion, oldest first. Pure."""
    return tuple(
        PromotionThen(
            number=int(state.subject.partition(":")[2]),
            version=state.facts["version"].partition(":")[2],
            environment=state.facts["environment"].partition(":")[2],
            state=state.facts.get("state", PromotionState.REQUESTED.value),
            round=state.facts.get("round", 1),
            log_id=state.last.log_id,
            entry=state.last.index,
        )
        for state in found
        if state.subject.startswith("promotion:")
    )


def packs_at(as_of: AsOf) -> tuple[PackThen, ...]:
    """The policies at a moment. One query."""
    return packs_of(states(as_of, PACKS).values(), as_of.at)


def promotions_at(as_of: AsOf) -> tuple[PromotionThen, ...]:
    """The promotions at a moment. One query."""
    return promotions_of(states(as_of, PROMOTIONS).values())
