"""Which deployment strategy fits: a form of questions, answered by the same address."""

from __future__ import annotations

from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from registry import strategy_words
from registry.pages.access import readable
from registry.strategy_advice import KINDS, NEEDS, Option, advise


class Questions(forms.Form):
    """What is needed. Nothing ticked asks for nothing, and the simplest strategy fits."""

    kind = forms.ChoiceField(
        label=gettext_lazy("How it predicts"),
        choices=[(kind, strategy_words.KINDS[kind]) for kind in KINDS],
        initial="online",
        required=False,
    )
    needs = forms.MultipleChoiceField(
        label=gettext_lazy("What is needed"),
        choices=[(need, strategy_words.NEEDS[need]) for need in NEEDS],
        widget=forms.CheckboxSelectMultiple,
        required=False,
    )


@readable
def adviser(request: HttpRequest) -> HttpResponse:
    """The questions; with ``kind`` in the address, the strategies that fit and why the others do not."""
    asked = "kind" in request.GET
    form = Questions(request.GET if asked else None)
    context: dict[str, Any] = {"form": form, "sentence": _("Say what is needed; the strategies that fit are named.")}
    if asked and not form.is_valid():
        context["sentence"] = _("The questions cannot be understood; nothing is advised.")
    elif asked:
        advice = advise(form.cleaned_data["needs"], form.cleaned_data["kind"] or "online")
        context |= {
            "sentence": strategy_words.conclusion(advice),
            "advice": advice,
            "fitting": [_told(each) for each in advice.fitting],
            "others": [_told(each) for each in advice.others],
        }
    return render(request, "registry/adviser.html", context, status=400 if asked and form.errors else 200)


def _told(option: Option) -> dict[str, Any]:
    return {
        "strategy": option.strategy,
        "name": strategy_words.name(option.strategy),
        "says": strategy_words.SAYS[option.strategy],
        "meets": strategy_words.in_favour(option),
        "against": strategy_words.against(option),
        "then": strategy_words.name(option.then) if option.then else "",
    }
