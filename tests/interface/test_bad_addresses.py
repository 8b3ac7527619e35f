"""A list that is asked for what does not exist says so instead of showing something else."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client

pytestmark = pytest.mark.django_db

LISTS = ("/promotions", "/models", "/datasets", "/environments", "/deployments", "/explanations", "/incidents")
LISTS += ("/reconciler", "/evidence")


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize("page", ["abc", "0", "-1", "2", "1.5", "last", "\u0661", "9" * 30, "1 ", "<b>"])
def test_a_page_that_does_not_exist_is_refused_with_a_sentence(
    client_for: Callable[[str], Client], path: str, page: str
) -> None:
    answer = client_for("noor").get(path, {"page": page})
    assert answer.status_code == 400
    assert "There is no page" in answer.content.decode()
    assert "<b>" not in answer.content.decode()


@pytest.mark.parametrize("path", LISTS)
def test_the_first_page_needs_no_number(client_for: Callable[[str], Client], path: str) -> None:
    client = client_for("noor")
    assert {client.get(path + query).status_code for query in ("", "?page=", "?page=1")} == {200}


def test_promotions_of_a_state_that_does_not_exist_are_refused(client_for: Callable[[str], Client]) -> None:
    client = client_for("noor")
    answer = client.get("/promotions?state=bogus")
    assert answer.status_code == 400
    assert "There is no state “bogus”" in answer.content.decode()
    assert {client.get(f"/promotions?state={state}").status_code for state in ("", "in_review", "deployed")} == {200}
