"""Run in Seldon's environment: ``seldon-core-microservice SeldonAdult``; MODEL names the model's file."""

import os

import numpy as np
import xgboost


class SeldonAdult:
    """The class that Seldon's wrapper looks for: the name of the module is its name."""

    def __init__(self):
        self.model = xgboost.XGBClassifier(n_jobs=1)
        self.model.load_model(os.environ["MODEL"])

    def predict(self, X, names=None, meta=None):  # noqa: N803 — the wrapper calls it with this keyword
        return self.model.predict_proba(np.asarray(X, dtype=np.float64))
