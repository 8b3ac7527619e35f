"""Find: by name, number, digest and request id; for those who may read; at a fixed price."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection
from django.test import Client, override_settings
from django.test.utils import CaptureQueriesContext

from config.searching import search
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


@pytest.mark.parametrize("text", ["", "credit", "credit-scoring/2", "12", "loans", "abcdef123456", "nothing at all"])
def test_it_asks_at_most_one_query_for_each_kind(world: Any, text: str) -> None:
    user = personas.get("layla")
    with CaptureQueriesContext(
        connection,
    ) as asked:
        search(text, user)
    assert len(asked) <= 6


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
