"""The colour toggle and the language switch without JavaScript."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from django.test import Client, override_settings

from config import themes

ClientFor = Callable[[str], Client]


@pytest.fixture(autouse=True)
def _addresses() -> Iterator[None]:
    with override_settings(ROOT_URLCONF="tests.interface.gallery.urls"):
        yield


def test_the_toggle_goes_round_all_three() -> None:
    assert [themes.next_theme(theme) for theme in themes.THEMES] == ["light", "dark", "system"]


@pytest.mark.django_db
def test_the_chosen_theme_is_in_the_first_byte_of_the_next_page(client_for: ClientFor) -> None:
    client = client_for("layla")
    assert 'data-theme="system"' in client.get("/find").content.decode()
    response = client.post("/theme", {"theme": "dark", "next": "/find?q=loans"})
    assert response.status_code == 302
    assert response["Location"] == "/find?q=loans"
    assert 'data-theme="dark"' in client.get("/find").content.decode()


@pytest.mark.django_db
@pytest.mark.parametrize("target", ["https://elsewhere.example/", "//elsewhere.example", "javascript:alert(1)", ""])
def test_the_toggle_leads_nowhere_else(client_for: ClientFor, target: str) -> None:
    assert client_for("layla").post("/theme", {"theme": "dark", "next": target})["Location"] == "/"


@pytest.mark.django_db
def test_an_unknown_theme_is_refused(client_for: ClientFor) -> None:
    response = client_for("layla").post("/theme", {"theme": "sepia"})
    assert response.status_code == 400
    assert themes.COOKIE not in response.cookies


@pytest.mark.django_db
def test_a_forged_cookie_is_the_system_theme(client_for: ClientFor) -> None:
    client = client_for("layla")
    client.cookies[themes.COOKIE] = '"><script>'
    page = client.get("/find").content.decode()
    assert 'data-theme="system"' in page


@pytest.mark.django_db
def test_reading_a_page_cannot_change_the_theme(client_for: ClientFor) -> None:
    assert client_for("layla").get("/theme?theme=dark").status_code == 405


@pytest.mark.django_db
def test_arabic_turns_the_page_around(client_for: ClientFor) -> None:
    client = client_for("layla")
    assert '<html lang="en" dir="ltr"' in client.get("/find").content.decode()
    assert client.post("/language", {"language": "ar", "next": "/find"}).status_code == 302
    page = client.get("/find").content.decode()
    assert '<html lang="ar" dir="rtl"' in page
    assert "نظرة عامة" in page
