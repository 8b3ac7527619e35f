"""May this person sign this promotion? Answered for the page from the newest decision, not from new facts."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.translation import gettext as _

from governance import facts as collecting
from governance import policies
from governance.decisions import case_of
from governance.models.decision import Decision, Outcome
from governance.models.promotion import Promotion
from governance.models.user import User
from governance.packs import active_packs
from governance.policies.quorum import roles_for
from governance.signoffs import sentence_of


@dataclass(frozen=True, slots=True)
class Standing:
    """``roles`` are those in which the person may sign now; ``reasons`` say why they may not. ``may_approve`` is false
    for what the rules deny: it can only be rejected."""

    roles: tuple[str, ...]
    reasons: tuple[str, ...]
    may_approve: bool = True


def standing(promotion: Promotion, decision: Decision | None, user: User) -> Standing:
    """Two queries: the people and the active packs. The signature itself decides again on fresh facts."""
    if not promotion.is_open or decision is None:
        return Standing((), (_("This promotion is over; there is nothing to sign."),))
    by = user.actor.id
    try:
        facts, packs = policies.thaw(decision.facts), active_packs()
    except (policies.MissingFact, policies.PackError) as error:
        return Standing((), (_("It cannot be decided, so nobody can sign: %(why)s") % {"why": error},))
    signed = collecting.counting_signoffs(promotion)
    people = collecting.people_of(case_of(promotion), signed, [by])
    events = [collecting.event_of(row) for row in signed]
    roles = roles_for(packs, facts, people, by=by)
    found = policies.objections(packs, facts, events, people, decision.subject_digest, by=by, role="")
    if found:
        return Standing((), tuple(dict.fromkeys(sentence_of(each) for each in found)))
    return Standing(roles, (), may_approve=decision.outcome in (Outcome.PENDING, Outcome.ALLOW))
