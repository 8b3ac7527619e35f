"""Run in MLflow's environment: ``save_mlflow.py <model.json> <folder> probabilities|labels <column…>``.

``probabilities`` is the scikit-learn flavour with ``pyfunc_predict_fn``; ``labels`` is the XGBoost flavour as it comes,
which answers classes and ignores that it is asked for anything else.
"""

import sys

import mlflow
import xgboost
from mlflow.types import ColSpec, Schema

model = xgboost.XGBClassifier(n_jobs=1)
model.load_model(sys.argv[1])
signature = mlflow.models.ModelSignature(inputs=Schema([ColSpec("double", name) for name in sys.argv[4:]]))
common = {"signature": signature, "pip_requirements": []}
if sys.argv[3] == "labels":
    mlflow.xgboost.save_model(model, sys.argv[2], **common)
else:
    flavour = {"pyfunc_predict_fn": "predict_proba", "serialization_format": "cloudpickle"}
    mlflow.sklearn.save_model(model, sys.argv[2], **common, **flavour)
