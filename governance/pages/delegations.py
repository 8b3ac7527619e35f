"""Delegations: who signs for whom, and until when; make one's own, end it."""

from __future__ import annotations

from datetime import UTC, datetime, time

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from audit.refusals import NotKnown, Refusal
from governance import access, delegations, gates, queries
from governance.models.delegation import Delegation
from governance.models.roles import Action
from governance.models.user import User
from governance.pages.person import signed_in
from registry.pages.refused import at_fields

#: The newest; the API lists all.
MOST = 200
_DAY = forms.DateInput(attrs={"type": "date"})


class DelegationForm(forms.Form):
    """Who signs in one's place, in which role, until when. Days begin and end in UTC."""

    role = forms.ChoiceField(label=gettext_lazy("Role"))
    to = forms.ChoiceField(label=gettext_lazy("Who signs in your place"))
    ends_at = forms.DateField(
        label=gettext_lazy("Ends with the day"),
        widget=_DAY,
        help_text=gettext_lazy("At most 90 days; a sign-off rule may allow less, or none."),
    )
    reason = forms.CharField(
        label=gettext_lazy("Why"), max_length=delegations.MOST_TEXT, widget=forms.Textarea(attrs={"rows": 2})
    )
    password = forms.CharField(
        label=gettext_lazy("Your password, again"),
        max_length=1000,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )

    def __init__(self, *args: object, roles: list[str], people: list[User], **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        choices = {
            "role": [(role, gates.role_name(role)) for role in roles],
            "to": [(each.username, each.display_name) for each in people],
        }
        for name, given in choices.items():
            field = self.fields[name]
            assert isinstance(field, forms.ChoiceField)  # noqa: S101  (for the type checker)
            field.choices = given


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@sensitive_post_parameters("password")
def delegation_list(request: HttpRequest) -> HttpResponse:
    """Who signs for whom now and later, what is over, and the form for one's own."""
    user = signed_in(request, "promotion.read")
    form = _form(request, user)
    if request.method != "POST" or form is None or not form.is_valid():
        return _page(request, user, form)
    given = form.cleaned_data
    try:
        row = delegations.make_with_password(
            given["role"],
            given["to"],
            ends_at=datetime.combine(given["ends_at"], time.max, UTC).replace(microsecond=0),
            reason=given["reason"],
            password=given["password"],
            user=user,
            request=request,
        )
    except Refusal as refusal:
        return _page(request, user, form, at_fields(form, refusal))
    messages.success(request, _("%(reference)s runs from now on.") % {"reference": row.reference})
    return redirect("governance:delegations")


@never_cache
@require_POST
def end_delegation(request: HttpRequest, reference: str) -> HttpResponse:
    """End one as one of its two people."""
    user = signed_in(request, "promotion.read")
    try:
        delegations.end(reference, reason=request.POST.get("reason", ""), by=user.actor)
    except NotKnown:
        raise
    except Refusal as refusal:
        return _page(request, user, _form(request, user, blank=True), refusal)
    messages.success(request, _("%(reference)s has ended.") % {"reference": reference})
    return redirect("governance:delegations")


def _form(request: HttpRequest, user: User, *, blank: bool = False) -> DelegationForm | None:
    """None for who holds no role that signs. One query."""
    roles = [role for role in user.roles if access.held_by_roles([role], Action.PROMOTION_SIGN)]
    if not roles:
        return None
    signing = [str(each) for each in access.roles_for(Action.PROMOTION_SIGN)]
    people = User.objects.filter(kind="person", is_active=True, roles__overlap=signing).exclude(pk=user.pk)
    given = request.POST if request.method == "POST" and not blank else None
    return DelegationForm(given, roles=roles, people=list(people.order_by("display_name", "pk")))


def _page(
    request: HttpRequest, user: User, form: DelegationForm | None, refusal: Refusal | None = None
) -> HttpResponse:
    now, me = timezone.now(), user.actor.id
    rows = [(row, row.standing(now)) for row in Delegation.objects.order_by("-pk")[:MOST]]
    current = [pair for pair in rows if pair[1] in ("active", "scheduled")]
    names = queries.names({one for row, _state in rows for one in (row.delegator, row.delegate, row.ended_by) if one})
    invalid = form is not None and form.is_bound and bool(form.errors)
    context = {
        "sentence": _sentence([row for row, state in current if state == "active"], me),
        "current": [(row, state, me in (row.delegator, row.delegate)) for row, state in current],
        "past": [pair for pair in rows if pair not in current],
        "names": names,
        "form": form,
        "refusal": refusal,
        "why_not": access.refusal_of(Action.PROMOTION_SIGN),
    }
    status = refusal.status if refusal else 422 if invalid else 200
    return render(request, "governance/delegation_list.html", context, status=status)


def _sentence(running: list[Delegation], me: str) -> str:
    """The first sentence: how many run, and whether one of them is about the reader."""
    if not running:
        return _("Nobody signs for anybody else now.")
    lent = sum(row.delegate == me for row in running)
    if lent:
        return ngettext(
            "You may sign in the place of %(n)d person.", "You may sign in the place of %(n)d people.", lent
        ) % {"n": lent}
    count = len(running)
    return ngettext("%(n)d delegation runs now.", "%(n)d delegations run now.", count) % {"n": count}
