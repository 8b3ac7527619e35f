"""Exact SHAP values from a model's own structure: linear models, and trees by shap's ``TreeExplainer``.

Only ``explain.isolated`` calls this with a loaded model: an artifact is never opened in a process that has secrets.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from explain.methods.codes import Floats

#: Largest additivity residual relative to max(1, |f(x)|); a row above it is explained from outside instead.
LARGEST_RESIDUAL = 1e-6


@dataclass(frozen=True, slots=True)
class Exact:
    """``phi``: (rows, features). ``base``: mean output over the background. ``fx``: (rows,) the model's own outputs,
    not sums of ``phi``. ``failed``: rows whose values do not add up to their output.
    """

    phi: Floats
    base: float
    fx: Floats
    failed: tuple[int, ...]


def linear(coefficients: Floats, intercept: float, rows: Floats, background: Floats) -> Exact:
    """``phi_j = w_j (x_j - mean b_j)`` for ``f(x) = intercept + w x``; ``coefficients`` (features,)."""
    mean = background.mean(axis=0)
    phi = coefficients * (rows - mean)
    base = float(intercept + mean @ coefficients)
    return checked(phi, base, intercept + rows @ coefficients)


def tree(model: Any, rows: Floats, background: Floats, *, fx: Floats, fb: Floats, output: int) -> Exact:
    """Interventional TreeSHAP of the model's raw output (a margin, or a forest's probability or mean).

    ``model``: what ``shap.TreeExplainer`` takes. ``fx``, ``fb``: the model's own raw outputs of ``rows`` and
    ``background``; ``output``: which of several outputs they are. Never ``model_output="probability"``: it is locally
    accurate and yet not the Shapley value of the probability.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of shap's and numba's own making
        import shap  # seconds to import: only the isolated process pays

        # given plain data, it would quietly keep 100 rows
        masker = shap.maskers.Independent(background.astype(np.float32), max_samples=len(background))
        explainer = shap.TreeExplainer(model, masker, feature_perturbation="interventional", model_output="raw")
        round_thresholds_down(explainer.model)
        # shap's own check passes errors of 1 %: ``checked`` is ours
        values = np.asarray(explainer.shap_values(rows.astype(np.float32), check_additivity=False), dtype=np.float64)
    phi = values if values.ndim == 2 else values[:, :, output]
    return checked(phi, float(fb.mean()), fx)


def round_thresholds_down(model: Any) -> None:
    """Make shap's comparison in float32 answer as the model's own comparison in float64 does.

    shap narrows thresholds to float32 (shap#5116), which may lift one above a value that the model sends the other way.
    For values that float32 holds exactly, ``x <= t`` equals ``x <= t rounded down``.
    """
    exact: npt.NDArray[Any] = model.thresholds
    narrow = exact.astype(np.float32)
    above = narrow.astype(np.float64) > exact
    narrow[above] = np.nextafter(narrow[above], np.float32(-np.inf))
    model.thresholds = narrow.astype(exact.dtype)


def checked(phi: Floats, base: float, fx: Floats) -> Exact:
    """The values with the rows that do not add up, NaN among them."""
    residual = np.abs(base + phi.sum(axis=1) - fx)
    adds_up = residual <= LARGEST_RESIDUAL * np.maximum(1.0, np.abs(fx))
    return Exact(phi, base, fx, tuple(int(i) for i in np.flatnonzero(~adds_up)))
