"""Models, versions and data sets: list, read, register."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import transaction
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from audit.as_of import asked
from audit.refusals import BadInput
from registry import datasets, families, versions
from registry.api import serializers as shapes
from registry.api.asking import AS_OF, actor_of, filters_of, page_of, searched
from registry.as_of import existing, registry_at
from registry.lineage import edges
from registry.lists import DatasetFilter, ModelFilter
from registry.models import FACTS, ModelVersion, Run

READ_AND_CHANGE = {"GET": "registry.read", "POST": "registry.change"}


class Models(APIView):
    """All models; POST registers one."""

    required_action: ClassVar[dict[str, str]] = READ_AND_CHANGE
    ordering = "-id"

    @extend_schema(parameters=filters_of(ModelFilter), responses=shapes.ModelAnswer(many=True))
    def get(self, request: Request) -> Response:
        return page_of(self, request, searched(request, ModelFilter), shapes.ModelAnswer)

    @extend_schema(request=shapes.NewModel, responses={201: shapes.ModelAnswer})
    def post(self, request: Request) -> Response:
        body = shapes.NewModel(data=request.data)
        body.is_valid(raise_exception=True)
        model = versions.register_model(**body.validated_data, by=actor_of(request))
        return Response(shapes.ModelAnswer(model).data, status=201)


class ModelDetail(APIView):
    """One model, now or at ``as_of``: then with its versions and aliases, and without the names of people."""

    required_action: ClassVar[dict[str, str]] = {"GET": "registry.read", "PATCH": "registry.change"}

    @extend_schema(parameters=[AS_OF], responses=shapes.ModelAnswer)
    def get(self, request: Request, name: str) -> Response:
        if then := asked(request.query_params.get("as_of", "")):
            found = registry_at(then, of=("model", name))
            existing(found.models, name, then)
            return Response(shapes.model_then(found, name, then))
        return Response(shapes.ModelAnswer(versions.find_model(name)).data)

    @extend_schema(request=shapes.ModelChange, responses=shapes.ModelAnswer)
    def patch(self, request: Request, name: str) -> Response:
        body = shapes.ModelChange(data=request.data)
        body.is_valid(raise_exception=True)
        model = versions.change_model(versions.find_model(name), **body.validated_data, by=actor_of(request))
        return Response(shapes.ModelAnswer(model).data)


class Versions(APIView):
    """The versions of a model, newest first; POST registers one by digest."""

    required_action: ClassVar[dict[str, str]] = READ_AND_CHANGE
    ordering = "-number"

    @extend_schema(responses=shapes.VersionAnswer(many=True))
    def get(self, request: Request, name: str) -> Response:
        rows = ModelVersion.objects.select_related("model").filter(model=versions.find_model(name))
        return page_of(self, request, rows, shapes.VersionAnswer)

    @extend_schema(request=shapes.NewVersion, responses={201: shapes.VersionAnswer})
    def post(self, request: Request, name: str) -> Response:
        body = shapes.NewVersion(data=request.data)
        body.is_valid(raise_exception=True)
        given = body.validated_data
        with transaction.atomic():
            version = versions.register_version(versions.find_model(name), **given, by=actor_of(request))
            if run_id := given.get("run_id"):
                edges.record_edge(_run(run_id), version, by=actor_of(request))
        return Response(shapes.VersionAnswer(version).data, status=201)


def _run(run_id: str) -> Run:
    """The run that a version names: without it the version's data sets would be unknown, and said to be known."""
    found = Run.objects.filter(run_id=run_id).first()
    if found is None:
        sentence = _("The registry knows no run “%(run)s”: import it from MLflow first, or leave run_id out.")
        raise BadInput(sentence % {"run": run_id}, code="run.unknown", fields={"run_id": _("Unknown run.")})
    return found


class VersionDetail(APIView):
    """One version."""

    required_action: ClassVar[dict[str, str]] = {"GET": "registry.read"}

    @extend_schema(responses=shapes.VersionAnswer)
    def get(self, request: Request, name: str, number: int) -> Response:
        return Response(shapes.VersionAnswer(versions.resolve(name, number)).data)


class Datasets(APIView):
    """All data sets; POST registers one, with class and regions."""

    required_action: ClassVar[dict[str, str]] = READ_AND_CHANGE
    ordering = "-id"

    @extend_schema(parameters=filters_of(DatasetFilter), responses=shapes.DatasetAnswer(many=True))
    def get(self, request: Request) -> Response:
        return page_of(self, request, searched(request, DatasetFilter), shapes.DatasetAnswer)

    @extend_schema(request=shapes.NewDataset, responses={201: shapes.DatasetAnswer})
    def post(self, request: Request) -> Response:
        body = shapes.NewDataset(data=request.data)
        body.is_valid(raise_exception=True)
        given = dict(body.validated_data)
        given["regions_held"] = given.pop("regions")
        given["said"] = {
            fact: given.pop(fact)
            for fact in ("owner", "perimeter", "lawful_basis", "retention", "provenance")
            if fact in given
        }
        dataset = datasets.register_dataset(given.pop("name"), **given, by=actor_of(request))
        return Response(shapes.DatasetAnswer(dataset).data, status=201)


class DatasetDetail(APIView):
    """One data set; PATCH changes what is said of it, or confirms it.

    Reading is the right that PATCH declares: changing needs ``registry.change`` or ``dataset.confirm``, and what
    touches a confirmation needs the latter, which no token has.
    """

    required_action: ClassVar[dict[str, str]] = {"GET": "registry.read", "PATCH": "registry.read"}

    @extend_schema(responses=shapes.DatasetAnswer)
    def get(self, request: Request, name: str) -> Response:
        return Response(shapes.DatasetAnswer(datasets.find_dataset(name)).data)

    @extend_schema(request=shapes.DatasetChange, responses=shapes.DatasetAnswer)
    def patch(self, request: Request, name: str) -> Response:
        user: Any = request.user
        if not user.has_perm("dataset.confirm"):
            user.require("registry.change")
        body = shapes.DatasetChange(data=request.data)
        body.is_valid(raise_exception=True)
        given = dict(body.validated_data)
        dataset = datasets.state_dataset(
            datasets.find_dataset(name),
            {fact: given[fact] for fact in FACTS if fact in given},
            confirmed_facts=given.get("confirmed_facts"),
            may_confirm=lambda: user.require("dataset.confirm"),
            reason=given["reason"],
            by=actor_of(request),
        )
        return Response(shapes.DatasetAnswer(dataset).data)


class DatasetVersions(APIView):
    """The data sets that are versions of the same one, newest first, at most fifty."""

    required_action: ClassVar[dict[str, str]] = {"GET": "registry.read"}

    @extend_schema(operation_id="datasets_versions_list", responses=shapes.DatasetAnswer(many=True))
    def get(self, request: Request, name: str) -> Response:
        rows = families.versions_of(families.root(datasets.find_dataset(name)))
        return Response({"next": None, "previous": None, "results": shapes.DatasetAnswer(rows, many=True).data})
