"""A receipt that was stored long ago is run again, against the same model served anew, and agrees.

``tests/vectors/explanation-receipt.json`` holds two questions, what they found and their receipts, as they were on the
day that is written in it. To make another one, after a change that makes the results differ *on purpose*::

    COUNTERSIGN_WRITE_VECTOR=1 python -m pytest -n0 tests/explain/test_old_receipt.py
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from explain import jobs, queries, receipts
from explain.methods.quality import RowResult
from explain.models import ExplanationJob, Standing
from tests.explain import finishing, served
from tests.explain.conftest import TRAINER, Perform, ask, register_endpoint, sample

VECTORS = Path(__file__).resolve().parents[1] / "vectors"
VECTOR = VECTORS / "explanation-receipt.json"
QUESTIONS: dict[str, dict[str, Any]] = {
    "shap": {"method": "shap", "algorithm": "pair_perm", "level": "standard", "seed": 20261123, "count": 8},
    "lime": {"method": "lime", "algorithm": "lime", "level": "standard", "seed": 20261123, "count": 2},
}
pytestmark = pytest.mark.usefixtures("committed_db")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served.from_code(VECTORS / "arithmetic_model.py", tmp_path_factory.mktemp("arithmetic")) as url:
        yield url


def stored(method: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(VECTOR.read_text())[method]
    return found


def results_of(kept: dict[str, Any]) -> list[RowResult]:
    return [RowResult(**{**row, "phi": tuple(row["phi"]), "se": tuple(row["se"])}) for row in kept["results"]]


def written(job: ExplanationJob) -> dict[str, Any]:
    """What the file keeps of a job."""
    question = QUESTIONS[job.method]
    return {
        "made": timezone.now().date().isoformat(),
        "question": {
            **{name: value for name, value in question.items() if name != "count"},
            "rows": {f"r{i}": row for i, row in enumerate(sample(question["count"]))},
            "background": sample(60, seed=9),
        },
        "plan": job.plan,
        "receipt": job.receipt,
        "results": [asdict(receipts.result_of(row)) for row in queries.results(job)],
    }


if "COUNTERSIGN_WRITE_VECTOR" in os.environ:

    def test_write_the_vector(url: str, perform: Perform) -> None:
        endpoint = register_endpoint(url)
        made = {
            name: written(perform(ask(endpoint, tol=None, background=sample(60, seed=9), **question)))
            for name, question in QUESTIONS.items()
        }
        VECTOR.write_text(json.dumps(made, indent=1) + "\n")


@pytest.mark.parametrize("method", QUESTIONS)
def test_a_stored_receipt_is_run_again_and_agrees(method: str, url: str, perform: Perform) -> None:
    kept = stored(method)
    endpoint = register_endpoint(url)
    asked = jobs.request(endpoint.version, endpoint, **kept["question"], by=TRAINER)
    old = finishing.finish(asked, rows=results_of(kept), plan=kept["plan"])
    assert old.receipt["digests"]["results"] == kept["receipt"]["digests"]["results"], "digests are made as they were"
    assert {name: old.digests[name] for name in ("columns", "config")} == {
        name: kept["receipt"]["digests"][name] for name in ("columns", "config")
    }, "the question is read as it was"
    again = perform(jobs.rerun(old, by=TRAINER))
    assert (again.state, again.error) == ("finished", "")
    agreement = again.receipt["agreement"]
    assert agreement["holds"], agreement
    then = kept["receipt"]["libraries"]
    if {name: again.receipt["libraries"][name] for name in then} == then:
        assert agreement["identical"], agreement
        assert again.receipt["digests"]["results"] == kept["receipt"]["digests"]["results"]
    assert again.standing == kept_standing(kept)
    assert receipts.problems(again) == []


def kept_standing(kept: dict[str, Any]) -> str:
    return Standing.DRAFT if kept["receipt"]["faults"] else Standing.EVIDENCE


def test_a_receipt_of_another_model_does_not_agree(url: str, perform: Perform) -> None:
    kept = stored("shap")
    rows = results_of(kept)
    wrong = [RowResult(**{**asdict(row), "phi": tuple(value * 1.5 for value in row.phi)}) for row in rows]
    endpoint = register_endpoint(url)
    old = finishing.finish(
        jobs.request(endpoint.version, endpoint, **kept["question"], by=TRAINER), rows=wrong, plan=kept["plan"]
    )
    agreement = perform(jobs.rerun(old, by=TRAINER)).receipt["agreement"]
    assert not agreement["holds"]
    assert agreement["agree"] < agreement["rows"]
