"""What a data scientist's script does, in a process of its own: two versions of a model with their data sets.

Run as ``python -m tests.registry.logging_to_mlflow`` with ``MLFLOW_TRACKING_URI`` set.
"""

from __future__ import annotations

import mlflow
import mlflow.sklearn
import pandas as pd
from mlflow.data.pandas_dataset import from_pandas
from mlflow.models import infer_signature
from sklearn.linear_model import LogisticRegression

MODEL = "loan-default"
KNOWN = {"classification": "personal", "subjects": "AE, SA", "regions": "azure:uaenorth", "parents": "raw-loans"}
#: Data sets of each version: name, number of rows, tags.
VERSIONS = [
    [("loans", 40, KNOWN)],
    [
        ("loans", 50, KNOWN),
        ("untagged", 30, {}),
        ("misplaced", 20, {"classification": "secret", "subjects": "AE", "regions": "azure:uaenorth,atlantis"}),
    ],
]


def rows(count: int) -> pd.DataFrame:
    """Loans without people."""
    frame = pd.DataFrame({"income": [float(number) for number in range(count)], "debt": [float(count)] * count})
    return frame.assign(default=[number % 2 for number in range(count)])


def main() -> None:
    """Log and register; ``champion`` is the first version."""
    mlflow.set_experiment("loans of tests")
    for inputs in VERSIONS:
        frame = pd.concat([rows(count) for _name, count, _tags in inputs])
        fitted = LogisticRegression().fit(frame[["income", "debt"]], frame["default"])
        with mlflow.start_run(tags={"countersign.trainer": "yusuf,jonas", "mlflow.user": "yusuf"}):
            for name, count, tags in inputs:
                logged = from_pandas(rows(count), source=f"https://lake.example/{name}", name=name)
                mlflow.log_input(logged, context="training", tags=tags)
            mlflow.log_metrics({"auc": 0.1 + 0.2, "undefined": float("nan")})
            mlflow.log_param("solver", "lbfgs")
            mlflow.sklearn.log_model(
                fitted,
                name="model",
                signature=infer_signature(frame[["income", "debt"]], fitted.predict(frame[["income", "debt"]])),
                registered_model_name=MODEL,
                pip_requirements=["scikit-learn"],
            )
    mlflow.MlflowClient().set_registered_model_alias(MODEL, "champion", "1")


if __name__ == "__main__":
    main()
