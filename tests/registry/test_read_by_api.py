"""Pipelines read the registry; a question that cannot be answered is a problem, never an empty answer."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client

from registry import deployments
from tests.registry.catalogue import BY, Catalogue

pytestmark = pytest.mark.django_db
Api = Callable[[str], Client]


def test_history_lists_what_ended_too(catalogue: Catalogue, api_for: Api) -> None:
    client = api_for("ci")
    deployments.record_deploy(catalogue.uae, catalogue.second, by=BY)
    rows = client.get("/api/v1/deployments/history").json()["results"]
    assert [row["version"] for row in rows] == [catalogue.second.subject, catalogue.first.subject]
    assert rows[1]["until"] is not None
    (now,) = client.get("/api/v1/environments/prod-uae/serving").json()["serving"]
    assert (now["version"], now["digest"]) == (catalogue.second.subject, catalogue.second.digest)


def test_versions_come_newest_first_page_by_page(catalogue: Catalogue, api_for: Api) -> None:
    client = api_for("ci")
    first = client.get("/api/v1/models/credit-scoring/versions", {"limit": 1}).json()
    assert [row["number"] for row in first["results"]] == [2]
    second = client.get(first["next"]).json()
    assert [row["number"] for row in second["results"]] == [1]
    assert second["next"] is None


def test_lineage_answers_the_edges_within_the_depth(catalogue: Catalogue, api_for: Api) -> None:
    question = {"focus": catalogue.second.subject, "direction": "upstream", "depth": "1"}
    found = api_for("ci").get("/api/v1/lineage", question).json()
    assert found["edges"] == [{"source": catalogue.run.subject, "target": catalogue.second.subject, "kind": "output"}]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("models/nobody", 404),
        ("models/credit-scoring/versions/99", 404),
        ("models/credit-scoring/versions/99999999999999999999", 400),
        ("datasets/nobody", 404),
        ("environments/nobody", 404),
        ("environments/prod-uae/serving?as_of=yesterday", 400),
        ("environments/prod-uae/serving?as_of=2026-11-22", 400),
        ("deployments/history?as_of=%00", 400),
        ("lineage", 400),
        ("lineage?focus=dataset:loans&depth=51", 400),
        ("lineage?focus=dataset:loans&depth=٣", 400),
        ("lineage?focus=dataset:loans&direction=out", 400),
        ("lineage?focus=version:credit-scoring/99", 404),
        ("lineage?focus=%00", 400),
        ("models?cursor=nonsense", 404),
        ("models?limit=0", 400),
    ],
)
def test_a_question_without_an_answer_is_a_problem(path: str, status: int, catalogue: Catalogue, api_for: Api) -> None:
    answer = api_for("ci").get(f"/api/v1/{path}")
    assert answer.status_code == status, answer.content
    assert answer["content-type"].startswith("application/problem+json")
    assert answer.json()["detail"]
