"""Sign-offs: a person signs exactly what they were shown, or is told why they may not; both are recorded."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _

from audit import log
from audit.actors import Actor
from audit.models.events import Event
from audit.refusals import BadInput, Conflict, NotPermitted, Refusal, Refused
from governance import decisions, policies, promotions, sessions
from governance.attempts import attempt
from governance.decisions import Verdict
from governance.models.decision import Outcome
from governance.models.promotion import Promotion, PromotionState
from governance.models.roles import Role
from governance.models.signoff import Meaning, SignOff
from governance.models.user import User

#: How fresh the proof of identity must be when a signature is given (21 CFR 11.200(a)(1)); a rule may ask for less.
REAUTHENTICATED_WITHIN = timedelta(minutes=5)


def statement(promotion: Promotion, meaning: str, subject_digest: str) -> str:
    """The sentence that is shown above the signature and stored with it (21 CFR 11.50)."""
    values = {
        "version": promotion.version.label,
        "environment": promotion.environment.slug,
        "digest": subject_digest,
    }
    if meaning == Meaning.REJECT:
        return (
            _("I have reviewed the subject %(digest)s and reject that %(version)s serves in %(environment)s.") % values
        )
    return _("I have reviewed the subject %(digest)s and approve that %(version)s serves in %(environment)s.") % values


def sign(
    number: int,
    *,
    meaning: str,
    comment: str,
    role: str,
    subject_digest_seen: str,
    reauthenticated_at: datetime | None,
    by: Actor,
) -> SignOff:
    """Sign promotion ``number`` in ``role``; an approval that completes the quorum approves it, a rejection ends it.

    ``subject_digest_seen`` is what the signer was shown: when the subject is another by now, nothing is signed.
    ``reauthenticated_at`` is when the signer last proved who they are. Raises ``BadInput``; and, each recorded as
    ``signoff.refused``: ``NotPermitted`` for who may not sign (machine, requester, contributor, wrong role, not
    re-authenticated), ``Conflict`` for a closed promotion, a second signature or a subject that changed, ``Refused``
    for approving what the rules deny.
    """
    _must_be_whole(meaning, comment, subject_digest_seen)
    facts = {"role": role, "meaning": meaning, "subject_digest": subject_digest_seen}
    try:
        with attempt(Event.SIGNOFF_REFUSED, f"promotion:{number}", facts=facts, by=by):
            promotion = promotions.locked(number)
            facts |= promotion.about
            promotions.must_be_open(promotion)
            verdict = decisions.evaluate(decisions.case_of(promotion), also=[by.id])
            _must_be_allowed(verdict, meaning, role, subject_digest_seen, by)
            proven_at = _proven(reauthenticated_at)
            signoff = _give(promotion, verdict, meaning, comment.strip(), role, proven_at, by)
            if meaning == Meaning.REJECT:
                promotions.PROMOTIONS.transition(
                    promotion, PromotionState.REJECTED, facts={"role": role}, reason=comment.strip(), by=by
                )
            else:
                decisions.decide_promotion(promotion, by=by)
    except Conflict as conflict:
        if conflict.code == "signoff.stale_subject":
            promotions.refresh(number, by=by)
        raise
    return signoff


def sign_with_password(
    number: int,
    *,
    meaning: str,
    comment: str,
    role: str,
    subject_digest_seen: str,
    password: str,
    user: User,
    request: HttpRequest,
) -> SignOff:
    """``sign`` for a person at the keyboard. Who may not sign at all is told so first, whatever the password."""
    proven: datetime | None = None
    unproven: NotPermitted | None = None
    try:
        user.require("promotion.sign")
        proven = sessions.reauthenticate(user, password, request=request)
    except NotPermitted as refusal:
        unproven = refusal
    try:
        return sign(
            number,
            meaning=meaning,
            comment=comment,
            role=role,
            subject_digest_seen=subject_digest_seen,
            reauthenticated_at=proven,
            by=user.actor,
        )
    except NotPermitted as refusal:
        if unproven is not None and refusal.code == "signoff.not_reauthenticated":
            raise unproven from refusal
        raise


def _must_be_whole(meaning: str, comment: str, subject_digest_seen: str) -> None:
    fields: dict[str, str] = {}
    if meaning not in Meaning.values:
        fields["meaning"] = _("A signature means approve or reject.")
    if not comment.strip():
        fields["comment"] = _("Say what you reviewed and why you decide so.")
    if not subject_digest_seen:
        fields["subject_digest"] = _("The subject that you were shown is missing; load the page again.")
    if fields:
        raise BadInput(_("The signature is not complete."), code="signoff.incomplete", fields=fields)


def _proven(at: datetime | None) -> datetime:
    now = timezone.now()
    if at is None or at > now or now - at > REAUTHENTICATED_WITHIN:
        raise NotPermitted(_("Enter your password again to sign."), code="signoff.not_reauthenticated")
    return at


def _must_be_allowed(verdict: Verdict, meaning: str, role: str, seen: str, by: Actor) -> None:
    if by.kind != "user":
        raise NotPermitted(_("Only a person can sign; this is a machine's account."), code="signoff.not_a_person")
    if verdict.collected is None:
        raise Refused(verdict.summary, code="signoff.undecidable")
    refusals = refusals_of(objections(verdict, role=role, meaning=meaning, by=by))
    if refusals:
        raise refusals[0]
    if seen != verdict.subject_digest:
        raise Conflict(
            _("What you reviewed has changed since it was shown to you. Review the new subject, then sign."),
            code="signoff.stale_subject",
        )
    if meaning == Meaning.APPROVE and verdict.outcome in (Outcome.DENY, Outcome.ERROR):
        reasons = [str(finding["message"]) for finding in verdict.findings if _blocks(finding)]
        raise Refused(
            _("The policy denies this promotion; no signature can allow it."), reasons=reasons, code="signoff.blocked"
        )


def _blocks(finding: object) -> bool:
    return isinstance(finding, dict) and finding["severity"] == "block" and finding["outcome"] in ("fail", "error")


def objections(
    verdict: Verdict, *, role: str = "", meaning: str = Meaning.APPROVE, by: Actor
) -> tuple[policies.Objection, ...]:
    """Why ``by`` may not sign; empty when they may. ``verdict`` must have been evaluated with ``also=[by.id]``."""
    collected = verdict.collected
    if collected is None:
        return ()
    return policies.objections(
        collected.packs,
        collected.facts,
        collected.events,
        collected.people,
        collected.subject_digest,
        by=by.id,
        role=role,
        meaning="reject" if meaning == Meaning.REJECT else "approve",
    )


def refusals_of(found: Sequence[policies.Objection]) -> list[Refusal]:
    """Objections as refusals: what cannot be done twice is a conflict, everything else is not permitted."""
    return [
        Conflict(sentence_of(each), code=each.code)
        if each.code in ("signoff.already_signed", "signoff.rejected")
        else NotPermitted(sentence_of(each), code=each.code)
        for each in found
    ]


def sentence_of(objection: policies.Objection) -> str:
    """An objection in the reader's language; those that name roles stay as the engine worded them."""
    if objection.code == "signoff.role":
        sentence = objection.sentence
        for role, words in Role.choices:
            sentence = sentence.replace(role, str(words))
        return sentence
    return {
        "signoff.requester": _("You requested this promotion; someone else must sign."),
        "signoff.contributor": _("You worked on this version; someone independent must sign."),
        "signoff.not_a_person": _("Only a person can sign; this is a machine's account."),
        "signoff.already_signed": _("You have signed this promotion already; one person counts once."),
    }.get(objection.code, objection.sentence)


def _give(
    promotion: Promotion, verdict: Verdict, meaning: str, comment: str, role: str, proven_at: datetime, by: Actor
) -> SignOff:
    if promotion.signoffs.filter(round=promotion.round, signer=by.id).exists():
        raise Conflict(
            _("You have signed this promotion already; one person counts once."), code="signoff.already_signed"
        )
    seen = promotion.decisions.filter(subject_digest=verdict.subject_digest).first()
    if seen is None:
        raise Conflict(
            _("What you reviewed has changed since it was shown to you. Review the new subject, then sign."),
            code="signoff.stale_subject",
        )
    said = statement(promotion, meaning, verdict.subject_digest)
    signoff = SignOff.objects.create(
        promotion=promotion,
        round=promotion.round,
        signer=by.id,
        role=role,
        meaning=meaning,
        statement=said,
        comment=comment,
        subject_digest=verdict.subject_digest,
        decision_seen=seen,
        signed_at=timezone.now(),
        reauth_at=proven_at,
    )
    log.append(
        Event.SIGNOFF_GIVEN,
        signoff,
        facts={
            "meaning": meaning,
            "role": role,
            "round": promotion.round,
            "statement": said,
            "subject_digest": verdict.subject_digest,
            "decision_seen": seen.public_id,
            "reauthenticated_at": proven_at.isoformat(),
        },
        private={"printed_name": by.name},
        reason=comment,
        by=by,
    )
    return signoff
