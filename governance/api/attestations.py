"""What proves a decision elsewhere: its attestation, and the use of its permit."""

from __future__ import annotations

from typing import Any, ClassVar

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from governance import attestations, rollouts
from governance.api import answers
from governance.api.caller import caller
from governance.api.decisions import known_decision
from governance.api.serializers import PermitUse


class Attestation(APIView):
    """A decision as a DSSE envelope over an in-toto Statement with SLSA's Verification Summary: verifies without this
    server, with its public key of /.well-known/countersign-keys.json. Everything but an allow is FAILED.
    """

    required_action: ClassVar[dict[str, str]] = {"GET": "promotion.read"}

    @extend_schema(responses={200: OpenApiTypes.OBJECT})
    def get(self, request: Request, public_id: str) -> HttpResponse:
        decision = known_decision(public_id)
        name = f'attachment; filename="{decision.public_id}.intoto.json"'
        return HttpResponse(
            attestations.envelope(decision),
            content_type="application/json",
            headers={"Content-Disposition": name},
        )


class PermitConsumption(APIView):
    """Use a permit up at the moment of deploying, for example in an admission controller. Nothing else deploys on the
    same approval afterwards; the same permit then records the deployment, once, with ``POST /deployments``.
    """

    required_action: ClassVar[dict[str, str]] = {"POST": "deploy.record"}

    @extend_schema(request=PermitUse, responses={200: OpenApiTypes.OBJECT})
    def post(self, request: Request, public_id: str) -> Response:
        body = PermitUse(data=request.data)
        body.is_valid(raise_exception=True)
        sent: dict[str, Any] = body.validated_data
        permit = rollouts.claim(
            public_id,
            secret=sent["permit"],
            environment=sent["environment"],
            digest=sent.get("digest", ""),
            by=caller(request).actor,
        )
        return Response(answers.permit_json(permit))
