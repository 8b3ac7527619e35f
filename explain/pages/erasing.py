"""Erasing the rows of a person from all explanations."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from audit.refusals import Refusal
from explain import erasure
from explain.pages.access import may
from explain.pages.forms import ErasureForm


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def erase(request: HttpRequest) -> HttpResponse:
    """The form; POST erases. For those who may erase accounts."""
    actor = may(request, "account.erase")
    form = ErasureForm(request.POST or None)
    status = 200
    if request.method == "POST":
        status = 422
        if form.is_valid():
            try:
                done = erasure.erase_rows(form.cleaned_data["subject"], reason=form.cleaned_data["reason"], by=actor)
            except Refusal as refusal:
                form.add_error(None, refusal.sentence)
                status = refusal.status
            else:
                said = ngettext(
                    "Erased: %(rows)d row. What explanations held about this person can no longer be read.",
                    "Erased: %(rows)d rows. What explanations held about this person can no longer be read.",
                    done.rows,
                )
                messages.success(request, said % {"rows": done.rows})
                return redirect("explain:explanations")
    return render(request, "explain/explanation_erase.html", {"form": form}, status=status)
