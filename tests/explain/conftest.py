"""A registered version, its endpoint, and rows to explain."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from audit.actors import Actor
from explain import queueing
from explain.models import ExplanationJob

TRAINER = Actor.system("tests")
ROW = dict[str, Any]


def sample(count: int, seed: int = 5) -> list[ROW]:
    """Rows of the schema below: number, integer and text with missing values."""
    rng = np.random.default_rng(seed)
    return [
        {
            "income": round(float(rng.normal(50, 20)), 2),
            "age": int(rng.integers(18, 80)),
            "sector": str(rng.choice(["retail", "trade", "public"])),
        }
        for _ in range(count)
    ]


SCHEMA = {
    "inputs": [
        {"name": "income", "type": "double"},
        {"name": "age", "type": "long"},
        {"name": "sector", "type": "string"},
    ]
}


def register_endpoint(url: str, *, name: str = "scoring", digest: str = "a", schema: Any = SCHEMA) -> Any:
    """A version and the endpoint at ``url`` that serves it, through the registry's own functions."""
    from registry import environments, versions

    model = versions.register_model(
        name, title=name, owner="risk", purpose="Tests.", risk="high", risk_reason="Decides on people.", by=TRAINER
    )
    version = versions.register_version(
        model, digest="sha256:" + digest * 64, trained_by=["yusuf"], schema=schema, by=TRAINER
    )
    environment = environments.register_environment(
        f"env-{name}",
        name="Test",
        tier="staging",
        regions_served=["azure:uaenorth"],
        perimeter="AE-federal",
        log_sinks=["azure:uaenorth"],
        backups=[],
        support_access=[],
        explanation_workers=[],
        by=TRAINER,
    )
    return environments.register_endpoint(
        name,
        environment=environment,
        version=version,
        url=url,
        output={"kind": "probability", "of_class": "1"},
        by=TRAINER,
    )


def ask(endpoint: Any, *, count: int = 6, method: str = "shap", by: Actor = TRAINER, **changes: Any) -> ExplanationJob:
    """A queued job over ``count`` rows."""
    from explain import jobs

    given: dict[str, Any] = {
        "method": method,
        "rows": {f"r{i}": row for i, row in enumerate(sample(count))},
        "background": sample(30, seed=9),
        "seed": 7,
        "tol": "0.05",
        # with three features the rules would choose the exact one, which has nothing to resume and no error
        "algorithm": "pair_perm" if method == "shap" else "auto",
        **changes,
    }
    return jobs.request(endpoint.version, endpoint, by=by, **given)


#: The function that really speaks to a broker.
ENQUEUE = queueing.enqueue


@pytest.fixture(autouse=True)
def delivered(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Ids of the jobs that were announced to workers; no broker is needed, see ``test_broker.py`` for a real one."""
    sent: list[int] = []

    def enqueue(job_id: int, *, expires: float | None = None) -> bool:
        sent.append(job_id)
        return True

    monkeypatch.setattr(queueing, "enqueue", enqueue)
    return sent


Perform = Callable[[ExplanationJob], ExplanationJob]


@pytest.fixture
def perform() -> Perform:
    """Do a job in this process, as a worker would, and read it again."""
    from explain import queries, tasks

    def run(job: ExplanationJob) -> ExplanationJob:
        tasks.run_job(job.pk)
        return queries.find(job.pk)

    return run
