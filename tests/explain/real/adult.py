"""The model that every server serves: XGBoost on eight columns of the adult census, and what is exactly true of it.

Eight columns, so that the Shapley values of its *probability* can be had by their definition (2^8 coalitions); TreeSHAP
is exact for the margin only. Every server reads the same file and so answers the same bits.
"""

from __future__ import annotations

import functools
import importlib.util
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xgboost

from explain.engines import Inquiry, Question, ShapEngine
from explain.methods.codes import Floats, columns_of
from explain.methods.quality import RowResult
from explain.serving.protocol import Table
from explain.serving.scoring import Scorer

NUMBERS = ["age", "education-num", "capital-gain", "hours-per-week"]
TEXT = ["workclass", "marital-status", "occupation", "relationship"]
COLUMNS = NUMBERS + TEXT
ROWS, BACKGROUND, SEED, TOLERANCE = 20, 30, 7, 0.05
#: How many standard errors an estimate of 160 may be off (once in 900 runs of independent normal errors), and what
#: float32 answers lose.
LIMIT, ROUNDING = 4.5, 1e-6


@functools.cache
def census() -> pd.DataFrame:
    """The census that shapiq ships, found without importing shapiq: text columns hold NaN where it is missing."""
    found = importlib.util.find_spec("shapiq")
    assert found is not None
    assert found.origin is not None
    path = Path(found.origin).parent / "datasets" / "data" / "adult_census.csv"
    return pd.read_csv(path, dtype=dict.fromkeys(TEXT, "object"))


def numeric() -> pd.DataFrame:
    """The eight columns as floats: text by its place in the alphabet, -1 where it is missing."""
    rows = census()
    coded = {name: rows[name].astype("category").cat.codes.astype(float) for name in TEXT}
    return pd.DataFrame({name: coded[name] if name in coded else rows[name].astype(float) for name in COLUMNS})


def train(path: Path) -> xgboost.XGBClassifier:
    """Train on 12,000 rows and save at ``path`` (.json or .ubj). The same bits whenever it is done."""
    made = xgboost.XGBClassifier(n_estimators=60, max_depth=5, learning_rate=0.2, n_jobs=1, random_state=1)
    made.fit(numeric().iloc[:12_000].to_numpy(), (census()["class"].str.strip() == ">50K").iloc[:12_000].astype(int))
    made.save_model(path)
    return made


@dataclass(frozen=True)
class InProcess:
    """A serving client without a server: the oracle for what a server should have answered."""

    model: Any
    formats: tuple[str, ...] = ("memory",)

    def send(self, rows: Table, *, wire: str) -> Floats:
        """Probabilities of both classes."""
        del wire
        return np.asarray(self.model.predict_proba(np.column_stack(list(rows.cells))), dtype=np.float64)

    def version(self) -> str:
        """Nothing serves it."""
        return ""

    def close(self) -> None:
        """Nothing to close."""


def inquiry() -> Inquiry:
    """The twenty rows, and thirty others as the background."""
    chosen = numeric().iloc[20_000 : 20_000 + ROWS + BACKGROUND].to_dict("records")
    return Inquiry(
        columns=columns_of(chosen),
        rows=tuple(Question(f"r{i}", tuple(row.values())) for i, row in enumerate(chosen[:ROWS])),
        background=tuple(tuple(row.values()) for row in chosen[ROWS:]),
        seed=SEED,
        tol=TOLERANCE,
        budget=2_000_000,
    )


def gap() -> Table:
    """All fifty rows; the fourth has no age."""
    table = inquiry().table
    cells = [column.copy() for column in table.cells]
    cells[0][3] = np.nan
    return Table(table.columns, cells)


def narrow() -> Table:
    """All fifty rows without their last five columns."""
    table = inquiry().table
    return Table(table.columns[:3], table.cells[:3])


def explained(client: Any, wire: str) -> list[RowResult]:
    """The twenty rows explained through ``client``."""
    asked = inquiry()
    return ShapEngine(asked, Scorer(client, wire=wire, output=1)).explain(list(asked.rows))


def exactly(model: Any) -> Floats:
    """Interventional Shapley values of the probability by their definition, shape (20, 8)."""
    asked = inquiry()
    background = np.array(asked.background)
    count = len(COLUMNS)
    inside = (np.arange(2**count)[:, None] >> np.arange(count)) & 1 == 1
    size = inside.sum(axis=1)
    weight = np.array([math.factorial(s) * math.factorial(count - s - 1) for s in range(count)]) / math.factorial(count)
    phi = np.zeros((ROWS, count))
    for i, row in enumerate(asked.rows):
        mixed = np.where(inside[:, None, :], np.array(row.cells), background).reshape(-1, count)
        value = model.predict_proba(mixed)[:, 1].astype(np.float64).reshape(2**count, -1).mean(axis=1)
        for j in range(count):
            without = np.flatnonzero(~inside[:, j])
            phi[i, j] = (weight[size[without]] * (value[without | (1 << j)] - value[without])).sum()
    return phi
