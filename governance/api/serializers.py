"""What the API accepts. A field that is not known is refused: a misspelt one must not be a silent default."""

from __future__ import annotations

import base64
import json
from datetime import datetime
from typing import Any

from countersign import reports
from django.utils import timezone
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from audit.api.strict import Strict
from governance.models.decision import Action
from governance.models.evidence import EvidenceType
from governance.models.signoff import Meaning
from governance.models.transfer import SafeguardType
from governance.permit_tokens import MAX_CHARACTERS
from governance.waiting import LONGEST
from registry.models import Perimeter, Strategy

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
    wait_s = serializers.IntegerField(min_value=0, max_value=LONGEST, default=0)
    ci = serializers.DictField(child=serializers.CharField(max_length=500, allow_blank=True), required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs["wait_s"] and attrs["mode"] == "dry_run":
            raise serializers.ValidationError({"wait_s": _("A dry run records nothing, so it cannot wait.")})
        return attrs

    def validate_ci(self, value: dict[str, str]) -> dict[str, str]:
        if len(value) > 20:
            raise serializers.ValidationError(_("At most 20 notes of the pipeline are kept."))
        return value


class WaitQuery(Strict):
    timeout = serializers.IntegerField(min_value=0, max_value=LONGEST, default=LONGEST, help_text="Seconds.")


class ExplainQuery(Strict):
    format = serializers.ChoiceField(choices=list(reports.SHAPES), default="json")


class PromotionRequest(Strict):
    model = ModelReference()
    environment = serializers.CharField(max_length=128)
    rollout = Rollout(required=False)
    reason = serializers.CharField(max_length=4000)


class Proof(Strict):
    """Who is there: the password, with the code of an authenticator app if the person has one; or a passkey alone."""

    password = serializers.CharField(
        max_length=4096, trim_whitespace=False, write_only=True, required=False, allow_blank=True, default=""
    )
    code = serializers.CharField(
        max_length=40,
        write_only=True,
        required=False,
        allow_blank=True,
        default="",
        help_text="Of the authenticator app.",
    )
    assertion = serializers.CharField(
        max_length=16_384,
        write_only=True,
        required=False,
        allow_blank=True,
        default="",
        help_text="What the passkey answered to POST /account/challenges, as JSON text.",
    )


class SignOffRequest(Proof):
    meaning = serializers.ChoiceField(choices=Meaning.choices)
    role = serializers.CharField(max_length=40)
    comment = serializers.CharField(max_length=4000)
    subject_digest = serializers.CharField(max_length=71)
    delegation = serializers.CharField(
        max_length=40, required=False, help_text="The delegation under which you sign for somebody else: DG-2026-0001."
    )


class TakingBack(Proof):
    reason = serializers.CharField(max_length=4000)


class Withdrawal(Strict):
    reason = serializers.CharField(max_length=4000)


class PackText(Strict):
    text = serializers.CharField(max_length=200_000, trim_whitespace=False, help_text="The pack as YAML.")


class PackDraft(PackText):
    reason = serializers.CharField(max_length=4000, required=False, allow_blank=True, default="")


class ReplayRequest(Strict):
    packs = serializers.ChoiceField(
        choices=["then", "now"], default="then", help_text="The packs that decided, or those in force now (a what-if)."
    )


class DeployRecord(Strict):
    decision_id = serializers.CharField(max_length=40)
    permit = serializers.CharField(max_length=MAX_CHARACTERS, trim_whitespace=False)
    environment = serializers.CharField(max_length=128)
    strategy = serializers.ChoiceField(choices=Strategy.choices, required=False)
    weight = serializers.IntegerField(min_value=0, max_value=100, required=False)
    record = serializers.JSONField(required=False, help_text="What the strategy records of its own, whole.")
    alias = serializers.CharField(max_length=128, required=False, help_text=_ALIAS)


class PermitUse(Strict):
    permit = serializers.CharField(max_length=MAX_CHARACTERS, trim_whitespace=False)
    environment = serializers.CharField(max_length=128)
    digest = serializers.RegexField(
        r"^sha256:[0-9a-f]{64}\Z", required=False, help_text="Of the files that are deployed; compared."
    )


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


class DelegationRequest(Proof):
    role = serializers.CharField(max_length=40)
    to = serializers.CharField(max_length=150, help_text="The username of who signs in your place.")
    starts_at = Moment(required=False, allow_null=True, help_text="Now, when it is not given.")
    ends_at = Moment(help_text="90 days later at most; a sign-off rule may allow less.")
    reason = serializers.CharField(max_length=4000)


class PolicyActivation(Strict):
    reason = serializers.CharField(max_length=4000)
    at = Moment(
        required=False,
        allow_null=True,
        help_text="The instant from which it decides, in whole seconds; at once when it is not given.",
    )


class SafeguardRequest(Strict):
    reference = serializers.SlugField(max_length=40)
    type = serializers.ChoiceField(choices=SafeguardType.choices)
    law = serializers.ChoiceField(
        choices=Perimeter.choices, help_text="The jurisdiction under whose law it is made; it excuses under no other."
    )
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


class WaiverRequest(Strict):
    model = ModelReference()
    environment = serializers.CharField(max_length=128)
    pack = serializers.CharField(max_length=80, help_text="The pack in force that holds the rule.")
    rule = serializers.CharField(max_length=80, help_text="A rule that says “waivable: true”.")
    subjects = serializers.ListField(
        child=serializers.CharField(max_length=200),
        allow_empty=False,
        max_length=100,
        help_text="Those of the findings: version:…, environment:… or dataset:….",
    )
    reason = serializers.CharField(max_length=4000, help_text="Why the rule cannot be met.")
    control = serializers.CharField(max_length=4000, help_text="What is done instead: the compensating control.")
    starts_at = Moment(required=False, help_text="Not in the past; now when it is left out.")
    ends_at = Moment(help_text="At most 90 days after the start.")


class WaiverApproval(Proof, SafeguardApproval):
    """The reason, and who is there."""


class EmergencyRequest(Proof):
    model = ModelReference()
    environment = serializers.CharField(max_length=128)
    incident = serializers.CharField(max_length=200, help_text="Its reference, for example INC-204.")
    reason = serializers.CharField(max_length=4000, help_text="Why it cannot wait for the signatures.")
    hours = serializers.IntegerField(min_value=1, max_value=72, help_text="At most what the sign-off rules allow.")


class EmergencyConfirmation(Proof):
    """Who is there."""


class EmergencyReview(Proof):
    ratified = serializers.BooleanField(help_text="False orders another version to serve.")
    reason = serializers.CharField(max_length=4000)


@extend_schema_field(OpenApiTypes.OBJECT)
class EnvelopeField(serializers.Field):  # type: ignore[type-arg]
    """An envelope as bytes. What it says is checked by ``governance.evidence_keys``."""

    def to_internal_value(self, data: Any) -> bytes:
        if isinstance(data, dict) and data:
            try:
                return json.dumps(data, separators=(",", ":"), ensure_ascii=False).encode()
            except (UnicodeEncodeError, RecursionError):
                raise serializers.ValidationError(_("The envelope cannot be written as UTF-8.")) from None
        try:
            sent = base64.b64decode(data, validate=True) if isinstance(data, str) else b""
        except ValueError:
            sent = b""
        if not sent:
            raise serializers.ValidationError(_("Send the envelope as a JSON object, or its bytes in base64."))
        return sent

    def to_representation(self, value: bytes) -> str:
        return base64.b64encode(value).decode()


class EvidenceRequest(Strict):
    type = serializers.ChoiceField(choices=EvidenceType.choices)
    version = serializers.CharField(max_length=160, help_text="version:<model>/<number>")
    environment = serializers.CharField(
        max_length=128, required=False, allow_blank=True, help_text="Its slug; left out for every environment."
    )
    artifact_digest = serializers.CharField(
        max_length=71, required=False, help_text="sha256:… of the files that were looked at; must be the version's."
    )
    digest = serializers.CharField(max_length=71, help_text="sha256:… of the document, as you computed it.")
    title = serializers.CharField(max_length=200)
    author = serializers.CharField(max_length=200, help_text="Who made the document, as it names them.")
    issued_at = Moment()
    expires_at = Moment(required=False, allow_null=True, help_text="Most rules accept no evidence without an end.")
    envelope = EnvelopeField(
        required=False,
        help_text="A DSSE envelope or Sigstore bundle over an in-toto statement about the files: its bytes in base64, "
        "or the JSON object itself.",
    )


class EvidenceKeyRequest(Strict):
    name = serializers.CharField(max_length=128, help_text="What rules call the key.")
    public_key = serializers.CharField(max_length=4096, help_text="PEM: Ed25519, P-256 or P-384.")
    types = serializers.ListField(
        child=serializers.ChoiceField(choices=EvidenceType.choices), allow_empty=False, max_length=len(EvidenceType)
    )


class EvidenceKeyConfirmation(Proof):
    """Who is there."""


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


class ErasureRequest(Proof):
    reason = serializers.CharField(max_length=2000, help_text="Without the person's name: it stays in the log.")
    no_legal_hold = serializers.BooleanField(help_text="True when no law and no dispute requires the data to be kept.")


class SignOffToBe(Strict):
    promotion = serializers.IntegerField(min_value=1, max_value=2**53)
    meaning = serializers.ChoiceField(choices=Meaning.choices)
    role = serializers.CharField(max_length=40)
    comment = serializers.CharField(max_length=4000)
    subject_digest = serializers.CharField(max_length=71)
    delegation = serializers.CharField(
        max_length=40, required=False, allow_blank=True, default="", help_text="The one under which it is given."
    )


class ChallengeRequest(Strict):
    path = serializers.CharField(
        max_length=400, help_text="Where the answer will be sent, for example /api/v1/promotions/12/signoffs."
    )
    signoff = SignOffToBe(required=False, help_text="For a signature on a promotion: what the passkey is to sign.")
