"""A server with many models: real runs, data sets and logged models, made with MLflow's own client in a few threads.

Run as ``python -m tests.registry.many_models MODELS VERSIONS`` with ``MLFLOW_TRACKING_URI`` set. ``mlflow.log_model``
would fit and pickle a model each time; here each version has a small file of its own and the ``MLmodel`` that names it.
"""

from __future__ import annotations

import json
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
from mlflow import MlflowClient
from mlflow.data.pandas_dataset import from_pandas
from mlflow.entities import DatasetInput, InputTag, LoggedModelStatus, Metric, Param
from mlflow.entities.dataset import Dataset

REGIONS = ("azure:uaenorth", "gcp:me-central2", "aws:eu-central-1")
THREADS = 4
#: Data sets that runs take turns with; each run has one of seven others beside it.
SHARED = 40
COLUMNS = [{"name": "income", "type": "double", "required": True}, {"name": "debt", "type": "double", "required": True}]


def name_of(model: int) -> str:
    """``model-007``."""
    return f"model-{model:03d}"


def data_set(number: int) -> DatasetInput:
    """One of a few dozen data sets that many runs share, with what its tags claim."""
    frame = pd.DataFrame({"income": [float(number)], "debt": [1.0]})
    given = from_pandas(frame, source=f"https://lake.example/{number}", name=f"data-{number:03d}")
    described = given.to_dict()
    dataset = Dataset(
        name=described["name"],
        digest=described["digest"],
        source_type=described["source_type"],
        source=described["source"],
        schema=described["schema"],
        profile=described["profile"],
    )
    tags = {"classification": "personal", "subjects": "AE", "regions": REGIONS[number % len(REGIONS)]}
    return DatasetInput(
        dataset, [InputTag("mlflow.data.context", "training"), *(InputTag(*tag) for tag in tags.items())]
    )


def log_version(client: MlflowClient, experiment: str, model: int, number: int, folder: Path) -> None:
    """One run with two data sets, a logged model with its files, and the version that names both."""
    seed = model * 1000 + number
    tags = {"countersign.trainer": "yusuf", "mlflow.user": "yusuf"}
    run = client.create_run(experiment, tags=tags, run_name=f"{name_of(model)} {number}")
    run_id = run.info.run_id
    now = run.info.start_time
    client.log_batch(
        run_id, [Metric("auc", seed / 1_000_000, now, 0), Metric("brier", 0.1, now, 0)], [Param("seed", str(seed))]
    )
    client.log_inputs(run_id, [data_set(seed % SHARED), data_set(SHARED + seed % 7)])
    logged = client.create_logged_model(experiment, name="model", source_run_id=run_id)
    files = folder / str(seed)
    files.mkdir()
    (files / "weights.json").write_text(json.dumps({"seed": seed}))
    (files / "MLmodel").write_text(
        json.dumps({"model_id": logged.model_id, "signature": {"inputs": json.dumps(COLUMNS), "outputs": "[]"}})
    )
    client.log_model_artifacts(logged.model_id, str(files))
    client.finalize_logged_model(logged.model_id, LoggedModelStatus.READY)
    client.set_terminated(run_id)
    client.create_model_version(
        name_of(model), source=f"models:/{logged.model_id}", run_id=run_id, model_id=logged.model_id
    )


def log_model(client: MlflowClient, experiment: str, model: int, versions: int, folder: Path) -> None:
    """A registered model with its versions, the oldest first; ``champion`` is its last one."""
    client.create_registered_model(name_of(model), description=f"Scores number {model}.")
    for number in range(1, versions + 1):
        log_version(client, experiment, model, number, folder)
    client.set_registered_model_alias(name_of(model), "champion", str(versions))


def main(models: int, versions: int) -> None:
    """``versions`` in all, the same number for each model."""
    client = MlflowClient()
    experiment = client.create_experiment("many models")
    first = client.create_run(experiment)  # MLflow fails when two runs bring the same new data set at once
    client.log_inputs(first.info.run_id, [data_set(number) for number in range(SHARED + 7)])
    client.set_terminated(first.info.run_id)
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(THREADS) as pool:
        each = versions // models
        for made in [pool.submit(log_model, client, experiment, model, each, Path(folder)) for model in range(models)]:
            made.result()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
