"""Two finished explanations of the same rows beside each other, from what is stored. Reads only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from audit.refusals import Conflict
from explain import inputs, receipts
from explain.digests import digest
from explain.methods.comparing import Change, Side
from explain.methods.comparing import compare as compare_sides
from explain.methods.groups import Grouping, grouping
from explain.methods.quality import RowResult, certain_ranks
from explain.methods.refused import CannotSay
from explain.models import ExplanationJob, Method, Standing, State
from explain.wording import refusal


@dataclass(frozen=True, slots=True)
class Comparison:
    """What changes from ``champion`` to ``challenger``. ``erased``: rows that are gone on a side, and left out."""

    champion: ExplanationJob
    challenger: ExplanationJob
    change: Change
    erased: int

    @property
    def drafts(self) -> tuple[ExplanationJob, ...]:
        """The sides that are no evidence, so that the comparison is none either."""
        return tuple(job for job in (self.champion, self.challenger) if job.standing != Standing.EVIDENCE)


def compare(champion: ExplanationJob, challenger: ExplanationJob) -> Comparison:
    """Compare two jobs row by row and over all.

    Columns that both questions grouped are compared as groups. Raises ``Conflict`` when one has not finished,
    ``Refused`` with the reason when rows, background, seed, method, output, scale or groups differ,
    ``KeysUnavailable`` while the rows cannot be read.
    """
    for job in (champion, challenger):
        if job.state != State.FINISHED:
            raise Conflict(
                _("%(subject)s has not finished, so it cannot be compared.") % {"subject": job.subject},
                code="explanation.not_finished",
            )
    jobs = (champion, challenger)
    stored = [{row.position: row for row in job.results.all()} for job in jobs]
    erased = {position for rows in stored for position, row in rows.items() if row.erased}
    kept = [[row for position, row in sorted(rows.items()) if position not in erased] for rows in stored]
    try:
        sides = [side_of(job, [receipts.result_of(row) for row in rows]) for job, rows in zip(jobs, kept, strict=True)]
        change = compare_sides(*sides, seed=champion.seed)
    except CannotSay as error:
        raise refusal(error) from error
    return Comparison(champion, challenger, change, len(erased))


def side_of(job: ExplanationJob, rows: Sequence[RowResult]) -> Side:
    """``rows`` of ``job`` with the conditions under which they may be compared.

    Rows and background are compared by their content: what the log holds of them is salted, and differs between two
    questions about the same people.
    """
    cells = {row.id: row.cells for row in inputs.rows_of(job)}
    groups: Mapping[str, Sequence[str]] = job.settings.get("groups") or {}
    made = grouping(job.names, groups)
    conditions = {
        "rows": digest(sorted([row.row_id, list(cells.get(row.row_id) or ())] for row in rows)),
        "background": inputs.background_digest(job),
        "seed": job.seed,
        "method": job.method,
        "output": job.output.get("name"),
        "scale": job.output.get("scale"),
        "groups": {name: sorted(members) for name, members in groups.items()},
    }
    grouped = tuple(_grouped(row, made, additive=job.method == Method.SHAP) for row in rows)
    return Side(conditions, made.names, grouped)


def _grouped(row: RowResult, made: Grouping, *, additive: bool) -> RowResult:
    if row.problem:
        return row
    phi = made.contributions(np.asarray(row.phi, dtype=np.float64))
    se = made.errors(np.asarray(row.se, dtype=np.float64), additive=additive)
    return RowResult(
        row_id=row.row_id,
        phi=tuple(phi.tolist()),
        se=tuple(se.tolist()),
        base=row.base,
        fx=row.fx,
        residual=row.residual,
        converged=row.converged,
        certain=certain_ranks(phi, se),
    )


def conclusion(comparison: Comparison) -> str:
    """The first line of the page: what changes for people, not for averages."""
    rows = comparison.change.rows
    changed = sum(row.top_changed for row in rows)
    return first_reasons(len(rows), changed, sum(row.top_changed and row.certain for row in rows))


def first_reasons(rows: int, changed: int, sure: int) -> str:
    """In how many of ``rows`` the first reason changed, and in how many of these ``sure``-ly."""
    if not changed:
        sentence = ngettext(
            "The first reason is the same in the %(rows)d row.",
            "The first reason is the same in all %(rows)d rows.",
            rows,
        )
        return sentence % {"rows": rows}
    sentence = ngettext(
        "The first reason changes in %(changed)d row of %(rows)d; in %(sure)d of them beyond doubt.",
        "The first reason changes in %(changed)d rows of %(rows)d; in %(sure)d of them beyond doubt.",
        changed,
    )
    return sentence % {"changed": changed, "rows": rows, "sure": sure}


def quality(comparison: Comparison) -> list[str]:
    """What limits the comparison, as sentences."""
    change, found = comparison.change, []
    for job in comparison.drafts:
        found.append(_("%(subject)s is a draft, so this comparison is no evidence.") % {"subject": job.subject})
    if any(feature.low is None for feature in change.features):
        found.append(_("Fewer than ten rows: there are no intervals."))
    if change.left_out:
        found.append(_("Rows without a result on one side are left out: %(count)d.") % {"count": len(change.left_out)})
    if comparison.erased:
        found.append(_("Erased rows are left out: %(count)d.") % {"count": comparison.erased})
    return found


def as_json(comparison: Comparison) -> dict[str, Any]:
    """The comparison as the API answers it and as an analysis stores it."""
    return {
        "champion": _named(comparison.champion),
        "challenger": _named(comparison.challenger),
        "erased": comparison.erased,
        **asdict(comparison.change),
    }


def _named(job: ExplanationJob) -> dict[str, str]:
    return {
        "explanation": job.subject,
        "version": job.version.subject,
        "digest": job.digest,
        "standing": job.standing,
        "receipt": job.receipt_digest,
    }
