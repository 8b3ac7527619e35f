"""My second factors: what I prove who I am with besides the password."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import mark_safe
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_POST, require_safe

from audit.refusals import Conflict, NotKnown, Refusal
from governance import factors, passkeys, sessions, totp
from governance.models.user import User
from governance.pages.person import signed_in

#: In the session: the sealed secret of an app that waits for its first code, since when, and how often it was wrong.
_PENDING = "factors.pending"
#: Seconds, and wrong codes, after which one begins anew.
_PENDING_FOR = 600
_PENDING_TRIES = 5


@never_cache
@require_safe
def factor_list(request: HttpRequest) -> HttpResponse:
    """What I have, and how to have more."""
    return _page(request)


@never_cache
@sensitive_post_parameters("password", "code")
@sensitive_variables("secret")
@require_POST
def begin_app(request: HttpRequest) -> HttpResponse:
    """Show the secret of a new authenticator app, once. Nothing is enrolled before a code of it came back."""
    me = signed_in(request)
    try:
        sessions.prove(me, request.POST.get("password", ""), request=request)
        if factors.held(me).app is not None:
            raise Conflict(_("You have an authenticator app already; remove it first."), code="factor.enrolled")
    except Refusal as refusal:
        return _page(request, refusal)
    secret = totp.fresh_secret()
    request.session[_PENDING] = {"sealed": totp.seal(secret, me).hex(), "at": timezone.now().isoformat(), "wrong": 0}
    address = totp.address(secret, me)
    picture = mark_safe(totp.drawn(address))  # noqa: S308  (numbers and colours, no text of anybody's)
    return _page(request, secret=secret, address=address, picture=picture)


@never_cache
@sensitive_post_parameters("code")
@require_POST
def confirm_app(request: HttpRequest) -> HttpResponse:
    """Enrol the app by its first code."""
    me = signed_in(request)
    try:
        factors.enrol_app(me, _pending(request, me), request.POST.get("code", ""), by=me.actor)
    except Refusal as refusal:
        if refusal.code == "factor.code":
            request.session[_PENDING] = {**request.session[_PENDING], "wrong": request.session[_PENDING]["wrong"] + 1}
        return _page(request, refusal, confirming=refusal.code == "factor.code")
    del request.session[_PENDING]
    messages.success(request, _("Enrolled. From now on a signature asks for the password and a code."))
    return redirect("governance:factors")


def _pending(request: HttpRequest, me: User) -> str:
    told: Any = request.session.get(_PENDING)
    try:
        late = timezone.now() - datetime.fromisoformat(told["at"])
        if late.total_seconds() <= _PENDING_FOR and told["wrong"] < _PENDING_TRIES:
            return totp.unseal(bytes.fromhex(told["sealed"]), me)
    except (TypeError, KeyError, ValueError, totp.Unreadable):
        pass
    request.session.pop(_PENDING, None)
    raise Conflict(_("No authenticator app waits to be confirmed here. Begin again."), code="factor.nothing_pending")


@never_cache
@sensitive_post_parameters("password", "code", "assertion")
@require_POST
def begin_passkey(request: HttpRequest) -> HttpResponse:
    """What the browser needs to make a passkey; the button that does is on the page."""
    me = signed_in(request)
    try:
        sessions.prove(me, request.POST.get("password", ""), request=request)
        options = passkeys.ask_to_register(
            me, session=sessions.session_of(request), path=reverse("governance:register_passkey")
        )
    except Refusal as refusal:
        return _page(request, refusal)
    return _page(request, options=json.dumps(options))


@never_cache
@require_POST
def register_passkey(request: HttpRequest) -> HttpResponse:
    """Register what the browser made."""
    me = signed_in(request)
    try:
        factors.register_passkey(
            me,
            request.POST.get("credential", ""),
            label=request.POST.get("label", ""),
            session=sessions.session_of(request),
            path=request.path,
            by=me.actor,
        )
    except Refusal as refusal:
        return _page(request, refusal)
    messages.success(request, _("Registered. Its public key is in the log; what it signs, nobody else signed."))
    return redirect("governance:factors")


@never_cache
@sensitive_post_parameters("password", "code", "assertion")
@require_POST
def remove_factor(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """Remove one of mine, with the password and a factor."""
    me = signed_in(request)
    try:
        sessions.prove(me, request.POST.get("password", ""), request=request)
        factors.remove(uuid, by=me.actor)
    except NotKnown:
        raise
    except Refusal as refusal:
        return _page(request, refusal)
    messages.success(request, _("Removed. It proves nothing any more; what it signed stays verified."))
    return redirect("governance:factors")


def _page(request: HttpRequest, refusal: Refusal | None = None, **told: Any) -> HttpResponse:
    me = signed_in(request)
    held = factors.held(me)
    rows = [*([held.app] if held.app is not None else []), *held.passkeys]
    context = {
        "sentence": _standing(len(rows), bool(held.passkeys)),
        "rows": rows,
        "held": held,
        "me": me,
        "why_no_passkeys": passkeys.why_not(),
        "refusal": refusal,
        **told,
    }
    return render(request, "governance/factors.html", context, status=refusal.status if refusal else 200)


def _standing(number: int, own_key: bool) -> str:
    if not number:
        return _("You have no second factor: the password alone proves who you are when you sign.")
    text = ngettext(
        "You have %(n)d second factor; a signature asks for it.",
        "You have %(n)d second factors; a signature asks for one of them.",
        number,
    )
    said = text % {"n": number}
    return f"{said} {_('With a passkey, nobody else can have signed for you.')}" if own_key else said
