"""The filters of the Log page; its address is their only state."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from audit.models.events import Event
from audit.queries import Filters, sentence_of

#: The filters in the order of the form; ``before``, ``after`` and ``through`` are pages of one search.
NAMES = ("model", "environment", "actor", "event", "subject", "since", "until", "request", "as_of", "log")


@dataclass(frozen=True, slots=True)
class Known:
    """What the log knows to choose from: id and name of actors, names of models and environments, its logs."""

    actors: list[tuple[str, str]]
    models: list[str]
    environments: list[str]
    logs: list[tuple[int, str]]


class LogFilter(forms.Form):
    """Everything optional; days are UTC and both ends belong to the period."""

    several_logs = False

    actor = forms.CharField(label=_("Actor"), required=False, max_length=200)
    event = forms.ChoiceField(label=_("Event"), required=False)
    model = forms.CharField(label=_("Model"), required=False, max_length=200)
    environment = forms.CharField(label=_("Environment"), required=False, max_length=200)
    subject = forms.CharField(
        label=_("Subject"),
        required=False,
        max_length=300,
        widget=forms.TextInput(attrs={"placeholder": "model:credit-scoring*"}),
    )
    since = forms.DateField(label=_("From"), required=False, widget=forms.DateInput(attrs={"type": "date"}))
    until = forms.DateField(label=_("To"), required=False, widget=forms.DateInput(attrs={"type": "date"}))
    request = forms.CharField(label=_("Request id"), required=False, max_length=200)
    as_of = forms.CharField(
        label=_("As of (UTC)"),
        required=False,
        max_length=60,
        widget=forms.DateTimeInput(attrs={"type": "datetime-local", "step": "1"}),
    )
    log = forms.IntegerField(label=_("Log"), required=False, min_value=1, max_value=2**31 - 1)
    through = forms.IntegerField(required=False, min_value=0, max_value=2**62, widget=forms.HiddenInput)
    before = forms.IntegerField(required=False, min_value=0, max_value=2**62, widget=forms.HiddenInput)
    after = forms.IntegerField(required=False, min_value=0, max_value=2**62, widget=forms.HiddenInput)

    def __init__(self, *args: Any, known: Known | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        events = sorted((event.value, f"{event.value}: {sentence_of(event)}") for event in Event)
        families = sorted({value.partition(".")[0] for value, _label in events})
        every = [(f"{family}.*", gettext("%(family)s: everything") % {"family": f"{family}.*"}) for family in families]
        choices = sorted([*every, *events], key=lambda pair: (pair[0].partition(".")[0], pair[0]))
        self.fields["event"] = forms.ChoiceField(
            label=_("Event"), required=False, choices=[("", _("All events")), *choices]
        )
        if known is None:
            return
        self._offer("actor", _("Everyone"), known.actors)
        self._offer("model", _("All models"), [(name, name) for name in known.models])
        self._offer("environment", _("All environments"), [(name, name) for name in known.environments])
        newest = str(known.logs[0][0]) if known.logs else ""
        self._offer("log", _("The newest"), [(str(number), origin) for number, origin in known.logs[1:]])
        self.several_logs = len(known.logs) > 1 or bool(self.data.get("log", "") not in ("", newest))

    def _offer(self, name: str, everything: object, known: list[tuple[str, str]]) -> None:
        """A list to choose from. What was asked for stays visible in it instead of silently meaning everything."""
        asked = str(self.data.get(name, "")) if self.data else ""
        extra = [(asked, asked)] if asked and asked not in {value for value, _label in known} else []
        self.fields[name].widget = forms.Select(choices=[("", everything), *known, *extra])

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
        """What to search for, once valid. ``as_of`` is the page's: it needs the log."""
        values = self.cleaned_data
        return Filters(
            actor=values["actor"],
            event=values["event"],
            model=values["model"],
            environment=values["environment"],
            subject=values["subject"],
            request_id=values["request"],
            since=datetime.combine(values["since"], time(), UTC) if values["since"] else None,
            until=datetime.combine(values["until"], time(), UTC) + timedelta(days=1) if values["until"] else None,
            through=values["through"],
            log_id=values["log"] or 0,
        )

    @property
    def is_filtered(self) -> bool:
        """Whether anything but the page is chosen."""
        return any(self.cleaned_data[name] for name in NAMES)

    @property
    def chosen(self) -> dict[str, Any]:
        """Name and value of each filter that is chosen, as the address has them."""
        return {name: self.cleaned_data[name] for name in NAMES if self.cleaned_data.get(name)}

    def address(self, **more: int | str) -> str:
        """The query string of the same search with something added, such as another page."""
        through = self.cleaned_data.get("through")
        pinned = {} if through is None else {"through": through}
        return "?" + urlencode({**self.chosen, **pinned, **more})
