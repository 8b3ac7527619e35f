"""Opens model artifacts, without running code of theirs wherever that is possible. Only for the isolated process."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from explain.methods.codes import Floats

#: A column of the transformed rows depends on the same column of the given rows alone: the players stay the same.
COLUMNWISE = ("StandardScaler", "MinMaxScaler", "MaxAbsScaler", "RobustScaler", "SimpleImputer")
FORESTS = ("RandomForest", "ExtraTrees", "DecisionTree", "ExtraTree")
#: Types without code of their own that skops does not vouch for, because broken contents can crash the process. It may.
CONTAINED = {
    "sklearn.tree._tree.Tree",
    "sklearn._loss.link.Interval",
    "sklearn._loss.link.LogitLink",
    "sklearn._loss.link.IdentityLink",
    "sklearn._loss._loss.CyHalfBinomialLoss",
    "sklearn._loss._loss.CyHalfSquaredError",
    "sklearn._loss.loss.HalfBinomialLoss",
    "sklearn._loss.loss.HalfSquaredError",
}
#: Objectives of XGBoost whose margin is what it serves, or the log-odds of what it serves.
PLAIN = ("reg:squarederror", "reg:absoluteerror", "reg:pseudohubererror", "reg:quantileerror")
LOGISTIC = ("binary:logistic", "reg:logistic")


class Unusable(Exception):  # noqa: N818
    """``code`` and ``detail`` of why an artifact cannot be used."""

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(code, detail)
        self.code, self.detail = code, detail


@dataclass(frozen=True, slots=True)
class Loaded:
    """``kind``: "tree" or "linear". ``served``: rows -> (rows, outputs) as a server would answer. ``additive``: rows ->
    (rows, outputs) on ``scale``, where trees and coefficients add up. ``names``: the columns in the model's order, if
    it knows them. ``transform``: columnwise preprocessing.
    """

    kind: str
    model: Any
    scale: str
    served: Callable[[Floats], Floats]
    additive: Callable[[Floats], Floats]
    names: Sequence[str] | None
    width: int
    transform: Callable[[Floats], Floats] = lambda rows: rows
    coefficients: Floats | None = None
    intercepts: Floats | None = None


@dataclass(frozen=True, slots=True)
class Artifact:
    """Where the model is and how it was saved: "xgboost", "skops", "pickle" or "coefficients"."""

    path: Path
    form: str

    @property
    def libraries(self) -> tuple[str, ...]:
        """What to import before the door is closed."""
        return {
            "xgboost": ("xgboost",),
            "skops": ("skops.io", "sklearn.ensemble", "sklearn.linear_model", "sklearn.pipeline"),
            "pickle": ("cloudpickle", "joblib", "sklearn.ensemble", "sklearn.linear_model", "sklearn.pipeline"),
        }.get(self.form, ())


def find(path: Path) -> Artifact:
    """Look at names and at a JSON's keys, open nothing else. Raises ``Unusable``."""
    if path.is_dir():
        return _mlflow(path)
    match path.suffix.lower():
        case ".ubj" | ".xgb":
            return Artifact(path, "xgboost")
        case ".skops":
            return Artifact(path, "skops")
        case ".json":
            try:
                keys = set(json.loads(path.read_bytes()))
            except (ValueError, TypeError, RecursionError):
                raise Unusable("unreadable", path.name) from None
            return Artifact(path, "coefficients" if "coefficients" in keys else "xgboost")
        case ".pkl" | ".pickle" | ".joblib" | ".cloudpickle":
            return Artifact(path, "pickle")
    raise Unusable("unknown_form", path.name)


def _mlflow(folder: Path) -> Artifact:
    import yaml

    try:
        flavors = yaml.safe_load((folder / "MLmodel").read_text())["flavors"]
        if "xgboost" in flavors:
            return Artifact(_inside(folder, flavors["xgboost"]["data"]), "xgboost")
        if "sklearn" in flavors:
            saved = flavors["sklearn"]
            form = "skops" if saved.get("serialization_format") == "skops" else "pickle"
            return Artifact(_inside(folder, saved["pickled_model"]), form)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError):
        raise Unusable("unreadable", "MLmodel") from None
    raise Unusable("unknown_form", ", ".join(map(str, flavors)))


def _inside(folder: Path, name: str) -> Path:
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()) or not path.exists():
        raise Unusable("unreadable", "MLmodel")
    return path


def load(artifact: Artifact) -> Loaded:
    """Raises ``Unusable``; anything else that loading raises is the artifact's own."""
    match artifact.form:
        case "xgboost":
            return _xgboost(artifact.path)
        case "coefficients":
            return _coefficients(artifact.path)
        case "skops":
            return of_sklearn(_skops(artifact.path))
    joblib = importlib.import_module("joblib")
    return of_sklearn(joblib.load(artifact.path))


def _skops(path: Path) -> Any:
    io = importlib.import_module("skops.io")
    found = set(io.get_untrusted_types(file=path))
    if foreign := found - CONTAINED:
        raise Unusable("untrusted_types", ", ".join(sorted(foreign)[:5]))
    return io.load(path, trusted=sorted(found))


def _coefficients(path: Path) -> Loaded:
    try:
        given = json.loads(path.read_bytes())
        weights = np.array(given["coefficients"], dtype=np.float64)
        intercept, scale = float(given["intercept"]), str(given.get("scale", "raw"))
        names = given.get("columns")
    except (ValueError, TypeError, KeyError):
        raise Unusable("unreadable", path.name) from None
    if weights.ndim != 1 or not np.isfinite([*weights, intercept]).all() or scale not in ("raw", "log_odds"):
        raise Unusable("unreadable", path.name)

    def additive(rows: Floats) -> Floats:
        return np.asarray((rows @ weights + intercept)[:, None])

    def served(rows: Floats) -> Floats:
        return additive(rows) if scale == "raw" else two_classes(1 / (1 + np.exp(-additive(rows)[:, 0])))

    return Loaded(
        "linear",
        None,
        scale,
        served,
        additive,
        names,
        len(weights),
        coefficients=weights[None],
        intercepts=np.array([intercept]),
    )


def two_classes(positive: Floats) -> Floats:
    """Probabilities of both classes, (rows, 2), from those of the second."""
    return np.column_stack([1 - positive, positive])


def _xgboost(path: Path) -> Loaded:
    xgboost = importlib.import_module("xgboost")
    booster = xgboost.Booster()
    booster.load_model(path)
    config = json.loads(booster.save_config())["learner"]
    if config["gradient_booster"]["name"] != "gbtree" or (booster.feature_types and "c" in booster.feature_types):
        raise Unusable("unsupported_model", config["gradient_booster"]["name"])
    objective = config["objective"]["name"]
    names = booster.feature_names
    scale = "raw" if objective in PLAIN else "log_odds" if objective in LOGISTIC else "margin"

    def matrix(rows: Floats) -> Any:
        return xgboost.DMatrix(rows.astype(np.float32), feature_names=names)

    def outputs(rows: Floats, *, margin: bool) -> Floats:
        answered = np.asarray(booster.predict(matrix(rows), output_margin=margin), dtype=np.float64)
        return answered if answered.ndim == 2 else answered[:, None]

    def served(rows: Floats) -> Floats:
        answered = outputs(rows, margin=False)
        return two_classes(answered[:, 0]) if objective == "binary:logistic" else answered

    if scale == "margin":
        return Loaded(
            "tree", booster, scale, served, lambda rows: outputs(rows, margin=True), names, booster.num_features()
        )
    leaves = _leaves(booster)
    start = float(config["learner_model_param"]["base_score"].strip("[]"))
    start = float(np.log(start / (1 - start))) if scale == "log_odds" else start

    def additive(rows: Floats) -> Floats:
        """XGBoost's own leaves, added up in float64: its own sum in float32 misses additivity by 1e-6 and more."""
        reached = np.asarray(booster.predict(matrix(rows), pred_leaf=True), dtype=np.intp).reshape(len(rows), -1)
        exact = start + leaves[np.arange(reached.shape[1]), reached].sum(axis=1)
        rounded = outputs(rows, margin=True)[:, 0]
        if not np.allclose(exact, rounded, rtol=1e-4, atol=1e-4):
            raise Unusable("failed", "float32")
        return np.asarray(exact[:, None])

    return Loaded("tree", booster, scale, served, additive, names, booster.num_features())


def _leaves(booster: Any) -> Floats:
    """The value of every leaf, (trees, nodes)."""
    saved = json.loads(bytes(booster.save_raw("json")))
    trees = saved["learner"]["gradient_booster"]["model"]["trees"]
    values = np.zeros((len(trees), max((len(each["split_conditions"]) for each in trees), default=0)))
    for i, each in enumerate(trees):
        # where a node does not split, its condition is the leaf's value
        values[i, : len(each["split_conditions"])] = each["split_conditions"]
    return values


def of_sklearn(model: Any) -> Loaded:
    """A scikit-learn model, or a pipeline of columnwise steps with one at its end. Raises ``Unusable``."""
    steps = [step for _name, step in model.steps] if type(model).__name__ == "Pipeline" else [model]
    *before, last = steps
    for step in before:
        if step != "passthrough" and type(step).__name__ not in COLUMNWISE:
            raise Unusable("not_columnwise", type(step).__name__)
    applied = [step for step in before if step != "passthrough"]
    width = int(getattr(model, "n_features_in_", 0))

    def transform(rows: Floats) -> Floats:
        for step in applied:
            rows = np.asarray(step.transform(rows), dtype=np.float64)
        if rows.shape[1] != width:
            raise Unusable("not_columnwise", "SimpleImputer")
        return rows

    names = getattr(model, "feature_names_in_", None)
    named = None if names is None else [str(name) for name in names]
    kind = type(last).__name__
    if kind.startswith(FORESTS) or kind in ("GradientBoostingClassifier", "GradientBoostingRegressor"):
        served, additive, scale = _sklearn_outputs(last, probability=kind.startswith(FORESTS))
        if getattr(last, "n_outputs_", 1) != 1:
            raise Unusable("unsupported_model", kind)
        return Loaded("tree", last, scale, served, additive, named, width, transform)
    if hasattr(last, "coef_") and hasattr(last, "intercept_"):
        served, additive, scale = _sklearn_outputs(last, probability=False)
        weights = np.atleast_2d(np.asarray(last.coef_, dtype=np.float64))
        intercepts = np.broadcast_to(np.ravel(last.intercept_).astype(np.float64), (len(weights),))
        return Loaded("linear", last, scale, served, additive, named, width, transform, weights, intercepts)
    raise Unusable("unsupported_model", kind)


def _sklearn_outputs(
    last: Any, *, probability: bool
) -> tuple[Callable[[Floats], Floats], Callable[[Floats], Floats], str]:
    def table(values: Any) -> Floats:
        answered = np.asarray(values, dtype=np.float64)
        return answered if answered.ndim == 2 else answered[:, None]

    def served(rows: Floats) -> Floats:
        return table(last.predict_proba(rows) if hasattr(last, "predict_proba") else last.predict(rows))

    if not hasattr(last, "predict_proba"):
        return served, served, "raw" if not hasattr(last, "classes_") else "margin"
    if probability:
        return served, served, "probability"
    logistic = type(last).__name__ in ("LogisticRegression", "LogisticRegressionCV") or (
        type(last).__name__ == "GradientBoostingClassifier" and last.loss == "log_loss"
    )
    scale = "log_odds" if logistic and len(last.classes_) == 2 else "margin"
    return served, lambda rows: table(last.decision_function(rows)), scale
