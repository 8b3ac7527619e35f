"""Sources: each tracking server, when it was read, what was left out; an import on demand."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client

from registry.models import SourceImport
from registry.sources import overview

pytestmark = pytest.mark.django_db
COUNTS = {"models": 1, "versions": 2, "unchanged": 0, "aliases": 1, "out_of_band": 0, "problems": 1}


@pytest.fixture(autouse=True)
def two_servers(settings: Any) -> None:
    login = {"token": "geheim", "username": "", "password": ""}
    settings.MLFLOW_TRACKING_URI = "http://ci:geheim@mlflow.example"
    settings.MLFLOW_SERVERS = [{"name": "risk", "uri": "https://risk.example", "prefix": "risk.", **login}]


def imported(server: str, **given: Any) -> SourceImport:
    now = datetime.now(UTC)
    told = {"address": "x", "began": now, "ended": now, "refusal": "", "counts": COUNTS, "problems": ["m/1: no run"]}
    return SourceImport.objects.create(server=server, **{**told, **given})


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ({}, "Not every server was imported yet."),
        ({"mlflow": {}, "risk": {}}, "Every server was read; 2 things were left out."),
        ({"mlflow": {}, "risk": {"refusal": "It did not answer."}}, "risk could not be read"),
        (
            {name: {"counts": {**COUNTS, "problems": 0}, "problems": []} for name in ("mlflow", "risk")},
            "Every server was read, and nothing was left out.",
        ),
    ],
)
def test_the_page_begins_with_its_conclusion(
    rows: dict[str, dict[str, Any]], sentence: str, client_for: Callable[[str], Client]
) -> None:
    for server, given in rows.items():
        imported(server, **given)
    page = client_for("noor").get("/sources").content.decode()
    assert sentence in page
    assert "geheim" not in page
    assert "Import now" not in page, "an auditor changes nothing"


def test_the_newest_import_counts(client_for: Callable[[str], Client], api_for: Callable[[str], Client]) -> None:
    imported("mlflow", refusal="It did not answer.")
    imported("mlflow", problems=["m/7: no run"])
    page = client_for("noor").get("/sources").content.decode()
    assert "m/7: no run" in page
    assert "It did not answer." not in page
    first, second = api_for("ci").get("/api/v1/sources").json()["results"]
    assert (first["name"], first["failed"], first["problems"]) == ("mlflow", False, ["m/7: no run"])
    assert (second["name"], second["ended"], second["counts"]) == ("risk", None, {})
    assert "geheim" not in str(first) + str(second)


def test_who_may_not_change_the_registry_may_not_import(client_for: Callable[[str], Client]) -> None:
    assert client_for("noor").post("/sources/import").status_code == 403


def test_an_order_that_no_broker_takes_is_said(client_for: Callable[[str], Client]) -> None:
    page = client_for("layla").post("/sources/import", follow=True).content.decode()
    assert "The broker cannot be reached" in page


def test_an_order_goes_to_a_worker(client_for: Callable[[str], Client], monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[str] = []  # a double: the tests have no broker; the journeys have one
    monkeypatch.setattr(overview.current_app, "send_task", lambda name, **_options: sent.append(name))
    page = client_for("layla").post("/sources/import", follow=True).content.decode()
    assert "A worker was told to import." in page
    assert sent == ["registry.tasks.import_from_mlflow"]


def test_no_server_is_a_sentence(client_for: Callable[[str], Client], settings: Any) -> None:
    settings.MLFLOW_TRACKING_URI, settings.MLFLOW_SERVERS = "", []
    page = client_for("layla").get("/sources").content.decode()
    assert "No tracking server is set" in page
    assert client_for("layla").post("/sources/import", follow=True).status_code == 200
