"""A scikit-learn pipeline that MLflow really serves, and its exact explanation."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder

NUMERIC, TEXT = ["income", "age"], ["sector"]


def frame(count: int, seed: int) -> pd.DataFrame:
    """Rows of the schema in ``conftest``; half-integer steps make thresholds that float32 rounds."""
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "income": np.round(rng.normal(50, 20, count), 2),
            "age": rng.integers(18, 80, count),
            "sector": rng.choice(["retail", "trade", "public"], count),
        }
    )


def trained() -> Any:
    """A forest on numbers and text."""
    rows = frame(600, seed=1)
    risk = (rows["income"] / 40 - rows["age"] / 60 + (rows["sector"] == "retail") * (rows["income"] > 45)) > 0.6
    columns = ColumnTransformer([("numbers", "passthrough", NUMERIC), ("text", OneHotEncoder(), TEXT)])
    forest = RandomForestClassifier(n_estimators=25, max_depth=6, random_state=4)
    return Pipeline([("columns", columns), ("forest", forest)]).fit(rows, risk.astype(int))


def tree_shap(model: Any, row: dict[str, Any], background: list[dict[str, Any]]) -> np.ndarray:
    """Exact interventional SHAP values of the probability of class 1 per input column, by shap's ``TreeExplainer``.

    A forest's raw output is its probability, so that this is exact on that scale too. For numeric inputs only: encoded
    columns of one text input would be players of their own.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of shap's and numba's own making
        import shap

    explainer = shap.TreeExplainer(
        model, np.array(pd.DataFrame(background), dtype=np.float32), feature_perturbation="interventional"
    )
    _round_thresholds_down(explainer)
    values = explainer.shap_values(np.array(pd.DataFrame([row]), dtype=np.float32), check_additivity=False)
    return np.asarray(values)[0, :, 1]


def _round_thresholds_down(explainer: Any) -> None:
    """shap#5116: thresholds narrowed to float32 may move up past a value; rounding down keeps the forest's answers."""
    exact = explainer.model.thresholds
    narrow = exact.astype(np.float32)
    above = narrow.astype(np.float64) > exact
    narrow[above] = np.nextafter(narrow[above], np.float32(-np.inf))
    explainer.model.thresholds = narrow.astype(exact.dtype)


def numeric_forest() -> tuple[Any, pd.DataFrame]:
    """A forest on six numeric columns that interact, and rows of its kind (exact in float32)."""
    rng = np.random.default_rng(11)
    rows = pd.DataFrame(np.round(rng.normal(size=(700, 6)), 3).astype(np.float32).astype(np.float64)).add_prefix("x")
    target = (rows["x0"] * rows["x1"] + rows["x2"] - 0.5 * rows["x3"] * (rows["x4"] > 0) > 0).astype(int)
    return RandomForestClassifier(n_estimators=30, max_depth=7, random_state=8).fit(rows, target), rows


@contextmanager
def mlflow_server(model: Any, example: pd.DataFrame, folder: Path) -> Iterator[str]:
    """The address of a real ``mlflow models serve`` that answers ``predict_proba`` of ``model``."""
    path = folder / "model"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of MLflow's own making
        import mlflow
        from mlflow.models import infer_signature

        mlflow.sklearn.save_model(
            model,
            path,
            signature=infer_signature(example, model.predict_proba(example)),
            pyfunc_predict_fn="predict_proba",
            pip_requirements=[],
            serialization_format="cloudpickle",
        )
    with scoring(path, folder) as url:
        yield url


@contextmanager
def from_code(source: Path, folder: Path) -> Iterator[str]:
    """The address of a real server of the model that a Python file is: no pickle, nothing to go stale."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of MLflow's own making
        import mlflow

        mlflow.pyfunc.save_model(folder / "model", python_model=str(source), pip_requirements=[])
    with scoring(folder / "model", folder) as url:
        yield url


@contextmanager
def scoring(path: Path, folder: Path) -> Iterator[str]:
    """The address of MLflow's scoring server of the model that was saved at ``path``."""
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        port = chosen.getsockname()[1]
    environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "__pyfunc_model_path__": str(path)}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment.get('PATH', '')}"
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", str(path), "-h", "127.0.0.1"]
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "-p", str(port), "--env-manager", "local"],
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            _wait(f"http://127.0.0.1:{port}/ping", process, folder / "server.log")
            yield f"http://127.0.0.1:{port}"
        finally:
            os.killpg(process.pid, 15)
            process.wait(20)


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(600):
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError:
            if process.poll() is not None:
                raise RuntimeError(log.read_text()) from None
            time.sleep(0.1)
    raise RuntimeError(log.read_text())
