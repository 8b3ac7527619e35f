"""``/api/v1/explanations``: ask, estimate, list, read, change."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from audit.refusals import NotKnown
from explain import drawing, erasure, jobs, queries, tables
from explain.api.serializers import (
    DetailSerializer,
    ErasedSerializer,
    ErasureSerializer,
    EstimateSerializer,
    ExplanationSerializer,
    ListQuerySerializer,
    OneRequestSerializer,
    ReasonSerializer,
    RequestSerializer,
    RerunSerializer,
    StatusSerializer,
)
from explain.api.waiting import wait_for
from explain.models import ExplanationJob, State
from registry.models import Endpoint, ModelVersion
from registry.queries import version_by_subject


class Explanations(GenericAPIView[ExplanationJob]):
    """All explanations, newest first, and the way to ask for one."""

    required_action = {"GET": "explain.read", "POST": "explain.request"}
    serializer_class = ExplanationSerializer

    def get_queryset(self) -> QuerySet[ExplanationJob]:
        return queries.jobs()

    @extend_schema(
        operation_id="explanations_list",
        parameters=[ListQuerySerializer],
        responses=ExplanationSerializer(many=True),
    )
    def get(self, request: Request) -> Response:
        asked = ListQuerySerializer(data=request.query_params)
        asked.is_valid(raise_exception=True)
        page = self.paginate_queryset(_narrowed(self.get_queryset(), dict(asked.validated_data))) or []
        return self.get_paginated_response(ExplanationSerializer(page, many=True).data)

    @extend_schema(operation_id="explanations_request", request=RequestSerializer, responses={201: DetailSerializer})
    def post(self, request: Request) -> Response:
        return _asked(request, RequestSerializer, status=201)[0]


def _narrowed(found: QuerySet[ExplanationJob], given: dict[str, Any]) -> QuerySet[ExplanationJob]:
    if subject := given.pop("version", ""):
        found = found.filter(version=version_by_subject(subject))
    if name := given.pop("endpoint", ""):
        found = found.filter(endpoint=_endpoint(name))
    if row_id := given.pop("prediction", ""):
        found = found.filter(results__row_id=row_id, state=State.FINISHED)
    return found.filter(**given)


def _endpoint(name: str) -> Endpoint:
    endpoint = queries.endpoints().filter(name=name).first()
    if endpoint is None:
        raise NotKnown(_("There is no endpoint “%(name)s”.") % {"name": name}, code="endpoint.unknown")
    return endpoint


def _question(request: Request, serializer: type[RequestSerializer]) -> tuple[ModelVersion, Endpoint, dict[str, Any]]:
    """Version, endpoint and the words of ``requests.Asked``. Raises what is wrong with them."""
    asked = serializer(data=request.data)
    asked.is_valid(raise_exception=True)
    given = dict(asked.validated_data)
    version, endpoint = version_by_subject(given.pop("version")), _endpoint(given.pop("endpoint"))
    given["rows"] = tables.with_ids(given["rows"]) if "rows" in given else None
    return version, endpoint, drawing.into(version, given)


def _asked(request: Request, serializer: type[RequestSerializer], *, status: int) -> tuple[Response, int, float]:
    """Ask; the answer, the job's id, and how long somebody wants to wait for it in seconds."""
    version, endpoint, given = _question(request, serializer)
    seconds = given.pop("seconds", 0.0)
    user: Any = request.user
    job = jobs.request(version, endpoint, by=user.actor, **given)
    answer = Response(DetailSerializer(queries.find(job.pk)).data, status=status)
    answer["Location"] = job.get_absolute_url()
    return answer, job.pk, seconds


class Estimate(APIView):
    """What a question would cost. Nothing is written and nothing is asked of the model."""

    required_action = {"POST": "explain.request"}

    @extend_schema(operation_id="explanations_estimate", request=RequestSerializer, responses=EstimateSerializer)
    def post(self, request: Request) -> Response:
        version, endpoint, given = _question(request, RequestSerializer)
        return Response(EstimateSerializer(asdict(jobs.estimate(version, endpoint, **given))).data)


class One(APIView):
    """One row, and its explanation in the same answer when it is there in time.

    It is a job like every other: workers compute it, under the limits of the endpoint, and the log has it.
    """

    required_action = {"POST": "explain.request"}

    @extend_schema(
        operation_id="explanations_one",
        request=OneRequestSerializer,
        responses={
            200: OpenApiResponse(DetailSerializer, "It has ended: its state says how."),
            202: OpenApiResponse(DetailSerializer, "It is still computed: Location is its address."),
        },
    )
    def post(self, request: Request) -> Response:
        answer, job_id, seconds = _asked(request, OneRequestSerializer, status=202)
        wait_for(answer, job_id, seconds=seconds)
        return answer


class Explanation(APIView):
    """One explanation with progress, receipt and results."""

    required_action = {"GET": "explain.read"}

    @extend_schema(operation_id="explanations_read", responses=DetailSerializer)
    def get(self, request: Request, job_id: int) -> Response:
        return Response(DetailSerializer(queries.find(job_id)).data)


class Status(APIView):
    """How far an explanation is and how it was asked, without its results."""

    required_action = {"GET": "explain.read"}

    @extend_schema(operation_id="explanations_status", responses=StatusSerializer)
    def get(self, request: Request, job_id: int) -> Response:
        return Response(StatusSerializer(queries.find(job_id)).data)


class Cancel(APIView):
    """Cancel a waiting or running explanation."""

    required_action = {"POST": "explain.request"}

    @extend_schema(operation_id="explanations_cancel", request=ReasonSerializer, responses=StatusSerializer)
    def post(self, request: Request, job_id: int) -> Response:
        return _changed(request, job_id, jobs.cancel, reason=_reason(request))


class Pause(APIView):
    """Let nobody work on an explanation until somebody resumes it; finished rows are kept."""

    required_action = {"POST": "explain.request"}

    @extend_schema(operation_id="explanations_pause", request=ReasonSerializer, responses=StatusSerializer)
    def post(self, request: Request, job_id: int) -> Response:
        return _changed(request, job_id, jobs.pause, reason=_reason(request))


class Resume(APIView):
    """Queue a paused explanation again."""

    required_action = {"POST": "explain.request"}

    @extend_schema(operation_id="explanations_resume", request=None, responses=StatusSerializer)
    def post(self, request: Request, job_id: int) -> Response:
        return _changed(request, job_id, jobs.resume)


class Rerun(APIView):
    """Ask the very same again; the new job's receipt says whether both agree."""

    required_action = {"POST": "explain.request"}

    @extend_schema(operation_id="explanations_rerun", request=RerunSerializer, responses={201: DetailSerializer})
    def post(self, request: Request, job_id: int) -> Response:
        given = RerunSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        user: Any = request.user
        again = jobs.rerun(queries.find(job_id), seed=given.validated_data["seed"], by=user.actor)
        answer = Response(DetailSerializer(queries.find(again.pk)).data, status=201)
        answer["Location"] = again.get_absolute_url()
        return answer


def _reason(request: Request) -> str:
    given = ReasonSerializer(data=request.data)
    given.is_valid(raise_exception=True)
    return str(given.validated_data["reason"])


def _changed(request: Request, job_id: int, change: Any, **words: str) -> Response:
    user: Any = request.user
    change(queries.find(job_id), by=user.actor, **words)
    return Response(StatusSerializer(queries.find(job_id)).data)


class Erasure(APIView):
    """Erase what explanations hold about a person, by the name that the questions gave; it cannot be undone."""

    required_action = {"POST": "account.erase"}

    @extend_schema(operation_id="explanations_erase", request=ErasureSerializer, responses=ErasedSerializer)
    def post(self, request: Request) -> Response:
        given = ErasureSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        user: Any = request.user
        done = erasure.erase_rows(given.validated_data["subject"], reason=given.validated_data["reason"], by=user.actor)
        return Response(ErasedSerializer(asdict(done)).data)
