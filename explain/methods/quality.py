"""How far an explanation can be trusted, and when it must not count as evidence."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from explain.methods.codes import Floats
from explain.methods.pairperm import Z95

#: Largest additivity residual, relative to max(1, |f(x)|): above it the values explain something else.
LARGEST_RESIDUAL = 1e-6
#: LIME is accepted at or above these (section 5.5: 5,000 samples reach them on most rows, 500 on few).
LEAST_R2, LEAST_VSI, LEAST_CSI = 0.5, 0.8, 0.9


@dataclass(frozen=True, slots=True)
class RowResult:
    """One explained row. ``problem`` says why there is none; then the arrays are empty.

    ``phi``, ``se``: (features,) in units of the model's output. ``base``: mean output over the background for SHAP, the
    local model's intercept for LIME. ``certain``: how many of the leading ranks are separated by more than their error.
    """

    row_id: str
    phi: tuple[float, ...] = ()
    se: tuple[float, ...] = ()
    base: float | None = None
    fx: float | None = None
    residual: float | None = None
    evals: int = 0
    rounds: int = 0
    converged: bool = False
    certain: int = 0
    problem: str = ""
    diagnostics: dict[str, Any] = field(default_factory=dict)


def certain_ranks(phi: Floats, se: Floats) -> int:
    """How many leading ranks by |phi| are certain: each gap to the next exceeds 1.96 joint standard errors."""
    order = np.argsort(-np.abs(phi), kind="stable")
    size, error = np.abs(phi)[order], se[order]
    gaps = size[:-1] - size[1:] > Z95 * np.hypot(error[:-1], error[1:])
    return len(gaps) if gaps.all() else int(np.argmin(gaps))


def additive(residual: float, fx: float) -> bool:
    """True when base + sum(phi) = f(x) up to rounding."""
    return bool(abs(residual) <= LARGEST_RESIDUAL * max(1.0, abs(fx)))


def faults(method: str, rows: Iterable[RowResult]) -> dict[str, int]:
    """Why results must not count as evidence: fault -> number of rows that have it. Empty means that they may."""
    found: dict[str, int] = {}
    for row in rows:
        for fault in _row_faults(method, row):
            found[fault] = found.get(fault, 0) + 1
    return found


def _row_faults(method: str, row: RowResult) -> Iterable[str]:
    if row.problem or row.fx is None or row.residual is None or row.base is None:
        yield "row_failed"
        return
    if not np.isfinite([*row.phi, *row.se, row.base, row.fx, row.residual]).all():
        yield "not_finite"
    elif method == "shap" and not additive(row.residual, row.fx):
        yield "not_additive"
    elif not row.converged:
        yield "unstable" if method == "lime" else "not_converged"


@dataclass(frozen=True, slots=True)
class Importance:
    """Mean |phi| over the explained rows with a 95 % bootstrap interval, each (features,)."""

    mean: Floats
    low: Floats
    high: Floats


def importance(phi: Floats, *, seed: int, draws: int = 1000) -> Importance:
    """Global importance from ``phi`` (rows, features); the interval resamples rows (percentile bootstrap)."""
    return mean_interval(np.abs(phi), seed=seed, draws=draws)


def mean_interval(values: Floats, *, seed: int, draws: int = 1000) -> Importance:
    """Mean of ``values`` (rows, columns) and its 95 % percentile bootstrap interval over resampled rows.

    The same seed and number of rows give the same resamples, so that intervals of two tables of the same rows are
    paired.
    """
    rows = len(values)
    picks = np.random.default_rng([seed, rows]).integers(0, rows, size=(draws, rows))
    weights = np.zeros((draws, rows))
    np.add.at(weights, (np.arange(draws)[:, None], picks), 1.0 / rows)
    low, high = np.percentile(weights @ values, [2.5, 97.5], axis=0)
    return Importance(values.mean(axis=0), low, high)
