"""Policies and the overview at a moment, told by the log alone; without ``as_of`` up to its newest numbered entry."""

from __future__ import annotations

from typing import Any, ClassVar, cast

from django.utils import timezone
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from audit.as_of import AsOf, asked
from audit.refusals import NotKnown
from governance.as_of import PackThen, PromotionThen, packs_at, promotions_at
from governance.models.policy import PackState
from registry.api.asking import AS_OF
from registry.api.serializers import served_then
from registry.as_of import SERVING, registry_at


class Policies(APIView):
    """Every version of every policy with its state."""

    required_action: ClassVar[dict[str, str]] = {"GET": "promotion.read"}

    @extend_schema(operation_id="policies_list", parameters=[AS_OF], responses={200: OpenApiTypes.OBJECT})
    def get(self, request: Request) -> Response:
        then = _moment(request)
        return Response(_told(then) | {"policies": [_pack(each) for each in packs_at(then)]})


class Policy(APIView):
    """The versions of one policy, the newest first, and the number of the one in force (null: none)."""

    required_action: ClassVar[dict[str, str]] = {"GET": "promotion.read"}

    @extend_schema(
        operation_id="policies_retrieve",
        parameters=[AS_OF, OpenApiParameter("slug", location=OpenApiParameter.PATH)],
        responses={200: OpenApiTypes.OBJECT},
    )
    def get(self, request: Request, slug: str) -> Response:
        then = _moment(request)
        versions = [each for each in packs_at(then) if each.slug == slug]
        if not versions:
            raise NotKnown(_("As of then the log knows no policy %(slug)s.") % {"slug": slug[:80]}, code="pack.unknown")
        active = next((each.version for each in versions if each.state == PackState.ACTIVE), None)
        answer = {"slug": slug, "in_force": active, "versions": [_pack(each) for each in versions]}
        return Response(_told(then) | answer)


class Overview(APIView):
    """What served, which promotions were open and which policies were in force."""

    required_action: ClassVar[dict[str, str]] = {"GET": "promotion.read"}

    @extend_schema(operation_id="overview_retrieve", parameters=[AS_OF], responses={200: OpenApiTypes.OBJECT})
    def get(self, request: Request) -> Response:
        then = _moment(request)
        serving = registry_at(then, SERVING).serving()
        return Response(
            _told(then)
            | {
                "serving": [{"environment": each.deployment.environment} | served_then(each) for each in serving],
                "open_promotions": [_promotion(each) for each in promotions_at(then) if each.is_open],
                "policies_in_force": [_pack(each) for each in packs_at(then) if each.state == PackState.ACTIVE],
            }
        )


def _moment(request: Request) -> AsOf:
    given = request.query_params.get("as_of", "").strip() or timezone.now().isoformat()
    return cast(AsOf, asked(given))  # None only for an empty text


def _told(then: AsOf) -> dict[str, Any]:
    return {"as_of": then.query, "log": then.log_id, "through_entry": then.last}


def _pack(each: PackThen) -> dict[str, Any]:
    return {
        "slug": each.slug,
        "version": each.version,
        "title": each.title,
        "digest": each.digest,
        "state": each.state,
        "drafted": each.drafted,
        "changed": each.changed,
        "log": each.log_id,
        "entry": each.entry,
    }


def _promotion(each: PromotionThen) -> dict[str, Any]:
    return {
        "id": each.number,
        "version": f"version:{each.version}",
        "environment": each.environment,
        "state": each.state,
        "round": each.round,
        "log": each.log_id,
        "entry": each.entry,
    }
