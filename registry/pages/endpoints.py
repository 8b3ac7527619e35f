"""The forms that register an endpoint and say how it is called."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods

from audit.refusals import NotKnown, Refusal
from registry import environments, queries
from registry.models import Endpoint, Environment, Protocol
from registry.pages.refused import at_fields
from registry.serving.calling import LIMITS
from registry.serving.options import OPTIONS

_KINDS = (
    ("probability", gettext_lazy("The probability of a class")),
    ("score", gettext_lazy("A score")),
    ("value", gettext_lazy("A value (regression)")),
    ("label", gettext_lazy("A label")),
)


class _Json(forms.JSONField):
    """JSON on several lines: a mapping is read by people."""

    def to_python(self, value: Any) -> Any:
        try:
            return super().to_python(value)
        except RecursionError as error:
            raise forms.ValidationError(self.error_messages["invalid"], code="invalid", params={"value": ""}) from error

    def prepare_value(self, value: Any) -> Any:
        return value if value is None or isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)


class EndpointForm(forms.Form):
    """Everything that is said of an endpoint; never a secret, which has a name here only."""

    version = forms.CharField(
        label=gettext_lazy("Version"), max_length=160, help_text=gettext_lazy("For example version:credit-scoring/3.")
    )
    url = forms.CharField(
        label=gettext_lazy("Address"),
        max_length=400,
        help_text=gettext_lazy("Where rows are sent. Its host must be in ALLOWED_ENDPOINT_HOSTS."),
    )
    identity = forms.CharField(
        label=gettext_lazy("Address that says which version is served"), max_length=400, required=False
    )
    protocol = forms.ChoiceField(label=gettext_lazy("Protocol"), choices=Protocol.choices)
    options = _Json(
        label=gettext_lazy("Options"),
        required=False,
        help_text=gettext_lazy("A JSON object; which keys a protocol has stands beside the form."),
        widget=forms.Textarea(attrs={"rows": 6, "dir": "ltr", "spellcheck": "false"}),
    )
    output = forms.ChoiceField(label=gettext_lazy("An answer is"), choices=_KINDS)
    of_class = forms.CharField(
        label=gettext_lazy("Of class"),
        max_length=100,
        required=False,
        help_text=gettext_lazy("Which class the probability is of, for example 1."),
    )
    concurrency = forms.IntegerField(
        label=gettext_lazy("Requests at once"),
        min_value=LIMITS["concurrency"][0],
        max_value=LIMITS["concurrency"][1],
        initial=2,
        help_text=gettext_lazy("Over all workers. One server process is busy with 2 or 3."),
    )
    rows_per_second = forms.IntegerField(
        label=gettext_lazy("Rows per second"),
        min_value=LIMITS["rows_per_second"][0],
        max_value=LIMITS["rows_per_second"][1],
        required=False,
        help_text=gettext_lazy("Over all workers; empty: as many as it answers."),
    )
    timeout = forms.IntegerField(
        label=gettext_lazy("Seconds for one answer"),
        min_value=LIMITS["timeout"][0],
        max_value=LIMITS["timeout"][1],
        initial=30,
    )
    credential = forms.CharField(
        label=gettext_lazy("Credential"),
        max_length=64,
        required=False,
        help_text=gettext_lazy("The name of a header that is kept outside the database, for example SCORING."),
    )

    def said(self) -> dict[str, Any]:
        """What the functions of ``registry.environments`` are called with."""
        given = dict(self.cleaned_data)
        of_class = given.pop("of_class").strip()
        given["output"] = {"kind": given["output"], **({"of_class": of_class} if of_class else {})}
        given["version"] = queries.version_by_subject(given["version"].strip())
        given["options"] = given["options"] or {}
        return given


class NewEndpointForm(EndpointForm):
    """And its name, which stays."""

    name = forms.CharField(label=gettext_lazy("Name in addresses"), max_length=128)
    field_order = ("name",)


@require_http_methods(["GET", "HEAD", "POST"])
def endpoint_register(request: HttpRequest, slug: str) -> HttpResponse:
    """Record where a version is served in an environment, and how it is called."""
    user: Any = request.user
    user.require("registry.change")
    environment = environments.find_environment(slug)
    form = NewEndpointForm(request.POST or None)

    def register() -> Endpoint:
        given = form.said()
        return environments.register_endpoint(given.pop("name"), environment=environment, **given, by=user.actor)

    return _answer(request, form, register, environment, None)


@require_http_methods(["GET", "HEAD", "POST"])
def endpoint_change(request: HttpRequest, slug: str, name: str) -> HttpResponse:
    """Say that an endpoint serves another version, answers elsewhere, or is called otherwise."""
    user: Any = request.user
    user.require("registry.change")
    endpoint = environments.find_endpoint(name)
    if endpoint.environment.slug != slug:
        raise NotKnown(_("There is no endpoint “%(name)s”.") % {"name": name[:128]}, code="endpoint.unknown")
    initial = {field: getattr(endpoint, field) for field in EndpointForm.base_fields if hasattr(endpoint, field)}
    initial |= {"version": endpoint.version.subject, "output": endpoint.output.get("kind")}
    form = EndpointForm(request.POST or None, initial={**initial, "of_class": endpoint.output.get("of_class", "")})

    def change() -> Endpoint:
        given = form.said()
        # what else the contract says was said by a program, and stays; the place of another class does not
        same = all(given["output"].get(name) == endpoint.output.get(name) for name in ("kind", "of_class"))
        dropped = {"of_class"} if same else {"of_class", "index"}
        given["output"] = {**{k: v for k, v in endpoint.output.items() if k not in dropped}, **given["output"]}
        return environments.change_endpoint(endpoint, **given, by=user.actor)

    return _answer(request, form, change, endpoint.environment, endpoint)


def _answer(
    request: HttpRequest,
    form: EndpointForm,
    do: Callable[[], Endpoint],
    environment: Environment,
    endpoint: Endpoint | None,
) -> HttpResponse:
    """Do it and go to the environment's page, or show the form with what was wrong."""
    refusal: Refusal | None = None
    if request.method == "POST" and form.is_valid():
        try:
            do()
        except Refusal as caught:
            refusal = caught
        else:
            messages.success(request, _("Recorded."))
            return redirect(f"{environment.get_absolute_url()}#endpoints")
    status = refusal.status if refusal else 400 if form.is_bound else 200
    context = {
        "form": form,
        "refusal": at_fields(form, refusal),
        "environment": environment,
        "endpoint": endpoint,
        "known": [(Protocol(name).label, sorted(keys.items())) for name, keys in OPTIONS.items()],
    }
    return render(request, "registry/endpoint_form.html", context, status=status)
