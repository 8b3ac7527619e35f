"""One LIME explanation of 5,000 samples, ours over Parquet with three rows in flight, against the library posting JSON.

Both draw 5,000 samples around the same rows of the adult census and fit one local model; neither repeats the seed.
"""

from __future__ import annotations

import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from explain.engines import IN_FLIGHT
from explain.methods import lime
from explain.methods.codes import Floats
from explain.serving.clients import open_client
from explain.serving.protocol import Table
from explain.serving.scoring import Scorer
from tests.benchmarks import _adult, _explaining

GOAL = 2.5
SAMPLES, FEATURES, ROWS, TURNS = 5_000, 10, 24, 3


def ours(url: str, rows: Floats, background: Floats) -> float:
    """Seconds per row, the start of the explainer included."""
    columns = _explaining.inquiry(rows, background).columns
    client = open_client("mlflow", url)
    scorer = Scorer(client, wire=_explaining.PARQUET, output=1)
    around = lime.Neighbourhood(columns, background.tolist(), rows.tolist())

    def one(i: int) -> lime.LocalModel:
        return lime.explain(
            around,
            rows[i].tolist(),
            lambda cells: scorer.score(Table(columns, cells)).outputs,
            seed=7,
            row_id=f"row-{i}",
            budget=SAMPLES,
            seeds=1,
        )

    try:
        began = time.perf_counter()
        with ThreadPoolExecutor(IN_FLIGHT) as pool:
            made = list(pool.map(one, range(ROWS)))
        assert all(each.samples == SAMPLES for each in made)
        return (time.perf_counter() - began) / ROWS
    finally:
        client.close()


def main() -> None:
    """Run both sides in turns and print the ratio."""
    from lime.lime_tabular import LimeTabularExplainer

    rows, background = _adult.question()
    with _explaining.endpoint() as url, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        client, predict = _explaining.naive(url)
        explainer = LimeTabularExplainer(background, mode="regression", random_state=1)

        def naive(i: int) -> float:
            began = time.perf_counter()
            explainer.explain_instance(rows[i], predict, num_features=FEATURES, num_samples=SAMPLES)
            return time.perf_counter() - began

        naive(0)
        ours(url, rows, background)
        slow, fast = [], []
        for _turn in range(TURNS):
            slow += [naive(i) for i in range(ROWS // TURNS)]
            fast.append(ours(url, rows, background))
        client.close()
    print(f"lime, {SAMPLES} samples over JSON: {1e3 * np.mean(slow):.0f} ms a row")
    print(f"ours over Parquet, {IN_FLIGHT} in flight: {1e3 * np.mean(fast):.1f} ms a row")
    print(f"explain_lime ratio={np.mean(slow) / np.mean(fast):.2f} goal={GOAL}")


if __name__ == "__main__":
    main()
