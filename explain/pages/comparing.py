"""Two explanations of the same rows beside each other: what changes for people, then over all."""

from __future__ import annotations

from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as translated
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from audit.refusals import Refusal
from explain import comparisons, queries
from explain.methods import figures
from explain.methods.comparing import Change, FeatureChange
from explain.models import ExplanationJob, State
from explain.pages import spoken
from explain.pages.access import may
from explain.pages.figures import Figure
from explain.pages.shown import unit_of

#: Shares of the rows that are told as per cent.
_SHARES = ("top_changed", "top_changed_certain", "flipped")
#: Explanations that are offered, and rows that the page lists: those that changed come first.
MOST_OFFERED, MOST_ROWS = 100, 100


class CompareForm(forms.Form):
    """Numbers of two finished explanations."""

    champion = forms.IntegerField(label=_("Before"), min_value=1, max_value=2**31, required=False)
    challenger = forms.IntegerField(label=_("After"), min_value=1, max_value=2**31, required=False)

    def offer(self) -> None:
        """Finished explanations to choose from, newest first; what was asked for stays visible. One query."""
        rows = queries.jobs().filter(state=State.FINISHED)[:MOST_OFFERED]
        choices = [(str(job.pk), f"{job.pk} · {job.version.label} · {job.get_method_display()}") for job in rows]
        known = {value for value, _label in choices}
        for name, field in self.fields.items():
            asked = str(self.data.get(name, ""))[:20]
            extra = [(asked, asked)] if asked and asked not in known else []
            field.widget = forms.Select(choices=[("", "—"), *choices, *extra])


@require_safe
def compare(request: HttpRequest) -> HttpResponse:
    """``?champion=<id>&challenger=<id>``: what changes from the one to the other."""
    may(request, "explain.read")
    form = CompareForm(request.GET)
    form.offer()
    context: dict[str, Any] = {"form": form}
    status = 200 if form.is_valid() else 400
    if form.is_valid() and form.cleaned_data["champion"] and form.cleaned_data["challenger"]:
        one, two = (queries.find(form.cleaned_data[name]) for name in ("champion", "challenger"))
        context |= {"champion": one, "challenger": two}
        try:
            context |= _compared(comparisons.compare(one, two))
        except Refusal as refusal:
            context["refusal"], status = refusal.sentence, refusal.status
    return render(request, "explain/explanation_compare.html", context, status=status)


def _compared(found: comparisons.Comparison) -> dict[str, Any]:
    change = found.change
    rows = sorted(change.rows, key=lambda row: (not (row.top_changed and row.certain), not row.top_changed))
    return {
        "comparison": found,
        "conclusion": comparisons.conclusion(found),
        "limits": comparisons.quality(found),
        "figure": _figure(found.champion, found.challenger, change),
        "rows": rows[:MOST_ROWS],
        "more_rows": max(len(rows) - MOST_ROWS, 0),
        "shares": {name: f"{100 * getattr(change, name):.0f}" for name in _SHARES},
        "jaccard": f"{change.jaccard:.2f}",
        "spearman": None if change.spearman is None else f"{change.spearman:.3f}",
    }


def _figure(champion: ExplanationJob, challenger: ExplanationJob, change: Change) -> Figure:
    features = sorted(change.features, key=lambda each: -max(each.champion, each.challenger))
    sides = (f"{champion.version.label} · {champion.pk}", f"{challenger.version.label} · {challenger.pk}")
    spec = figures.dumbbell(
        [each.name for each in features],
        [each.champion for each in features],
        [each.challenger for each in features],
        sides=sides,
        unit=translated("mean size of the contribution, %(unit)s") % {"unit": unit_of(champion)},
    )
    return Figure(
        spec=spec,
        caption=translated("Mean size of each feature’s contribution: the diamond before, the circle after."),
        finding=spoken.changes(features),
        header=(
            translated("Feature"),
            translated("Before"),
            translated("After"),
            translated("Difference"),
            translated("95 % from"),
            translated("to"),
            translated("Rows whose sign turns"),
        ),
        rows=[_feature(each) for each in features],
    )


def _feature(each: FeatureChange) -> tuple[str, ...]:
    low, high = ("—" if bound is None else f"{bound:+.3g}" for bound in (each.low, each.high))
    return (
        each.name,
        f"{each.champion:.4g}",
        f"{each.challenger:.4g}",
        f"{each.difference:+.3g}",
        low,
        high,
        str(each.flips),
    )
