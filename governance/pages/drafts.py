"""A new version of a policy from its text to its activation: draft, back-test, put in force by a second person."""

from __future__ import annotations

import difflib
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from audit.refusals import BadInput, NotKnown, Refusal
from governance import backtests, packs, queries
from governance.models.backtest import Backtest, BacktestState
from governance.models.policy import PackState, PolicyPack
from governance.models.user import User
from governance.policies.written import LIMIT_CHARACTERS

#: Flips that the page lists; the API has all.
SHOWN = 200


class DraftForm(forms.Form):
    """The text of a pack and why it is written."""

    text = forms.CharField(
        label=gettext_lazy("The pack as YAML"),
        max_length=LIMIT_CHARACTERS,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 24, "spellcheck": "false", "class": "source", "dir": "ltr"}),
        help_text=gettext_lazy("Number the version one higher than the last. Nothing decides until it is in force."),
    )
    reason = forms.CharField(
        label=gettext_lazy("Why it changes"), max_length=4000, widget=forms.Textarea(attrs={"rows": 2})
    )

    def clean_text(self) -> str:
        """With the line ends of a file: a browser sends others, and the text is addressed by its bytes."""
        text: str = self.cleaned_data["text"]
        return text.replace("\r\n", "\n")


@require_http_methods(["GET", "HEAD", "POST"])
def draft_policy(request: HttpRequest) -> HttpResponse:
    """Write a pack; ``?from=slug`` begins with the newest text of that one."""
    user = _reader(request)
    form = DraftForm(request.POST or None, initial={"text": _newest_text(request.GET.get("from", ""))})
    problems: list[str] = []
    refusal: Refusal | None = None
    if request.method == "POST" and form.is_valid():
        try:
            user.require("policy.change")
            row = packs.draft(form.cleaned_data["text"], reason=form.cleaned_data["reason"], by=user.actor)
        except Refusal as caught:
            refusal = caught
            problems = list(caught.fields.values()) if isinstance(caught, BadInput) else []
        else:
            messages.success(request, _("The draft is stored. It decides nothing: try it on the past next."))
            return redirect("governance:policy", f"{row.slug}/{row.version}")
    context = {"form": form, "refusal": refusal, "problems": problems, "may": user.has_perm("policy.change")}
    status = refusal.status if refusal else 400 if form.is_bound else 200
    return render(request, "governance/policy_draft.html", context, status=status)


@require_POST
def try_policy(request: HttpRequest, slug: str, version: int) -> HttpResponse:
    """Ask for a back-test."""
    user = _reader(request)
    user.require("policy.change")
    row = backtests.request(slug, version, by=user.actor)
    messages.success(request, _("A worker tries it on the past now."))
    return redirect("governance:backtest", row.pk)


@require_POST
def activate_policy(request: HttpRequest, slug: str, version: int) -> HttpResponse:
    """Put a draft in force."""
    user = _reader(request)
    try:
        user.require("policy.activate")
        packs.activate(slug, version, reason=request.POST.get("reason", ""), by=user.actor)
    except NotKnown:
        raise
    except Refusal as refusal:
        messages.error(request, refusal.sentence)
    else:
        messages.success(request, _("It is in force: every gate check asks it from now on."))
    return redirect("governance:policy", f"{slug}/{version}")


@require_safe
def backtest(request: HttpRequest, number: int) -> HttpResponse:
    """What a back-test found, or how far it is."""
    _reader(request)
    row = Backtest.objects.select_related("pack", "progress").filter(pk=number).first()
    if row is None:
        raise NotKnown(_("There is no back-test %(number)d.") % {"number": number}, code="backtest.unknown")
    context: dict[str, Any] = {
        "backtest": row,
        "sentence": verdict(row),
        "progress": getattr(row, "progress", None),
        "names": queries.names([row.requested_by]),
        "shown": SHOWN,
    }
    if row.state == BacktestState.FINISHED:
        context["flips"] = row.result["flips"][:SHOWN]
        context["outcomes"] = [(*pair.split(), n) for pair, n in row.result["decisions"]["outcomes"].items()]
    return render(request, "governance/backtest.html", context)


def verdict(row: Backtest) -> str:
    """The first sentence of a back-test's page."""
    if row.state == BacktestState.REQUESTED:
        return _("Not finished yet: a worker looks at every decision on record and at everything that serves.")
    if row.state == BacktestState.FAILED:
        return _("It could not be finished: %(why)s") % {"why": row.error}
    numbers = row.numbers
    first = ngettext(
        "%(flips)d of %(n)d decision would have come out otherwise",
        "%(flips)d of %(n)d decisions would have come out otherwise",
        numbers["decisions"],
    ) % {"flips": numbers["flips"], "n": numbers["decisions"]}
    second = ngettext(
        "%(n)d deployment that serves now would become non-compliant",
        "%(n)d deployments that serve now would become non-compliant",
        numbers["would_fall"],
    ) % {"n": numbers["would_fall"]}
    return _("%(decisions)s; %(deployments)s.") % {"decisions": first, "deployments": second}


def steps(pack: PolicyPack, user: User) -> dict[str, Any]:
    """What the page of a version needs to bring it into force: its newest back-test, the difference, and who may."""
    newest = Backtest.objects.select_related("progress", "pack").filter(pack=pack).first()
    return {
        "backtest": newest,
        "backtest_sentence": verdict(newest) if newest else "",
        "difference": _difference(pack) if pack.state == PackState.DRAFT else None,
        "may_change": user.has_perm("policy.change"),
        "may_activate": user.has_perm("policy.activate"),
        "drafted_it": pack.drafted_by == user.actor.id,
    }


def _difference(pack: PolicyPack) -> dict[str, Any] | None:
    """The changed lines against the version in force, three around each; None when none is."""
    active = PolicyPack.objects.filter(slug=pack.slug, state=PackState.ACTIVE).first()
    if active is None:
        return None
    lines = list(difflib.unified_diff(active.text.splitlines(), pack.text.splitlines(), lineterm="", n=3))[2:]
    kinds = {"+": "added", "-": "removed", "@": "place"}
    return {"against": active.version, "lines": [(kinds.get(line[:1], "same"), line) for line in lines]}


def _newest_text(slug: str) -> str:
    row = PolicyPack.objects.filter(slug=slug).first() if slug else None
    return row.text if row else ""


def _reader(request: HttpRequest) -> User:
    user = request.user
    assert isinstance(user, User)  # noqa: S101  (LoginRequiredMiddleware)
    user.require("promotion.read")
    return user
