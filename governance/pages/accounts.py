"""Accounts: who there is, and erasing a person."""

from __future__ import annotations

from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from audit import erasure as log_erasure
from audit.refusals import BadInput, NotKnown, Refusal
from governance import erasure, factors, sessions
from governance.access import require
from governance.models.factor import SecondFactor
from governance.models.roles import Action, Role
from governance.models.user import User
from governance.pages.person import signed_in


class ErasureForm(forms.Form):
    reason = forms.CharField(
        label=gettext_lazy("Reason"),
        max_length=2000,
        help_text=gettext_lazy("It stays in the log: write it without the person's name, for example «Request 12»."),
        widget=forms.Textarea(attrs={"rows": 2}),
    )
    no_legal_hold = forms.BooleanField(
        label=gettext_lazy("No law and no dispute requires these data to be kept"), required=False
    )
    password = forms.CharField(
        label=gettext_lazy("Your password"),
        max_length=1000,
        required=False,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )


@never_cache
@require_safe
def account_list(request: HttpRequest) -> HttpResponse:
    """Every account, with its state."""
    me = _me(request)
    rows = [(user, [Role(role).label for role in user.roles]) for user in User.objects.all()]
    return render(request, "governance/account_list.html", {"rows": rows, "me": me})


@never_cache
@sensitive_post_parameters("password", "code", "assertion")
@require_http_methods(["GET", "HEAD", "POST"])
def account_detail(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """One account; POST erases its person."""
    me = _me(request)
    account = User.objects.filter(uuid=uuid).first()
    if account is None:
        raise NotKnown(_("There is no account %s.") % uuid, code="account.unknown")
    form = ErasureForm(request.POST or None)
    refusal: Refusal | None = None
    if request.method == "POST" and form.is_valid():
        try:
            erasure.erase_with_password(uuid, **form.cleaned_data, user=me, request=request)
        except Refusal as caught:
            refusal = caught
            for field, sentence in caught.fields.items() if isinstance(caught, BadInput) else ():
                form.add_error(field, sentence)
        else:
            messages.success(request, _("Erased. What the log held about this person can no longer be read."))
            return redirect("governance:account_detail", uuid)
    return _page(request, account, me, form, refusal)


@never_cache
@sensitive_post_parameters("password", "code", "assertion")
@require_POST
def recover_factor(request: HttpRequest, uuid: UUID, factor: UUID) -> HttpResponse:
    """Remove a lost factor of somebody else, with the administrator's own proof."""
    me = _me(request)
    account = User.objects.filter(uuid=uuid).first()
    if account is None or not SecondFactor.objects.filter(uuid=factor, owner=account).exists():
        raise NotKnown(_("There is no such factor."), code="factor.unknown")
    try:
        require(me, Action.USER_MANAGE)
        sessions.prove(me, request.POST.get("password", ""), request=request)
        factors.recover(factor, reason=request.POST.get("reason", ""), by=me.actor)
    except NotKnown:
        raise
    except Refusal as refusal:
        return _page(request, account, me, ErasureForm(), refusal)
    messages.success(request, _("Removed. What needs two factors waits until the person enrols another."))
    return redirect("governance:account_detail", uuid)


def _page(request: HttpRequest, account: User, me: User, form: ErasureForm, refusal: Refusal | None) -> HttpResponse:
    context = {
        "account": account,
        "roles": [Role(role).label for role in account.roles],
        "erasure": log_erasure.newest(account.subject) if account.erased_at else None,
        "form": form,
        "refusal": refusal,
        "own": account.pk == me.pk,
        "factors": SecondFactor.objects.of(account),
        "may_recover": account.pk != me.pk and me.has_perm(Action.USER_MANAGE),
    }
    status = refusal.status if refusal else 400 if form.errors else 200
    return render(request, "governance/account_detail.html", context, status=status)


def _me(request: HttpRequest) -> User:
    user = signed_in(request)
    require(user, Action.ACCOUNT_ERASE)
    return user
