"""How entries look to programs."""

from __future__ import annotations

import base64
from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from audit import as_of
from audit.entries import EntryDetail
from audit.models.events import Event
from audit.queries import EntryRow, Filters


class EntryQuery(serializers.Serializer[dict[str, Any]]):
    """Filters of ``GET /api/v1/log/entries``; times are RFC 3339 and the period ends before ``until``."""

    actor = serializers.CharField(required=False, max_length=200)
    event = serializers.CharField(required=False, max_length=80, help_text=_("An event, or a family: promotion.*"))
    model = serializers.CharField(required=False, max_length=200, help_text=_("Everything about a model, by name."))
    environment = serializers.CharField(required=False, max_length=200)
    subject = serializers.CharField(required=False, max_length=300, help_text=_("A name, or its beginning and *."))
    request_id = serializers.CharField(required=False, max_length=200)
    since = serializers.DateTimeField(required=False)
    until = serializers.DateTimeField(required=False)
    as_of = serializers.CharField(required=False, max_length=60, help_text=_("The log as it was at a moment."))
    through = serializers.IntegerField(required=False, min_value=0, max_value=2**62)
    log = serializers.IntegerField(required=False, min_value=1, max_value=2**31 - 1)
    count = serializers.ChoiceField(required=False, choices=["exact"])
    before = serializers.IntegerField(required=False, min_value=0, max_value=2**62)
    after = serializers.IntegerField(required=False, min_value=0, max_value=2**62)
    limit = serializers.IntegerField(required=False, min_value=1, max_value=200, default=50)

    def validate_event(self, value: str) -> str:
        """Refuse a word that no entry can have."""
        known = {event.value for event in Event} | {f"{event.value.partition('.')[0]}.*" for event in Event}
        if value not in known:
            raise serializers.ValidationError(_("There is no such event or family of events."))
        return value

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Refuse what would find nothing for a reason that nobody would guess."""
        if "before" in attrs and "after" in attrs:
            raise serializers.ValidationError({"after": [_("Give either before or after, not both.")]})
        if "since" in attrs and "until" in attrs and attrs["until"] < attrs["since"]:
            raise serializers.ValidationError({"until": [_("The period ends before it begins.")]})
        unknown = set(self.initial_data) - set(self.fields)
        if unknown:
            raise serializers.ValidationError({name: [_("There is no such filter.")] for name in sorted(unknown)})
        return attrs

    @property
    def filters(self) -> Filters:
        """What to search for, once valid. Raises what ``audit.as_of.asked`` raises."""
        names = ("actor", "event", "model", "environment", "subject", "request_id", "since", "until", "through")
        chosen = {name: self.validated_data[name] for name in names if name in self.validated_data}
        then = as_of.asked(self.validated_data.get("as_of", ""))
        if then is None:
            return Filters(**chosen, log_id=self.validated_data.get("log", 0))
        return Filters(**{**chosen, "through": min(chosen.get("through", then.last), then.last)}, log_id=then.log_id)


class EntrySerializer(serializers.Serializer[EntryRow]):
    """One entry. ``index`` is null while it is being sequenced."""

    index = serializers.IntegerField(allow_null=True)
    event_id = serializers.UUIDField()
    event = serializers.CharField()
    sentence = serializers.CharField()
    actor_id = serializers.CharField()
    actor_name = serializers.CharField()
    roles = serializers.ListField(child=serializers.CharField())
    subject = serializers.CharField()
    reason = serializers.CharField()
    facts = serializers.DictField()
    request_id = serializers.CharField()
    model = serializers.CharField(help_text=_("The model that it is about, by name; empty for none."))
    environment = serializers.CharField()
    sealed = serializers.BooleanField(help_text=_("Whether a signed checkpoint covers it."))
    at = serializers.DateTimeField(help_text=_("As the server that wrote it claimed."))
    recorded_at = serializers.DateTimeField(help_text=_("The database's clock."))


class EntryPageSerializer(serializers.Serializer[Any]):
    """One page, newest first, with the addresses of its neighbours.

    ``count``: how many numbered entries match; when not ``count_exact``, at least so many (``?count=exact`` reads them
    all). ``searched_to``: the search ended there before the page was full; ``next`` goes on.
    """

    count = serializers.IntegerField()
    count_exact = serializers.BooleanField()
    searched_to = serializers.IntegerField(allow_null=True)

    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)
    results = EntrySerializer(many=True)


class InclusionSerializer(serializers.Serializer[Any]):
    """The proof that the entry is in the tree that the checkpoint signs; hashes are base64, from leaf to root."""

    size = serializers.IntegerField()
    root = serializers.CharField()  # type: ignore[assignment]
    path = serializers.ListField(child=serializers.CharField())
    checkpoint = serializers.CharField()
    pymerkle = serializers.DictField()


class EntryDetailSerializer(EntrySerializer):
    """One entry with its canonical bytes (base64) and proof; ``inclusion`` is null until a checkpoint covers it."""

    sealed_at = serializers.DateTimeField(allow_null=True)
    entry = serializers.CharField()
    leaf_hash = serializers.CharField()
    commitments = serializers.DictField(child=serializers.CharField())
    #: Erased private values, each with the index of the entry that erased it; null until that one is sequenced.
    erased = serializers.DictField(child=serializers.IntegerField(allow_null=True))
    inclusion = InclusionSerializer(allow_null=True)


def detail_document(detail: EntryDetail) -> dict[str, Any]:
    """What ``EntryDetailSerializer`` describes."""
    document: dict[str, Any] = {
        **EntrySerializer(detail.row).data,
        "sealed_at": detail.sealed_at,
        "entry": base64.b64encode(detail.data).decode(),
        "leaf_hash": base64.b64encode(detail.leaf_hash).decode(),
        "commitments": detail.commitments,
        "erased": dict(detail.erased),
        "inclusion": None,
    }
    if detail.inclusion is not None and detail.row.index is not None:
        checkpoint = detail.inclusion.checkpoint
        document["inclusion"] = {
            "size": checkpoint.size,
            "root": base64.b64encode(checkpoint.root).decode(),
            "path": detail.inclusion.base64,
            "checkpoint": checkpoint.note,
            "pymerkle": detail.inclusion.for_pymerkle(detail.row.index, detail.leaf_hash),
        }
    return document
