"""The promotion page: verdict, gates, comparison, history, and the place to sign."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST, require_safe

from audit import queries as log
from audit.refusals import NotKnown, Refusal
from governance import comparison, gates, personal, promotions, queries, retracting, signoffs
from governance.changed import Change, changes
from governance.models.decision import Decision
from governance.models.promotion import Promotion
from governance.models.signoff import Meaning, RetractionKind, SignOff
from governance.models.user import User
from governance.pages import excuses
from governance.pages.person import signed_in
from governance.personal import Personal
from governance.standing import Standing, standing


class SignForm(forms.Form):
    """A signature. ``subject_digest`` is what was shown; when it is another by now, nothing is signed."""

    role = forms.ChoiceField(label=gettext_lazy("Sign as"))
    comment = forms.CharField(
        label=gettext_lazy("What you reviewed, and why you decide so"),
        max_length=4000,
        widget=forms.Textarea(attrs={"rows": 3}),
    )
    password = forms.CharField(
        label=gettext_lazy("Your password, again"),
        max_length=1000,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )
    subject_digest = forms.CharField(widget=forms.HiddenInput, max_length=71)

    def __init__(self, *args: Any, roles: Sequence[tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["role"]
        assert isinstance(field, forms.ChoiceField)  # noqa: S101  (for the type checker)
        field.choices = list(roles)


class WithdrawForm(forms.Form):
    reason = forms.CharField(
        label=gettext_lazy("Why it is withdrawn"), max_length=4000, widget=forms.Textarea(attrs={"rows": 2})
    )


@dataclass(frozen=True)
class Signature:
    """A stored signature with the name to print beside it. ``take_back``: what the reader may do with it, or empty;
    ``owner``: for whom a delegate signed; ``taken_by``: who took it back."""

    row: SignOff
    name: str
    role: str
    stale: bool
    take_back: str = ""
    owner: str = ""
    taken_by: str = ""
    proved: str = ""
    own: Personal | None = None


@dataclass(frozen=True)
class Since:
    """What changed since the signatures of an earlier round, the newest of those that count no more."""

    round: int
    changes: tuple[Change, ...]


@never_cache
@require_safe
def promotion(request: HttpRequest, number: int) -> HttpResponse:
    """The page."""
    return _page(request, number)


@never_cache
@require_POST
@sensitive_post_parameters("password", "code", "assertion")
def sign(request: HttpRequest, number: int) -> HttpResponse:
    """Approve or reject. A refusal is shown in the place of the button, with the status that the API would give."""
    user = signed_in(request, "promotion.read")
    meaning = request.POST.get("meaning", "")
    role, _at, delegation = request.POST.get("role", "").partition("@")
    try:
        signoffs.sign_with_password(
            number,
            meaning=meaning,
            comment=request.POST.get("comment", ""),
            role=role,
            delegation=delegation,
            subject_digest_seen=request.POST.get("subject_digest", ""),
            password=request.POST.get("password", ""),
            user=user,
            request=request,
        )
    except NotKnown:
        raise
    except Refusal as refusal:
        return _page(request, number, refusal=refusal)
    said = _("You rejected this promotion.") if meaning == Meaning.REJECT else _("You signed this promotion.")
    messages.success(request, said)
    return redirect("governance:promotion", number)


@never_cache
@require_POST
@sensitive_post_parameters("password")
def take_back(request: HttpRequest, number: int, signoff: int, kind: str) -> HttpResponse:
    """Revoke an approval or reopen a rejection, with the password again."""
    user = signed_in(request, "promotion.read")
    try:
        retracting.take_back_with_password(
            number,
            signoff,
            kind=RetractionKind.REOPENED if kind == "reopen" else RetractionKind.REVOKED,
            reason=request.POST.get("reason", ""),
            password=request.POST.get("password", ""),
            user=user,
            request=request,
        )
    except NotKnown:
        raise
    except Refusal as refusal:
        return _page(request, number, refusal=refusal)
    messages.success(request, _("Taken back. The promotion was decided again."))
    return redirect("governance:promotion", number)


@never_cache
@require_POST
def withdraw(request: HttpRequest, number: int) -> HttpResponse:
    """Take back one's own request."""
    user = signed_in(request, "promotion.read")
    try:
        user.require("promotion.withdraw")
        promotions.withdraw(number, reason=request.POST.get("reason", ""), by=user.actor)
    except NotKnown:
        raise
    except Refusal as refusal:
        return _page(request, number, refusal=refusal)
    messages.success(request, _("You withdrew this promotion."))
    return redirect("governance:promotion", number)


def _page(request: HttpRequest, number: int, *, refusal: Refusal | None = None) -> HttpResponse:
    user = signed_in(request, "promotion.read")
    shown = queries.promotion(number)
    if shown is None:
        raise NotKnown(_("There is no promotion %(number)s.") % {"number": number}, code="promotion.unknown")
    decision = queries.deciding_decision(shown)
    rows = log.history(shown.subject, limit=100)
    found = gates.lines(decision) if decision else []
    may = standing(shown, decision, user)
    signed = list(shown.signoffs.all())
    names = queries.names({shown.requested_by, *_persons(signed), *(row.delegator for row in may.lent)})
    own = personal.verified(signed)
    missing = decision.signoff.get("missing", []) if decision else []
    context = {
        "promotion": shown,
        "decision": decision,
        "verdict": gates.verdict(shown, decision),
        "gates": [line for line in found if line.state != "not_applicable"],
        "idle_gates": [line for line in found if line.state == "not_applicable"],
        "counted": gates.counted(found),
        "comparison": _compared(shown, decision),
        "history": rows,
        "proof": _proof(rows, decision),
        "requester": names.get(shown.requested_by, shown.requested_by),
        "since": _since(signed, shown, decision),
        "signatures": [_signature(row, names, shown, decision, user, own.get(row.pk)) for row in signed],
        "slots": _slots(decision, missing),
        "standing": may,
        "sign_form": _sign_form(request, may, decision, names) if may.roles or may.lent else None,
        "withdraw_form": WithdrawForm() if shown.is_open and shown.requested_by == user.actor.id else None,
        "statement": _statement(shown, decision, Meaning.APPROVE),
        "rejection": _statement(shown, decision, Meaning.REJECT),
        "helpers": queries.holders(gates.helpers(found)),
        "waiver_names": excuses.fill(found, decision) if decision else {},
        "refusal": refusal,
        "refused_meaning": request.POST.get("meaning", "") if refusal else "",
    }
    return render(request, "governance/promotion_detail.html", context, status=refusal.status if refusal else 200)


def _compared(shown: Promotion, decision: Decision | None) -> comparison.Comparison:
    """With what serves now; once it is over, with what served when it was requested, not with the candidate itself."""
    facts = decision.facts if decision else {}
    at = None if shown.is_open else shown.requested_at
    findings = decision.findings if decision else []
    return comparison.compare(shown.version, shown.environment, facts, findings=findings, at=at)


def _sign_form(request: HttpRequest, may: Standing, decision: Decision | None, names: Mapping[str, str]) -> SignForm:
    """What was typed is kept after a refusal, but for the password; the subject is always the one shown now."""
    roles = [(role, gates.role_name(role)) for role in may.roles]
    for row in may.lent:
        told = {"role": gates.role_name(row.role), "name": names.get(row.delegator, row.delegator)}
        roles.append((f"{row.role}@{row.reference}", _("%(role)s, in the place of %(name)s") % told))
    initial = {
        "subject_digest": decision.subject_digest if decision else "",
        "comment": request.POST.get("comment", ""),
        "role": request.POST.get("role", roles[0][0]),
    }
    return SignForm(initial=initial, roles=roles)


def _statement(shown: Promotion, decision: Decision | None, meaning: str) -> tuple[str, str]:
    """The statement before and after the digest, which the page shows short; what is stored has it whole."""
    digest = decision.subject_digest if decision else ""
    before, _digest, after = signoffs.statement(shown, meaning, digest or "\0").partition(digest or "\0")
    return before, after


def _persons(signed: list[SignOff]) -> set[str]:
    """Everybody whose name stands beside a signature."""
    found = {row.signer for row in signed}
    for row in signed:
        found |= {row.delegation.delegator} if row.delegation else set()
        found |= {row.retraction.retracted_by} if hasattr(row, "retraction") else set()
    return found


def _signature(
    row: SignOff, names: dict[str, str], shown: Promotion, decision: Decision | None, user: User, own: Personal | None
) -> Signature:
    current = decision.subject_digest if decision else ""
    made = frozenset(decision.facts.get("version", {}).get("trained_by", ()) if decision else ())
    taken = getattr(row, "retraction", None)
    return Signature(
        row,
        names.get(row.signer, row.signer),
        gates.role_name(row.role),
        row.round != shown.round or row.subject_digest != current,
        take_back=retracting.kind_for(shown, row, user.actor, made),
        owner=names.get(row.delegation.delegator, row.delegation.delegator) if row.delegation else "",
        taken_by=names.get(taken.retracted_by, taken.retracted_by) if taken else "",
        proved=personal.said(own, row.factor_count),
        own=own,
    )


def _since(signed: list[SignOff], shown: Promotion, decision: Decision | None) -> Since | None:
    stale = [row for row in signed if row.round != shown.round]
    if not stale or decision is None:
        return None
    newest = max(stale, key=lambda row: (row.round, row.pk))
    return Since(newest.round, changes(newest.decision_seen.subject_parts, decision.subject_parts))


def _slots(decision: Decision | None, missing: list[dict[str, Any]]) -> dict[str, int]:
    filled = len(decision.signoff.get("filled", [])) if decision else 0
    return {"filled": filled, "all": filled + sum(int(each["n"]) for each in missing)}


def _proof(rows: list[log.EntryRow], decision: Decision | None) -> log.EntryRow | None:
    """The entry of the decision that is shown."""
    if decision is None:
        return None
    return next((row for row in rows if row.facts.get("decision") == decision.public_id), None)
