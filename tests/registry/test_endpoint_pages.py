"""An endpoint is registered and changed in the browser; what its page shows, and what it never shows."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from audit import queries as log
from registry.models import Endpoint
from tests.registry.catalogue import Catalogue

pytestmark = pytest.mark.django_db
Browser = Callable[[str], Client]
NEW = "/environments/prod-uae/endpoints/new"
FORM: dict[str, Any] = {
    "name": "credit-uae",
    "version": "version:credit-scoring/1",
    "url": "http://127.0.0.1:9/v2/models/credit/infer",
    "protocol": "v2",
    "options": '{"output": "predict_proba", "content_type": "pd"}',
    "output": "probability",
    "of_class": "1",
    "concurrency": "3",
    "rows_per_second": "",
    "timeout": "20",
}


def test_an_endpoint_is_registered_shown_and_changed(catalogue: Catalogue, client_for: Browser) -> None:
    client = client_for("yusuf")
    answer = client.post(NEW, FORM)
    assert (answer.status_code, answer["Location"]) == (302, "/environments/prod-uae#endpoints")
    endpoint = Endpoint.objects.get(name="credit-uae")
    assert endpoint.options == {"output": "predict_proba", "content_type": "pd"}
    assert (endpoint.concurrency, endpoint.rows_per_second, endpoint.timeout) == (3, None, 20)
    page = client.get("/environments/prod-uae").content.decode()
    for word in ("Open Inference Protocol V2", "content_type: &quot;pd&quot;", "3 requests at once", "20 seconds"):
        assert word in page
    change = "/environments/prod-uae/endpoints/credit-uae/change"
    assert change in page
    form = client.get(change).content.decode()
    assert "predict_proba" in form
    assert 'value="20"' in form
    answer = client.post(change, {**FORM, "version": "version:credit-scoring/2", "rows_per_second": "500"})
    assert answer.status_code == 302
    endpoint.refresh_from_db()
    assert (endpoint.version.number, endpoint.rows_per_second) == (2, 500)
    events = [entry.event for entry in log.history(endpoint.subject)]
    assert events == ["endpoint.changed", "endpoint.registered"]


def test_what_the_form_does_not_know_of_the_contract_stays(catalogue: Catalogue, client_for: Browser) -> None:
    client = client_for("yusuf")
    client.post(NEW, FORM)
    said = {"kind": "probability", "of_class": "1", "classes": ["0", "1"], "index": 1}
    api = client.patch("/api/v1/endpoints/credit-uae", json.dumps({"output": said}), content_type="application/json")
    assert api.status_code == 200, api.content
    change = "/environments/prod-uae/endpoints/credit-uae/change"
    client.post(change, {**FORM, "rows_per_second": "500"})
    assert Endpoint.objects.get().output == said
    # the place was the other class's: kept, it would explain that one under this one's name
    client.post(change, {**FORM, "of_class": "0"})
    assert Endpoint.objects.get().output == {"kind": "probability", "of_class": "0", "classes": ["0", "1"]}


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("options", '{"colour": 1}', "has no option “colour”"),
        ("options", "{half", "JSON"),
        ("options", "[1]", "an object of keys and values"),
        ("options", '{"parameters": {"x": NaN}}', "no NaN and no infinity"),
        ("options", '{"parameters": {"token": "abc"}}', "looks like a secret"),
        ("concurrency", "17", "16"),
        ("timeout", "0", "1"),
        ("credential", "not there", "capital letters"),
        ("credential", "NOT_THERE", "is not there: set ENDPOINT_CREDENTIAL_NOT_THERE"),
        ("url", "http://10.0.0.1/", "is not allowed"),
        ("version", "version:nothing/1", "nothing"),
        ("of_class", "", "of which class"),
        ("protocol", "telepathy", "telepathy"),
        ("name", "not a name", "is not a name"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_recorded(
    field: str, value: str, sentence: str, catalogue: Catalogue, client_for: Browser
) -> None:
    answer = client_for("yusuf").post(NEW, {**FORM, field: value})
    assert answer.status_code in (400, 404)
    assert sentence in answer.content.decode()
    assert not Endpoint.objects.exists()


def test_whoever_only_reads_is_told_so(catalogue: Catalogue, client_for: Browser) -> None:
    client_for("yusuf").post(NEW, FORM)
    reader = client_for("noor")
    assert reader.get(NEW).status_code == 403
    assert reader.post("/environments/prod-uae/endpoints/credit-uae/change", FORM).status_code == 403
    page = reader.get("/environments/prod-uae").content.decode()
    assert "credit-uae" in page
    assert "/endpoints/" not in page


def test_an_endpoint_is_found_in_its_own_environment_only(catalogue: Catalogue, client_for: Browser) -> None:
    client = client_for("yusuf")
    client.post(NEW, FORM)
    assert client.get("/environments/prod-mars/endpoints/credit-uae/change").status_code == 404
    assert client.get("/environments/prod-uae/endpoints/other/change").status_code == 404
    assert client.get("/environments/prod-mars/endpoints/new").status_code == 404
