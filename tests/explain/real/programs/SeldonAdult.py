"""Run in Seldon's environment: ``seldon-core-microservice SeldonAdult``; MODEL names the model's file."""

import os

from census_model import CensusModel


class SeldonAdult:
    """The class that Seldon's wrapper looks for: the name of the module is its name."""

    def __init__(self):
        self.model = CensusModel(os.environ["MODEL"])

    def predict(self, X, names=None, meta=None):  # noqa: N803 — the wrapper calls it with this keyword
        return self.model.probabilities(X)
