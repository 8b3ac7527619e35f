"""From stored results to the figures and tables of a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from django.utils.translation import gettext as _

from explain.methods import figures
from explain.methods.quality import importance
from explain.models import ExplanationJob, ExplanationRow, Method


@dataclass(frozen=True, slots=True)
class Figure:
    """``spec`` for Plotly and the same numbers as a table. ``rows``: cells, the first is the row's header."""

    spec: Any
    header: tuple[str, ...]
    rows: list[tuple[str, ...]]


def _unit(job: ExplanationJob) -> str:
    name = job.output["name"]
    if job.output["scale"] == "probability":
        return _("Probability of class %(name)s") % {"name": name}
    return str(name)


def importance_figure(job: ExplanationJob, rows: Sequence[ExplanationRow]) -> Figure:
    """Mean |contribution| over the explained rows with its bootstrap interval."""
    made = importance(np.array([row.phi for row in rows], dtype=np.float64), seed=job.seed)
    names = job.names
    order = np.argsort(-made.mean, kind="stable")
    unit = _("Mean size of the contribution to: %(unit)s") % {"unit": _unit(job)}
    if job.method == Method.LIME:
        unit = _("Mean size of the local weight for: %(unit)s") % {"unit": _unit(job)}
    return Figure(
        spec=figures.bars(names, made.mean.tolist(), made.low.tolist(), made.high.tolist(), unit=unit),
        header=(_("Feature"), _("Mean"), _("95 % from"), _("to")),
        rows=[(names[j], f"{made.mean[j]:.5g}", f"{made.low[j]:.5g}", f"{made.high[j]:.5g}") for j in order],
    )


def row_figure(job: ExplanationJob, row: ExplanationRow) -> Figure:
    """One row: from the base value to the prediction (SHAP), or the weights of its local model (LIME)."""
    names, cells = job.names, job.cells_of(row.row_id)
    base, fx = float(row.base or 0.0), float(row.fx or 0.0)
    total = base + sum(row.phi)
    lime = job.method == Method.LIME
    rest = max(len(names) - figures.SHOWN + 1, 0)
    spec = figures.waterfall(
        names,
        cells,
        row.phi,
        row.se,
        base=base,
        total=total if lime else fx,
        base_label=(_("intercept %(value)s") if lime else _("average %(value)s")) % {"value": f"{base:.4g}"},
        total_label=(_("local model %(value)s") if lime else _("prediction %(value)s"))
        % {"value": f"{total if lime else fx:.4g}"},
        rest_label=_("%(n)d other features") % {"n": rest},
        unit=_unit(job),
    )
    order = sorted(range(len(names)), key=lambda j: -abs(row.phi[j]))
    shown = [(names[j], "—" if cells[j] is None else f"{cells[j]}", row.phi[j], row.se[j]) for j in order]
    return Figure(
        spec=spec,
        header=(_("Feature"), _("Value"), _("Weight") if lime else _("Contribution"), _("Standard error")),
        rows=[(name, value, f"{phi:+.5g}", f"{se:.2g}") for name, value, phi, se in shown],
    )
