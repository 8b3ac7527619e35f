"""The results of a job as its figures read them: groups folded into features, cells of erased rows left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from django.utils.translation import gettext as _

from explain import inputs
from explain.methods.codes import Floats
from explain.methods.groups import Grouping, grouping
from explain.models import ExplanationJob, ExplanationRow, Method, Scale


@dataclass(frozen=True, slots=True)
class Shown:
    """Results of the rows that have one. ``phi`` and ``se``: (rows, features).

    ``columns``: the cells of each feature, one for each row; empty for a group, which has no value of its own.
    """

    names: list[str]
    columns: list[list[Any]]
    phi: Floats
    se: Floats
    base: Floats
    fx: Floats
    ids: list[str]
    unit: str
    lime: bool
    seed: int

    def place(self, row_id: str) -> int | None:
        """Where the row is; None when it has no result."""
        return self.ids.index(row_id) if row_id in self.ids else None

    def value(self, row: int, feature: int) -> Any:
        """The cell; None for a group as for a missing value."""
        return self.columns[feature][row] if self.columns[feature] else None


def usable(row: ExplanationRow) -> bool:
    """Whether a row has a result to show."""
    return not row.problem and not row.erased


def shown(job: ExplanationJob, rows: Sequence[ExplanationRow], *, folded: bool = True) -> Shown | None:
    """What the figures show; None when no row has a result. ``folded``: columns of a group are one feature.

    Raises ``KeysUnavailable`` while nobody can read the rows.
    """
    good = [row for row in rows if usable(row)]
    if not good:
        return None
    cells = {row.position: row.cells for row in inputs.rows_of(job)}
    made = _grouping(job, folded=folded)
    empty = (None,) * len(job.names)
    asked = [cells.get(row.position) or empty for row in good]
    lime = job.method == Method.LIME
    phi = np.array([row.phi for row in good], dtype=np.float64)
    se = np.array([row.se for row in good], dtype=np.float64)
    return Shown(
        names=list(made.names),
        columns=[[row[part[0]] for row in asked] if len(part) == 1 else [] for part in made.members],
        phi=made.contributions(phi),
        se=made.errors(se, additive=not lime),
        base=np.array([row.base or 0.0 for row in good]),
        fx=np.array([row.fx or 0.0 for row in good]),
        ids=[row.row_id for row in good],
        unit=unit_of(job),
        lime=lime,
        seed=job.seed,
    )


def _grouping(job: ExplanationJob, *, folded: bool) -> Grouping:
    groups: Mapping[str, Sequence[str]] = job.settings.get("groups") or {}
    return grouping(job.names, groups if folded else {})


def unit_of(job: ExplanationJob) -> str:
    """What a contribution is measured in, for the axis of a figure."""
    output = job.output
    words = {"name": output.get("name", "")}
    if output.get("kind", output.get("scale")) != "probability":
        return str(words["name"])
    if output.get("scale") == Scale.LOG_ODDS:
        return _("log-odds of class %(name)s") % words
    return _("probability of class %(name)s") % words
