"""The principal reasons of a stored explanation's row. Reads only: what is sent to a person is theirs who sends it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from audit.refusals import BadInput, Conflict, NotKnown, Refused
from explain import cells, inputs, receipts
from explain.digests import digest
from explain.methods.reasons import MOST, Baseline, Reasons, Rules, reason_codes
from explain.methods.refused import CannotSay
from explain.models import ExplanationJob, State
from explain.sentences import WORDS
from explain.serving import probe
from explain.wording import refusal

SIDES = ("higher", "lower")
DIRECTIONS = ("below", "above", "other")
MOST_TEXT = 300
#: Faults after which the values are not what moved the model's answer, whatever their own error says.
UNTRUE = probe.FATAL | {"disagrees", "not_additive", "not_finite"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """How reasons are made, as somebody asks for them; see ``explain.methods.reasons.Rules``.

    ``baseline`` and ``baseline_version`` name what the background is, for credit the approved applicants as they were
    chosen then; its digest is that of the explanation. ``scale``: that of the decision, ``""`` for the explained one.
    """

    adverse: str
    baseline: str
    baseline_version: str = "1"
    threshold: float | None = None
    scale: str = ""
    protected: Sequence[str] = ()
    groups: Mapping[str, Sequence[str]] | None = None
    templates: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    most: int = MOST


def of_row(job: ExplanationJob, row_id: str, asked: Asked) -> Reasons:
    """The reasons of one row.

    Raises ``NotKnown`` without such a row, ``Conflict`` before the explanation has finished, ``BadInput`` with the
    field, ``Refused`` where an honest reason cannot be given, ``KeysUnavailable``.
    """
    if job.state != State.FINISHED:
        raise Conflict(
            _("%(subject)s has not finished, so it gives no reasons.") % {"subject": job.subject},
            code="explanation.not_finished",
        )
    if fatal := sorted({*job.receipt.get("faults", {})} & UNTRUE):
        raise Refused(
            _("%(subject)s gives no reasons: %(why)s")
            % {"subject": job.subject, "why": " ".join(str(WORDS.get(fault, fault)) for fault in fatal)},
            code="explanation.untrue",
        )
    stored = job.results.filter(row_id=row_id).first()
    if stored is None:
        raise NotKnown(_("This explanation has no row “%(id)s”.") % {"id": row_id[:64]}, code="explanation.row_unknown")
    values = inputs.cells_of(job, row_id)
    if stored.erased or values is None:
        raise Refused(_("Row “%(id)s” was erased.") % {"id": row_id}, code="explanation.rows_erased")
    rules = _rules(job, asked)
    kinds = [str(column["kind"]) for column in job.columns]
    row = dict(zip(job.names, map(cells.cell, values, kinds), strict=True))
    try:
        return reason_codes(
            receipts.result_of(stored), method=job.method, scale=str(job.output.get("scale")), cells=row, rules=rules
        )
    except CannotSay as error:
        raise refusal(error) from error


def rules_digest(asked: Asked) -> str:
    """The digest of texts and choices, to be kept with what is sent to a person."""
    return digest(asdict(asked))


def _rules(job: ExplanationJob, asked: Asked) -> Rules:
    if asked.adverse not in SIDES:
        raise _bad("adverse", _("Which side of the output is worse for the person: higher or lower."))
    if not asked.baseline.strip():
        raise _bad("baseline", _("Name whom the background stands for, for example approved applicants."))
    if asked.threshold is not None and not math.isfinite(asked.threshold):
        raise _bad("threshold", _("The threshold is a number on the explained scale."))
    if isinstance(asked.most, bool) or not 1 <= asked.most <= MOST:
        raise _bad("most", _("One to four reasons: more are unlikely to help."))
    groups = job.settings.get("groups") or {} if asked.groups is None else asked.groups
    known = {*job.names, *groups}
    for field_name, names in (("protected", asked.protected), ("templates", asked.templates)):
        if unknown := [name for name in names if name not in known]:
            sentence = _("The rows have no column “%(name)s”.") % {"name": str(unknown[0])[:64]}
            raise _bad(field_name, sentence)
    return Rules(
        adverse="higher" if asked.adverse == "higher" else "lower",
        scale=asked.scale or str(job.output.get("scale")),
        baseline=Baseline(
            asked.baseline.strip()[:100], asked.baseline_version[:100], job.digests["background"], _means(job)
        ),
        threshold=asked.threshold,
        protected=frozenset(asked.protected),
        groups=groups,
        templates={name: _texts(name, texts) for name, texts in asked.templates.items()},
        most=asked.most,
    )


def _texts(name: str, texts: Any) -> dict[str, str]:
    right = isinstance(texts, Mapping) and set(texts) <= set(DIRECTIONS)
    if not right or not all(isinstance(text, str) and len(text) <= MOST_TEXT for text in texts.values()):
        sentence = _("The texts of “%(name)s” are below, above and other, each up to 300 characters.")
        raise _bad("templates", sentence % {"name": name[:64]})
    return dict(texts)


def _bad(name: str, sentence: str) -> BadInput:
    return BadInput(sentence, code=f"reasons.{name}", fields={name: sentence})


def _means(job: ExplanationJob) -> dict[str, float]:
    """Mean over the background of each column of numbers that has any."""
    rows = [row.cells for row in inputs.background_of(job) if row.cells is not None]
    found = {}
    for j, column in enumerate(job.columns):
        values = [float(cells[j]) for cells in rows if cells[j] is not None] if _number(column) else []
        if values:
            found[str(column["name"])] = sum(values) / len(values)
    return found


def _number(column: Mapping[str, str]) -> bool:
    return column["kind"] in ("number", "integer")


def sentences(found: Reasons) -> list[str]:
    """What a person must know before anything is sent."""
    told = [
        _("Measured against: %(name)s, version %(version)s.")
        % {"name": found.baseline.name, "version": found.baseline.version}
    ]
    principal = [flag.feature for flag in found.flags if flag.principal]
    if principal:
        told.append(
            ngettext(
                "Stop: the protected attribute %(names)s is a principal reason. A person must look at this decision.",
                "Stop: the protected attributes %(names)s are principal reasons. A person must look at this decision.",
                len(principal),
            )
            % {"names": ", ".join(principal)}
        )
    if not found.reasons:
        told.append(_("No contribution is certainly on the adverse side."))
    if missing := [reason.feature for reason in found.reasons if not reason.text]:
        told.append(_("There is no text for: %(names)s.") % {"names": ", ".join(missing)})
    if found.tied_out:
        told.append(
            _("As important as the last reason, within the error: %(names)s.") % {"names": ", ".join(found.tied_out)}
        )
    return told
