"""May this person sign this promotion? Answered for the page from the newest decision, not from new facts."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils import timezone
from django.utils.translation import gettext as _

from governance import delegations, policies, signed_events
from governance import facts as collecting
from governance.decisions import case_of
from governance.models.decision import Decision, Outcome
from governance.models.delegation import Delegation
from governance.models.promotion import Promotion
from governance.models.user import User
from governance.packs import active_packs
from governance.policies.quorum import roles_for
from governance.policies.vocabulary import format_time
from governance.signoffs import sentence_of


@dataclass(frozen=True, slots=True)
class Standing:
    """``roles`` are those in which the person may sign now; ``reasons`` say why they may not. ``may_approve`` is false
    for what the rules deny, and before one's turn: it can only be rejected. ``lent`` are delegations under which they
    may sign for somebody else."""

    roles: tuple[str, ...]
    reasons: tuple[str, ...]
    may_approve: bool = True
    lent: tuple[Delegation, ...] = ()


def standing(promotion: Promotion, decision: Decision | None, user: User) -> Standing:
    """Four queries: the signatures, the delegations, the people and the active packs. The signature itself decides
    again on fresh facts.
    """
    if not promotion.is_open or decision is None:
        return Standing((), (_("This promotion is over; there is nothing to sign."),))
    by = user.actor.id
    try:
        now = policies.thaw({**decision.facts, "now": format_time(timezone.now())})
        packs = active_packs()
    except (policies.MissingFact, policies.PackError) as error:
        return Standing((), (_("It cannot be decided, so nobody can sign: %(why)s") % {"why": error},))
    signed = collecting.counting_signoffs(promotion)
    running = delegations.running_to(by)
    people = collecting.people_of(case_of(promotion), signed, [by, *(row.delegator for row in running)])
    events = [
        *signed_events.events_of(signed),
        *(event for row in running for event in signed_events.events_about(row)),
    ]
    digest = decision.subject_digest
    roles = roles_for(packs, now, people, by=by)
    found = policies.objections(packs, now, events, people, digest, by=by, role="")
    usable = {one.id for one in policies.lent_to(packs, now, events, people, digest, by=by)}
    lent = tuple(row for row in running if row.reference in usable)
    early = [each for each in found if each.code == "signoff.turn"]
    may_approve = decision.outcome in (Outcome.PENDING, Outcome.ALLOW)
    if len(found) > len(early):
        reasons = tuple(dict.fromkeys(sentence_of(each) for each in found))
        return Standing((), () if lent else reasons, may_approve=may_approve, lent=lent)
    if early and not lent:
        return Standing(roles, tuple(sentence_of(each) for each in early), may_approve=False)
    return Standing(() if early else roles, (), may_approve=may_approve, lent=lent)
