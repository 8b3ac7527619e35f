"""A pipeline registers models, data sets and environments; what cannot be understood is refused whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from registry import environments
from registry.models import Dataset, Environment, LineageEdge, Model, ModelVersion
from tests.registry.catalogue import Catalogue

pytestmark = pytest.mark.django_db
Api = Callable[[str], Client]

MODEL = {
    "name": "fraud",
    "title": "Card fraud",
    "owner": "payments",
    "purpose": "Flags payments.",
    "risk": "limited",
    "risk_reason": "It decides about no person alone.",
}
DATASET = {"name": "payments", "classification": "personal", "regions": ["azure:uaenorth"], "subjects": ["AE"]}
PLACE = {
    "slug": "prod-ksa",
    "name": "Production, Riyadh",
    "tier": "prod",
    "perimeter": "SA",
    "regions": ["azure:uaenorth"],
    "log_sinks": ["azure:uaenorth"],
    "backups": ["azure:uaenorth"],
    "support_access": [],
    "explanation_workers": [],
}


def post(client: Client, path: str, body: Any) -> Any:
    return client.post(f"/api/v1/{path}", body, content_type="application/json")


def without(body: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in body.items() if key != name}


@pytest.mark.parametrize(
    ("path", "body", "subject"),
    [("models", MODEL, "model:fraud"), ("datasets", DATASET, "dataset:payments"), ("environments", PLACE, None)],
)
def test_what_is_registered_is_answered_and_found_again(
    path: str, body: dict[str, Any], subject: str | None, api_for: Api
) -> None:
    client = api_for("ci")
    answer = post(client, path, body)
    assert answer.status_code == 201, answer.content
    assert answer.json()["subject"] == (subject or "environment:prod-ksa")
    again = client.get(f"/api/v1/{path}/{body.get('name') if path != 'environments' else body['slug']}")
    assert again.json() == answer.json()
    assert answer.json() in client.get(f"/api/v1/{path}").json()["results"]


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("models", {**MODEL, "risk": "harmless"}, "risk"),
        ("models", {**MODEL, "name": "not a name"}, "name"),
        ("models", {**MODEL, "name": "x" * 200}, "name"),
        ("models", without(MODEL, "risk_reason"), "risk_reason"),
        ("models", {**MODEL, "ownr": "typo"}, "ownr"),
        ("datasets", without(DATASET, "classification"), "classification"),
        ("datasets", {**DATASET, "classification": "public"}, "classification"),
        ("datasets", {**DATASET, "regions": ["azure:atlantis"]}, "regions"),
        ("datasets", {**DATASET, "regions": []}, "regions"),
        ("datasets", without(DATASET, "regions"), "regions"),
        ("datasets", {**DATASET, "subjects": ["Utopia"]}, "subjects"),
        ("datasets", {**DATASET, "digest": "nul\x00"}, "digest"),
        ("environments", {**PLACE, "regions": ["azure:uaenorht"]}, "regions"),
        ("environments", {**PLACE, "log_sinks": []}, "log_sinks"),
        ("environments", {**PLACE, "perimeter": "AE"}, "perimeter"),
        ("environments", without(PLACE, "backups"), "an empty list means none"),
        ("environments", without(PLACE, "support_access"), "an empty list means none"),
        ("environments", {**PLACE, "explanation_workers": None}, "an empty list means none"),
        ("environments", {**PLACE, "backups": ["country:SA"]}, "backups"),
        ("environments", {**PLACE, "support_access": ["KSA"]}, "support_access"),
        ("environments", {**PLACE, "support_access": ["gcp:me-central2"]}, "support_access"),
        ("environments", {**PLACE, "explanation_workers": ["me-central2"]}, "explanation_workers"),
        ("environments", without(PLACE, "tier"), "tier"),
    ],
)
def test_bad_input_names_its_field_and_writes_nothing(
    path: str, body: dict[str, Any], field: str, api_for: Api
) -> None:
    answer = post(api_for("ci"), path, body)
    assert answer.status_code == 400, answer.content
    assert answer["content-type"].startswith("application/problem+json")
    assert field in answer.content.decode()
    assert not Model.objects.exists()
    assert not Dataset.objects.exists()
    assert not Environment.objects.exists()


@pytest.mark.parametrize("body", ["{", "[]", '"text"', "null", "[1, 2]"])
@pytest.mark.parametrize("path", ["models", "datasets", "environments"])
def test_a_body_that_is_no_object_is_refused(path: str, body: str, api_for: Api) -> None:
    assert post(api_for("ci"), path, body).status_code == 400


@pytest.mark.parametrize(("path", "body"), [("models", MODEL), ("datasets", DATASET), ("environments", PLACE)])
def test_a_taken_name_is_a_conflict(path: str, body: dict[str, Any], api_for: Api) -> None:
    client = api_for("ci")
    assert post(client, path, body).status_code == 201
    assert post(client, path, body).status_code == 409


@pytest.mark.parametrize(("path", "body"), [("models", MODEL), ("datasets", DATASET), ("environments", PLACE)])
def test_an_auditor_reads_and_does_not_register(path: str, body: dict[str, Any], api_for: Api) -> None:
    auditor = api_for("noor")
    assert auditor.get(f"/api/v1/{path}").status_code == 200
    assert post(auditor, path, body).status_code == 403
    assert Client().get(f"/api/v1/{path}").status_code == 401


def test_a_version_by_its_run_inherits_the_runs_data(catalogue: Catalogue, api_for: Api) -> None:
    body = {"digest": catalogue.digest(9), "trained_by": ["yusuf"], "run_id": catalogue.run.run_id}
    answer = post(api_for("ci"), "models/credit-scoring/versions", body)
    assert answer.status_code == 201, answer.content
    found = api_for("ci").get("/api/v1/lineage", {"focus": answer.json()["subject"], "direction": "upstream"}).json()
    assert catalogue.loans.subject in found["nodes"]


def test_an_unknown_run_leaves_no_version_behind(catalogue: Catalogue, api_for: Api) -> None:
    before, edges = ModelVersion.objects.count(), LineageEdge.objects.count()
    body = {"digest": catalogue.digest(9), "trained_by": ["yusuf"], "run_id": "nobody"}
    answer = post(api_for("ci"), "models/credit-scoring/versions", body)
    assert answer.status_code == 400
    assert "run_id" in answer.content.decode()
    assert (ModelVersion.objects.count(), LineageEdge.objects.count()) == (before, edges)


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"digest": "sha256:" + "f" * 64, "number": 1}, 409),
        ({"digest": "sha256:" + "F" * 64}, 400),
        ({"digest": "md5:1"}, 400),
        ({"number": 0}, 400),
        ({"number": 2**40}, 400),
        ({"number": "one"}, 400),
        ({"trained_by": []}, 400),
        ({"trained_by": "yusuf"}, 400),
        ({"metrics": {"auc": "NaN"}}, 400),
        ({"metrics": {"auc": "high"}}, 400),
    ],
)
def test_a_version_that_cannot_be_is_refused(
    change: dict[str, Any], status: int, catalogue: Catalogue, api_for: Api
) -> None:
    before = ModelVersion.objects.count()
    body = {"digest": catalogue.digest(9), "trained_by": ["yusuf"], **change}
    answer = post(api_for("ci"), "models/credit-scoring/versions", body)
    assert answer.status_code == status, answer.content
    assert ModelVersion.objects.count() == before


ENDPOINT = {
    "name": "credit-uae",
    "environment": "prod-uae",
    "version": "version:credit-scoring/1",
    "url": "http://127.0.0.1:9/invocations",
    "output": {"kind": "probability", "of_class": "1"},
}


def test_an_endpoint_is_registered_changed_and_found_each_with_its_entry(
    catalogue: Catalogue, api_for: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, said, append = api_for("ci"), [], environments.log.append
    monkeypatch.setattr(
        environments.log, "append", lambda event, *a, **b: said.append(str(event)) or append(event, *a, **b)
    )
    answer = post(client, "endpoints", ENDPOINT)
    assert answer.status_code == 201, answer.content
    assert (answer.json()["identity"], answer.json()["protocol"]) == ("", "mlflow")
    change = {"identity": "http://localhost:9/which", "version": "version:credit-scoring/2"}
    for _again in range(2):
        changed = client.patch("/api/v1/endpoints/credit-uae", change, content_type="application/json").json()
    assert changed == {**answer.json(), **change}
    assert client.get("/api/v1/endpoints/credit-uae").json() == changed
    assert changed in client.get("/api/v1/endpoints").json()["results"]
    assert said == ["endpoint.registered", "endpoint.changed"], "the second change changed nothing"


@pytest.mark.parametrize(
    ("field", "value", "status"),
    [
        ("url", "http://169.254.169.254/latest", 400),
        ("url", "file:///etc/passwd", 400),
        ("url", "HTTP://127.0.0.1:9/invocations", 400),
        ("url", "http://127.0.0.1:9/two words", 400),
        ("url", "http://127.0.0.1:9/é", 400),
        ("url", "http://127.0.0.1:9/a\r\nx: y", 400),
        ("identity", "http://10.0.0.1/", 400),
        ("version", "version:credit-scoring/99", 404),
        ("version", "credit-scoring", 404),
        ("environment", "prod-mars", 404),
        ("output", {"kind": "horoscope"}, 400),
        ("protocol", "telepathy", 400),
        ("colour", "red", 400),
    ],
)
def test_an_endpoint_that_means_nothing_is_refused_whole(
    field: str, value: Any, status: int, catalogue: Catalogue, api_for: Api
) -> None:
    answer = post(api_for("ci"), "endpoints", {**ENDPOINT, field: value})
    assert answer.status_code == status, answer.content
    assert api_for("ci").get("/api/v1/endpoints/credit-uae").status_code == 404


def test_reading_does_not_let_anybody_move_an_endpoint(catalogue: Catalogue, client_for: Api) -> None:
    answer = client_for("noor").patch(
        "/api/v1/endpoints/any", {"url": "http://127.0.0.1:9/"}, content_type="application/json"
    )
    assert answer.status_code == 403
