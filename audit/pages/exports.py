"""Pages: exports, one of them, its file; the tables of the Log page; a bundle dropped to be verified."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from typing import Any

from django import forms
from django.conf import settings
from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from audit import as_of, queries
from audit.exports import dropped, jobs, tables
from audit.exports.queries import find, newest
from audit.exports.scope import FIELDS, Scope
from audit.pages.forms import Known, LogFilter
from audit.refusals import BadInput


class ExportForm(forms.Form):
    """What to export; days are UTC and both ends belong to the period."""

    everything = forms.BooleanField(
        label=_("Everything"),
        required=False,
        help_text=_(
            "Or leave this empty and choose a part below. Only an export of everything proves that none is missing."
        ),
    )
    model = forms.ChoiceField(label=_("Model"), required=False)
    environment = forms.ChoiceField(label=_("Environment"), required=False)
    since = forms.DateField(label=_("From"), required=False, widget=forms.DateInput(attrs={"type": "date"}))
    until = forms.DateField(label=_("To"), required=False, widget=forms.DateInput(attrs={"type": "date"}))
    disclose = forms.MultipleChoiceField(
        label=_("Private values to disclose"),
        required=False,
        choices=list(FIELDS.items()),
        widget=forms.CheckboxSelectMultiple,
        help_text=_("None unless chosen. What leaves in a bundle cannot be erased there any more."),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("model", "environment"):
            names = queries.named(name)
            self.fields[name] = forms.ChoiceField(
                label=self.fields[name].label,
                required=False,
                choices=[("", _("Any")), *((each, each) for each in names)],
            )

    @property
    def scope(self) -> Scope:
        """What was chosen, once valid."""
        values = self.cleaned_data
        since, until = values["since"], values["until"]
        return Scope(
            everything=values["everything"],
            model=values["model"],
            environment=values["environment"],
            since=datetime.combine(since, time(), UTC) if since else None,
            until=datetime.combine(until, time(), UTC) + timedelta(days=1) if until else None,
            disclose=tuple(values["disclose"]),
            language=get_language() or "en",
        )


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def exports(request: HttpRequest) -> HttpResponse:
    """The list, and the form that asks for another."""
    _require(request, "audit.read")
    may = request.user.has_perm("audit.export")
    form = ExportForm(request.POST if request.method == "POST" else None)
    if request.method == "POST":
        _require(request, "audit.export")
        if form.is_valid():
            try:
                user: Any = request.user
                made = jobs.request(form.scope, by=user.actor)
                return HttpResponseRedirect(reverse("audit:export", args=[made.pk]))
            except BadInput as error:
                form.add_error(None, error.sentence)
    status = 400 if request.method == "POST" else 200
    context = {"form": form, "may": may, "exports": newest()}
    return render(request, "audit/export_list.html", context, status=status)


@never_cache
@require_safe
def export(request: HttpRequest, number: int) -> HttpResponse:
    """One export with its progress, digest and the commands to check it."""
    _require(request, "audit.read")
    found = find(number)
    context = {"export": found, "done": jobs.progress(found.export), "may": request.user.has_perm("audit.export")}
    response = render(request, "audit/export_detail.html", context)
    if found.export.state == "requested":
        response["Refresh"] = "3"
    return response


@never_cache
@require_safe
def download(request: HttpRequest, number: int) -> FileResponse:
    """The file of a finished export."""
    _require(request, "audit.export")
    found = find(number).export
    return FileResponse(
        jobs.opened(found), as_attachment=True, filename=f"export-{found.pk}.zip", content_type="application/zip"
    )


@never_cache
@require_safe
def table(request: HttpRequest, kind: str) -> HttpResponseBase:
    """The search of the Log page as CSV or XLSX: the same filters, every row of them."""
    _require(request, "audit.read")
    known = Known(queries.actors(), queries.named("model"), queries.named("environment"), queries.logs())
    form = LogFilter(request.GET, known=known)
    if not form.is_valid():
        return render(request, "audit/log_list.html", {"form": form, "page": None}, status=400)
    filters, then = form.filters, as_of.asked(form.cleaned_data["as_of"])
    if then is not None:
        last = then.last if filters.through is None else min(then.last, filters.through)
        filters = replace(filters, through=last, log_id=then.log_id)
    if kind == "csv":
        response: HttpResponseBase = StreamingHttpResponse(
            tables.csv_pieces(filters), content_type="text/csv; charset=utf-8"
        )
    else:
        target = tempfile.TemporaryFile()  # noqa: SIM115  closed with the response
        tables.write_xlsx(target, filters)
        target.seek(0)
        response = FileResponse(target, as_attachment=True, filename="log.xlsx")
    response["Content-Disposition"] = f'attachment; filename="log.{kind}"'
    return response


@never_cache
@require_POST
def verify_bundle(request: HttpRequest) -> HttpResponse:
    """The verdict about a file that somebody sends."""
    _require(request, "audit.read")
    limit = settings.EXPORT_UPLOAD_LIMIT // 1024**2
    try:
        verdict = dropped.verify(request)
    except BadInput as error:
        return render(request, "audit/bundle_verdict.html", {"refused": error.sentence, "limit": limit}, status=400)
    return render(request, "audit/bundle_verdict.html", {"verdict": verdict, "limit": limit})


def _require(request: HttpRequest, action: str) -> None:
    user: Any = request.user
    user.require(action)
