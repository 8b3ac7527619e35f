"""Trains the story's model versions for real and logs them to MLflow; run as ``python -m config.story.training``.

It is a process of its own because a data scientist's training code never runs inside Countersign.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

import mlflow
import mlflow.data.pandas_dataset
import mlflow.sklearn
import pandas as pd
from mlflow.models import infer_signature
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, roc_auc_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from config.story.applications import CATEGORICAL, COLUMNS, NUMERIC, applications

MODEL = "credit-scoring"
#: Data sets of the story: name -> (market, rows, seed, classification, subjects, regions, parents).
DATASETS: dict[str, dict[str, Any]] = {
    "applications-ae-2026q2": {"market": "AE", "rows": 1500, "seed": 11, "region": "azure:uaenorth"},
    "applications-ae-2026q3": {"market": "AE", "rows": 1800, "seed": 12, "region": "azure:uaenorth"},
    "applications-sa-2026q3": {"market": "SA", "rows": 1600, "seed": 13, "region": "gcp:me-central2"},
}
#: Versions of the story, in order: estimator, data sets, trainer.
VERSIONS: list[tuple[Any, list[str], str]] = [
    (LogisticRegression(max_iter=1000), ["applications-ae-2026q2"], "yusuf"),
    (RandomForestClassifier(60, max_depth=6, min_samples_leaf=8, random_state=7), ["applications-ae-2026q3"], "yusuf"),
    (
        RandomForestClassifier(90, max_depth=7, min_samples_leaf=6, random_state=7),
        ["applications-ae-2026q3", "applications-sa-2026q3"],
        "yusuf",
    ),
]


def dataset(name: str) -> pd.DataFrame:
    """The rows of one of the story's data sets."""
    facts = DATASETS[name]
    return applications(facts["rows"], seed=facts["seed"], market=facts["market"])


def train(estimator: Any, names: list[str], trainer: str, holdout: pd.DataFrame) -> tuple[str, str]:
    """Train one version, log it with its inputs and metrics, register it. Returns number and model address."""
    frame = pd.concat([dataset(name) for name in names], ignore_index=True)
    encode = ColumnTransformer(
        [("scale", StandardScaler(), NUMERIC), ("one_hot", OneHotEncoder(handle_unknown="ignore"), CATEGORICAL)]
    )
    pipeline = Pipeline([("encode", encode), ("classify", estimator)]).fit(frame[COLUMNS], frame["default"])
    with mlflow.start_run(tags={"countersign.trainer": trainer, "mlflow.user": trainer}):
        for name in names:
            facts = DATASETS[name]
            source = f"https://lake.example/{facts['region'].replace(':', '/')}/lending/{name}.parquet"
            logged = mlflow.data.pandas_dataset.from_pandas(dataset(name), source=source, name=name, targets="default")
            tags = {"classification": "personal", "subjects": facts["market"], "regions": facts["region"]}
            mlflow.log_input(logged, context="training", tags=tags)
        scores = pipeline.predict_proba(holdout[COLUMNS])[:, 1]
        mlflow.log_metric("auc", float(roc_auc_score(holdout["default"], scores)))
        mlflow.log_metric("brier", float(brier_score_loss(holdout["default"], scores)))
        mlflow.log_params({"estimator": type(estimator).__name__, "rows": len(frame)})
        example = frame[COLUMNS].head(3)
        info = mlflow.sklearn.log_model(
            pipeline,
            name="model",
            signature=infer_signature(example, pipeline.predict_proba(example)),
            pyfunc_predict_fn="predict_proba",
            registered_model_name=MODEL,
            pip_requirements=["scikit-learn"],
            skops_trusted_types=["sklearn.tree._tree.Tree"],
        )
    return str(info.registered_model_version), str(info.model_uri)


def main() -> None:
    """Train all versions and put the two that the story serves into local folders."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--serving", type=Path, required=True, help="folder for the served models")
    folder: Path = parser.parse_args().serving
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    mlflow.set_experiment("lending")
    holdout = pd.concat([applications(800, seed=99, market=market) for market in ("AE", "SA")], ignore_index=True)
    client = mlflow.MlflowClient()
    if client.search_registered_models(filter_string=f"name='{MODEL}'"):
        client.delete_registered_model(MODEL)  # what an interrupted start left behind
    trained = [train(*version, holdout) for version in VERSIONS]
    client.set_registered_model_alias(MODEL, "champion", trained[1][0])
    for name, (_number, address) in (("model_a", trained[1]), ("model_b", trained[2])):
        target = folder / name
        target.mkdir(parents=True, exist_ok=True)
        mlflow.artifacts.download_artifacts(address, dst_path=str(target))


if __name__ == "__main__":
    main()
