"""What governance adds to templates: panels for lower apps' pages, roles and plans in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from django import template
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from explain.models import Analysis
from governance import analysed, evidence, explained, queries
from governance.blast import BlastRadius
from governance.gates import role_name
from governance.models.evidence import Evidence
from governance.policies.vocabulary import format_time
from governance.wording import KINDS
from registry import incidents
from registry.models import Environment, Incident, IncidentState, ModelVersion, Strategy

register = template.Library()
#: Pieces of evidence that a version's page lists, newest first.
MOST_EVIDENCE = 20


@register.simple_tag
def governance_role(role: str) -> str:
    """A role in words."""
    return role_name(str(role))


@register.filter
def flow_kind(kind: str) -> str:
    """A kind of flow in words; one that a newer version recorded as it was written."""
    return str(KINDS.get(kind, kind))


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


@register.simple_tag
def explanation_of(row: Evidence) -> str:
    """The explanation or analysis behind a piece of evidence; empty when people recorded it."""
    return explained.subject_of(row) or analysed.subject_of(row)


@register.simple_tag
def evidence_from(analysis: Analysis) -> Evidence | None:
    """The evidence that a finished analysis put on record. At most one query."""
    return analysed.evidence_of(analysis)


@register.simple_tag(takes_context=True)
def evidence_of(context: Mapping[str, Any], version: ModelVersion) -> SafeString:
    """The panel of a version's evidence, with the button that records some. One query."""
    user, now = getattr(context.get("request"), "user", None), timezone.now()
    may = bool(user is not None and user.is_authenticated and user.has_perm("evidence.change"))
    found = list(evidence.named().filter(version=version)[: MOST_EVIDENCE + 1])
    rows = [(row, evidence.why_stale(row, at=now)) for row in found[:MOST_EVIDENCE]]
    told = {"version": version, "rows": rows, "may": may, "all": len(found) > MOST_EVIDENCE}
    return render_to_string("governance/parts/evidence_of.html", told)


@register.simple_tag
def incidents_on(version: ModelVersion, environment: Environment | None = None) -> SafeString:
    """A banner for each freeze that reaches the version. One query when no incident is on record, four at most."""
    holds = [hold for hold in incidents.holding(version, environment) if hold.counts]
    if not holds:
        return SafeString("")
    names = queries.names(hold.incident.frozen_by for hold in holds)
    return render_to_string("governance/parts/held_by.html", {"holds": holds, "names": names})


@register.simple_tag
def incidents_about(subject: str) -> SafeString:
    """A banner for each incident, open or frozen, about the subject itself. One query."""
    rows = list(
        Incident.objects.filter(root=subject, state__in=[IncidentState.OPEN, IncidentState.FROZEN]).defer("held")
    )
    return render_to_string("governance/parts/incidents_about.html", {"rows": rows}) if rows else SafeString("")


@register.simple_tag
def reached_link(subject: str) -> str:
    """The address of the page that says what the subject reached."""
    return f"{reverse('governance:blast_radius')}?{urlencode({'subject': subject})}"


@register.simple_tag
def radius_file(kind: str, found: BlastRadius) -> str:
    """The address of the same question's file, ``csv`` or ``xlsx``."""
    asked = {"subject": found.root}
    if found.since is not None:
        asked["since"] = format_time(found.since)
    return f"{reverse(f'governance:blast_{kind}')}?{urlencode(asked)}"


@register.simple_tag
def more(rows: Sequence[Any], shown: int) -> SafeString:
    """How many rows a table leaves out; the files hold them."""
    left = len(rows) - shown
    if left <= 0:
        return SafeString("")
    said = ngettext(
        "%(n)d more row is in the CSV and XLSX files.", "%(n)d more rows are in the CSV and XLSX files.", left
    )
    return format_html('<p class="panel-foot muted">{}</p>', said % {"n": left})
