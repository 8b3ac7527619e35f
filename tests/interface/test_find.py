"""Find: by name, number, digest and request id; for those who may read; at a fixed price."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection
from django.test import Client, override_settings
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from config.searching import search
from registry import findings, incidents
from registry.models import Finding, Incident
from registry.reconciling.comparison import Comparison, Difference, Kind
from tests import personas

ClientFor = Callable[[str], Client]


@pytest.fixture(autouse=True)
def _addresses() -> Iterator[None]:
    with override_settings(ROOT_URLCONF="tests.interface.gallery.urls"):
        yield


@pytest.fixture
def world(db: None) -> Any:
    """One model with two versions, a data set and an environment, made by the functions that the pages call."""
    from tests.browser import world

    return world.registry()


@pytest.fixture
def troubles(world: Any) -> list[Incident]:
    """Two incidents, the second frozen, and two findings, the second accepted, beside the registry."""
    omar = personas.get("omar").actor
    made = [
        incidents.open_incident(title, root=root, since=datetime(2026, 1, 1, tzinfo=UTC), reason="Audit.", by=omar)
        for title, root in (("Poisoned training labels", "run:run-412"), ("Consent withdrawn", "dataset:loans-2026q3"))
    ]
    made[1] = incidents.freeze(made[1].reference, reason="Stop.", by=omar)
    _look(
        Difference(Kind.ALIAS_MOVED, "alias:credit-scoring/live", "approvals"),
        Difference(Kind.NEVER_DEPLOYED, "promotion:7", "approvals", version="version:fraud/3"),
    )
    findings.close(Finding.objects.get(concerns="promotion:7").pk, reason="Late.", by=omar)
    return made


def _look(*seen: Difference) -> None:
    comparison = Comparison(seen, (), False, (), frozenset(), frozenset())
    findings.settle(comparison, {row.key for row in Finding.objects.all()}, at=timezone.now(), by=personas.SET_UP)


def _titles(text: str, username: str = "layla") -> dict[str, list[str]]:
    groups = search(text, personas.get(username))
    return {str(group.label): [result.title for result in group.results] for group in groups}


def test_without_a_text_it_lists_the_pages(world: Any) -> None:
    found = _titles("")
    assert list(found) == ["Pages"]
    assert "Review queue" in found["Pages"]


def test_a_page_is_found_by_a_part_of_its_name(world: Any) -> None:
    assert _titles("lin")["Pages"] == ["Lineage"]


def test_names_are_found_by_a_part(world: Any) -> None:
    found = _titles("credit")
    assert found["Models"] == ["credit-scoring"]
    assert found["Versions"] == ["credit-scoring/2", "credit-scoring/1"]
    assert _titles("loans")["Data sets"] == ["loans-2026q3"]
    assert _titles("prod")["Environments"] == ["prod-uae"]


@pytest.mark.parametrize("text", ["credit-scoring/2", "credit-scoring v2", "credit 2", "credit-scoring/v2"])
def test_a_version_is_found_as_people_write_it(world: Any, text: str) -> None:
    assert _titles(text)["Versions"] == ["credit-scoring/2"]


def test_a_version_is_found_by_the_beginning_of_its_digest(world: Any) -> None:
    digest = world.versions[1].digest
    assert _titles(digest)["Versions"] == ["credit-scoring/2"]
    assert _titles(digest.removeprefix("sha256:")[:12].upper())["Versions"] == ["credit-scoring/2"]


@pytest.mark.parametrize("text", ["%", "_", "'; DROP TABLE registry_model; --", "\\", "((", "#99,999,999,999,999,999"])
def test_signs_with_a_meaning_elsewhere_are_only_text(world: Any, text: str) -> None:
    assert _titles(text) == {}


@pytest.mark.parametrize(
    ("text", "queries"),
    [
        ("", 0),  # the pages
        ("credit", 7),  # one for each kind
        ("loans", 7),
        ("INC-2026-0001", 8),  # it may be a request id too, so the log is asked
        ("nothing at all", 7),
        ("credit-scoring/2", 8),
        ("abcdef123456", 8),
        ("12", 8),
        ("finding:12", 8),
    ],
)
def test_it_asks_one_query_for_each_kind_whatever_is_found(troubles: Any, text: str, queries: int) -> None:
    user = personas.get("layla")
    with CaptureQueriesContext(
        connection,
    ) as asked:
        search(text, user)
    assert len(asked) == queries
    many = [Difference(Kind.ANSWERS_OTHERWISE, f"endpoint:credit-{n}", "approvals") for n in range(20)]
    _look(*many)
    with CaptureQueriesContext(
        connection,
    ) as asked:
        search(text, user)
    assert len(asked) == queries


@pytest.mark.parametrize(
    "text", ["{ref}", "incident:{ref}", "labels poisoned", "TRAINING", "run:run-412", "run-412", " {ref} "]
)
def test_an_incident_is_found_by_its_reference_its_words_and_its_root(troubles: list[Incident], text: str) -> None:
    text = text.format(ref=troubles[0].reference.lower())
    assert _titles(text)["Incidents"] == [f"{troubles[0].reference} Poisoned training labels"]


def test_an_incident_says_what_it_is_about_and_its_state(troubles: list[Incident]) -> None:
    (group,) = [each for each in search("consent", personas.get("noor")) if each.kind == "incidents"]
    (found,) = group.results
    assert (found.note, found.state) == ("dataset:loans-2026q3", "frozen")
    assert found.url == troubles[1].get_absolute_url()


@pytest.mark.parametrize(
    "text", ["{pk}", "#{pk}", "finding {pk}", "Finding:{pk}", "fraud/3", "promotion:7", "never dep"]
)
def test_a_finding_is_found_by_its_number_and_what_it_is_about(troubles: Any, text: str) -> None:
    accepted = Finding.objects.get(concerns="promotion:7")
    (group,) = [each for each in search(text.format(pk=accepted.pk), personas.get("noor")) if each.kind == "findings"]
    (found,) = group.results
    assert (found.title, found.note) == ("Approved, never deployed: promotion:7", f"Finding {accepted.pk}")
    assert (found.url, found.state) == (accepted.get_absolute_url(), "accepted_difference")


def test_a_person_without_a_role_finds_pages_only(world: Any) -> None:
    from governance import accounts

    stranger = accounts.create_user(
        username="stranger",
        display_name="Stranger",
        kind="person",
        roles=(),
        password=personas.PASSWORD,
        by=personas.SET_UP,
    )
    assert [str(group.label) for group in search("credit", stranger)] == []


def test_the_page_works_without_scripts(world: Any, client_for: ClientFor) -> None:
    page = client_for("layla").get("/find", {"q": "credit"}).content.decode()
    assert 'href="/models/credit-scoring"' in page
    assert "results for «credit»" in page


def test_the_palette_gets_a_fragment(world: Any, client_for: ClientFor) -> None:
    response = client_for("layla").get("/find", {"q": "credit"}, headers={"Accept": "application/json"})
    answer = response.json()
    assert answer["count"] == 3
    assert "<html" not in answer["html"]
    assert 'class="result" href="/models/credit-scoring"' in answer["html"]
    assert "Accept" in response["Vary"]


def test_a_text_never_becomes_markup(world: Any, client_for: ClientFor) -> None:
    page = client_for("layla").get("/find", {"q": "<script>alert(1)</script>"}).content.decode()
    assert "<script>alert" not in page


def test_a_text_that_is_too_long_is_refused(world: Any, client_for: ClientFor) -> None:
    assert client_for("layla").get("/find", {"q": "x" * 201}).status_code == 400


def test_nobody_finds_anything_without_signing_in(db: None) -> None:
    response = Client().get("/find", {"q": "credit"})
    assert response.status_code == 302
    assert "login" in response["Location"]
