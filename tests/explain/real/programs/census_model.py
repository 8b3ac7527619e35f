"""The model as servers load it: XGBoost's booster alone, since its classifier would need scikit-learn everywhere."""

import numpy as np
import xgboost


class CensusModel:
    """Reads the file that ``tests.explain.real.adult`` wrote; one thread, since other tests want the rest."""

    def __init__(self, path):
        self.booster = xgboost.Booster({"nthread": 1}, model_file=str(path))

    def probabilities(self, rows):
        """Both classes' probabilities as float32, shape (rows, 2), as ``XGBClassifier.predict_proba`` has them."""
        one = self.booster.inplace_predict(np.asarray(rows, dtype=np.float64))
        return np.ascontiguousarray(np.column_stack([np.float32(1) - one, one]))
