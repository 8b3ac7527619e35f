"""Take a signature back: revoke an approval, or reopen a rejection.

The signature stays as it was given; what takes it back is a record of its own. What follows is decided by the pure
function like everything else: an approved promotion waits again, a rejected one is in review again.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Unpack

from django.utils import timezone
from django.utils.translation import gettext as _

from audit import log
from audit.actors import Actor
from audit.models.events import Event
from audit.refusals import Conflict, NotKnown, NotPermitted
from governance import access, decisions, promotions, sessions
from governance import facts as collecting
from governance.at_keyboard import AtKeyboard
from governance.attempts import attempt
from governance.models.promotion import Promotion, PromotionState
from governance.models.roles import Action
from governance.models.signoff import Meaning, Retraction, RetractionKind, SignOff
from registry import naming

MOST_TEXT = 4000
_EVENTS = {RetractionKind.REVOKED: Event.SIGNOFF_REVOKED, RetractionKind.REOPENED: Event.SIGNOFF_REOPENED}
_OF = {RetractionKind.REVOKED: Meaning.APPROVE, RetractionKind.REOPENED: Meaning.REJECT}


def revoke(number: int, signoff_id: int, *, reason: str, reauthenticated_at: datetime | None, by: Actor) -> Retraction:
    """Take an approval of an open promotion back; it is decided again at once, and its permits deploy nothing more.

    Raises ``BadInput`` without a reason; and, each recorded as ``signoff.refused``: ``NotKnown``, ``Conflict`` for a
    promotion that is over and a signature that is no approval, is of an earlier round or was taken back already,
    ``NotPermitted`` for all but who signed and an independent policy owner, and without a fresh proof of identity.
    """
    said = naming.text(reason, field="reason", limit=MOST_TEXT)
    asked = {"taking_back": RetractionKind.REVOKED.value, "signoff": signoff_id}
    with attempt(Event.SIGNOFF_REFUSED, f"promotion:{number}", facts=asked, by=by):
        promotion = promotions.locked(number)
        promotions.must_be_open(promotion)
        row = _take_back(promotion, signoff_id, RetractionKind.REVOKED, said, reauthenticated_at, by)
        decisions.decide_promotion(promotion, by=by)
    return row


def reopen(number: int, signoff_id: int, *, reason: str, reauthenticated_at: datetime | None, by: Actor) -> Retraction:
    """Lift a rejection. The promotion is in review again when the pure function finds no other refusal that stands.

    Raises what ``revoke`` raises; ``Conflict`` for a promotion that was not rejected, whose deadline has passed, or
    after which another was requested for the same model there.
    """
    said = naming.text(reason, field="reason", limit=MOST_TEXT)
    asked = {"taking_back": RetractionKind.REOPENED.value, "signoff": signoff_id}
    with attempt(Event.SIGNOFF_REFUSED, f"promotion:{number}", facts=asked, by=by):
        promotion = _rejected(number)
        row = _take_back(promotion, signoff_id, RetractionKind.REOPENED, said, reauthenticated_at, by)
        state = decisions.evaluate(decisions.case_of(promotion)).signoff.get("state")
        if state not in ("rejected", "error"):
            promotions.PROMOTIONS.transition(
                promotion, PromotionState.IN_REVIEW, facts={"reopened": signoff_id}, reason=said, by=by
            )
            decisions.decide_promotion(promotion, by=by)
    return row


def take_back_with_password(
    number: int, signoff_id: int, *, kind: str, reason: str, **person: Unpack[AtKeyboard]
) -> Retraction:
    """``revoke`` or ``reopen``, by ``kind``, for a person at the keyboard."""
    act = reopen if kind == RetractionKind.REOPENED else revoke
    return sessions.with_password(
        lambda proven_at: act(number, signoff_id, reason=reason, reauthenticated_at=proven_at, by=person["user"].actor),
        action=Action.PROMOTION_SIGN,
        unproven="signoff.not_reauthenticated",
        **person,
    )


def kind_for(promotion: Promotion, row: SignOff, by: Actor, contributors: frozenset[str]) -> str:
    """What ``by`` may do with a signature now: ``revoked``, ``reopened`` or nothing. Asks nothing of the database.

    The taking back itself asks again, and for more: the deadline, and whether another promotion was requested since.
    """
    if row.round != promotion.round or hasattr(row, "retraction") or not _may(promotion, row, by, contributors):
        return ""
    if row.meaning == Meaning.APPROVE:
        return RetractionKind.REVOKED.value if promotion.is_open else ""
    return RetractionKind.REOPENED.value if promotion.state == PromotionState.REJECTED else ""


def _rejected(number: int) -> Promotion:
    """The rejected promotion, locked, when it can come back; nobody opens another one meanwhile."""
    seen = Promotion.objects.select_related("version", "environment").filter(pk=number).first()
    if seen is not None:
        promotions.one_requester(seen.version, seen.environment)
    promotion = promotions.locked(number)
    if promotion.state != PromotionState.REJECTED:
        raise Conflict(
            _("Promotion %(number)s is %(state)s, so there is no rejection to reopen.")
            % {"number": number, "state": promotion.get_state_display()},
            code="signoff.not_rejected",
        )
    if promotion.expires_at <= timezone.now():
        raise Conflict(
            _("The deadline of promotion %(number)s has passed; request it anew.") % {"number": number},
            code="promotion.expired",
        )
    newer = Promotion.objects.filter(
        pk__gt=number, version__model_id=promotion.version.model_id, environment_id=promotion.environment_id
    )
    if newest := newer.order_by("-pk").first():
        raise Conflict(
            _("Promotion %(newest)s was requested since; what was rejected before it stays rejected.")
            % {"newest": newest.pk},
            code="promotion.newer",
        )
    return promotion


def _take_back(
    promotion: Promotion,
    signoff_id: int,
    kind: RetractionKind,
    reason: str,
    proven_at: datetime | None,
    by: Actor,
) -> Retraction:
    row = promotion.signoffs.filter(pk=signoff_id).first()
    if row is None:
        raise NotKnown(
            _("Promotion %(number)s has no sign-off %(signoff)s.") % {"number": promotion.pk, "signoff": signoff_id},
            code="signoff.unknown",
        )
    _must_stand(promotion, row, kind)
    contributors = collecting.people_of(decisions.case_of(promotion), [], [by.id]).contributors
    if not _may(promotion, row, by, contributors):
        raise NotPermitted(
            _("Only the person who signed, or a policy owner who had no part in this promotion, can take it back."),
            code="signoff.not_yours",
        )
    if proven_at is None or not sessions.is_fresh(proven_at):
        raise NotPermitted(_("Enter your password again to take a signature back."), code="signoff.not_reauthenticated")
    made = Retraction.objects.create(
        signoff=row,
        kind=kind,
        retracted_by=by.id,
        as_owner=by.id != row.signer,
        reason=reason,
        retracted_at=timezone.now(),
        reauth_at=proven_at,
    )
    log.append(_EVENTS[kind], made, facts=_told(made, row), reason=reason, by=by)
    return made


def _must_stand(promotion: Promotion, row: SignOff, kind: RetractionKind) -> None:
    if row.meaning != _OF[kind]:
        raise Conflict(
            _("An approval is revoked, a rejection is reopened: this one is the other."), code="signoff.other_meaning"
        )
    if row.round != promotion.round:
        raise Conflict(
            _("This signature is of round %(round)d and counts for nothing any more.") % {"round": row.round},
            code="signoff.earlier_round",
        )
    if Retraction.objects.filter(signoff=row).exists():
        raise Conflict(_("This signature was taken back already."), code="signoff.taken_back")


def _may(promotion: Promotion, row: SignOff, by: Actor, contributors: frozenset[str]) -> bool:
    """Who signed may; and a policy owner who neither requested nor made what was signed."""
    if by.kind != "user":
        return False
    if by.id == row.signer:
        return True
    owner = access.held_by_roles(by.roles, Action.POLICY_ACTIVATE)
    return owner and by.id != promotion.requested_by and by.id not in contributors


def _told(made: Retraction, row: SignOff) -> Mapping[str, Any]:
    return {
        "signoff": row.pk,
        "signer": row.signer,
        "role": row.role,
        "round": row.round,
        "subject_digest": row.subject_digest,
        "as_owner": made.as_owner,
    }
