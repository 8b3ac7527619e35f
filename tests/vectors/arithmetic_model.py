"""A served model in plain IEEE arithmetic (no exp, no library): the same bits on every machine and in every year.

MLflow loads it as a model from code; ``tests/vectors/explanation-receipt.json`` holds what it was explained by once.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel


class Arithmetic(PythonModel):  # type: ignore[misc]
    """The probability of a good loan: a ratio that lies between 0 and 1, with an interaction and a jump."""

    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        """(rows, 2): the probability of 0 and of 1."""
        income = model_input["income"].to_numpy(dtype=np.float64)
        age = model_input["age"].to_numpy(dtype=np.float64)
        retail = (model_input["sector"] == "retail").to_numpy(dtype=np.float64)
        size = (income - 45.0) / 32.0 - (age - 44.0) / 64.0 + 0.5 * retail * (income > 40.0)
        good = 0.5 + size / (2.0 * (1.0 + np.abs(size)))
        return np.stack([1.0 - good, good], axis=1)


set_model(Arithmetic())
