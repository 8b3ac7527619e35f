"""What goes into a bundle: a value that names the entries, the private fields and the language."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from audit.refusals import BadInput
from audit.searching import Filters

#: Entries that a selection may hold: each is a file with its receipt. Everything has no bound.
MAX_CHOSEN = 100_000
#: Private fields that entries have; their values leave the server only when they are named.
FIELDS: dict[str, Promise] = {
    "actor.name": gettext_lazy("Name of who acted"),
    "reason": gettext_lazy("Reasons and comments"),
    "printed_name": gettext_lazy("Printed name of a signature"),
    "username": gettext_lazy("Account: name to sign in"),
    "display_name": gettext_lazy("Account: name"),
    "label": gettext_lazy("Label of a token"),
    "owner": gettext_lazy("Owner of a model or data set"),
    "contacts": gettext_lazy("Contacts of a model"),
    "trained_by": gettext_lazy("Who trained a version"),
    "contributors": gettext_lazy("Who contributed data"),
    "document": gettext_lazy("Reference of a safeguard's document"),
    "parties": gettext_lazy("Exporter and importer of a transfer"),
    "assessment": gettext_lazy("Risk assessment of a transfer"),
    "control": gettext_lazy("Compensating control of a waiver"),
    "recipients": gettext_lazy("Who was notified of a halted transfer"),
}


@dataclass(frozen=True, slots=True)
class Scope:
    """``everything``, or the entries of a model, an environment and a period (``until`` excluded), which are conjoined.

    ``disclose`` names the private fields whose values leave the server; ``size`` the checkpoint, 0 for the newest;
    ``previous`` the size of an earlier export's checkpoint that this one must extend, 0 for none.
    """

    everything: bool = False
    model: str = ""
    environment: str = ""
    since: datetime | None = None
    until: datetime | None = None
    disclose: tuple[str, ...] = ()
    language: str = "en"
    size: int = 0
    previous: int = 0

    def check(self) -> Scope:
        """Itself. Raises ``BadInput`` when it chooses nothing, or everything and a part of it."""
        chosen = any((self.model, self.environment, self.since, self.until))
        if self.everything == chosen:
            raise BadInput(
                _("Choose either everything, or a part of it: a model, an environment or a period."),
                code="export.scope",
                fields={"everything": _("Choose either everything or a part of it.")},
            )
        if self.since and self.until and self.until <= self.since:
            raise BadInput(
                _("The period ends before it begins."),
                code="export.period",
                fields={"until": _("The period ends before it begins.")},
            )
        for given, known, name in (
            (self.disclose, FIELDS, "disclose"),
            ((self.language,), dict(settings.LANGUAGES), "language"),
        ):
            unknown = [each for each in given if each not in known]
            if unknown:
                sentence = _("«%(unknown)s» is not one of: %(known)s.") % {
                    "unknown": str(unknown[0])[:60],
                    "known": ", ".join(known),
                }
                raise BadInput(sentence, code=f"export.{name}", fields={name: sentence})
        return self

    def filters(self, log: int, size: int) -> Filters:
        """The search that finds the chosen entries among the first ``size``."""
        return Filters(
            model=self.model,
            environment=self.environment,
            since=self.since,
            until=self.until,
            through=size - 1,
            log_id=log,
        )

    def selection(self) -> dict[str, Any]:
        """What the manifest says of it: names and times, RFC 3339 in UTC."""
        told: dict[str, Any] = {"everything": self.everything}
        told |= {name: value for name in ("model", "environment") if (value := getattr(self, name))}
        for name in ("since", "until"):
            moment: datetime | None = getattr(self, name)
            if moment is not None:
                told[name] = moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        return told

    def stored(self) -> dict[str, Any]:
        """As JSON, for the row of an export and the facts of its entry."""
        told = {**asdict(self), "since": None, "until": None, "disclose": list(self.disclose)}
        return told | self.selection()

    @classmethod
    def from_stored(cls, stored: dict[str, Any]) -> Scope:
        """The inverse of ``stored``."""
        values = {field.name: stored[field.name] for field in fields(cls) if field.name in stored}
        for name in ("since", "until"):
            if values.get(name):
                values[name] = datetime.fromisoformat(values[name])
        return cls(**{**values, "disclose": tuple(values.get("disclose", ()))})
