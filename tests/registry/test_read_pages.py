"""Every page of the registry says its conclusion, its empty state, or what was wrong with the question."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client

from audit.refusals import Conflict
from registry import datasets, deployments
from registry.lineage import edges
from registry.models import Deployment
from tests.registry.catalogue import BY, Catalogue

pytestmark = pytest.mark.django_db
Browser = Callable[[str], Client]


def page(client: Client, path: str, status: int = 200) -> str:
    answer = client.get(path)
    assert answer.status_code == status, answer.content[:1000]
    return answer.content.decode()


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("/models", "No models yet"),
        ("/datasets", "No data sets yet"),
        ("/environments", "No environments yet"),
        ("/deployments", "No deployments"),
        ("/lineage", "No lineage yet"),
    ],
)
def test_an_empty_page_says_what_will_be_here(path: str, sentence: str, client_for: Browser) -> None:
    assert sentence in page(client_for("noor"), path)


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("/models/credit-scoring", "One version serves now."),
        ("/models/credit-scoring/1", "credit-scoring/1 serves in prod-uae."),
        ("/models/credit-scoring/2", "credit-scoring/2 has never served anywhere."),
        ("/datasets/loans", "2 model versions learned from it; what it taught serves in prod-uae."),
        ("/environments/prod-uae", "credit-scoring/1 serves 100 % of the traffic."),
        ("/deployments", "1 deployment is recorded, newest first."),
    ],
)
def test_a_page_begins_with_its_conclusion(path: str, sentence: str, catalogue: Catalogue, client_for: Browser) -> None:
    assert sentence in page(client_for("omar"), path)


@pytest.mark.parametrize("given", ["yesterday", "2026-13-45T00:00:00Z", "2026-11-22", "9" * 400, "٢٠٢٦"])
@pytest.mark.parametrize("path", ["/deployments", "/environments/prod-uae"])
def test_a_malformed_moment_is_said_in_a_sentence(
    path: str, given: str, catalogue: Catalogue, client_for: Browser
) -> None:
    assert "is not a moment. Write date, time and zone" in page(client_for("noor"), f"{path}?as_of={given}", 400)


@pytest.mark.parametrize(
    ("question", "sentence"),
    [
        ("focus=version:credit-scoring/99", "is in the lineage"),
        ("focus=%00", "NUL"),
        ("focus=" + "x" * 3000, "is in the lineage"),
        ("focus=environment:prod-uae", "An environment has no lineage of its own"),
        ("focus=dataset:loans&depth=0", "The depth is a whole number from 1 to 10."),
        ("focus=dataset:loans&depth=two", "The depth is a whole number from 1 to 10."),
        ("focus=dataset:loans&direction=sideways", "The direction is both, upstream or downstream."),
    ],
)
def test_a_question_about_lineage_that_has_no_answer_says_why(
    question: str, sentence: str, catalogue: Catalogue, client_for: Browser
) -> None:
    assert sentence in page(client_for("noor"), f"/lineage?{question}", 400)


def test_the_lineage_page_draws_every_node_as_a_link_and_lists_the_same_edges(
    catalogue: Catalogue, client_for: Browser
) -> None:
    shown = page(client_for("noor"), "/lineage?focus=version:credit-scoring/2&depth=4")
    for subject in ("dataset%3Aloans", "run%3Arun-412", "version%3Acredit-scoring%2F2"):
        assert f'href="/lineage?focus={subject}&depth=2"' in shown
    assert shown.count('class="lineage-edge"') == 2
    assert "was read by" in shown
    assert '<option value="4" selected>' in shown


def test_what_is_unknown_of_a_data_set_is_loud(catalogue: Catalogue, client_for: Browser) -> None:
    dark = datasets.register_dataset("dark", classification="unknown", subjects=[], regions_held=[], by=BY)
    edges.record_edge(dark, catalogue.run, by=BY)
    client = client_for("dana")
    for path in ("/datasets", "/datasets/dark", "/models/credit-scoring/2"):
        assert page(client, path).count("tone-critical") >= 2
    assert "kind-unknown" in page(client, "/lineage?focus=dataset:dark")


def test_a_version_without_lineage_says_that_gates_deny_it(client_for: Browser, catalogue: Catalogue) -> None:
    from registry import versions

    versions.register_version(catalogue.first.model, digest=Catalogue.digest(3), trained_by=["yusuf"], by=BY)
    assert "No data set is recorded for this version" in page(client_for("dana"), "/models/credit-scoring/3")


@pytest.mark.parametrize("path", ["/models", "/datasets", "/environments", "/deployments"])
@pytest.mark.parametrize("number", ["0", "99", "x", "-1"])
def test_a_page_number_that_is_none_is_refused(
    path: str, number: str, catalogue: Catalogue, client_for: Browser
) -> None:
    assert client_for("noor").get(f"{path}?page={number}").status_code == 400


@pytest.mark.parametrize(
    "path",
    [
        "/models/" + "x" * 300,
        "/models/credit-scoring/99999999999999999999",
        "/models/credit-scoring/0",
        "/datasets/%00",
        "/environments/%00",
    ],
)
def test_an_address_of_nothing_is_not_found(path: str, catalogue: Catalogue, client_for: Browser) -> None:
    assert client_for("noor").get(path).status_code in (400, 404)


def test_a_person_without_a_session_is_sent_to_sign_in(catalogue: Catalogue) -> None:
    answer = Client().get("/models")
    assert answer.status_code == 302
    assert "/login" in answer["location"]


def test_a_rollback_to_what_never_served_is_refused(catalogue: Catalogue) -> None:
    with pytest.raises(Conflict, match="never served"):
        deployments.record_rollback(catalogue.uae, catalogue.second, reason="Errors.", by=BY)
    assert Deployment.objects.count() == 1


def test_a_rollback_is_shown_with_what_it_undoes(catalogue: Catalogue, client_for: Browser) -> None:
    deployments.record_deploy(catalogue.uae, catalogue.second, by=BY)
    deployments.record_rollback(catalogue.uae, catalogue.first, reason="Errors doubled.", incident="INC-7", by=BY)
    shown = page(client_for("sami"), "/deployments")
    assert "undoes credit-scoring/2" in shown
    assert "Errors doubled." in shown
    assert "INC-7" in shown


def test_the_page_of_a_run_tells_what_it_read_and_made_and_leads_on(
    catalogue: Catalogue, client_for: Browser, api_for: Browser
) -> None:
    run = catalogue.run
    text = page(client_for("noor"), f"/runs/{run.run_id}")
    assert "It read 1 data set. It made credit-scoring/2." in text
    for address in ("/datasets/loans", "/models/credit-scoring/2", f"/blast-radius?subject=run%3A{run.run_id}"):
        assert address in text
    assert f"/runs/{run.run_id}" in page(client_for("noor"), "/models/credit-scoring/2")
    told = api_for("ci").get(f"/api/v1/runs/{run.run_id}").json()
    assert (told["subject"], told["inputs"], told["outputs"]) == (
        run.subject,
        ["dataset:loans"],
        ["version:credit-scoring/2"],
    )
    assert told["contributors"] == run.contributors


def test_a_run_without_data_is_loud_and_one_that_is_not_there_is_said(
    catalogue: Catalogue, client_for: Browser
) -> None:
    edges.register_run("lonely", tracking_server="http://mlflow.example", contributors=["yusuf"], by=BY)
    assert "It names no data set that it read" in page(client_for("noor"), "/runs/lonely")
    assert "There is no run “nothing”" in page(client_for("noor"), "/runs/nothing", 404)
