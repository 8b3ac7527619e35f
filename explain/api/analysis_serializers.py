"""What the API of analyses, reasons and comparison reads and answers."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from explain import analyses
from explain.methods.reasons import MOST
from explain.models import Analysis, Kind
from explain.reasons import SIDES


class AnalysisRequestSerializer(serializers.Serializer[Any]):
    """The question. Comparison and drift go from ``first`` to ``second``; the other fields are about fairness."""

    kind = serializers.ChoiceField(choices=Kind.choices)
    first = serializers.IntegerField(min_value=1, max_value=2**62, help_text="Number of an explanation.")
    second = serializers.IntegerField(min_value=1, max_value=2**62, required=False, allow_null=True, default=None)
    seed = serializers.IntegerField(min_value=0, max_value=2**63 - 1, default=0)
    threshold = serializers.FloatField(
        required=False, allow_null=True, default=None, help_text="The output at which the decision turns."
    )
    favourable = serializers.ChoiceField(choices=[*SIDES], default="higher")
    attribute = serializers.CharField(max_length=64, required=False, default="", help_text="What the groups are of.")
    column = serializers.CharField(
        max_length=200, required=False, default="", help_text="The column of the rows that says the group."
    )
    groups = serializers.DictField(
        child=serializers.JSONField(), required=False, allow_null=True, default=None, help_text="Row id: group."
    )
    labels = serializers.DictField(
        child=serializers.JSONField(), required=False, allow_null=True, default=None, help_text="Row id: 0 or 1."
    )


class AnalysisSerializer(serializers.ModelSerializer[Analysis]):
    """An analysis without its result."""

    subject = serializers.CharField(read_only=True)
    first = serializers.CharField(source="first.subject", read_only=True)
    second = serializers.CharField(source="second.subject", read_only=True, allow_null=True, default=None)

    class Meta:
        model = Analysis
        fields = (
            "id",
            "subject",
            "kind",
            "first",
            "second",
            "parameters",
            "state",
            "standing",
            "error",
            "requested_by",
            "requested",
            "started",
            "ended",
            "receipt_digest",
        )
        read_only_fields = fields


class AnalysisDetailSerializer(AnalysisSerializer):
    """An analysis with result and receipt; ``stale``: why it no longer speaks about what is there now."""

    stale = serializers.SerializerMethodField()

    class Meta:
        model = Analysis
        fields = (*AnalysisSerializer.Meta.fields, "stale", "result", "receipt")
        read_only_fields = fields

    def get_stale(self, analysis: Analysis) -> list[str]:
        return analyses.freshness(analysis).sentences


class ReasonsRequestSerializer(serializers.Serializer[Any]):
    """How reasons are made."""

    row = serializers.CharField(max_length=64)
    adverse = serializers.ChoiceField(choices=[*SIDES], help_text="Which side of the output is worse for the person.")
    baseline = serializers.CharField(max_length=100, help_text="Whom the background stands for: approved applicants.")
    baseline_version = serializers.CharField(max_length=100, default="1")
    threshold = serializers.FloatField(required=False, allow_null=True, default=None)
    scale = serializers.CharField(max_length=16, required=False, default="", help_text="Scale of the decision.")
    protected = serializers.ListField(child=serializers.CharField(max_length=200), max_length=300, default=list)
    groups = serializers.DictField(
        child=serializers.ListField(child=serializers.CharField(max_length=200)), required=False, allow_null=True
    )
    templates = serializers.DictField(
        child=serializers.DictField(child=serializers.CharField(max_length=300)),
        default=dict,
        help_text="Feature: below, above, other: text, in which {value} becomes the row's value.",
    )
    most = serializers.IntegerField(min_value=1, max_value=MOST, default=MOST)


class ReasonsQuerySerializer(serializers.Serializer[Any]):
    """The same in an address: without texts."""

    row = serializers.CharField(max_length=64)
    adverse = serializers.ChoiceField(choices=[*SIDES])
    baseline = serializers.CharField(max_length=100)
    baseline_version = serializers.CharField(max_length=100, default="1")
    threshold = serializers.FloatField(required=False, default=None)
    scale = serializers.CharField(max_length=16, required=False, default="")
    protected = serializers.CharField(max_length=2000, required=False, default="", help_text="Names with commas.")
    most = serializers.IntegerField(min_value=1, max_value=MOST, default=MOST)


class CompareQuerySerializer(serializers.Serializer[Any]):
    """Two numbers of explanations."""

    a = serializers.IntegerField(min_value=1, max_value=2**62, help_text="Champion.")
    b = serializers.IntegerField(min_value=1, max_value=2**62, help_text="Challenger.")


class FlagSerializer(serializers.Serializer[Any]):
    """A protected attribute on the adverse side."""

    feature = serializers.CharField()
    rank = serializers.IntegerField()
    phi = serializers.FloatField()
    se = serializers.FloatField()
    principal = serializers.BooleanField()


class ReasonOfRowSerializer(serializers.Serializer[Any]):
    """One reason."""

    feature = serializers.CharField()
    rank = serializers.IntegerField()
    tied = serializers.BooleanField()
    phi = serializers.FloatField()
    se = serializers.FloatField()
    share = serializers.FloatField()
    direction = serializers.CharField()
    text = serializers.CharField()


class BaselineSerializer(serializers.Serializer[Any]):
    """What the contributions are measured against."""

    name = serializers.CharField()
    version = serializers.CharField()
    digest = serializers.CharField()


class ReasonsSerializer(serializers.Serializer[Any]):
    """The reasons of a row; ``held``: a person has to look before anything is sent."""

    row_id = serializers.CharField()
    reasons = ReasonOfRowSerializer(many=True)
    tied_out = serializers.ListField(child=serializers.CharField())
    unsure = serializers.ListField(child=serializers.CharField())
    flags = FlagSerializer(many=True)
    held = serializers.BooleanField()
    baseline = BaselineSerializer()
    rules = serializers.CharField(help_text="Digest of texts and choices: everything that was asked but the row.")
    sentences = serializers.ListField(child=serializers.CharField())
