"""Loan applications for the demo story: invented people, real arithmetic, the same rows for the same seed."""

from __future__ import annotations

import numpy as np
import pandas as pd

NUMERIC = ["age", "income", "debt_ratio", "years_employed", "open_loans", "late_payments"]
CATEGORICAL = ["employment", "purpose"]
COLUMNS = NUMERIC + CATEGORICAL
EMPLOYMENT = ["salaried", "self-employed", "contract", "retired"]
PURPOSE = ["car", "home", "education", "business"]


def applications(rows: int, *, seed: int, market: str) -> pd.DataFrame:
    """``rows`` applications of one market (``AE`` or ``SA``) with the outcome ``default`` (0 or 1).

    Income is in thousands of the local currency a month, ``debt_ratio`` the share of it that goes to debts.
    """
    random = np.random.default_rng([seed, sum(market.encode())])
    shift = 1.0 if market == "AE" else 0.85
    frame = pd.DataFrame(
        {
            "age": random.integers(21, 68, rows).astype("float64"),
            "income": np.round(random.lognormal(2.6, 0.5, rows) * shift, 2),
            "debt_ratio": np.round(random.beta(2, 5, rows), 3),
            "years_employed": np.round(random.gamma(2.0, 3.0, rows), 1),
            "open_loans": random.poisson(1.4, rows).astype("float64"),
            "late_payments": random.poisson(0.6, rows).astype("float64"),
            "employment": random.choice(EMPLOYMENT, rows, p=[0.6, 0.2, 0.15, 0.05]),
            "purpose": random.choice(PURPOSE, rows, p=[0.35, 0.3, 0.15, 0.2]),
        }
    )
    score = (
        -2.2
        - 0.05 * (frame["income"] - 14)
        + 4.0 * (frame["debt_ratio"] - 0.3)
        + 0.9 * frame["late_payments"]
        + 0.25 * frame["open_loans"]
        - 0.08 * frame["years_employed"]
        + np.where(frame["employment"] == "contract", 0.7, 0.0)
        + np.where((frame["purpose"] == "business") & (frame["debt_ratio"] > 0.4), 1.1, 0.0)
    )
    frame["default"] = (random.random(rows) < 1 / (1 + np.exp(-score))).astype(int)
    return frame
