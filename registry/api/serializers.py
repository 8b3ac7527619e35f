"""What the registry's API reads and answers. An unknown field is refused: a typo must not be a silent default."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from audit.api.strict import Strict
from audit.as_of import AsOf, State
from registry import regions
from registry.as_of import DeploymentThen, Registry, ServingThen
from registry.deployments import Serving
from registry.environments import UNSAID
from registry.models import (
    FACTS,
    Classification,
    Dataset,
    Deployment,
    Environment,
    LawfulBasis,
    Model,
    ModelVersion,
    Perimeter,
    Risk,
    Tier,
)


class NewModel(Strict):
    name = serializers.CharField(max_length=128)
    title = serializers.CharField(max_length=200)
    owner = serializers.CharField(max_length=200)
    purpose = serializers.CharField(max_length=4000)
    risk = serializers.ChoiceField(choices=Risk.choices)
    risk_reason = serializers.CharField(max_length=4000)
    intended_use = serializers.CharField(max_length=4000, required=False, default="", allow_blank=True)
    limits = serializers.CharField(max_length=4000, required=False, default="", allow_blank=True)
    contacts = serializers.ListField(child=serializers.CharField(max_length=200), max_length=20, default=list)


class ModelChange(Strict):
    """Only what is sent changes; a new risk needs its reason."""

    title = serializers.CharField(max_length=200, required=False)
    owner = serializers.CharField(max_length=200, required=False)
    purpose = serializers.CharField(max_length=4000, required=False)
    risk = serializers.ChoiceField(choices=Risk.choices, required=False)
    risk_reason = serializers.CharField(max_length=4000, required=False)
    intended_use = serializers.CharField(max_length=4000, required=False, allow_blank=True)
    limits = serializers.CharField(max_length=4000, required=False, allow_blank=True)
    contacts = serializers.ListField(child=serializers.CharField(max_length=200), max_length=20, required=False)
    reason = serializers.CharField(max_length=2000, required=False, default="", allow_blank=True)


class NewVersion(Strict):
    number = serializers.IntegerField(min_value=1, max_value=2_000_000_000, required=False)
    digest = serializers.CharField(max_length=71, help_text="sha256: and 64 lower-case hexadecimal digits")
    run_id = serializers.CharField(max_length=64, required=False, help_text="A run that the registry knows.")
    trained_by = serializers.ListField(child=serializers.CharField(max_length=200), allow_empty=False, max_length=100)
    metrics = serializers.DictField(child=serializers.CharField(max_length=60), required=False)
    source_uri = serializers.CharField(max_length=1000, required=False)
    dependencies = serializers.ListField(
        child=serializers.CharField(max_length=4000),
        max_length=2000,
        required=False,
        help_text="Requirements as pip writes them: scikit-learn==1.9.0, with --hash=sha256:… when known.",
    )


class NewDataset(Strict):
    name = serializers.CharField(max_length=128)
    classification = serializers.ChoiceField(choices=Classification.choices)
    regions = serializers.ListField(child=serializers.CharField(max_length=64), allow_empty=False, max_length=100)
    subjects = serializers.ListField(child=serializers.CharField(max_length=16), max_length=100, default=list)
    digest = serializers.CharField(max_length=128, required=False, default="")
    source_uri = serializers.CharField(max_length=1000, required=False, default="")
    owner = serializers.CharField(max_length=200, required=False)
    perimeter = serializers.ChoiceField(choices=Perimeter.choices, required=False)
    lawful_basis = serializers.ChoiceField(choices=LawfulBasis.choices, required=False)
    retention = serializers.CharField(max_length=400, required=False)
    provenance = serializers.CharField(max_length=4000, required=False)


class DatasetChange(Strict):
    """Only what is sent changes. ``confirmed_facts`` is the whole new list, and needs a person who may confirm."""

    classification = serializers.ChoiceField(choices=Classification.choices, required=False)
    subjects = serializers.ListField(child=serializers.CharField(max_length=16), max_length=100, required=False)
    regions = serializers.ListField(child=serializers.CharField(max_length=64), max_length=100, required=False)
    owner = serializers.CharField(max_length=200, required=False, allow_blank=True)
    perimeter = serializers.ChoiceField(choices=Perimeter.choices, required=False, allow_blank=True)
    lawful_basis = serializers.ChoiceField(choices=LawfulBasis.choices, required=False, allow_blank=True)
    retention = serializers.CharField(max_length=400, required=False, allow_blank=True)
    provenance = serializers.CharField(max_length=4000, required=False, allow_blank=True)
    confirmed_facts = serializers.ListField(child=serializers.ChoiceField(choices=FACTS), max_length=20, required=False)
    reason = serializers.CharField(max_length=2000, required=False, default="", allow_blank=True)


class NewEnvironment(Strict):
    slug = serializers.CharField(max_length=128)
    name = serializers.CharField(max_length=200)
    tier = serializers.ChoiceField(choices=Tier.choices)
    perimeter = serializers.ChoiceField(choices=Perimeter.choices)
    regions = serializers.ListField(child=serializers.CharField(max_length=64), allow_empty=False, max_length=100)
    log_sinks = serializers.ListField(child=serializers.CharField(max_length=64), allow_empty=False, max_length=100)
    backups = serializers.ListField(
        child=serializers.CharField(max_length=64), max_length=100, error_messages={"required": UNSAID, "null": UNSAID}
    )
    support_access = serializers.ListField(
        child=serializers.CharField(max_length=16), max_length=100, error_messages={"required": UNSAID, "null": UNSAID}
    )
    explanation_workers = serializers.ListField(
        child=serializers.CharField(max_length=64), max_length=100, error_messages={"required": UNSAID, "null": UNSAID}
    )


class EnvironmentChange(Strict):
    """Only what is sent changes; an empty list says that there is none."""

    backups = serializers.ListField(child=serializers.CharField(max_length=64), max_length=100, required=False)
    support_access = serializers.ListField(child=serializers.CharField(max_length=16), max_length=100, required=False)
    explanation_workers = serializers.ListField(
        child=serializers.CharField(max_length=64), max_length=100, required=False
    )


class ModelAnswer(serializers.ModelSerializer[Model]):
    class Meta:
        model = Model
        fields = (
            "name",
            "subject",
            "title",
            "owner",
            "purpose",
            "intended_use",
            "limits",
            "contacts",
            "risk",
            "risk_reason",
            "created",
        )


class VersionAnswer(serializers.ModelSerializer[ModelVersion]):
    model = serializers.CharField(source="model.name", read_only=True)
    subject = serializers.CharField(read_only=True)

    class Meta:
        model = ModelVersion
        fields = (
            "model",
            "number",
            "subject",
            "digest",
            "run_id",
            "tracking_server",
            "trained_by",
            "metrics",
            "schema",
            "source_uri",
            "dependencies",
            "created",
        )


class DatasetAnswer(serializers.ModelSerializer[Dataset]):
    subject = serializers.CharField(read_only=True)
    unknown_facts = serializers.ListField(
        child=serializers.CharField(), read_only=True, help_text="Each denies a gate."
    )
    unsaid_facts = serializers.ListField(child=serializers.CharField(), read_only=True)
    places = serializers.SerializerMethodField(help_text="Each region with country, city, status, what it satisfies.")

    class Meta:
        model = Dataset
        fields: tuple[str, ...] = (
            "name",
            "subject",
            "digest",
            "classification",
            "subjects",
            "regions",
            "places",
            "owner",
            "perimeter",
            "lawful_basis",
            "retention",
            "provenance",
            "source_uri",
            "confirmed",
            "confirmed_facts",
            "unknown_facts",
            "unsaid_facts",
            "created",
        )

    @extend_schema_field(serializers.ListField(child=serializers.DictField()))
    def get_places(self, row: Dataset) -> list[dict[str, object]]:
        return [regions.described(each) for each in row.regions]


class EnvironmentAnswer(serializers.ModelSerializer[Environment]):
    subject = serializers.CharField(read_only=True)

    class Meta:
        model = Environment
        fields = (
            "slug",
            "subject",
            "name",
            "tier",
            "perimeter",
            "regions",
            "log_sinks",
            "backups",
            "support_access",
            "explanation_workers",
            "created",
        )


class DeploymentAnswer(serializers.ModelSerializer[Deployment]):
    environment = serializers.CharField(source="environment.slug", read_only=True)
    version = serializers.CharField(source="version.subject", read_only=True)
    endpoint = serializers.CharField(source="endpoint.name", read_only=True, allow_null=True)
    undoes = serializers.IntegerField(source="undoes_id", read_only=True, allow_null=True)

    class Meta:
        model = Deployment
        fields = (
            "id",
            "environment",
            "version",
            "endpoint",
            "kind",
            "strategy",
            "weight",
            "digest",
            "decision_id",
            "permit_id",
            "actor_id",
            "since",
            "until",
            "reason",
            "incident",
            "undoes",
        )


class ServedVersion(serializers.Serializer[Any]):
    """One version that takes traffic."""

    model = serializers.CharField()
    version = serializers.CharField(help_text="version:credit-scoring/3")
    number = serializers.IntegerField()
    digest = serializers.CharField()
    share = serializers.IntegerField(help_text="percent of the traffic")
    strategy = serializers.CharField()
    since = serializers.DateTimeField()
    decision_id = serializers.CharField()
    recorded_by = serializers.CharField()


class ServingAnswer(serializers.Serializer[Any]):
    """What served in an environment at one moment."""

    environment = serializers.CharField()
    as_of = serializers.DateTimeField()
    through_entry = serializers.IntegerField(
        allow_null=True, help_text="The last entry of the log that the answer is made of; null for now."
    )
    serving = ServedVersion(many=True)


def served_now(each: Serving) -> dict[str, Any]:
    """What ``ServedVersion`` describes, from the tables."""
    return {
        "model": each.version.model.name,
        "version": each.version.subject,
        "number": each.version.number,
        "digest": each.deployment.digest,
        "share": each.share,
        "strategy": each.deployment.strategy,
        "since": each.deployment.since,
        "decision_id": each.deployment.decision_id,
        "recorded_by": each.deployment.actor_id,
    }


def served_then(each: ServingThen) -> dict[str, Any]:
    """The same from the log."""
    row = each.deployment
    return {
        "model": row.model,
        "version": f"version:{row.version}",
        "number": row.number,
        "digest": row.digest,
        "share": each.share,
        "strategy": row.strategy,
        "since": datetime.fromisoformat(row.since),
        "decision_id": row.decision_id,
        "recorded_by": row.recorded_by,
    }


def deployment_then(row: DeploymentThen) -> dict[str, Any]:
    """A deployment as ``DeploymentAnswer`` names its fields, from the log; what people wrote is left out."""
    return {
        "id": int(row.key.rpartition("/")[2]),
        "environment": row.environment,
        "version": f"version:{row.version}",
        "kind": row.kind,
        "strategy": row.strategy,
        "weight": row.weight,
        "digest": row.digest,
        "decision_id": row.decision_id,
        "actor_id": row.recorded_by,
        "since": row.since,
        "until": row.until or None,
        "incident": row.incident,
        "entry": row.entry,
    }


def environment_then(state: State, then: AsOf) -> dict[str, Any]:
    """An environment as ``EnvironmentAnswer`` names its fields, from the log."""
    slug, facts = state.subject.partition(":")[2], state.facts
    names = ("name", "tier", "perimeter", "regions", "log_sinks")
    told = {"slug": slug, "subject": state.subject, **{name: facts[name] for name in names}}
    told |= {name: facts.get(name) for name in ("backups", "support_access", "explanation_workers")}
    return {**told, "created": state.began.recorded_at, **_moment(then)}


def model_then(found: Registry, name: str, then: AsOf) -> dict[str, Any]:
    """A model as ``ModelAnswer`` names its fields but for its owner, with versions and aliases, from the log."""
    state = found.models[name]
    told = {key: state.facts[key] for key in ("title", "purpose", "risk", "risk_reason")}
    versions = [
        {"number": row.number, "digest": row.digest, "run_id": row.run_id, "metrics": row.metrics}
        for row in found.versions
    ]
    aliases = {alias: label for (_model, alias), label in found.aliases.items()}
    created = {"created": state.began.recorded_at, "versions": versions, "aliases": aliases}
    return {"name": name, "subject": state.subject, **told, **created, **_moment(then)}


def _moment(then: AsOf) -> dict[str, Any]:
    return {"as_of": then.query, "through_entry": then.last}


class EdgeAnswer(serializers.Serializer[Any]):
    source = serializers.CharField()  # type: ignore[assignment]  # the field's name, as OpenLineage calls it
    target = serializers.CharField()
    kind = serializers.CharField()


class LineageAnswer(serializers.Serializer[Any]):
    """A part of the lineage."""

    focus = serializers.CharField()
    nodes = serializers.ListField(child=serializers.CharField())
    edges = EdgeAnswer(many=True)
