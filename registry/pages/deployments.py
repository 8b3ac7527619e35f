"""One deployment as a page: what it is, what its strategy recorded, its history."""

from __future__ import annotations

import json

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.text import get_text_list
from django.utils.translation import gettext as _

from audit import queries as audit_queries
from registry import describing, finding_wording, strategy_records
from registry.models import Deployment, DeploymentKind, Finding
from registry.pages.access import readable


@readable
def deployment_detail(request: HttpRequest, number: int) -> HttpResponse:
    """One deployment, rollback or drill."""
    deployment = describing.find(number)
    records = [
        {"row": row, "text": json.dumps(row.record, indent=2, ensure_ascii=False, sort_keys=True)}
        for row in deployment.records.all()[:100]
    ]
    found = list(Finding.objects.unlawful().filter(concerns=deployment.subject))
    context = {
        "deployment": deployment,
        "conclusion": _conclusion(deployment, len(found)),
        "records": records,
        "unlawful": [(row, finding_wording.sentence(row)) for row in found],
        "required": get_text_list(list(strategy_records.required(deployment.strategy)), _("and")),
        "rows": audit_queries.history(deployment.subject, limit=50),
    }
    return render(request, "registry/deployment_detail.html", context)


def _conclusion(row: Deployment, unlawful: int) -> str:
    told = {"version": row.version.label, "environment": row.environment.slug}
    if row.kind == DeploymentKind.DRILL:
        return _("Going back to %(version)s in %(environment)s was practised; nothing that serves changed.") % told
    if row.until is None and unlawful:
        return _("%(version)s serves in %(environment)s and is no longer lawful.") % told
    if row.until is None:
        return _("%(version)s serves in %(environment)s.") % told
    return _("%(version)s served in %(environment)s and was replaced.") % told
