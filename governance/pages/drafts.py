"""A new version of a policy from its text to its activation: draft, back-test, put in force by a second person."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from audit.as_of import moment
from audit.refusals import BadInput, NotKnown, Refusal
from governance import backtests, packs, policies, queries, second_person
from governance.models.backtest import Backtest, BacktestState
from governance.models.policy import PackState, PolicyPack
from governance.models.user import User
from governance.pages.person import signed_in
from governance.policies.written import LIMIT_CHARACTERS

#: Flips that the page lists; the API has all.
SHOWN = 200
#: Back-tests of one version that its page lists.
LISTED = 10


@dataclass(frozen=True, slots=True)
class CasesTried:
    """The cases of a pack, each with what came out."""

    pack: str
    cases: tuple[policies.Tried, ...]

    @property
    def sentence(self) -> str:
        """What they say together."""
        failing = sum(not each.holds for each in self.cases)
        if not self.cases:
            return _("It carries no cases, so nothing says what must come out of it.")
        if not failing:
            return ngettext("Its %(n)d case holds.", "All %(n)d cases hold.", len(self.cases)) % {"n": len(self.cases)}
        return ngettext(
            "%(failing)d of %(n)d case does not hold.", "%(failing)d of %(n)d cases do not hold.", len(self.cases)
        ) % {"failing": failing, "n": len(self.cases)}


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
    """Write a pack; ``?from=slug`` begins with the newest text of that one. The button beside runs its cases only."""
    user = signed_in(request, "promotion.read")
    form = DraftForm(request.POST or None, initial={"text": _newest_text(request.GET.get("from", ""))})
    if "run" in request.POST:
        return _run_cases(request, form, user)
    problems: list[str] = []
    refusal: Refusal | None = None
    tried: CasesTried | None = None
    if request.method == "POST" and form.is_valid():
        try:
            user.require("policy.change")
            row = packs.draft(form.cleaned_data["text"], reason=form.cleaned_data["reason"], by=user.actor)
        except Refusal as caught:
            refusal = caught
            problems = list(caught.fields.values()) if isinstance(caught, BadInput) else []
            tried = _cases_of(form.cleaned_data["text"])
        else:
            messages.success(request, _("The draft is stored. It decides nothing: try it on the past next."))
            return redirect("governance:policy", f"{row.slug}/{row.version}")
    may = user.has_perm("policy.change")
    context = {"form": form, "refusal": refusal, "problems": problems, "may": may, "tried": tried}
    status = refusal.status if refusal else 400 if form.is_bound else 200
    return render(request, "governance/policy_draft.html", context, status=status)


def _run_cases(request: HttpRequest, form: DraftForm, user: User) -> HttpResponse:
    """The same page with what comes out of the cases; nothing is stored."""
    form.fields["reason"].required = False
    context: dict[str, Any] = {"form": form, "may": user.has_perm("policy.change")}
    status = 400
    if form.is_valid():
        try:
            compiled, found = packs.try_cases(form.cleaned_data["text"])
        except BadInput as caught:
            context |= {"refusal": caught, "problems": list(caught.fields.values())}
        else:
            context["tried"], status = CasesTried(compiled.id, found), 200
    return render(request, "governance/policy_draft.html", context, status=status)


def _cases_of(text: str) -> CasesTried | None:
    """What comes out of the cases of a text that was refused; None when they cannot be read."""
    try:
        compiled, found = packs.try_cases(text)
    except BadInput:
        return None
    return CasesTried(compiled.id, found)


def tried_on_cases(pack: policies.CompiledPack) -> CasesTried | None:
    """The cases of a stored pack with what comes out of them today; None when this program cannot read them."""
    try:
        return CasesTried(pack.id, policies.try_cases(pack))
    except policies.PackError:
        return None


@require_POST
def try_policy(request: HttpRequest, slug: str, version: int) -> HttpResponse:
    """Ask for a back-test."""
    user = signed_in(request, "promotion.read")
    user.require("policy.change")
    row = backtests.request(slug, version, by=user.actor)
    messages.success(request, _("A worker tries it on the past now."))
    return redirect("governance:backtest", row.pk)


@require_POST
def activate_policy(request: HttpRequest, slug: str, version: int) -> HttpResponse:
    """Put a draft in force, at once or from the instant that is given (UTC)."""
    user = signed_in(request, "promotion.read")
    try:
        user.require("policy.activate")
        at = moment(request.POST.get("at", ""))
        packs.activate(slug, version, reason=request.POST.get("reason", ""), at=at, by=user.actor)
    except NotKnown:
        raise
    except Refusal as refusal:
        messages.error(request, refusal.sentence)
    else:
        now = _("It is in force: every gate check asks it from now on.")
        messages.success(request, _("It waits for its instant, and decides from that second on.") if at else now)
    return redirect("governance:policy", f"{slug}/{version}")


@require_POST
def unschedule_policy(request: HttpRequest, slug: str, version: int) -> HttpResponse:
    """Take back the instant of a version that waits for it."""
    user = signed_in(request, "promotion.read")
    try:
        user.require("policy.activate")
        packs.unschedule(slug, version, reason=request.POST.get("reason", ""), by=user.actor)
    except NotKnown:
        raise
    except Refusal as refusal:
        messages.error(request, refusal.sentence)
    else:
        messages.success(request, _("Its instant is taken back: it is a draft again."))
    return redirect("governance:policy", f"{slug}/{version}")


@require_safe
def backtest(request: HttpRequest, number: int) -> HttpResponse:
    """What a back-test found, or how far it is."""
    signed_in(request, "promotion.read")
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


def steps(pack: PolicyPack, versions: Sequence[PolicyPack], user: User, *, against: str = "") -> dict[str, Any]:
    """What the page of a version needs to bring it into force: its back-tests, the difference, and who may."""
    tests = list(Backtest.objects.select_related("progress").filter(pack=pack).defer("result")[:LISTED])
    newest = Backtest.objects.select_related("progress", "pack").filter(pack=pack).first()
    return {
        "backtest": newest,
        "backtests": tests,
        "backtest_sentence": verdict(newest) if newest else "",
        "difference": _difference(pack, versions, against),
        "waiting": next((row for row in versions if row.state == PackState.SCHEDULED and row.pk != pack.pk), None),
        "may_change": user.has_perm("policy.change"),
        "may_activate": user.has_perm("policy.activate"),
        "drafted_it": second_person.is_first(pack.drafted_by, user.actor),
    }


def _difference(pack: PolicyPack, versions: Sequence[PolicyPack], against: str) -> dict[str, Any] | None:
    """The changed lines, three around each, against version ``against``; by default against the one in force for what
    is to come, and against the one before for the others. None when there is no other.
    """
    others = [row for row in versions if row.pk != pack.pk]
    chosen = next((row for row in others if str(row.version) == against), None)
    if chosen is None and pack.state in (PackState.DRAFT, PackState.SCHEDULED):
        chosen = next((row for row in others if row.state == PackState.ACTIVE), None)
    elif chosen is None:
        chosen = next((row for row in others if row.version < pack.version), None)
    if chosen is None:
        return None
    lines = list(difflib.unified_diff(chosen.text.splitlines(), pack.text.splitlines(), lineterm="", n=3))[2:]
    kinds = {"+": "added", "-": "removed", "@": "place"}
    return {"against": chosen.version, "lines": [(kinds.get(line[:1], "same"), line) for line in lines]}


def _newest_text(slug: str) -> str:
    row = PolicyPack.objects.filter(slug=slug).first() if slug else None
    return row.text if row else ""
