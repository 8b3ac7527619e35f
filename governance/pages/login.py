"""Signing in and out; both work without JavaScript."""

from __future__ import annotations

from django import forms
from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render, resolve_url
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from governance import sessions


class LoginForm(forms.Form):
    username = forms.CharField(
        label=_("Username"),
        max_length=63,
        widget=forms.TextInput(
            attrs={"autocomplete": "username", "autocapitalize": "none", "spellcheck": "false", "autofocus": True}
        ),
    )
    password = forms.CharField(
        label=_("Password"),
        max_length=1000,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )


@login_not_required
@never_cache
@sensitive_post_parameters("password")
@require_http_methods(["GET", "HEAD", "POST"])
def login(request: HttpRequest) -> HttpResponse:
    """The form; a refused attempt shows one sentence, whichever of name and password was wrong (429 when throttled)."""
    target = _next(request)
    if request.user.is_authenticated and request.method != "POST":
        return HttpResponseRedirect(target)  # not redirect(): it takes a word for a view name
    form = LoginForm(request.POST or None)
    status = 200
    if request.method == "POST" and form.is_valid():
        try:
            sessions.sign_in(request, username=form.cleaned_data["username"], password=form.cleaned_data["password"])
        except sessions.SignInRefused as refused:
            form.add_error(None, refused.sentence)
            status = 429 if refused.code == "session.throttled" else 200
        else:
            return HttpResponseRedirect(target)
    response = render(request, "governance/login.html", {"form": form, "next": target}, status=status)
    if status == 429:
        response["Retry-After"] = str(int(sessions.WINDOW.total_seconds()))
    return response


@login_not_required
@require_POST
def logout(request: HttpRequest) -> HttpResponse:
    """End the session and go to the sign-in page."""
    sessions.sign_out(request)
    return redirect(settings.LOGOUT_REDIRECT_URL)


def _next(request: HttpRequest) -> str:
    """Where to go afterwards: an address of this site only, else the overview."""
    target = request.POST.get("next") or request.GET.get("next") or ""
    if url_has_allowed_host_and_scheme(target, {request.get_host()}, require_https=request.is_secure()):
        return target
    return resolve_url(settings.LOGIN_REDIRECT_URL)
