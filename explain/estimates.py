"""What a question will cost, before anything is asked of the model. Nothing is written."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from explain import requests
from explain.methods import lime
from explain.methods.codes import Codebook
from explain.methods.levels import LEVELS
from explain.methods.pairperm import least_rounds
from explain.models import Algorithm, ExplanationJob, Method
from explain.serving.scoring import LARGEST_BATCH
from registry.models import Endpoint


@dataclass(frozen=True, slots=True)
class Estimate:
    """``model_rows_likely``: from how much rows and background differ; ``model_rows_most``: where the job is ended.

    ``seconds_likely`` comes from the speed that the newest probe of the endpoint measured; None when none did.
    """

    rows: int
    features: int
    background: int
    model_rows_likely: int
    model_rows_most: int
    requests_likely: int
    seconds_likely: float | None
    budget: int
    algorithm: str


def estimate(endpoint: Endpoint, inquiry: requests.Inquiry, *, method: str) -> Estimate:
    """The cost of a checked question. One query."""
    rows, features, background = inquiry.explained, len(inquiry.columns), len(inquiry.background)
    algorithm = inquiry.settings["algorithm"]
    if method == Method.LIME:
        likely, most = rows * lime.SEEDS * lime.FIRST_SAMPLES, rows * lime.SEEDS * 2 * lime.MOST_SAMPLES
    elif algorithm == Algorithm.EXACT:
        likely = most = rows * 2**features * background
    elif algorithm in (Algorithm.TREE, Algorithm.LINEAR):
        likely = most = rows + background
    else:
        per_round = _per_round(inquiry)
        least, allowed = inquiry.settings["rounds"][0], requests.engine_rounds(inquiry)
        first = least_rounds(least, max(least, allowed), background=background)
        likely = math.ceil(rows * per_round * max(LEVELS[inquiry.settings["level"]].likely, first))
        most = math.ceil(rows * per_round * max(allowed, least))
    if inquiry.settings["sample"]:
        likely, most = likely + len(inquiry.rows), most + len(inquiry.rows)
    rate = _rate(endpoint)
    likely = min(likely, inquiry.budget)
    return Estimate(
        rows=rows,
        features=features,
        background=background,
        model_rows_likely=likely,
        model_rows_most=min(most, inquiry.budget),
        requests_likely=max(math.ceil(likely / LARGEST_BATCH), 1) + rows // 2 + 10,
        seconds_likely=None if rate is None else likely / rate,
        budget=inquiry.budget,
        algorithm=algorithm,
    )


def _per_round(inquiry: requests.Inquiry) -> float:
    """Model rows of one round for one row: 2 (d - 1) for each background row that differs in d features."""
    cells = [row["cells"] for row in inquiry.rows[:200]]
    book = Codebook(inquiry.columns, [*cells, *inquiry.background])
    rows, background = book.encode(cells), book.encode(inquiry.background)
    differing = np.array([(background != row).sum(axis=1) for row in rows])
    return float(2 * np.maximum(differing - 1, 0).sum() / len(rows))


def _rate(endpoint: Endpoint) -> float | None:
    probe = (
        ExplanationJob.objects.filter(endpoint=endpoint, plan__has_key="probe")
        .order_by("-id")
        .values_list("plan__probe", flat=True)
        .first()
    )
    rates = (probe or {}).get("rows_per_second") or {}
    return max(rates.values(), default=0.0) or None
