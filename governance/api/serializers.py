"""What the API accepts. A field that is not known is refused: a misspelt one must not be a silent default."""

from __future__ import annotations

from datetime import datetime

from django.utils import timezone
from django.utils.translation import gettext as _
from rest_framework import serializers

from audit.api.strict import Strict
from governance.models.decision import Action
from governance.models.signoff import Meaning
from governance.models.transfer import SafeguardType
from registry.models import Strategy

#: In the API's description.
_ALIAS = "An alias of the model, for example champion, that is pointed at the version with this record."


class ModelReference(Strict):
    name = serializers.CharField(max_length=128)
    version = serializers.CharField(max_length=20, required=False)
    digest = serializers.CharField(max_length=71, required=False)


class Target(Strict):
    provider_region = serializers.ListField(child=serializers.CharField(max_length=64), required=False, max_length=100)
    endpoint = serializers.CharField(max_length=400, required=False)
    log_sinks = serializers.ListField(child=serializers.CharField(max_length=64), required=False, max_length=100)


class Rollout(Strict):
    strategy = serializers.ChoiceField(choices=Strategy.choices, required=False)
    weight = serializers.IntegerField(min_value=0, max_value=100, required=False)


class GateCheck(Strict):
    model = ModelReference()
    environment = serializers.CharField(max_length=128)
    action = serializers.ChoiceField(choices=Action.choices, default=Action.PROMOTE)
    target = Target(required=False)
    rollout = Rollout(required=False)
    mode = serializers.ChoiceField(choices=("enforce", "dry_run"), default="enforce")
    wait_s = serializers.IntegerField(min_value=0, max_value=0, required=False)
    ci = serializers.DictField(child=serializers.CharField(max_length=500, allow_blank=True), required=False)

    def validate_ci(self, value: dict[str, str]) -> dict[str, str]:
        if len(value) > 20:
            raise serializers.ValidationError(_("At most 20 notes of the pipeline are kept."))
        return value


class PromotionRequest(Strict):
    model = ModelReference()
    environment = serializers.CharField(max_length=128)
    rollout = Rollout(required=False)
    reason = serializers.CharField(max_length=4000)


class SignOffRequest(Strict):
    meaning = serializers.ChoiceField(choices=Meaning.choices)
    role = serializers.CharField(max_length=40)
    comment = serializers.CharField(max_length=4000)
    subject_digest = serializers.CharField(max_length=71)
    password = serializers.CharField(max_length=4096, trim_whitespace=False, write_only=True)


class Withdrawal(Strict):
    reason = serializers.CharField(max_length=4000)


class PackText(Strict):
    text = serializers.CharField(max_length=200_000, trim_whitespace=False, help_text="The pack as YAML.")


class PackDraft(PackText):
    reason = serializers.CharField(max_length=4000, required=False, allow_blank=True, default="")


class PolicyActivation(Strict):
    reason = serializers.CharField(max_length=4000)


class ReplayRequest(Strict):
    packs = serializers.ChoiceField(
        choices=["then", "now"], default="then", help_text="The packs that decided, or those in force now (a what-if)."
    )


class DeployRecord(Strict):
    decision_id = serializers.CharField(max_length=40)
    permit = serializers.CharField(max_length=200, trim_whitespace=False)
    environment = serializers.CharField(max_length=128)
    strategy = serializers.ChoiceField(choices=Strategy.choices, required=False)
    weight = serializers.IntegerField(min_value=0, max_value=100, required=False)
    record = serializers.JSONField(required=False, help_text="What the strategy records of its own, whole.")
    alias = serializers.CharField(max_length=128, required=False, help_text=_ALIAS)


class RollbackRecord(Strict):
    model = ModelReference()
    environment = serializers.CharField(max_length=128)
    reason = serializers.CharField(max_length=4000)
    incident = serializers.CharField(max_length=200)
    alias = serializers.CharField(max_length=128, required=False, help_text=_ALIAS)


class Moment(serializers.DateTimeField):
    """A moment with its offset; one without would silently be UTC."""

    def enforce_timezone(self, value: datetime) -> datetime:
        if timezone.is_naive(value):
            raise serializers.ValidationError(_("Give the moment with its offset, for example 2027-01-01T00:00:00Z."))
        return super().enforce_timezone(value)


class SafeguardRequest(Strict):
    reference = serializers.SlugField(max_length=40)
    type = serializers.ChoiceField(choices=SafeguardType.choices)
    document = serializers.CharField(max_length=300)
    subjects = serializers.ListField(child=serializers.CharField(max_length=200), allow_empty=False, max_length=500)
    regions = serializers.ListField(child=serializers.CharField(max_length=64), allow_empty=False, max_length=200)
    expires_at = Moment()
    document_digest = serializers.CharField(
        max_length=71,
        required=False,
        allow_blank=True,
        help_text="sha256:… of the document, as you computed it.",
    )
    exporter = serializers.CharField(max_length=200, required=False, allow_blank=True)
    importer = serializers.CharField(max_length=200, required=False, allow_blank=True)
    risk_assessment_at = Moment(required=False, allow_null=True)
    assessment = serializers.DictField(
        child=serializers.CharField(max_length=4000),
        required=False,
        help_text="The elements A to F of a transfer risk assessment; all six whenever risk_assessment_at is given.",
    )


class SafeguardApproval(Strict):
    reason = serializers.CharField(max_length=4000, required=False, allow_blank=True, default="")


class Revocation(Strict):
    reason = serializers.CharField(max_length=4000)


class HaltDone(Strict):
    reason = serializers.CharField(max_length=4000, help_text="How the transfer was halted.")
    recipients = serializers.ListField(
        child=serializers.CharField(max_length=200),
        allow_empty=False,
        max_length=200,
        help_text="Who was notified.",
    )


class Nothing(Strict):
    """No field at all: an action that needs no more than its address."""


class ErasureRequest(Strict):
    reason = serializers.CharField(max_length=2000, help_text="Without the person's name: it stays in the log.")
    no_legal_hold = serializers.BooleanField(help_text="True when no law and no dispute requires the data to be kept.")
    password = serializers.CharField(max_length=1000, trim_whitespace=False)
