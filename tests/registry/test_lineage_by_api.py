"""Closures and ways over the API: data sets, runs, versions, deployments and explanations in one answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from explain import jobs
from registry.lineage import whole
from registry.models import Deployment
from tests.explain.conftest import sample
from tests.explain.servers import serving
from tests.registry.catalogue import BY, Catalogue

Api = Callable[[str], Client]


def closure(api: Client, focus: str, direction: str = "downstream", status: int = 200) -> Any:
    answer = api.get("/api/v1/lineage/closure", {"focus": focus, "direction": direction})
    assert answer.status_code == status, answer.content
    return answer.json()


def deployment_of(catalogue: Catalogue) -> str:
    return Deployment.objects.get(version=catalogue.first).subject


def test_the_closure_of_a_data_set_goes_on_to_what_served(catalogue: Catalogue, api_for: Api) -> None:
    found = closure(api_for("ci"), "dataset:loans")
    wanted = [deployment_of(catalogue), "run:run-412", "version:credit-scoring/1", "version:credit-scoring/2"]
    assert (found["nodes"], found["count"]) == (wanted, 4)


def test_the_closure_of_a_deployment_goes_back_to_the_data(catalogue: Catalogue, api_for: Api) -> None:
    served = deployment_of(catalogue)
    assert closure(api_for("ci"), served, "upstream")["nodes"] == ["dataset:loans", "version:credit-scoring/1"]
    assert closure(api_for("ci"), served)["nodes"] == []


def test_an_explanation_hangs_on_the_version_that_it_explains(db: None, api_for: Api) -> None:
    from tests.browser import world

    with serving() as (address, _server):
        made = world.registry(address)
        job = jobs.request(
            made.versions[0],
            made.endpoint,
            method="shap",
            rows={f"a-{number}": row for number, row in enumerate(sample(2))},
            background=sample(30, seed=9),
            seed=7,
            by=BY,
        )
    assert job.subject in closure(api_for("ci"), "dataset:loans-2026q3")["nodes"]
    assert closure(api_for("ci"), job.subject, "upstream")["nodes"] == [
        "dataset:loans-2026q3",
        "version:credit-scoring/1",
    ]
    found = api_for("ci").get("/api/v1/lineage/paths", {"source": "dataset:loans-2026q3", "target": job.subject}).json()
    assert found["paths"] == [["dataset:loans-2026q3", "version:credit-scoring/1", job.subject]]


def test_the_ways_between_two_subjects_are_told_with_every_edge(catalogue: Catalogue, api_for: Api) -> None:
    asked = {"source": "dataset:loans", "target": "version:credit-scoring/2"}
    found = api_for("ci").get("/api/v1/lineage/paths", asked).json()
    assert found["distance"] == 2
    assert found["paths"] == [["dataset:loans", "run:run-412", "version:credit-scoring/2"]]
    assert [(edge["source"], edge["target"], edge["kind"]) for edge in found["edges"]] == [
        ("dataset:loans", "run:run-412", "input"),
        ("run:run-412", "version:credit-scoring/2", "output"),
    ]
    asked = {"source": "dataset:loans", "target": deployment_of(catalogue)}
    found = api_for("ci").get("/api/v1/lineage/paths", asked).json()
    assert found["paths"] == [["dataset:loans", "version:credit-scoring/1", deployment_of(catalogue)]]


def test_two_subjects_without_a_way_are_told_so_and_not_refused(catalogue: Catalogue, api_for: Api) -> None:
    for source, target in (
        ("version:credit-scoring/2", "dataset:loans"),
        ("version:credit-scoring/2", deployment_of(catalogue)),
        (deployment_of(catalogue), "dataset:loans"),
    ):
        found = api_for("ci").get("/api/v1/lineage/paths", {"source": source, "target": target}).json()
        assert (found["distance"], found["paths"], found["edges"]) == (None, [], [])


@pytest.mark.parametrize(
    ("path", "query", "status"),
    [
        ("closure", {}, 400),
        ("closure", {"focus": "dataset:loans"}, 400),
        ("closure", {"focus": "dataset:loans", "direction": "both"}, 400),
        ("closure", {"focus": "dataset:\0", "direction": "upstream"}, 400),
        ("closure", {"focus": "dataset:" + "x" * 300, "direction": "upstream"}, 400),
        ("closure", {"focus": "dataset:none", "direction": "downstream"}, 404),
        ("closure", {"focus": "deployment:999999", "direction": "upstream"}, 404),
        ("closure", {"focus": "deployment:" + "9" * 40, "direction": "upstream"}, 404),
        ("paths", {"source": "dataset:loans"}, 400),
        ("paths", {"source": "dataset:loans", "target": "dataset:none"}, 404),
        ("paths", {"source": "dataset:loans", "target": "version:credit-scoring/2", "limit": "0"}, 400),
        ("paths", {"source": "dataset:loans", "target": "version:credit-scoring/2", "limit": "9999"}, 400),
    ],
)
def test_a_question_that_means_nothing_is_a_problem_and_never_500(
    catalogue: Catalogue, api_for: Api, path: str, query: dict[str, str], status: int
) -> None:
    answer = api_for("ci").get(f"/api/v1/lineage/{path}", query)
    assert answer.status_code == status, answer.content
    assert answer["Content-Type"] == "application/problem+json"


def test_a_closure_takes_one_query_for_the_lineage_and_one_for_each_kind_that_hangs_on_it(
    catalogue: Catalogue,
) -> None:
    with CaptureQueriesContext(connection) as queries:
        whole.closure("dataset:loans", "downstream")
    assert len(queries) == 3
