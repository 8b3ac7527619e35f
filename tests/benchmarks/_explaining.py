"""The adult census model behind a real MLflow scoring server, and our engine over it."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import httpx
import numpy as np
import pandas as pd

from explain import interpreter
from explain.engines import Inquiry, Question, ShapEngine, run
from explain.methods.codes import Column, Floats
from explain.methods.levels import LEVELS
from explain.methods.quality import RowResult
from explain.serving import probe
from explain.serving.clients import open_client
from explain.serving.protocol import Table
from explain.serving.scoring import Scorer
from tests.benchmarks import _adult
from tests.explain import served

JSON, PARQUET = "application/json", "application/vnd.apache.parquet"


@contextmanager
def endpoint() -> Iterator[str]:
    """The address of ``mlflow models serve`` with the classifier."""
    rows, _target = _adult.census()
    interpreter.settle()  # as in every worker
    with (
        tempfile.TemporaryDirectory() as folder,
        served.mlflow_server(_adult.model(), rows.head(20), Path(folder)) as url,
    ):
        yield url


def inquiry(rows: Floats, background: Floats, *, level: str = "standard") -> Inquiry:
    """The question of the issue: 40 rows against 100 at a level."""
    names = list(_adult.census()[0].columns)
    precision = LEVELS[level]
    return Inquiry(
        columns=tuple(Column(name, "number") for name in names),
        rows=tuple(Question(f"row-{i}", tuple(row)) for i, row in enumerate(rows.tolist())),
        background=tuple(map(tuple, background.tolist())),
        seed=7,
        tol=float(precision.tol),
        budget=100_000_000,
        rounds=(precision.least, precision.most),
    )


@cache
def first_batch(url: str) -> int:
    """Rows of the first request, as the probe of a job finds them; asked before any clock runs."""
    rows, background = _adult.question()
    client = open_client("mlflow", url)
    try:
        return probe.inspect(client, inquiry(rows, background).table, output=1, probability=True).batch
    finally:
        client.close()


@dataclass(frozen=True)
class Ours:
    """``seconds`` for all rows, ``phi`` (rows, features), model rows scored, and those rows when they were kept."""

    seconds: float
    phi: Floats
    results: list[RowResult]
    scored: int
    tables: list[Table]


def ours(url: str, asked: Inquiry, wire: str, *, keep: bool = False) -> Ours:
    """Explain as a worker does, without database and probe."""
    first_batch(url)
    client = open_client("mlflow", url)
    tables: list[Table] = []
    scorer = Scorer(client, wire=wire, output=1, batch=first_batch(url))
    score = scorer.score
    if keep:
        scorer.score = lambda rows: tables.append(rows) or score(rows)  # type: ignore[method-assign, func-returns-value]
    try:
        began = time.perf_counter()
        engine = ShapEngine(asked, scorer)
        chunks = [asked.rows[i : i + engine.chunk] for i in range(0, len(asked.rows), engine.chunk)]
        waiting = iter(enumerate(chunks))
        done = list(run(engine, lambda: next(waiting, None), poll=lambda: True, stop=threading.Event()))
        seconds = time.perf_counter() - began
    finally:
        client.close()
    results = [row for each in sorted(done, key=lambda each: each.number) for row in each.rows]
    assert not any(row.problem for row in results)
    return Ours(seconds, np.array([row.phi for row in results]), results, scorer.scored, tables)


def naive(url: str) -> tuple[httpx.Client, object]:
    """What a person writes: a function that posts a data frame as JSON and reads the predictions."""
    names = list(_adult.census()[0].columns)
    client = httpx.Client(timeout=120)

    def predict(rows: Floats) -> Floats:
        frame = pd.DataFrame(rows, columns=names)
        answer = client.post(f"{url}/invocations", json={"dataframe_split": frame.to_dict(orient="split", index=False)})
        return np.array(answer.raise_for_status().json()["predictions"])[:, 1]

    return client, predict


def rmse(phi: Floats, exact: Floats) -> float:
    """Root mean squared error over all rows and features."""
    return float(np.sqrt(((phi - exact) ** 2).mean()))
