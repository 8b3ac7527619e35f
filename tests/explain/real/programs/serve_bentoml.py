"""Run in BentoML's environment: ``bentoml serve serve_bentoml:Adult``; MODEL names the model's file."""

import os

import bentoml
from census_model import CensusModel


@bentoml.service(workers=1)
class Adult:
    """Answers the probabilities of both classes as a bare list."""

    def __init__(self):
        self.model = CensusModel(os.environ["MODEL"])

    @bentoml.api
    def predict(self, instances: list[list[float]]) -> list[list[float]]:
        return self.model.probabilities(instances).tolist()
