"""The model card, and one version beside any other."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache

from audit.refusals import NotKnown
from registry import bom, cards, differences, versions
from registry.cards import Card
from registry.models import ModelVersion
from registry.pages.access import readable


@readable
def model_card(request: HttpRequest, name: str) -> HttpResponse:
    """The card of a model, told of its newest version or of ``?version=``."""
    card = _card(request, name)
    return render(request, "registry/model_card.html", {"card": card, "model": card.model, "version": card.version})


@never_cache
@readable
def model_card_markdown(request: HttpRequest, name: str) -> HttpResponse:
    """The same as Markdown."""
    card = _card(request, name)
    response = HttpResponse(cards.markdown(card), content_type="text/markdown; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{card.model.name}.md"'
    return response


def _card(request: HttpRequest, name: str) -> Card:
    asked = request.GET.get("version", "")
    model = versions.find_model(name)
    return cards.card_of(model, versions.resolve(name, asked) if asked else cards.newest_version(model))


@never_cache
@readable
def version_bom(request: HttpRequest, name: str, number: int) -> HttpResponse:
    """The version's ML-BOM as a file."""
    version = versions.resolve(name, number)
    response = HttpResponse(bom.bom(cards.card_of(version.model, version), version), content_type=bom.MEDIA_TYPE)
    response["Content-Disposition"] = f'attachment; filename="{name}-{number}.cdx.json"'
    return response


@readable
def version_diff(request: HttpRequest, name: str, number: int) -> HttpResponse:
    """A version beside ``?with=`` (``2`` or ``another-model/7``); without it, beside the one before."""
    version = versions.resolve(name, number)
    asked = request.GET.get("with", "")
    other = versions.named(asked, version.model.name) if asked else _before(version)
    found = differences.compare(version, other)
    context = {"diff": found, "version": version, "other": other, "asked": asked or str(other.number)}
    return render(request, "registry/version_diff.html", context)


def _before(version: ModelVersion) -> ModelVersion:
    """The version before, else the one after. Raises ``NotKnown`` when there is no other version of the model."""
    others = ModelVersion.objects.select_related("model").filter(model=version.model)
    found = (
        others.filter(number__lt=version.number).order_by("-number").first()
        or others.filter(number__gt=version.number).order_by("number").first()
    )
    if found is None:
        raise NotKnown(
            _("%(version)s is the only version of its model: name another one, ?with=another-model/7.")
            % {"version": version.label},
            code="version.alone",
        )
    return found
