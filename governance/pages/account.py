"""My account: what I may do, and the tokens that act for me."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.contrib.auth import update_session_auth_hash
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from audit.refusals import NotKnown, Refusal
from governance import accounts, sessions, tokens
from governance.access import held_by, refusal_of
from governance.models.roles import DOING, SCOPES, Action, Role
from governance.models.token import ApiToken
from governance.models.user import User
from governance.pages.person import signed_in


class TokenForm(forms.Form):
    label = forms.CharField(label=gettext_lazy("What it is for"), max_length=100)
    scopes = forms.MultipleChoiceField(label=gettext_lazy("Scopes"), widget=forms.CheckboxSelectMultiple)
    days = forms.TypedChoiceField(
        label=gettext_lazy("Expires after"),
        coerce=int,
        initial=30,
        choices=[
            (1, gettext_lazy("1 day")),
            (7, gettext_lazy("7 days")),
            (30, gettext_lazy("30 days")),
            (90, gettext_lazy("90 days")),
            (365, gettext_lazy("365 days")),
        ],
    )

    def __init__(self, *args: Any, owner: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        held = held_by(owner)
        field = self.fields["scopes"]
        assert isinstance(field, forms.MultipleChoiceField)  # noqa: S101  (for the type checker)
        field.choices = [(str(scope), f"{scope}: {DOING[scope]}") for scope in SCOPES if scope in held]


class PasswordForm(forms.Form):
    current = forms.CharField(
        label=gettext_lazy("Current password"),
        max_length=1000,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )
    new = forms.CharField(
        label=gettext_lazy("New password"),
        max_length=1000,
        strip=False,
        help_text=gettext_lazy("At least 12 characters."),
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )


@never_cache
@require_safe
def account(request: HttpRequest) -> HttpResponse:
    """What I am, what I may do, my tokens."""
    return _page(request)


@never_cache
@require_POST
def issue_token(request: HttpRequest) -> HttpResponse:
    """Issue a token and show its secret in the answer itself: it is stored nowhere, so it can be shown only now."""
    me = signed_in(request)
    form = TokenForm(request.POST, owner=me)
    if not form.is_valid():
        return _page(request, token_form=form)
    try:
        issued = tokens.issue(
            me,
            label=form.cleaned_data["label"],
            scopes=form.cleaned_data["scopes"],
            lifetime=timedelta(days=form.cleaned_data["days"]),
            by=me.actor,
        )
    except Refusal as refused:
        form.add_error(None, refused.sentence)
        return _page(request, token_form=form, status=refused.status)
    return _page(request, issued=issued)


@require_POST
def revoke_token(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """End one of my tokens now."""
    me = signed_in(request)
    token = ApiToken.objects.filter(owner=me, uuid=uuid).first()
    if token is None:
        raise NotKnown(_("You have no such token."), code="token.unknown")
    tokens.revoke(token, by=me.actor)
    messages.success(request, _("The token %s no longer works.") % token.prefix)
    return redirect("governance:account")


@never_cache
@sensitive_post_parameters("current", "new", "code", "assertion")
@require_http_methods(["POST"])
def change_password(request: HttpRequest) -> HttpResponse:
    """Replace my password; my other sessions end."""
    me = signed_in(request)
    form = PasswordForm(request.POST)
    if not form.is_valid():
        return _page(request, password_form=form)
    try:
        sessions.reauthenticate(me, form.cleaned_data["current"], request=request)
        changed = accounts.set_password(me, form.cleaned_data["new"], by=me.actor)
    except Refusal as refused:
        form.add_error("new" if refused.code == "account.password" else "current", refused.sentence)
        return _page(request, password_form=form, status=refused.status)
    update_session_auth_hash(request, changed)
    messages.success(request, _("Your password is changed, and your other sessions are closed."))
    return redirect("governance:account")


def _page(
    request: HttpRequest,
    *,
    token_form: TokenForm | None = None,
    password_form: PasswordForm | None = None,
    issued: tokens.Issued | None = None,
    status: int = 200,
) -> HttpResponse:
    me = signed_in(request)
    held = held_by(me)
    context = {
        "me": me,
        "roles": [Role(role).label for role in me.roles],
        "held": [DOING[action] for action in Action if action in held],
        "beyond": [refusal_of(action) for action in Action if action not in held],
        "tokens": ApiToken.objects.of(me),
        "may_erase": Action.ACCOUNT_ERASE in held,
        "may_issue": Action.TOKEN_ISSUE in held,
        "why_not_issue": refusal_of(Action.TOKEN_ISSUE),
        "token_form": token_form or TokenForm(owner=me),
        "password_form": password_form or PasswordForm(),
        "issued": issued,
    }
    return render(request, "governance/account.html", context, status=status)
