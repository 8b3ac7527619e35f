"""Refusals as pages: the right status, every sentence, and nothing that was not meant for people."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from django.test import Client, override_settings

ClientFor = Callable[[str], Client]


@pytest.fixture(autouse=True)
def _addresses() -> Iterator[None]:
    with override_settings(ROOT_URLCONF="tests.interface.gallery.urls"):
        yield


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("kind", "status", "sentence"),
    [
        ("bad-input", 400, "The month is wrong."),
        ("not-permitted", 403, "You requested this promotion; someone else must sign."),
        ("not-known", 404, "There is no model «x»."),
        ("conflict", 409, "The promotion was withdrawn."),
        ("refused", 422, "Two gates have not passed."),
        ("denied", 403, "Your roles do not permit this page."),
        ("missing", 404, "There is no promotion 7."),
    ],
)
def test_a_refusal_is_a_page_with_its_status_and_sentence(
    client_for: ClientFor, kind: str, status: int, sentence: str
) -> None:
    response = client_for("layla").get(f"/refusals/{kind}")
    assert response.status_code == status
    assert sentence in response.content.decode()


@pytest.mark.django_db
def test_a_refusal_lists_every_reason_and_escapes_it(client_for: ClientFor) -> None:
    page = client_for("layla").get("/refusals/refused").content.decode()
    assert "&lt;b&gt;First&lt;/b&gt;." in page
    assert "Second." in page
    assert "gate.denied" in page


@pytest.mark.django_db
def test_bad_input_names_its_fields(client_for: ClientFor) -> None:
    page = client_for("layla").get("/refusals/bad-input").content.decode()
    assert "month" in page
    assert "13 is not a month." in page


@pytest.mark.django_db
def test_a_mistake_of_ours_tells_nothing_and_keeps_its_status(client_for: ClientFor) -> None:
    client = client_for("layla")
    client.raise_request_exception = False
    response = client.get("/refusals/mistake")
    assert response.status_code == 500
    page = response.content.decode()
    assert "a secret detail" not in page
    assert "Something went wrong here" in page
    assert response["X-Request-ID"] in page


@pytest.mark.django_db
def test_an_address_without_a_page_is_named_without_url_patterns(client_for: ClientFor) -> None:
    response = client_for("layla").get("/no/such/page")
    assert response.status_code == 404
    page = response.content.decode()
    assert "There is no page at this address." in page
    assert "no/such" not in page.partition("<main")[2]


@pytest.mark.django_db
def test_a_form_without_its_token_is_refused_with_a_remedy(client_for: ClientFor) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = client_for("layla").cookies
    response = strict.post("/theme", {"theme": "dark"})
    assert response.status_code == 403
    assert "reload the page" in response.content.decode()
