"""The filters of the Log page; its address is their only state."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.utils.translation import gettext_lazy as _

from audit.models.events import Event
from audit.queries import Filters, sentence_of


class LogFilter(forms.Form):
    """Everything optional; days are UTC and both ends belong to the period."""

    actor = forms.CharField(label=_("Actor"), required=False, max_length=200)
    event = forms.ChoiceField(label=_("Event"), required=False)
    subject = forms.CharField(
        label=_("Subject"),
        required=False,
        max_length=300,
        widget=forms.TextInput(attrs={"placeholder": "model:credit-scoring*"}),
    )
    since = forms.DateField(label=_("From"), required=False, widget=forms.DateInput(attrs={"type": "date"}))
    until = forms.DateField(label=_("To"), required=False, widget=forms.DateInput(attrs={"type": "date"}))
    request = forms.CharField(label=_("Request id"), required=False, max_length=200)
    before = forms.IntegerField(required=False, min_value=0, max_value=2**62, widget=forms.HiddenInput)
    after = forms.IntegerField(required=False, min_value=0, max_value=2**62, widget=forms.HiddenInput)

    def __init__(self, *args: Any, actors: list[tuple[str, str]] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        events = sorted((event.value, f"{event.value}: {sentence_of(event)}") for event in Event)
        self.fields["event"] = forms.ChoiceField(
            label=_("Event"), required=False, choices=[("", _("All events")), *events]
        )
        if actors is not None:
            self.fields["actor"].widget = forms.Select(choices=[("", _("Everyone")), *_options(actors, self.data)])

    def clean(self) -> dict[str, Any]:
        """A period that ends before it begins finds nothing for a reason that nobody would guess."""
        values = dict(super().clean() or {})
        if values.get("since") and values.get("until") and values["until"] < values["since"]:
            self.add_error("until", _("The period ends before it begins."))
        if values.get("before") is not None and values.get("after") is not None:
            raise forms.ValidationError(_("Give either «before» or «after», not both."))
        return values

    @property
    def filters(self) -> Filters:
        """What to search for, once valid."""
        values = self.cleaned_data
        return Filters(
            actor=values["actor"],
            event=values["event"],
            subject=values["subject"],
            request_id=values["request"],
            since=datetime.combine(values["since"], time(), UTC) if values["since"] else None,
            until=datetime.combine(values["until"], time(), UTC) + timedelta(days=1) if values["until"] else None,
        )

    @property
    def is_filtered(self) -> bool:
        """Whether anything but the page is chosen."""
        return any(self.cleaned_data[name] for name in ("actor", "event", "subject", "request", "since", "until"))

    def address(self, **page: int) -> str:
        """The query string of the same search at another page."""
        names = ("actor", "event", "subject", "since", "until", "request")
        chosen = {name: self.cleaned_data[name] for name in names if self.cleaned_data.get(name)}
        return "?" + urlencode({**chosen, **page})


def _options(actors: list[tuple[str, str]], data: Any) -> list[tuple[str, str]]:
    """The known actors; a chosen one that is not among them stays visible instead of silently meaning everyone."""
    chosen = data.get("actor", "") if data else ""
    known = {actor for actor, _name in actors}
    return actors + ([(chosen, chosen)] if chosen and chosen not in known else [])
