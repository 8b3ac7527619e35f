"""Whether two samples of rows come from the same place: of inputs, of predictions, of contributions.

With many rows every difference is significant, with few rows every index is large by chance. So every column has both:
a p-value, corrected over all columns (Benjamini-Hochberg), and effect sizes, with the value that the population
stability index would have without any drift. A classifier that tells the samples apart finds what no single column
shows.

scikit-learn trains the classifier: call ``classifier`` in workers only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from explain.methods.codes import Column, Floats
from explain.methods.refused import CannotSay

#: Rows of a sample below which nothing is said.
LEAST = 30
#: Level of the false discovery rate.
LEVEL = 0.05
#: Bins of the stability index at most, and reference rows in each at least.
BINS, ROWS_PER_BIN = 10, 10
#: Expected count of a category, in the smaller sample, below which it is pooled (Cochran's rule).
LEAST_EXPECTED = 5
#: Usual readings of the stability index: below the first small, from the second large.
PSI_MODERATE, PSI_LARGE = 0.1, 0.25
FOLDS, TREES, RESAMPLES = 5, 100, 500


@dataclass(frozen=True, slots=True)
class ColumnDrift:
    """One column. ``test``: ``ks`` for numbers, ``chi2`` for categories; ``effect``: its size from 0 to 1 (the KS
    distance, or Cramér's V), ``None`` when the column is constant. ``missing``: shares that are missing, and where they
    differ the p-value holds for both questions (twice the smaller one). ``q``: corrected over all columns.
    ``psi_by_chance``: the index to expect without drift. ``distance``: Jensen-Shannon, 0 to 1.
    """

    name: str
    test: str
    effect: float | None
    p: float
    q: float
    drifted: bool
    psi: float
    psi_by_chance: float
    distance: float
    missing: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Drift:
    """``sizes``: rows of the reference and of the current sample; ``columns`` in their order."""

    sizes: tuple[int, int]
    columns: tuple[ColumnDrift, ...]

    @property
    def drifted(self) -> tuple[str, ...]:
        """Names of the columns that drifted."""
        return tuple(column.name for column in self.columns if column.drifted)


@dataclass(frozen=True, slots=True)
class Apart:
    """How well a classifier tells the samples apart on rows it was not trained on: 0.5 is not at all, 1 always.

    ``low`` and ``high``: 95 % bootstrap interval over those rows; ``importance``: the columns that it used most.
    """

    auc: float
    low: float
    high: float
    importance: tuple[tuple[str, float], ...]


Rows = Sequence[Sequence[Any]]


def columns(kinds: Sequence[Column], reference: Rows, current: Rows) -> Drift:
    """Drift of every column from ``reference`` to ``current``, both rows of cells in the order of ``kinds``.

    Numbers and integers are compared as numbers, text and booleans as categories; ``None`` and NaN are missing.

    Raises:
        CannotSay: a sample of fewer than 30 rows (``drift.too_few`` with ``reference`` and ``current``).
    """
    _enough(reference, current)
    tested = []
    for j, column in enumerate(kinds):
        one, two = ([_present(row[j]) for row in rows] for rows in (reference, current))
        tested.append(_column(column, one, two))
    from scipy.stats import false_discovery_control

    corrected = false_discovery_control([each.p for each in tested]) if tested else []
    found = []
    for each, q in zip(tested, corrected, strict=True):
        found.append(each.corrected(float(q)))
    return Drift((len(reference), len(current)), tuple(found))


def numbers(names: Sequence[str], reference: Floats, current: Floats) -> Drift:
    """Drift of predictions or contributions, (rows, names) each. Raises as ``columns``."""
    return columns([Column(name, "number") for name in names], reference.tolist(), current.tolist())


def _enough(reference: Rows, current: Rows) -> None:
    if min(len(reference), len(current)) < LEAST:
        raise CannotSay("drift.too_few", reference=len(reference), current=len(current), least=LEAST)


def _present(cell: Any) -> Any:
    return None if isinstance(cell, float) and math.isnan(cell) else cell


@dataclass(frozen=True, slots=True)
class _Tested:
    name: str
    test: str
    effect: float | None
    p: float
    bins: tuple[Floats, Floats]
    missing: tuple[float, float]

    def corrected(self, q: float) -> ColumnDrift:
        psi, by_chance = _psi(*self.bins)
        return ColumnDrift(
            self.name,
            self.test,
            self.effect,
            self.p,
            q,
            q <= LEVEL,
            psi,
            by_chance,
            _distance(*self.bins),
            self.missing,
        )


def _column(column: Column, one: Sequence[Any], two: Sequence[Any]) -> _Tested:
    missing = tuple(sum(cell is None for cell in cells) / len(cells) for cells in (one, two))
    if column.kind in ("string", "boolean"):
        counts = _counted([_category(cell) for cell in one], [_category(cell) for cell in two])
        p, effect = _chi2(*_pooled(*counts))
        return _Tested(column.name, "chi2", effect, p, counts, (missing[0], missing[1]))
    first, second = (np.array([cell for cell in cells if cell is not None], dtype=np.float64) for cells in (one, two))
    p, effect = _ks(first, second)
    if any(missing):
        absent = _counted([str(cell is None) for cell in one], [str(cell is None) for cell in two])
        p = min(1.0, 2 * min(p, _chi2(*absent)[0]))
    return _Tested(column.name, "ks", effect, p, _binned(first, second, one, two), (missing[0], missing[1]))


def _category(cell: Any) -> tuple[str, str]:
    return (type(cell).__name__, str(cell))


def _ks(one: Floats, two: Floats) -> tuple[float, float | None]:
    """p-value and distance; 1 and ``None`` when there is nothing to compare."""
    if min(len(one), len(two)) == 0 or len(np.unique(np.concatenate([one, two]))) == 1:
        return 1.0, None
    from scipy.stats import ks_2samp

    found = ks_2samp(one, two, method="asymp")
    return float(found.pvalue), float(found.statistic)


def _counted(one: Sequence[Any], two: Sequence[Any]) -> tuple[Floats, Floats]:
    """How often each value occurs in either sample."""
    values = {value: k for k, value in enumerate(sorted({*one, *two}))}
    counts = [np.bincount([values[value] for value in each], minlength=len(values)) for each in (one, two)]
    return counts[0].astype(np.float64), counts[1].astype(np.float64)


def _pooled(one: Floats, two: Floats) -> tuple[Floats, Floats]:
    """Categories whose expected count in a sample is below 5, as one."""
    least = (one + two) * min(one.sum(), two.sum()) / (one.sum() + two.sum())
    rare = least < LEAST_EXPECTED
    if rare.sum() < 2:
        return one, two
    return np.append(one[~rare], one[rare].sum()), np.append(two[~rare], two[rare].sum())


def _chi2(one: Floats, two: Floats) -> tuple[float, float | None]:
    """p-value and Cramér's V of two rows of counts; 1 and ``None`` when there is one category only."""
    table = np.stack([one, two])
    table = table[:, table.sum(axis=0) > 0]
    if table.shape[1] < 2:
        return 1.0, None
    from scipy.stats import chi2_contingency

    found = chi2_contingency(table, correction=False)
    return float(found.pvalue), float(np.sqrt(found.statistic / table.sum()))


def _binned(one: Floats, two: Floats, first: Sequence[Any], second: Sequence[Any]) -> tuple[Floats, Floats]:
    """Counts per quantile bin of the reference, or per value where there are few, and of what is missing."""
    if len(np.unique(np.concatenate([one, two]))) <= BINS:
        values = [[str(None if cell is None else float(cell)) for cell in cells] for cells in (first, second)]
        return _counted(*values)
    bins = max(2, min(BINS, len(one) // ROWS_PER_BIN))
    inner = np.unique(np.quantile(one, np.linspace(0, 1, bins + 1)[1:-1])) if len(one) else np.zeros(1)
    counts = [
        np.append(np.bincount(np.searchsorted(inner, values, side="right"), minlength=len(inner) + 1), absent)
        for values, absent in ((one, sum(c is None for c in first)), (two, sum(c is None for c in second)))
    ]
    used = (counts[0] + counts[1]) > 0
    return counts[0][used].astype(np.float64), counts[1][used].astype(np.float64)


def _psi(one: Floats, two: Floats) -> tuple[float, float]:
    """The stability index, and its expectation without drift: (bins - 1)(1/n + 1/m).

    Half a row is added to every bin, so that an empty one has a logarithm.
    """
    p, q = ((each + 0.5) / (each.sum() + 0.5 * len(each)) for each in (one, two))
    by_chance = (len(one) - 1) * (1 / one.sum() + 1 / two.sum())
    return float(((q - p) * np.log(q / p)).sum()), float(by_chance)


def _distance(one: Floats, two: Floats) -> float:
    from scipy.spatial.distance import jensenshannon

    return float(np.nan_to_num(jensenshannon(one, two, base=2)))


def classifier(kinds: Sequence[Column], reference: Rows, current: Rows, *, seed: int) -> Apart:
    """Train a forest to tell ``current`` from ``reference``, cross-validated over five folds. Raises as ``columns``."""
    _enough(reference, current)
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedKFold

    table = np.column_stack(
        [_numeric(column, [row[j] for row in [*reference, *current]]) for j, column in enumerate(kinds)]
    )
    side = np.repeat([0, 1], [len(reference), len(current)])
    guess, importance = np.zeros(len(side)), np.zeros(len(kinds))
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed % 2**32)
    for train, test in folds.split(table, side):
        forest = RandomForestClassifier(
            TREES, min_samples_leaf=5, class_weight="balanced", random_state=seed % 2**32, n_jobs=1
        ).fit(table[train], side[train])
        guess[test] = forest.predict_proba(table[test])[:, 1]
        importance += forest.feature_importances_ / FOLDS
    rng = np.random.default_rng([seed, len(side)])
    drawn = [
        np.concatenate([rng.choice(np.flatnonzero(side == k), (side == k).sum()) for k in (0, 1)])
        for _ in range(RESAMPLES)
    ]
    low, high = np.percentile([roc_auc_score(side[each], guess[each]) for each in drawn], [2.5, 97.5])
    order = np.argsort(-importance, kind="stable")
    return Apart(
        float(roc_auc_score(side, guess)),
        float(low),
        float(high),
        tuple((kinds[j].name, float(importance[j])) for j in order),
    )


def _numeric(column: Column, cells: Sequence[Any]) -> npt.NDArray[np.float64]:
    """Numbers as they are with NaN for missing; categories as codes by frequency, missing being one of them."""
    if column.kind not in ("string", "boolean"):
        return np.array([np.nan if cell is None else cell for cell in cells], dtype=np.float64)
    names, codes, counts = np.unique([repr(cell) for cell in cells], return_inverse=True, return_counts=True)
    rank = np.empty(len(names))
    rank[np.argsort(-counts, kind="stable")] = np.arange(len(names))
    return np.asarray(rank[codes], dtype=np.float64)
