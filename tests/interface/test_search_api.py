"""Programs find what people find with Ctrl K."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from django.conf import settings
from django.test import Client
from django.utils import timezone

from registry import findings, incidents
from registry.reconciling.comparison import Comparison, Difference, Kind
from tests.registry import catalogue as catalogues
from tests.registry.catalogue import BY, Catalogue

pytestmark = pytest.mark.django_db
Api = Callable[[str], Client]


@pytest.fixture
def catalogue() -> Catalogue:
    """One model with two versions; the second came from the run ``run-412``."""
    return catalogues.build()


def _found(client: Client, text: str) -> list[tuple[str, str]]:
    answer = client.get("/api/v1/search", {"q": text})
    assert answer.status_code == 200, answer.content
    return [(each["kind"], each["title"]) for each in answer.json()["results"]]


def test_a_name_finds_every_kind_and_says_where_it_is(catalogue: Catalogue, api_for: Api) -> None:
    client = api_for("ci")
    assert ("models", "credit-scoring") in _found(client, "credit")
    assert ("datasets", "loans") in _found(client, "loan")
    assert ("environments", "prod-uae") in _found(client, "prod")
    (model,) = [e for e in client.get("/api/v1/search", {"q": "credit"}).json()["results"] if e["kind"] == "models"]
    assert model["url"] == f"{settings.PUBLIC_URL}/models/credit-scoring"


def test_a_run_finds_the_versions_that_came_from_it(catalogue: Catalogue, api_for: Api) -> None:
    assert _found(api_for("ci"), "run-412") == [("versions", "credit-scoring/2")]
    assert _found(api_for("ci"), "run-41") == []


def test_the_beginning_of_a_digest_finds_its_version(catalogue: Catalogue, api_for: Api) -> None:
    assert _found(api_for("ci"), Catalogue.digest(1)) == [("versions", "credit-scoring/1")]


def test_incidents_and_findings_are_found_with_their_state(catalogue: Catalogue, api_for: Api) -> None:
    opened = incidents.open_incident(
        "Poisoned labels", root="dataset:loans", since=datetime(2026, 1, 1, tzinfo=UTC), reason="Audit.", by=BY
    )
    seen = (Difference(Kind.ALIAS_MOVED, "alias:credit-scoring/live", "approvals"),)
    findings.settle(Comparison(seen, (), False, (), frozenset(), frozenset()), set(), at=timezone.now(), by=BY)
    (found,) = api_for("ci").get("/api/v1/search", {"q": opened.reference}).json()["results"]
    assert found == {
        "kind": "incidents",
        "title": f"{opened.reference} Poisoned labels",
        "note": "dataset:loans",
        "state": "open",
        "url": f"{settings.PUBLIC_URL}/incidents/{opened.reference}",
    }
    assert ("incidents", found["title"]) in _found(api_for("ci"), "dataset:loans")
    title = "Alias moved by hand: alias:credit-scoring/live"
    assert _found(api_for("ci"), "scoring/live") == [("findings", title)]


@pytest.mark.parametrize(("text", "code"), [("", "find.empty"), ("   ", "find.empty"), ("x" * 201, "find.too_long")])
def test_a_text_that_says_nothing_or_too_much_is_refused(api_for: Api, text: str, code: str) -> None:
    answer = api_for("ci").get("/api/v1/search", {"q": text})
    assert (answer.status_code, answer.json()["code"]) == (400, code)


def test_pages_are_for_people_and_strangers_find_nothing(catalogue: Catalogue, api_for: Api) -> None:
    assert _found(api_for("ci"), "lineage") == []
    assert Client().get("/api/v1/search", {"q": "credit"}).status_code == 401
