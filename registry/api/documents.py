"""What is told of a model or version as one document: its card, its ML-BOM, its difference from another version."""

from __future__ import annotations

from typing import Any, ClassVar

from django.http import HttpResponse
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from audit.refusals import BadInput
from registry import bom, cards, differences, versions
from registry.differences import Difference, Part


class ModelCard(APIView):
    """The model card as JSON, told of the newest version or of ``version``."""

    required_action: ClassVar[dict[str, str]] = {"GET": "registry.read"}

    @extend_schema(
        parameters=[OpenApiParameter("version", int, description="default the newest")],
        responses={200: OpenApiTypes.OBJECT},
    )
    def get(self, request: Request, name: str) -> Response:
        asked = request.query_params.get("version", "")
        model = versions.find_model(name)
        version = versions.resolve(name, asked) if asked else cards.newest_version(model)
        return Response(cards.document(cards.card_of(model, version)))


class _OneForm(BaseContentNegotiation):
    """A document that has one form only is sent in it, whatever is asked for; a refusal is a problem as always."""

    def select_parser(self, request: Any, parsers: Any) -> Any:
        return parsers[0]

    def select_renderer(self, request: Any, renderers: Any, format_suffix: Any = None) -> Any:
        return renderers[0], renderers[0].media_type


class VersionBom(APIView):
    """The version's ML-BOM: CycloneDX 1.6 JSON. The same facts give the same bytes."""

    required_action: ClassVar[dict[str, str]] = {"GET": "registry.read"}
    content_negotiation_class = _OneForm

    @extend_schema(responses={(200, bom.MEDIA_TYPE.partition(";")[0]): OpenApiResponse(OpenApiTypes.OBJECT)})
    def get(self, request: Request, name: str, number: int) -> HttpResponse:
        version = versions.resolve(name, number)
        return HttpResponse(bom.bom(cards.card_of(version.model, version), version), content_type=bom.MEDIA_TYPE)


class VersionDiff(APIView):
    """A version beside any other: metrics, parameters, data sets, features, dependencies, explanations."""

    required_action: ClassVar[dict[str, str]] = {"GET": "registry.read"}

    @extend_schema(
        parameters=[OpenApiParameter("with", str, required=True, description="2, or another-model/7")],
        responses={200: OpenApiTypes.OBJECT},
    )
    def get(self, request: Request, name: str, number: int) -> Response:
        asked = request.query_params.get("with", "")
        if not asked:
            sentence = _("Name the version to compare with: ?with=2 or ?with=another-model/7")
            raise BadInput(sentence, code="diff.with", fields={"with": _("Required.")})
        version = versions.resolve(name, number)
        return Response(_told(differences.compare(version, versions.named(asked, version.model.name))))


def _told(found: Difference) -> dict[str, Any]:
    return {
        "version": found.version.subject,
        "with": found.other.subject,
        "conclusion": found.conclusion,
        "metrics": [
            {
                "name": each.name,
                "before": each.live,
                "after": each.candidate,
                "change": each.change,
                "verdict": each.verdict,
            }
            for each in found.metrics
        ],
        "data": {
            "unknown_of": list(found.data_unknown),
            "changes": [
                {
                    "data_set": each.dataset.subject,
                    "standing": each.standing,
                    "version_of_the_same_as": each.other_version_of,
                    "classification": each.dataset.classification,
                    "subjects": each.dataset.subjects,
                    "regions": each.dataset.regions,
                    "unknown_facts": each.dataset.unknown_facts,
                }
                for each in found.data
            ],
        },
        **{part.name: _part(part) for part in (found.parameters, found.features, found.dependencies)},
        "explanations": [
            {
                "version": each.version,
                "explanation": each.name,
                "method": each.method,
                "standing": each.standing,
                "digest": each.digest,
                "finished": each.finished,
            }
            for each in found.evidence
        ],
    }


def _part(part: Part) -> dict[str, Any]:
    changes = [
        {"name": each.name, "before": each.before, "after": each.after, "standing": each.standing}
        for each in part.changes
    ]
    return {"unknown_of": list(part.unknown), "changes": changes}
