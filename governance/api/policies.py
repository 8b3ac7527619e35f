"""Policy packs: linted, drafted, tried on the past, put in force by a second person."""

from __future__ import annotations

from typing import Any, ClassVar

from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from audit.refusals import NotKnown
from governance import backtests, packs, policies
from governance.api import past
from governance.api.answers import instant
from governance.api.caller import caller
from governance.api.serializers import PackDraft, PackText, PolicyActivation, Revocation
from governance.models.backtest import Backtest, BacktestState
from governance.models.policy import PolicyPack


class Policies(past.Policies):
    """Every version of every policy with its state; POST drafts one, which decides nothing until it is activated."""

    required_action: ClassVar[dict[str, str]] = {"GET": "promotion.read", "POST": "policy.change"}

    @extend_schema(operation_id="policies_draft", request=PackDraft, responses={201: OpenApiTypes.OBJECT})
    def post(self, request: Request) -> Response:
        body = PackDraft(data=request.data)
        body.is_valid(raise_exception=True)
        given: dict[str, Any] = body.validated_data
        row = packs.draft(given["text"], reason=given.get("reason", ""), by=caller(request).actor)
        return Response(_pack_json(row), status=201)


class Lint(APIView):
    """Compile a pack without keeping it: 400 names each mistake with its rule, line and column."""

    required_action: ClassVar[dict[str, str]] = {"POST": "promotion.read"}

    @extend_schema(operation_id="policies_lint", request=PackText, responses={200: OpenApiTypes.OBJECT})
    def post(self, request: Request) -> Response:
        body = PackText(data=request.data)
        body.is_valid(raise_exception=True)
        return Response(_compiled_json(packs.lint(body.validated_data["text"])))


class Cases(APIView):
    """Run the cases that a pack carries, without keeping it: each with what it expects and what came out.

    400 for a text that does not compile, or whose cases are written wrongly, with rule, line and column.
    """

    required_action: ClassVar[dict[str, str]] = {"POST": "promotion.read"}

    @extend_schema(operation_id="policies_test", request=PackText, responses={200: OpenApiTypes.OBJECT})
    def post(self, request: Request) -> Response:
        body = PackText(data=request.data)
        body.is_valid(raise_exception=True)
        pack, tried = packs.try_cases(body.validated_data["text"])
        holding = sum(each.holds for each in tried)
        answer = {"pack": pack.id, "version": pack.version, "digest": pack.digest}
        counted = {"holding": holding, "failing": len(tried) - holding}
        return Response({**answer, **counted, "cases": [each.as_json() for each in tried]})


class Backtests(APIView):
    """Ask for a back-test of a version: every stored decision and everything that serves, with it among the packs."""

    required_action: ClassVar[dict[str, str]] = {"POST": "policy.change"}

    @extend_schema(operation_id="policies_backtest", request=None, responses={202: OpenApiTypes.OBJECT})
    def post(self, request: Request, slug: str, version: int) -> Response:
        return Response(_backtest_json(backtests.request(slug, version, by=caller(request).actor)), status=202)


class BacktestDetail(APIView):
    """A back-test: how far it is, or what it found."""

    required_action: ClassVar[dict[str, str]] = {"GET": "promotion.read"}

    @extend_schema(operation_id="backtests_retrieve", responses={200: OpenApiTypes.OBJECT})
    def get(self, request: Request, number: int) -> Response:
        row = Backtest.objects.select_related("pack", "progress").filter(pk=number).first()
        if row is None:
            raise NotKnown(_("There is no back-test %(number)d.") % {"number": number}, code="backtest.unknown")
        return Response(_backtest_json(row))


class Activation(APIView):
    """Put a drafted version in force, at once or from ``at``: by a person who did not draft it, after its back-test."""

    required_action: ClassVar[dict[str, str]] = {"POST": "policy.activate"}

    @extend_schema(operation_id="policies_activate", request=PolicyActivation, responses={200: OpenApiTypes.OBJECT})
    def post(self, request: Request, slug: str, version: int) -> Response:
        body = PolicyActivation(data=request.data)
        body.is_valid(raise_exception=True)
        given: dict[str, Any] = body.validated_data
        by = caller(request).actor
        row = packs.activate(slug, version, reason=given["reason"], at=given.get("at"), by=by)
        return Response(_pack_json(row))


class Unscheduling(APIView):
    """Take back the instant of a version that waits for it; it is a draft again. A person, with a reason."""

    required_action: ClassVar[dict[str, str]] = {"POST": "policy.activate"}

    @extend_schema(operation_id="policies_unschedule", request=Revocation, responses={200: OpenApiTypes.OBJECT})
    def post(self, request: Request, slug: str, version: int) -> Response:
        body = Revocation(data=request.data)
        body.is_valid(raise_exception=True)
        row = packs.unschedule(slug, version, reason=body.validated_data["reason"], by=caller(request).actor)
        return Response(_pack_json(row))


def _pack_json(row: PolicyPack) -> dict[str, Any]:
    return {
        "slug": row.slug,
        "version": row.version,
        "title": row.title,
        "state": row.state,
        "digest": row.digest,
        "drafted_by": row.drafted_by,
        "drafted_at": instant(row.drafted_at),
        "activated_by": row.activated_by or None,
        "activated_at": instant(row.activated_at),
    }


def _compiled_json(pack: policies.CompiledPack) -> dict[str, Any]:
    return {
        "pack": pack.id,
        "version": pack.version,
        "title": pack.title,
        "digest": pack.digest,
        "status": pack.status,
        "rules": [
            {"id": each.rule.id, "title": each.rule.title, "cites": list(each.rule.cites)} for each in pack.rules
        ],
        "signoff": [{"id": each.rule.id, "title": each.rule.title} for each in pack.signoffs],
    }


def _backtest_json(row: Backtest) -> dict[str, Any]:
    finished = row.state == BacktestState.FINISHED
    progress = getattr(row, "progress", None)
    return {
        "id": row.pk,
        "pack": row.pack.slug,
        "version": row.pack.version,
        "digest": row.pack.digest,
        "state": row.state,
        "requested_by": row.requested_by,
        "requested_at": instant(row.requested),
        "ended_at": instant(row.ended),
        "progress": {"done": progress.done, "total": progress.total} if progress else None,
        "numbers": row.numbers if finished else None,
        "result": row.result if finished else None,
        "result_digest": row.result_digest or None,
        "error": row.error or None,
    }
