"""Pages of analyses: they read, and translate a form into a call."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_safe

from audit.actors import Actor
from audit.queries import history
from audit.refusals import BadInput, Refusal
from explain import analyses, analysis_words, queries
from explain.models import Analysis, Kind
from registry.pages.paging import page_of

_HEADERS = (["row", "group"], ["row", "group", "outcome"])


class AnalysisForm(forms.Form):
    """What is measured, on which explanations; the last five fields are about fairness."""

    kind = forms.ChoiceField(label=gettext_lazy("What is measured"), choices=Kind.choices)
    first = forms.IntegerField(
        label=gettext_lazy("Explanation"),
        min_value=1,
        max_value=2**62,
        help_text=gettext_lazy("Its number: the champion of a comparison, the reference sample of drift."),
    )
    second = forms.IntegerField(
        label=gettext_lazy("Second explanation"),
        min_value=1,
        max_value=2**62,
        required=False,
        help_text=gettext_lazy("The challenger of a comparison, the current sample of drift."),
    )
    threshold = forms.FloatField(
        label=gettext_lazy("Threshold"),
        required=False,
        help_text=gettext_lazy("For fairness: the output at which the decision turns, on the explained scale."),
    )
    favourable = forms.ChoiceField(
        label=gettext_lazy("Good for the person"),
        choices=[
            ("higher", gettext_lazy("at or above the threshold")),
            ("lower", gettext_lazy("below the threshold")),
        ],
    )
    attribute = forms.CharField(
        label=gettext_lazy("What the groups are of"),
        required=False,
        max_length=64,
        help_text=gettext_lazy("For fairness: for example age group."),
    )
    column = forms.CharField(
        label=gettext_lazy("Column that says the group"),
        required=False,
        max_length=200,
        help_text=gettext_lazy("For fairness: a column of the rows, unless the groups stand below."),
    )
    people = forms.CharField(
        label=gettext_lazy("Groups and outcomes"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 6, "spellcheck": "false", "dir": "ltr"}),
        help_text=gettext_lazy(
            "CSV with the header row,group or row,group,outcome; the outcome is 1 or 0. Sealed, and destroyed when the "
            "analysis ends."
        ),
    )

    def people_read(self) -> dict[str, Any]:
        """``groups`` and ``labels`` of the pasted lines. Raises ``BadInput`` with the line."""
        text = self.cleaned_data["people"].strip()
        if not text:
            return {"groups": None, "labels": None}
        header, *lines = [[cell.strip() for cell in line] for line in csv.reader(io.StringIO(text)) if line]
        if header not in _HEADERS:
            raise _bad(_("The first line is row,group or row,group,outcome."))
        for number, line in enumerate(lines, start=2):
            if len(line) != len(header) or (len(line) == 3 and line[2] not in ("0", "1")):
                raise _bad(_("Line %(line)d does not fit the header.") % {"line": number})
        if len({line[0] for line in lines}) != len(lines):
            raise _bad(_("A row occurs twice."))
        labels = {line[0]: int(line[2]) for line in lines} if len(header) == 3 else None
        return {"groups": {line[0]: line[1] for line in lines}, "labels": labels}


def _bad(sentence: str) -> BadInput:
    return BadInput(sentence, code="analysis.people", fields={"people": sentence})


def _may(request: HttpRequest, action: str) -> Actor:
    """The signed-in actor. Raises ``NotPermitted`` when the rule table does not give them ``action``."""
    user: Any = request.user
    user.require(action)
    actor: Actor = user.actor
    return actor


@require_safe
def list_analyses(request: HttpRequest) -> HttpResponse:
    """All analyses, newest first."""
    _may(request, "explain.read")
    page = page_of(Analysis.objects.with_names(), request, 25)
    context = {"page": page, "may_request": request.user.has_perm("explain.request")}
    return render(request, "explain/analysis_list.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
def request_analysis(request: HttpRequest) -> HttpResponse:
    """The form; ``?kind=``, ``?first=`` and ``?second=`` fill it in."""
    actor = _may(request, "explain.request")
    initial = {name: request.GET[name] for name in ("kind", "first", "second") if name in request.GET}
    form = AnalysisForm(request.POST or None, initial=initial)
    status = 200
    if request.method == "POST":
        analysis = _requested(form, actor) if form.is_valid() else None
        if analysis is not None:
            return redirect(analysis)
        status = 422
    return render(request, "explain/analysis_request.html", {"form": form}, status=status)


def _requested(form: AnalysisForm, actor: Actor) -> Analysis | None:
    """The new analysis, or ``None`` with the reasons in the form."""
    given = form.cleaned_data
    try:
        second = given["second"]
        asked = {name: given[name] for name in ("threshold", "favourable", "attribute", "column")}
        return analyses.request(
            given["kind"],
            queries.find(given["first"]),
            None if second is None else queries.find(second),
            by=actor,
            **asked,
            **form.people_read(),
        )
    except csv.Error as error:
        form.add_error("people", str(error))
    except Refusal as refusal:
        renamed = {"groups": "people", "labels": "people"}
        fields = {renamed.get(name, name): text for name, text in getattr(refusal, "fields", {}).items()}
        for name, text in fields.items():
            form.add_error(name if name in form.fields else None, text)
        if not fields:
            form.add_error(None, refusal.sentence)
    return None


@require_safe
def analysis(request: HttpRequest, analysis_id: int) -> HttpResponse:
    """One analysis."""
    _may(request, "explain.read")
    found = analyses.find(analysis_id)
    context = {
        "analysis": found,
        "conclusion": analysis_words.conclusion(found),
        "standing": analysis_words.standing(found),
        "freshness": analyses.freshness(found),
        "tables": analysis_words.tables(found),
        "mismatches": analyses.problems(found) if found.receipt_digest else [],
        "receipt_text": json.dumps(found.receipt, ensure_ascii=False, indent=2),
        "history": history(found.subject),
    }
    return render(request, "explain/analysis_detail.html", context)


urlpatterns = [
    path("analyses", list_analyses, name="analyses"),
    path("analyses/new", request_analysis, name="request_analysis"),
    path("analyses/<int:analysis_id>", analysis, name="analysis"),
]
