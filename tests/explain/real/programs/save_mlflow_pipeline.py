"""Run in MLflow's environment: ``save_mlflow_pipeline.py <train.csv> <folder>``: a pipeline on text with gaps.

The columns are those of the file: "workclass" is text and may be missing, "age" is whole, "label" is what is learned.
"""

import sys

import mlflow
import pandas as pd
from mlflow.types import ColSpec, Schema
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder

rows = pd.read_csv(sys.argv[1])
encode = ColumnTransformer(
    [
        ("text", OneHotEncoder(handle_unknown="ignore"), ["workclass"]),
        ("number", "passthrough", ["age"]),
    ]
)
model = Pipeline([("encode", encode), ("decide", LogisticRegression(max_iter=2000))]).fit(
    rows[["workclass", "age"]], rows["label"]
)
mlflow.sklearn.save_model(
    model,
    sys.argv[2],
    signature=mlflow.models.ModelSignature(
        inputs=Schema([ColSpec("string", "workclass", required=False), ColSpec("long", "age")])
    ),
    pip_requirements=[],
    pyfunc_predict_fn="predict_proba",
    serialization_format="cloudpickle",
)
