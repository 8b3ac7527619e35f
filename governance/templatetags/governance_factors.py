"""The shared part of every form that asks for the password again, and what a sign-off was proved with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import template
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.safestring import SafeString

from governance import factors, passkeys
from governance.factors import Held
from governance.models.user import User

register = template.Library()


@register.simple_tag(takes_context=True)
def second_factor(context: Mapping[str, Any], prefix: str, promotion: int = 0) -> SafeString:
    """The fields for a second factor, beside the password of a form; nothing for who has none. One query a page.

    ``prefix`` makes the ids of two forms on one page different. With ``promotion`` the passkey signs the form's
    ``meaning``, ``role``, ``comment`` and ``subject_digest``.
    """
    held = _held(context)
    if not held:
        return SafeString("")
    told = {
        "prefix": prefix,
        "promotion": promotion,
        "app": held.app,
        "passkeys": held.passkeys and not passkeys.why_not(),
        "challenges": reverse("governance-api:challenges"),
    }
    return render_to_string("governance/parts/second_factor.html", told)


def _held(context: Mapping[str, Any]) -> Held:
    """Kept with the request's user, so that two forms ask once."""
    user = getattr(context.get("request"), "user", None)
    if not isinstance(user, User):
        return Held(None, ())
    known: Held | None = getattr(user, "_held_factors", None)
    if known is None:
        known = factors.held(user)
        user._held_factors = known  # type: ignore[attr-defined]
    return known
