"""Panels that pages of the registry show about explanations."""

from __future__ import annotations

from typing import Any

from django import template

from explain import queries
from registry.models import ModelVersion

register = template.Library()


@register.inclusion_tag("explain/explanation_panel.html", takes_context=True)
def explanations_of(context: dict[str, Any], version: ModelVersion) -> dict[str, Any]:
    """The newest explanations of a version, with the way to ask for one. One query."""
    request = context.get("request")
    may = bool(request and request.user.has_perm("explain.request"))
    return {"jobs": queries.of_version(version, limit=5), "version": version, "may_request": may, "request": request}
