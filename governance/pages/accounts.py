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
from django.views.decorators.http import require_http_methods, require_safe

from audit import erasure as log_erasure
from audit.refusals import BadInput, NotKnown, Refusal
from governance import erasure
from governance.access import require
from governance.models.roles import Action, Role
from governance.models.user import User


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
@sensitive_post_parameters("password")
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
    context = {
        "account": account,
        "roles": [Role(role).label for role in account.roles],
        "erasure": log_erasure.newest(account.subject) if account.erased_at else None,
        "form": form,
        "refusal": refusal,
        "own": account.pk == me.pk,
    }
    status = refusal.status if refusal else 400 if form.errors else 200
    return render(request, "governance/account_detail.html", context, status=status)


def _me(request: HttpRequest) -> User:
    user = request.user
    assert isinstance(user, User)  # noqa: S101  (LoginRequiredMiddleware)
    require(user, Action.ACCOUNT_ERASE)
    return user
