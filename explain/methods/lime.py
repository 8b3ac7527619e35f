"""LIME (Ribeiro, Singh & Guestrin 2016) with the diagnostics that say whether to believe it.

The ``lime`` library (0.2.0.1, the last on PyPI) does the sampling and the fit. Around it: text and boolean columns are
declared categorical (undeclared, almost every sampled code is no category), all features are fitted (up to 6 it would
do a forward selection, six times slower, and the choice is a display matter), one output is explained per call
(lime#506 mixes the scores of several), and the seeds of explainer, base and discretiser are all set, five times over.
The samples of all five go out together: they depend on no answer. Within a quartile the values are drawn by our own
discretiser: the library's puts 0 where a quartile has a single value, whatever that value is.
"""

from __future__ import annotations

import copy
import functools
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from explain.methods.codes import Column, Floats, UnusableColumn
from explain.methods.pairperm import row_key
from explain.methods.quality import LEAST_CSI, LEAST_R2, LEAST_VSI

#: Seeds per row; samples per seed at first and at most (doubled while unstable).
SEEDS, FIRST_SAMPLES, MOST_SAMPLES = 5, 5_000, 20_000
#: How many leading features the stability of the selection is about.
TOP = 3

Score = Callable[[list[npt.NDArray[Any]]], Floats]


@dataclass(frozen=True, slots=True)
class LocalModel:
    """Mean over the seeds. ``weights``, ``spread`` (standard error of the mean over seeds): (features,).

    ``r2``: weighted fit of the local model. ``vsi``: mean Jaccard index of the top features over pairs of seeds.
    ``csi``: share of pairs of seeds that agree on the sign, averaged over all features that any seed ranks at the
    top. With one seed nothing can be compared: ``spread`` is NaN, ``vsi`` and ``csi`` are 0, and it is not stable.
    """

    weights: Floats
    spread: Floats
    intercept: float
    local: float
    r2: float
    vsi: float
    csi: float
    samples: int
    evals: int

    @property
    def stable(self) -> bool:
        """Whether it may be shown as an explanation, and not only as a draft."""
        return self.r2 >= LEAST_R2 and self.vsi >= LEAST_VSI and self.csi >= LEAST_CSI


class Neighbourhood:
    """The background as LIME needs it: numbers as they are, categories as codes."""

    def __init__(
        self, columns: Sequence[Column], background: Sequence[Sequence[Any]], rows: Sequence[Sequence[Any]]
    ) -> None:
        """Raises ``UnusableColumn`` for a numeric column with missing values: LIME has no way to perturb them."""
        self.columns = tuple(columns)
        self.categorical = [j for j, column in enumerate(columns) if column.kind in ("string", "boolean")]
        self._categories: dict[int, list[Any]] = {}
        for j, column in enumerate(columns):
            values = [row[j] for row in (*background, *rows)]
            if j in self.categorical:
                self._categories[j] = sorted(set(values), key=lambda value: (value is None, str(value)))
            elif any(value is None or value != value for value in values):
                raise UnusableColumn(
                    column.name,
                    f"Column {column.name!r} has missing values, which LIME cannot perturb: use SHAP for these rows.",
                )
        self.training = self.encode(background)

    @functools.cached_property
    def explainer(self) -> Any:
        """The library's explainer over this background, never used itself: ``seeded`` copies it."""
        from lime.lime_tabular import LimeTabularExplainer  # seconds to import: only workers pay

        names = [column.name for column in self.columns]
        return LimeTabularExplainer(
            self.training,
            mode="regression",
            feature_names=names,
            categorical_features=self.categorical,
            feature_selection="none",
            discretizer=_discretizer()(self.training, self.categorical, names),
        )

    def seeded(self, seed: int) -> Any:
        """An explainer of its own, with a generator of its own in all three places that draw."""
        made = copy.copy(self.explainer)
        made.base, made.discretizer = copy.copy(made.base), copy.copy(made.discretizer)
        made.random_state = made.base.random_state = made.discretizer.random_state = np.random.RandomState(seed)
        return made

    def encode(self, rows: Sequence[Sequence[Any]]) -> Floats:
        """(rows, features) floats: numbers, and codes where the column is categorical."""
        codes = {j: {value: code for code, value in enumerate(values)} for j, values in self._categories.items()}
        return np.array(
            [[codes[j][value] if j in codes else float(value) for j, value in enumerate(row)] for row in rows],
            dtype=np.float64,
        )

    def decode(self, sampled: Floats) -> list[npt.NDArray[Any]]:
        """Columns of values as the model reads them; a sampled number in an integer column is rounded."""
        cells: list[npt.NDArray[Any]] = []
        for j, column in enumerate(self.columns):
            if j in self._categories:
                table = np.empty(len(self._categories[j]), dtype=object)
                table[:] = self._categories[j]
                cells.append(table[np.rint(sampled[:, j]).astype(np.intp)])
            elif column.kind == "integer":
                cells.append(np.rint(sampled[:, j]).astype(np.int64))
            else:
                cells.append(np.ascontiguousarray(sampled[:, j]))
        return cells


@functools.cache
def _discretizer() -> type:
    from lime.discretize import QuartileDiscretizer
    from scipy.special import ndtr, ndtri

    class Discretizer(QuartileDiscretizer):  # type: ignore[misc]
        """Quartiles; values within one from the normal distribution of its rows, cut off at its ends."""

        def get_undiscretize_values(self, feature: int, values: npt.NDArray[Any]) -> Floats:
            low, high = np.array(self.mins[feature]), np.array(self.maxs[feature])
            mean, deviation = np.array(self.means[feature]), np.array(self.stds[feature])
            start, stop = ndtr((low - mean) / deviation), ndtr((high - mean) / deviation)
            drawn = self.random_state.uniform(start[values], stop[values])
            values_drawn = mean[values] + deviation[values] * ndtri(drawn)
            return np.asarray(np.clip(values_drawn, low[values], high[values]))

    return Discretizer


def explain(
    around: Neighbourhood, row: Sequence[Any], score: Score, *, seed: int, row_id: str, budget: int, seeds: int = SEEDS
) -> LocalModel:
    """Fit local models around ``row`` under several ``seeds``; double the samples until they agree, 20,000 are
    reached, or ``budget`` model rows would not suffice for the next attempt. One seed is fitted once.

    ``score`` maps columns of values to outputs (rows,). Each call scores the samples of all seeds; the first sample is
    the row itself.
    """
    x = around.encode([row])[0]
    samples, evals = FIRST_SAMPLES, 0
    while True:
        fits = _fits(around, x, score, [_seed(seed, row_id, i) for i in range(seeds)], samples)
        evals += seeds * samples
        made = _agreement(fits, samples=samples, evals=evals)
        # a poor fit is the local model's bias and does not improve with samples; disagreement does
        spent = seeds == 1 or samples * 2 > MOST_SAMPLES or evals + seeds * samples * 2 > budget
        if (made.vsi >= LEAST_VSI and made.csi >= LEAST_CSI) or spent:
            return made
        samples *= 2


def _seed(seed: int, row_id: str, i: int) -> int:
    return int(np.random.SeedSequence([seed, row_key(row_id), i]).generate_state(1)[0])


@dataclass(frozen=True, slots=True)
class _Fit:
    weights: Floats
    intercept: float
    local: float
    r2: float


class _Sampled(Exception):  # noqa: N818
    """Ends the library's call when it has sampled, with the samples."""

    def __init__(self, rows: Floats) -> None:
        super().__init__()
        self.rows = rows


def _fits(around: Neighbourhood, x: Floats, score: Score, seeds: Sequence[int], samples: int) -> list[_Fit]:
    """One fit for each seed, their samples scored together."""
    if len(seeds) == 1:
        return [_fit(around, x, lambda sampled: score(around.decode(sampled)), seed=seeds[0], samples=samples)]
    drawn = np.concatenate([_sampled(around, x, seed=seed, samples=samples) for seed in seeds])
    answers = score(around.decode(drawn)).reshape(len(seeds), samples)
    return [
        _fit(around, x, functools.partial(_known, mine), seed=seed, samples=samples)
        for seed, mine in zip(seeds, answers, strict=True)
    ]


def _known(answers: Floats, _rows: Floats) -> Floats:
    return answers


def _sampled(around: Neighbourhood, x: Floats, *, seed: int, samples: int) -> Floats:
    def stop(rows: Floats) -> Floats:
        raise _Sampled(rows)

    try:
        _fit(around, x, stop, seed=seed, samples=samples)
    except _Sampled as found:
        return found.rows
    raise RuntimeError("lime did not ask for its samples")


def _fit(around: Neighbourhood, x: Floats, predict: Callable[[Floats], Floats], *, seed: int, samples: int) -> _Fit:
    made = around.seeded(seed).explain_instance(x, predict, num_features=len(x), num_samples=samples)
    weights = np.zeros(len(x))
    for j, weight in made.local_exp[1]:
        weights[j] = weight
    return _Fit(weights, float(made.intercept[1]), float(np.ravel(made.local_pred)[0]), float(made.score))


def _agreement(fits: Sequence[_Fit], *, samples: int, evals: int) -> LocalModel:
    weights = np.array([fit.weights for fit in fits])
    tops = [frozenset(np.argsort(-np.abs(row), kind="stable")[:TOP].tolist()) for row in weights]
    pairs = list(itertools.combinations(range(len(fits)), 2))
    leading = sorted(frozenset.union(*tops))
    signs = np.sign(weights[:, leading])
    return LocalModel(
        weights=weights.mean(axis=0),
        spread=weights.std(axis=0, ddof=1) / np.sqrt(len(fits)) if pairs else np.full(weights.shape[1], np.nan),
        intercept=float(np.mean([fit.intercept for fit in fits])),
        local=float(np.mean([fit.local for fit in fits])),
        r2=float(np.mean([fit.r2 for fit in fits])),
        vsi=float(np.mean([len(tops[a] & tops[b]) / len(tops[a] | tops[b]) for a, b in pairs] or [0.0])),
        csi=float(np.mean([(signs[a] == signs[b]).mean() for a, b in pairs] or [0.0])),
        samples=samples,
        evals=evals,
    )
