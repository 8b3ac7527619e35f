"""The adult census, an XGBoost classifier on it, and exact Shapley values of its probability, kept between runs."""

from __future__ import annotations

import hashlib
import math
import os
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

Floats = npt.NDArray[np.float64]
TARGET = "class"
#: Rows to explain and background rows, as the issue measures.
ROWS, BACKGROUND = 40, 100


@cache
def census() -> tuple[pd.DataFrame, npt.NDArray[np.int64]]:
    """14 columns as numbers (categories as codes, missing as a code of its own), and who earns above 50,000."""
    import shapiq

    (path,) = Path(shapiq.__file__).parent.rglob("adult_census.csv")
    frame = pd.read_csv(path)
    target = frame.pop(TARGET).astype(str).str.contains(">50K").to_numpy().astype(np.int64)
    for name in frame.columns:
        if not pd.api.types.is_numeric_dtype(frame[name]):
            frame[name] = frame[name].astype("category").cat.codes
    return frame.astype("float64"), target


@cache
def model() -> Any:
    """The classifier; the same trees on every machine."""
    from xgboost import XGBClassifier

    rows, target = census()
    return XGBClassifier(n_estimators=100, max_depth=4, random_state=0, n_jobs=1).fit(rows, target)


def question() -> tuple[Floats, Floats]:
    """Rows to explain (40, 14) and background (100, 14)."""
    rows, _target = census()
    picked = np.random.default_rng(1).choice(len(rows), ROWS + BACKGROUND, replace=False)
    values = rows.to_numpy()[picked]
    return values[:ROWS], values[ROWS:]


def exact(rows: Floats, background: Floats) -> Floats:
    """Interventional Shapley values of the probability, by every coalition: (rows, features). Minutes, then cached."""
    key = hashlib.sha256(rows.tobytes() + background.tobytes() + model().get_booster().save_raw("json")).hexdigest()
    folder = Path(os.environ.get("COUNTERSIGN_TEST_CACHE", Path.home() / ".cache" / "countersign-tests"))
    kept = folder / f"exact-{key[:24]}.npy"
    if not kept.exists():
        folder.mkdir(parents=True, exist_ok=True)
        np.save(kept, np.array([_one(row, background) for row in rows]))
    return np.asarray(np.load(kept))


def _one(x: Floats, background: Floats) -> Floats:
    features = len(x)
    masks = (np.arange(2**features)[:, None] >> np.arange(features)) & 1 == 1
    value = np.concatenate(
        [
            model()
            .predict_proba(np.where(part[:, None, :], x, background[None]).reshape(-1, features))[:, 1]
            .astype(np.float64)
            .reshape(len(part), -1)
            .mean(axis=1)
            for part in np.array_split(masks, 64)
        ]
    )
    size = masks.sum(axis=1)
    weight = np.array([math.factorial(s) * math.factorial(features - s - 1) for s in range(features)])
    phi = np.zeros(features)
    for j in range(features):
        without = np.flatnonzero(~masks[:, j])
        phi[j] = np.sum(weight[size[without]] * (value[without | (1 << j)] - value[without]))
    return phi / math.factorial(features)
