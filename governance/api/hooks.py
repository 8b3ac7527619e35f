"""What rollout controllers ask: Flagger's webhooks and the web metric of Argo Rollouts.

Flagger goes on for a status of at most 202 and halts for any other (``pkg/controller/webhook.go``), so 200 is kept for
an explicit yes. Every question is a gate check that is recorded; nothing is guessed from a canary's name.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any, ClassVar

from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import exceptions, serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from audit.api.strict import Strict
from audit.refusals import BadInput
from governance import gate, rollout_reports, tokens
from governance.api.answers import absolute
from governance.api.authentication import TokenAuthentication
from governance.api.caller import caller
from governance.api.serializers import ModelReference
from governance.models.decision import Action, Decision, Outcome
from governance.models.user import User
from registry import environments, versions
from registry.models import Environment, ModelVersion

#: What each gate of Flagger asks. After the first traffic a promotion is deployed: then more traffic is asked for.
_ASKED = {
    "confirm-rollout": Action.PROMOTE,
    "confirm-traffic-increase": Action.INCREASE,
    "confirm-promotion": Action.INCREASE,
    "rollback": Action.RUN,
}
_NAMES = ("model", "version", "digest", "environment")


class HookAuthentication(TokenAuthentication):
    """A token as everywhere; or as the password of the address, ``https://flagger:csn_…@host/hooks/…``, which Go's
    client sends as Basic: Flagger cannot set headers.
    """

    def authenticate(self, request: Request) -> tuple[User, None] | None:
        scheme, _space, sent = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
        if scheme.lower() != "basic":
            return super().authenticate(request)
        try:
            secret = base64.b64decode(sent.strip(), validate=True).decode("ascii").partition(":")[2]
            return tokens.authenticate(secret), None
        except (binascii.Error, UnicodeError) as error:
            raise exceptions.AuthenticationFailed(_("The Basic credentials cannot be read.")) from error
        except tokens.TokenRefused as refused:
            raise exceptions.AuthenticationFailed(refused.sentence, code=refused.code) from refused


class FlaggerCall(serializers.Serializer[Any]):
    """Flagger's payload. Others add to it, so a field that is not known is no mistake of the caller."""

    name = serializers.CharField(max_length=253)
    namespace = serializers.CharField(max_length=253)
    phase = serializers.CharField(max_length=60, allow_blank=True, required=False, default="")
    checksum = serializers.CharField(max_length=200, allow_blank=True, required=False, default="")
    metadata = serializers.DictField(child=serializers.CharField(max_length=4000, allow_blank=True), default=dict)


class ArgoCall(Strict):
    model = ModelReference()
    environment = serializers.CharField(max_length=128)
    action = serializers.ChoiceField(choices=[Action.PROMOTE, Action.INCREASE, Action.RUN], default=Action.INCREASE)


class FlaggerGate(APIView):
    """A gate of Flagger: 200 goes on, anything else halts. ``rollback`` is the other way round: 200 rolls back now, and
    is answered only when the policies deny that the version runs there. In doubt nobody rolls back on our word.
    """

    authentication_classes = (HookAuthentication,)
    required_action: ClassVar[dict[str, str]] = {"POST": "gate.check"}

    @extend_schema(request=FlaggerCall, responses={200: OpenApiTypes.OBJECT, 409: OpenApiTypes.OBJECT})
    def post(self, request: Request, hook: str) -> Response:
        call, version, environment = _called(request)
        decision = _decide(version, environment, _ASKED[hook], hook=f"flagger/{hook}", call=call, user=caller(request))
        yes = Outcome.DENY if hook == "rollback" else Outcome.ALLOW
        if decision.outcome == Outcome.ERROR:
            return Response(_told(decision), status=503)
        return Response(_told(decision), status=200 if decision.outcome == yes else 409)


class FlaggerEvent(APIView):
    """What Flagger reports of a rollout: recorded, and nothing else changes."""

    authentication_classes = (HookAuthentication,)
    required_action: ClassVar[dict[str, str]] = {"POST": "gate.check"}

    @extend_schema(request=FlaggerCall, responses={202: OpenApiTypes.OBJECT})
    def post(self, request: Request) -> Response:
        call, version, environment = _called(request)
        metadata = call["metadata"]
        rollout_reports.record(
            version,
            environment,
            facts={**_notes(call), "type": metadata.get("eventType", "")[:100]},
            message=metadata.get("eventMessage", ""),
            by=caller(request).actor,
        )
        return Response({"recorded": True}, status=202)


class ArgoMetric(APIView):
    """A web metric of Argo Rollouts: take ``{$.decision}`` and let ``result == "allow"`` alone be a success.

    What cannot be decided is 503, which Argo counts as an error of the measurement.
    """

    authentication_classes = (HookAuthentication,)
    required_action: ClassVar[dict[str, str]] = {"POST": "gate.check"}

    @extend_schema(request=ArgoCall, responses={200: OpenApiTypes.OBJECT, 503: OpenApiTypes.OBJECT})
    def post(self, request: Request) -> Response:
        body = ArgoCall(data=request.data)
        body.is_valid(raise_exception=True)
        asked: dict[str, Any] = body.validated_data
        model = asked["model"]
        decision = _decide(
            versions.resolve(model["name"], model.get("version"), model.get("digest")),
            environments.find_environment(asked["environment"]),
            asked["action"],
            hook="argo",
            call={},
            user=caller(request),
        )
        return Response(_told(decision), status=503 if decision.outcome == Outcome.ERROR else 200)


def _called(request: Request) -> tuple[dict[str, Any], ModelVersion, Environment]:
    """What is rolled out where, as the webhook's metadata say. Raises ``BadInput`` when they do not."""
    body = FlaggerCall(data=request.data)
    body.is_valid(raise_exception=True)
    call: dict[str, Any] = body.validated_data
    given = {name: call["metadata"].get(name, "").strip() for name in _NAMES}
    lacking = [name for name in ("model", "environment") if not given[name]]
    if not (given["version"] or given["digest"]):
        lacking.append("version")
    if lacking:
        raise BadInput(
            _(
                "The webhook's metadata must name model, version (or digest) and environment; missing: %(names)s. "
                "Nothing is guessed from the canary %(canary)s."
            )
            % {"names": ", ".join(lacking), "canary": f"{call['namespace']}/{call['name']}"},
            code="hook.metadata",
            fields={"metadata": _("Required: %(names)s.") % {"names": ", ".join(lacking)}},
        )
    version = versions.resolve(given["model"], given["version"] or None, given["digest"] or None)
    return call, version, environments.find_environment(given["environment"])


def _decide(
    version: ModelVersion, environment: Environment, action: str, *, hook: str, call: dict[str, Any], user: User
) -> Decision:
    notes = {"hook": hook, **(_notes(call) if call else {})}
    answer = gate.check(version, environment, action=action, ci=notes, with_permit=False, by=user.actor)
    if answer.decision is None:
        raise RuntimeError("a check that is no dry run records a decision")
    return answer.decision


def _notes(call: dict[str, Any]) -> dict[str, str]:
    """Where the question comes from, for the record."""
    found = {"canary": f"{call['namespace']}/{call['name']}", "phase": call["phase"], "checksum": call["checksum"]}
    return {name: value for name, value in found.items() if value}


def _told(decision: Decision) -> dict[str, Any]:
    return {
        "decision": decision.outcome,
        "decision_id": decision.public_id,
        "action": decision.action,
        "summary": decision.summary,
        "links": {"html": absolute("governance:decision", decision.public_id)},
    }
