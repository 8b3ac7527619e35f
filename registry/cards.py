"""The model card: what a model is for, what it learned from, how good it is, where it serves, and what nobody has said.

One set of facts in three forms: a page that prints, Markdown and JSON. What is missing is named, never left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.utils.translation import gettext as _

from registry import queries
from registry.models import Deployment, Model, ModelVersion, Run

#: Characters that Markdown, or the HTML in it, would read as more than text.
_SPECIAL = re.compile(r"([\\`*_{}\[\]()#+!|<>~&-])")


@dataclass(frozen=True, slots=True)
class Card:
    """``version`` is the one that the card describes, None while the model has none."""

    model: Model
    version: ModelVersion | None
    run: Run | None
    data: tuple[queries.Reached, ...]
    serving: tuple[Deployment, ...]

    @property
    def unsaid(self) -> tuple[str, ...]:
        """Names of what a reader would look for and nobody has said."""
        missing = [name for name in ("intended_use", "limits", "contacts") if not getattr(self.model, name)]
        if self.model.risk == "unknown":
            missing.append("risk")
        if self.version is None:
            return (*missing, "version")
        if not self.data:
            missing.append("data")
        if not self.version.metrics:
            missing.append("metrics")
        if self.version.dependencies is None:
            missing.append("dependencies")
        return tuple(missing)


def card_of(model: Model, version: ModelVersion | None) -> Card:
    """The card of a model, told of ``version``. Four queries with a version, one without."""
    serving = Deployment.objects.with_names().open().filter(model=model).order_by("environment__slug", "-since")
    return Card(
        model=model,
        version=version,
        run=Run.objects.filter(run_id=version.run_id).first() if version is not None and version.run_id else None,
        data=queries.lineage_closure(version) if version is not None else (),
        serving=tuple(serving[:200]),
    )


def newest_version(model: Model) -> ModelVersion | None:
    """The version that a card describes when nobody asks for another."""
    return model.versions.select_related("model").order_by("-number").first()


def document(card: Card) -> dict[str, Any]:
    """The card as JSON; ``unsaid`` lists what is missing."""
    model, version = card.model, card.version
    return {
        "model": model.name,
        "title": model.title,
        "owner": model.owner,
        "contacts": list(model.contacts),
        "purpose": model.purpose,
        "intended_use": model.intended_use,
        "limits": model.limits,
        "risk": {"tier": model.risk, "reason": model.risk_reason},
        "version": None if version is None else _version(card, version),
        "serving": [
            {
                "environment": row.environment.slug,
                "version": row.version.subject,
                "digest": row.digest,
                "strategy": row.strategy,
                "since": row.since,
            }
            for row in card.serving
        ],
        "unsaid": list(card.unsaid),
    }


def _version(card: Card, version: ModelVersion) -> dict[str, Any]:
    return {
        "number": version.number,
        "subject": version.subject,
        "digest": version.digest,
        "registered": version.created,
        "run": version.run_id,
        "metrics": version.metrics,
        "parameters": card.run.params if card.run else {},
        "schema": version.schema,
        "dependencies": version.dependencies,
        "data": [
            {
                "name": each.dataset.name,
                "digest": each.dataset.digest,
                "classification": each.dataset.classification,
                "subjects": list(each.dataset.subjects),
                "regions": list(each.dataset.regions),
                "perimeter": each.dataset.perimeter,
                "lawful_basis": each.dataset.lawful_basis,
                "retention": each.dataset.retention,
                "provenance": each.dataset.provenance,
                "confirmed": list(each.dataset.confirmed_facts),
                "unknown": list(each.dataset.unknown_facts),
            }
            for each in card.data
        ],
    }


def markdown(card: Card) -> str:
    """The card as CommonMark with tables. Everything that people wrote is text in it, whatever it looks like."""
    model, nobody = card.model, _("Nobody has said.")
    lines = [
        f"# {_safe(model.title)}",
        "",
        f"{_safe(model.name)} · {_('Owner')}: {_safe(model.owner)} · {_('Risk')}: {_safe(model.get_risk_display())}",
    ]
    for heading, text in (
        (_("Purpose"), model.purpose),
        (_("Intended use"), model.intended_use),
        (_("Limits"), model.limits),
        (_("Why this risk"), model.risk_reason),
    ):
        lines += ["", f"## {heading}", "", _safe(text) or nobody]
    lines += ["", f"## {_('Contacts')}", ""]
    lines += [f"- {_safe(contact)}" for contact in model.contacts] or [nobody]
    lines += _serving_lines(card.serving)
    lines += _version_lines(card)
    return "\n".join(lines) + "\n"


def _serving_lines(serving: Sequence[Deployment]) -> list[str]:
    heading = ["", f"## {_('Where it serves')}", ""]
    if not serving:
        return [*heading, _("No version of it serves now.")]
    rows = [
        (
            row.environment.slug,
            str(row.version.number),
            row.get_strategy_display(),
            f"{row.since.astimezone(UTC):%Y-%m-%d %H:%M UTC}",
        )
        for row in serving
    ]
    return [*heading, *_table((_("Environment"), _("Version"), _("Strategy"), _("Since")), rows)]


def _version_lines(card: Card) -> list[str]:
    version = card.version
    if version is None:
        return ["", f"## {_('Version')}", "", _("It has no version yet.")]
    lines = ["", f"## {_('Version')} {version.number}", "", f"{_('Digest')}: `{version.digest}`"]
    lines += ["", f"### {_('Metrics')}", ""]
    metrics = [(name, str(value)) for name, value in sorted(version.metrics.items())]
    lines += _table((_("Metric"), _("Value")), metrics) if metrics else [_("No metrics were logged.")]
    lines += ["", f"### {_('What it learned from')}", ""]
    rows = [
        (
            each.dataset.name,
            each.dataset.get_classification_display(),
            ", ".join(each.dataset.subjects) or "—",
            ", ".join(each.dataset.regions) or _("unknown"),
            _("confirmed") if each.dataset.confirmed else _("claimed"),
        )
        for each in card.data
    ]
    headings = (_("Data set"), _("Class"), _("People in"), _("Regions"), _("Who says so"))
    lines += _table(headings, rows) if rows else [_("No data set is recorded for this version.")]
    lines += ["", f"### {_('Dependencies')}", ""]
    if version.dependencies is None:
        return [*lines, _("Unknown: nobody said what it needs to run.")]
    return [*lines, *([f"- {_safe(each['requirement'])}" for each in version.dependencies] or [_("None.")])]


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [f"| {' | '.join(headings)} |", f"|{' --- |' * len(headings)}"]
    return lines + [f"| {' | '.join(_safe(cell) for cell in row)} |" for row in rows]


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def _safe(text: object) -> str:
    """One line of text in which nothing is markup."""
    return _SPECIAL.sub(r"\\\1", " ".join(str(text).split()))
