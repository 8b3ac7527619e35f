"""Sign-offs: a person signs exactly what they were shown, or is told why they may not; both are recorded."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _

from audit import log
from audit.actors import Actor
from audit.models.events import Event
from audit.refusals import BadInput, Conflict, NotKnown, NotPermitted, Refusal, Refused
from governance import (
    decisions,
    delegations,
    personal,
    policies,
    promotions,
    queries,
    sessions,
    signed_events,
    wording,
)
from governance.attempts import attempt
from governance.decisions import Verdict
from governance.models.decision import Outcome
from governance.models.delegation import Delegation
from governance.models.promotion import Promotion, PromotionState
from governance.models.roles import Role
from governance.models.signoff import Meaning, Retraction, SignOff, factors_proved
from governance.models.user import User


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
    delegation: str = "",
    proof: sessions.Proof | None = None,
    by: Actor,
) -> SignOff:
    """Sign promotion ``number`` in ``role``; an approval that completes the quorum approves it, a rejection by who has
    a veto ends it.

    ``subject_digest_seen`` is what the signer was shown: when the subject is another by now, nothing is signed.
    ``reauthenticated_at`` is when the signer last proved who they are; ``proof`` says with what, where it was more than
    the password. What their own key signed must be exactly this. ``delegation``: the reference of the one under which
    they sign for somebody else. Raises ``BadInput``; and, each recorded as
    ``signoff.refused``: ``NotPermitted`` for who may not sign (machine, requester, contributor, wrong role, not
    re-authenticated), ``Conflict`` for a closed promotion, a second signature or a subject that changed, ``Refused``
    for approving what the rules deny.
    """
    _must_be_whole(meaning, comment, subject_digest_seen)
    facts = {"role": role, "meaning": meaning, "subject_digest": subject_digest_seen}
    facts |= {"delegation": delegation} if delegation else {}
    try:
        with attempt(Event.SIGNOFF_REFUSED, f"promotion:{number}", facts=facts, by=by):
            promotion = promotions.locked(number)
            facts |= promotion.about
            promotions.must_be_open(promotion)
            lent = delegations.usable(delegation, by=by) if delegation else None
            also = [by.id, *([lent.delegator] if lent else [])]
            verdict = decisions.evaluate(decisions.case_of(promotion), also=also)
            _must_be_allowed(verdict, meaning, role, subject_digest_seen, lent, by)
            proven_at = _proven(reauthenticated_at)
            _must_prove_enough(verdict, meaning, role, proof)
            signoff = _give(promotion, verdict, meaning, comment.strip(), role, proven_at, lent, proof, by)
            if meaning == Meaning.REJECT and _blocks(verdict, role):
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


def _must_prove_enough(verdict: Verdict, meaning: str, role: str, proof: sessions.Proof | None) -> None:
    """A signature that would not count is not taken: the rule asks for two factors and one was proved."""
    if meaning != Meaning.APPROVE or verdict.collected is None:
        return
    proved = factors_proved(proof.factors) if proof is not None else 1
    if proved < policies.factors_for(verdict.collected.packs, verdict.collected.facts, role):
        raise NotPermitted(
            _("This rule asks for two factors. Enrol an authenticator app or a passkey, and sign with it."),
            code="signoff.factors",
        )


def _blocks(verdict: Verdict, role: str) -> bool:
    """Whether a rejection in that role ends the promotion; what cannot be asked does."""
    collected = verdict.collected
    return collected is None or policies.may_veto(collected.packs, collected.facts, role)


def sign_with_password(
    number: int,
    *,
    meaning: str,
    comment: str,
    role: str,
    subject_digest_seen: str,
    password: str,
    delegation: str = "",
    code: str = "",
    assertion: str = "",
    user: User,
    request: HttpRequest,
) -> SignOff:
    """``sign`` for a person at the keyboard. Who may not sign at all is told so first, whatever the password."""

    def signed(proof: sessions.Proof | None) -> SignOff:
        return sign(
            number,
            meaning=meaning,
            comment=comment,
            role=role,
            subject_digest_seen=subject_digest_seen,
            reauthenticated_at=proof.at if proof is not None else None,
            delegation=delegation,
            proof=proof,
            by=user.actor,
        )

    return sessions.with_proof(
        signed,
        action="promotion.sign",
        unproven="signoff.not_reauthenticated",
        password=password,
        code=code,
        assertion=assertion,
        user=user,
        request=request,
    )


def to_be_signed(
    *, promotion: int, meaning: str, role: str, comment: str, subject_digest: str, delegation: str = "", by: Actor
) -> tuple[dict[str, str | int], bytes]:
    """The document that ``by``'s own key is to sign for such a signature, and the salt of its comment.

    Whether they may sign is decided when they do. Raises ``BadInput``, ``NotKnown``, ``Conflict`` when the subject
    changed or the promotion is over.
    """
    _must_be_whole(meaning, comment, subject_digest)
    found = queries.promotion(promotion)
    if found is None:
        raise NotKnown(_("There is no promotion %(number)s.") % {"number": promotion}, code="promotion.unknown")
    promotions.must_be_open(found)
    if found.subject_digest != subject_digest:
        raise _stale()
    said = statement(found, meaning, subject_digest)
    return personal.fresh_document(
        SignOff(
            promotion=found,
            round=found.round,
            signer=by.id,
            role=role,
            meaning=meaning,
            statement=said,
            comment=comment.strip(),
            subject_digest=subject_digest,
        ),
        delegation=delegation,
    )


def _stale() -> Conflict:
    return Conflict(
        _("What you reviewed has changed since it was shown to you. Review the new subject, then sign."),
        code="signoff.stale_subject",
    )


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
    if at is None or not sessions.is_fresh(at):
        raise NotPermitted(_("Enter your password again to sign."), code="signoff.not_reauthenticated")
    return at


def _must_be_allowed(verdict: Verdict, meaning: str, role: str, seen: str, lent: Delegation | None, by: Actor) -> None:
    if by.kind != "user":
        raise NotPermitted(_("Only a person can sign; this is a machine's account."), code="signoff.not_a_person")
    if verdict.collected is None:
        raise Refused(verdict.summary, code="signoff.undecidable")
    refusals = refusals_of(objections(verdict, role=role, meaning=meaning, lent=lent, by=by))
    if refusals:
        raise refusals[0]
    if seen != verdict.subject_digest:
        raise _stale()
    if meaning == Meaning.APPROVE and verdict.outcome in (Outcome.DENY, Outcome.ERROR):
        reasons = [str(finding["message"]) for finding in verdict.findings if wording.blocks(finding)]
        raise Refused(
            _("The policy denies this promotion; no signature can allow it."), reasons=reasons, code="signoff.blocked"
        )


def objections(
    verdict: Verdict,
    *,
    role: str = "",
    meaning: str = Meaning.APPROVE,
    lent: Delegation | None = None,
    by: Actor,
) -> tuple[policies.Objection, ...]:
    """Why ``by`` may not sign; empty when they may. ``verdict`` must have been evaluated with ``also`` that person and
    who delegated to them.
    """
    collected = verdict.collected
    if collected is None:
        return ()
    return policies.objections(
        collected.packs,
        collected.facts,
        (*collected.events, *(signed_events.events_about(lent) if lent else ())),
        collected.people,
        collected.subject_digest,
        by=by.id,
        role=role,
        meaning="reject" if meaning == Meaning.REJECT else "approve",
        delegation=lent.reference if lent else "",
    )


def refusals_of(found: Sequence[policies.Objection]) -> list[Refusal]:
    """Objections as refusals: what cannot be done twice is a conflict, everything else is not permitted."""
    return [
        Conflict(sentence_of(each), code=each.code)
        if each.code in ("signoff.already_signed", "signoff.delegate_signed", "signoff.rejected", "signoff.turn")
        else NotPermitted(sentence_of(each), code=each.code)
        for each in found
    ]


def sentence_of(objection: policies.Objection) -> str:
    """An objection in the reader's language; those that name roles stay as the engine worded them."""
    if objection.code == "signoff.turn":
        earlier = ", ".join(str(words) for role, words in Role.choices if role in objection.sentence)
        return _("It is not your turn: %(roles)s must sign before.") % {"roles": earlier}
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
        "signoff.delegate_signed": _(
            "You, or the person for whom you would sign, stand behind another signature; one person counts once."
        ),
        "signoff.delegation": _(
            "This delegation does not let you sign here: it has ended, the rule does not allow it, or one of you had a "
            "part in this promotion."
        ),
    }.get(objection.code, objection.sentence)


def _give(
    promotion: Promotion,
    verdict: Verdict,
    meaning: str,
    comment: str,
    role: str,
    proven_at: datetime,
    lent: Delegation | None,
    proof: sessions.Proof | None,
    by: Actor,
) -> SignOff:
    before = promotion.signoffs.filter(round=promotion.round, signer=by.id).order_by("-pk").first()
    if before is not None and not Retraction.objects.filter(signoff=before).exists():
        raise Conflict(
            _("You have signed this promotion already; one person counts once."), code="signoff.already_signed"
        )
    seen = promotion.decisions.filter(subject_digest=verdict.subject_digest).first()
    if seen is None:
        raise _stale()
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
        delegation=lent,
        replaces=before,
        factors=list(proof.factors) if proof is not None else ["password"],
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
            **({"delegation": lent.reference, "on_behalf_of": lent.delegator} if lent else {}),
            **({"replaces": before.pk} if before else {}),
            "factors": signoff.factors,
        },
        private={"printed_name": by.name},
        reason=comment,
        by=by,
    )
    if proof is not None and proof.asserted is not None:
        personal.keep(signoff, proof.asserted, by=by)
    return signoff
