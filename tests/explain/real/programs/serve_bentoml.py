"""Run in BentoML's environment: ``bentoml serve serve_bentoml:Adult``; MODEL names the model's file."""

import os

import bentoml
import numpy as np
import xgboost


@bentoml.service(workers=1)
class Adult:
    """Answers the probabilities of both classes as a bare list."""

    def __init__(self):
        self.model = xgboost.XGBClassifier(n_jobs=1)
        self.model.load_model(os.environ["MODEL"])

    @bentoml.api
    def predict(self, instances: list[list[float]]) -> list[list[float]]:
        return self.model.predict_proba(np.array(instances, dtype=np.float64)).tolist()
