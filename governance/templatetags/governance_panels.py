"""What governance adds to templates: panels for lower apps' pages, roles and plans in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import template
from django.template.loader import render_to_string
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from governance import queries
from governance.gates import role_name
from registry.models import ModelVersion, Strategy

register = template.Library()


@register.simple_tag
def governance_role(role: str) -> str:
    """A role in words."""
    return role_name(str(role))


@register.simple_tag
def governance_plan(plan: Mapping[str, Any]) -> str:
    """A rollout plan in words: «Canary, 25 %»."""
    strategy = str(plan.get("strategy", ""))
    word = str(dict(Strategy.choices).get(strategy, strategy)) or _("not given")
    weight = plan.get("weight")
    return f"{word}, {weight} %" if weight is not None else word


@register.simple_tag(takes_context=True)
def promotions_of(context: Mapping[str, Any], version: ModelVersion) -> SafeString:
    """The panel of a version's promotions, with the button that requests one. One query."""
    user = getattr(context.get("request"), "user", None)
    may = bool(user is not None and user.is_authenticated and user.has_perm("promotion.request"))
    rows = list(queries.promotions_of(version.pk)[:20])
    return render_to_string("governance/parts/promotions_of.html", {"version": version, "rows": rows, "may": may})
