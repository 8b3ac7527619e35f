"""From stored results to the figures of a page, each with its table and with words for those who do not see it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from django.utils.translation import gettext as _

from explain.methods import figures
from explain.methods.figures.parts import ordered, short
from explain.methods.pairperm import Z95
from explain.methods.quality import Importance, mean_interval
from explain.pages import spoken
from explain.pages.shown import Shown

#: Rows that a table of single values lists; the download has all.
MOST_LISTED = 50


@dataclass(frozen=True, slots=True)
class Figure:
    """``spec`` for Plotly, what it shows in words, and the same numbers as a table.

    ``caption`` says how to read it, ``finding`` what is to be seen. ``rows``: cells, the first is the row's header.
    """

    spec: Any
    caption: str
    finding: str
    header: tuple[str, ...]
    rows: list[tuple[str, ...]]


def overall(data: Shown) -> list[tuple[str, Figure]]:
    """The figures over all rows, in the order in which they are read, each with its name."""
    found = [("bars", importance_figure(data))]
    if len(data.ids) > 1:
        found.append(("beeswarm", beeswarm_figure(data)))
    return found


def importance_figure(data: Shown) -> Figure:
    """Mean |contribution| over the explained rows with its bootstrap interval."""
    made = mean_interval(np.abs(data.phi), seed=data.seed)
    order = np.argsort(-made.mean, kind="stable")
    axis = _("mean size of the local weight") if data.lime else _("mean size of the contribution")
    return Figure(
        spec=figures.bars(
            data.names,
            made.mean.tolist(),
            made.low.tolist(),
            made.high.tolist(),
            unit=_("%(what)s, %(unit)s") % {"what": axis, "unit": data.unit},
        ),
        caption=_("Features by the mean size of their contribution; whiskers are 95 % intervals over the rows."),
        finding=spoken.importance(data.names, made, order.tolist()),
        header=(_("Feature"), _("Mean"), _("95 % from"), _("to")),
        rows=_importance_rows(data.names, made, order.tolist()),
    )


def _importance_rows(names: Sequence[str], made: Importance, order: Sequence[int]) -> list[tuple[str, ...]]:
    return [(names[j], f"{made.mean[j]:.5g}", f"{made.low[j]:.5g}", f"{made.high[j]:.5g}") for j in order]


def beeswarm_figure(data: Shown) -> Figure:
    """Every row on the line of each feature."""
    order = np.argsort(-np.abs(data.phi).mean(axis=0), kind="stable")
    shown = min(len(order), figures.SHOWN)
    drawn = len(figures.drawn_rows(len(data.ids), shown, seed=data.seed))
    caption = _(
        "One mark for each row. Right of zero the feature raises the answer; the colour is the feature’s value."
    )
    if any(not cells or np.isnan(ordered(cells)).all() for cells in data.columns):
        caption += " " + _("Text and groups are grey: they have no order.")
    if drawn < len(data.ids):
        caption += " " + _("%(drawn)d of %(rows)d rows are drawn, chosen by the seed.") % {
            "drawn": drawn,
            "rows": len(data.ids),
        }
    spec = figures.beeswarm(
        data.names,
        data.columns,
        data.phi,
        data.ids,
        unit=_("contribution to the %(unit)s") % {"unit": data.unit},
        words=(_("low"), _("high"), _("value of the feature")),
        seed=data.seed,
    )
    quarters = np.percentile(data.phi, [0, 25, 50, 75, 100], axis=0)
    return Figure(
        spec=spec,
        caption=caption,
        finding=spoken.swarm(data, order.tolist()),
        header=(_("Feature"), _("Least"), _("Quarter"), _("Median"), _("Three quarters"), _("Most")),
        rows=[(data.names[j], *(f"{value:+.4g}" for value in quarters[:, j])) for j in order],
    )


def row_figure(data: Shown, row: int) -> Figure:
    """One row: from the base value to the prediction (SHAP), or the weights of its local model (LIME)."""
    phi, se = data.phi[row].tolist(), data.se[row].tolist()
    values = [data.value(row, j) for j in range(len(data.names))]
    base = float(data.base[row])
    total = base + sum(phi) if data.lime else float(data.fx[row])
    labels = {
        "base": (_("intercept %(value)s") if data.lime else _("average %(value)s")) % {"value": f"{base:.4g}"},
        "total": (_("local model %(value)s") if data.lime else _("prediction %(value)s")) % {"value": f"{total:.4g}"},
    }
    spec = figures.waterfall(
        data.names,
        [value if data.columns[j] else figures.NO_VALUE for j, value in enumerate(values)],
        phi,
        se,
        base=base,
        total=total,
        base_label=labels["base"],
        total_label=labels["total"],
        rest_label=_("%(n)d other features") % {"n": max(len(data.names) - figures.SHOWN + 1, 0)},
        unit=data.unit,
    )
    order = sorted(range(len(phi)), key=lambda j: -abs(phi[j]))
    caption = (
        _("From the intercept of the local model to its value here; whiskers are 95 % intervals over five seeds.")
        if data.lime
        else _("From the average prediction of the background to that of this row; whiskers are 95 % intervals.")
    )
    return Figure(
        spec=spec,
        caption=caption,
        finding=spoken.row(data, row, labels["base"], labels["total"]),
        header=(_("Feature"), _("Value"), _("Weight") if data.lime else _("Contribution"), _("95 % within ±")),
        rows=[(data.names[j], short(values[j]), f"{phi[j]:+.5g}", f"{Z95 * se[j]:.2g}") for j in order],
    )


def dependence_figure(data: Shown, feature: int) -> Figure:
    """One feature over its values, coloured by the feature that goes with it most."""
    phi, se = data.phi[:, feature], data.se[:, feature]
    other = figures.companion(data.columns, feature, phi)
    cells = data.columns[feature]
    missing = sum(value is None for value in cells)
    caption = _("One mark for each row; whiskers are 95 % intervals.")
    if other is not None:
        caption += " " + _(
            "Coloured by “%(other)s”, which goes with it most where its own value is about the same."
        ) % {"other": data.names[other]}
    if missing:
        caption += " " + _("Rows without a value are left out: %(n)d.") % {"n": missing}
    spec = figures.dependence(
        data.names,
        data.columns,
        feature,
        phi,
        se,
        data.ids,
        other=other,
        unit=_("contribution to the %(unit)s") % {"unit": data.unit},
        seed=data.seed,
    )
    header = (_("Row"), data.names[feature], _("Contribution"), _("95 % within ±"))
    order = [int(row) for row in np.argsort(-np.abs(phi), kind="stable") if cells[int(row)] is not None][:MOST_LISTED]
    return Figure(
        spec=spec,
        caption=caption,
        finding=spoken.dependence(data, feature, other),
        header=header,
        rows=[(data.ids[row], short(cells[row]), f"{phi[row]:+.5g}", f"{Z95 * se[row]:.2g}") for row in order],
    )


def decision_figure(data: Shown, chosen: int | None) -> Figure:
    """Every row as a line from the base value to its prediction."""
    base = float(data.base[0])
    steps = min(len(data.names), figures.SHOWN)
    drawn = len(figures.drawn_rows(len(data.ids), steps + 1, seed=data.seed))
    caption = _("One line for each row, from the average at the bottom to its prediction at the top.")
    if chosen is not None:
        caption += " " + _("The strong line is row “%(id)s”.") % {"id": data.ids[chosen]}
    if drawn < len(data.ids):
        caption += " " + _("%(drawn)d of %(rows)d rows are drawn, chosen by the seed.") % {
            "drawn": drawn,
            "rows": len(data.ids),
        }
    spec = figures.decision(
        data.names,
        data.phi,
        base=base,
        chosen=chosen,
        unit=data.unit,
        rest_label=_("%(n)d other features") % {"n": max(len(data.names) - figures.SHOWN + 1, 0)},
        seed=data.seed,
    )
    order = np.argsort(-data.fx, kind="stable")[:MOST_LISTED]
    largest = np.abs(data.phi).argmax(axis=1)
    return Figure(
        spec=spec,
        caption=caption,
        finding=spoken.decision(data, chosen),
        header=(_("Row"), _("Prediction"), _("Largest contribution"), _("Its size")),
        rows=[
            (data.ids[row], f"{data.fx[row]:.4g}", data.names[largest[row]], f"{data.phi[row, largest[row]]:+.4g}")
            for row in order
        ],
    )
