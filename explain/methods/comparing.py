"""Two versions explained on the same rows, against the same background, with the same random numbers.

Global agreement hides what people are told: two models can rank features almost alike and still give another first
reason for one row in eight (measured: Spearman 0.987, 13 % of rows). So the comparison is per row, and then over all.

Because both sides drew the same permutations, the errors of the two estimates of a row mostly cancel in their
difference (measured: 1.37 times less than with independent seeds). What is stored of each side does not say how much,
so the error given is that of independent seeds: it errs on the safe side while the two models answer alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from explain.methods.codes import Floats
from explain.methods.pairperm import Z95
from explain.methods.quality import RowResult, mean_interval
from explain.methods.refused import CannotSay

#: Leading features whose overlap is measured.
TOP = 3
#: Fewer rows resampled say nothing about others.
LEAST_FOR_INTERVAL = 10


@dataclass(frozen=True, slots=True)
class Side:
    """One explanation: the ``conditions`` that must be the same on both sides (name -> value), and its results in the
    order of ``columns``.
    """

    conditions: Mapping[str, Any]
    columns: tuple[str, ...]
    rows: tuple[RowResult, ...]


@dataclass(frozen=True, slots=True)
class RowChange:
    """One row, challenger minus champion; arrays are (features,).

    ``difference`` of contributions and its standard error ``se``; ``rank_change``: places lost (+) or won (-) by
    |contribution|; ``share_shift``: change of the share in the sum of |contributions|; ``flips``: features whose
    contributions are certain (95 %) on both sides and have opposite signs; ``jaccard`` of the top three. A first reason
    that changed is ``certain`` when it leads by more than its error on both sides.
    """

    row_id: str
    fx: tuple[float, float]
    difference: tuple[float, ...]
    se: tuple[float, ...]
    rank_change: tuple[int, ...]
    share_shift: tuple[float, ...]
    flips: tuple[str, ...]
    top: tuple[str, str]
    top_changed: bool
    certain: bool
    jaccard: float


@dataclass(frozen=True, slots=True)
class FeatureChange:
    """Mean |contribution| of a feature on both sides; ``low`` and ``high`` bound ``difference`` (95 %, rows resampled
    in pairs), ``None`` for fewer than ten rows.
    """

    name: str
    champion: float
    challenger: float
    difference: float
    low: float | None
    high: float | None
    flips: int


@dataclass(frozen=True, slots=True)
class Change:
    """Everything that differs. ``spearman`` of the features' mean |contributions|: 1 is the same order, ``None`` when
    one side has no order. Shares are of the ``rows`` that have a result on both sides; ``left_out`` have not.
    """

    columns: tuple[str, ...]
    rows: tuple[RowChange, ...]
    features: tuple[FeatureChange, ...]
    spearman: float | None
    top_changed: float
    top_changed_certain: float
    jaccard: float
    flipped: float
    largest: float
    left_out: tuple[str, ...]


def compare(champion: Side, challenger: Side, *, seed: int = 0) -> Change:
    """What changes from ``champion`` to ``challenger``, row by row and over all. ``seed`` is that of the bootstrap.

    Raises:
        CannotSay: a condition (rows, background, seed, method, output ...) differs (``compare.conditions`` with
            ``differing`` names), the columns or the ids of the rows differ (``compare.columns``, ``compare.rows``), or
            no row has a result on both sides (``compare.nothing``).
    """
    names = sorted({*champion.conditions, *challenger.conditions})
    differing = [name for name in names if champion.conditions.get(name) != challenger.conditions.get(name)]
    if differing:
        raise CannotSay("compare.conditions", differing=differing)
    if champion.columns != challenger.columns:
        raise CannotSay("compare.columns")
    others = {row.row_id: row for row in challenger.rows}
    if len(champion.rows) != len(challenger.rows) or any(row.row_id not in others for row in champion.rows):
        raise CannotSay("compare.rows")
    pairs = [(row, others[row.row_id]) for row in champion.rows]
    good = [(one, two) for one, two in pairs if not one.problem and not two.problem]
    if not good:
        raise CannotSay("compare.nothing")
    rows = tuple(_row(champion.columns, one, two) for one, two in good)
    before, after = (np.array([pair[k].phi for pair in good]) for k in (0, 1))
    return Change(
        columns=champion.columns,
        rows=rows,
        features=_features(champion.columns, before, after, rows, seed),
        spearman=_spearman(np.abs(before).mean(axis=0), np.abs(after).mean(axis=0)),
        top_changed=float(np.mean([row.top_changed for row in rows])),
        top_changed_certain=float(np.mean([row.top_changed and row.certain for row in rows])),
        jaccard=float(np.mean([row.jaccard for row in rows])),
        flipped=float(np.mean([bool(row.flips) for row in rows])),
        largest=float(np.abs(after - before).max(initial=0.0)),
        left_out=tuple(one.row_id for one, two in pairs if one.problem or two.problem),
    )


def _row(columns: Sequence[str], one: RowResult, two: RowResult) -> RowChange:
    before, after, se_before, se_after = (np.asarray(each) for each in (one.phi, two.phi, one.se, two.se))
    known = all(row.diagnostics.get("error_known", True) for row in (one, two))
    sure = known & (np.abs(before) > Z95 * se_before) & (np.abs(after) > Z95 * se_after)
    flips = sure & (np.sign(before) == -np.sign(after))
    first, second = _order(before), _order(after)
    top, other = set(first[:TOP].tolist()), set(second[:TOP].tolist())
    assert one.fx is not None  # noqa: S101 - a row without a problem has a prediction
    assert two.fx is not None  # noqa: S101
    return RowChange(
        row_id=one.row_id,
        fx=(one.fx, two.fx),
        difference=tuple((after - before).tolist()),
        se=tuple(np.hypot(se_before, se_after).tolist()),
        rank_change=tuple((np.argsort(second) - np.argsort(first)).tolist()),
        share_shift=tuple((_shares(after) - _shares(before)).tolist()),
        flips=tuple(columns[j] for j in np.flatnonzero(flips).tolist()),
        top=(columns[int(first[0])], columns[int(second[0])]),
        top_changed=bool(first[0] != second[0]),
        certain=one.certain > 0 and two.certain > 0,
        jaccard=len(top & other) / len(top | other),
    )


def _order(phi: Floats) -> npt.NDArray[np.intp]:
    return np.argsort(-np.abs(phi), kind="stable")


def _shares(phi: Floats) -> Floats:
    whole = np.abs(phi).sum()
    return np.abs(phi) / whole if whole > 0 else np.zeros(len(phi))


def _features(
    columns: Sequence[str], before: Floats, after: Floats, rows: Sequence[RowChange], seed: int
) -> tuple[FeatureChange, ...]:
    change = mean_interval(np.abs(after) - np.abs(before), seed=seed)
    enough = len(rows) >= LEAST_FOR_INTERVAL
    return tuple(
        FeatureChange(
            name=name,
            champion=float(np.abs(before[:, j]).mean()),
            challenger=float(np.abs(after[:, j]).mean()),
            difference=float(change.mean[j]),
            low=float(change.low[j]) if enough else None,
            high=float(change.high[j]) if enough else None,
            flips=sum(name in row.flips for row in rows),
        )
        for j, name in enumerate(columns)
    )


def _spearman(before: Floats, after: Floats) -> float | None:
    """Correlation of the ranks; ties have the mean of their ranks."""
    # scipy.stats takes a second to import, and most pages never compare
    from scipy.stats import rankdata

    ranks = rankdata(before), rankdata(after)
    if any(np.ptp(each) == 0 for each in ranks):
        return None
    return float(np.corrcoef(*ranks)[0, 1])
