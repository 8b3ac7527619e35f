"""Protocol, options, limits and the credential of an endpoint: said, checked, changed with an entry, never a secret."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from audit import queries as log
from audit.refusals import BadInput
from registry import environments
from registry.models import Endpoint
from registry.serving import credentials
from tests.registry.catalogue import BY, Catalogue
from tests.registry.test_register_by_api import ENDPOINT, post

pytestmark = pytest.mark.django_db
Api = Callable[[str], Client]
MAPPING = {
    "request": {"rows": {"$each_row": {"age": {"$cell": "age"}}}},
    "response": "$.results[*].score:number",
}


def nested(levels: int) -> Any:
    return [nested(levels - 1)] if levels else 1


def newest() -> Any:
    return log.history("endpoint:credit-uae", limit=1)[0]


def change(client: Client, body: dict[str, Any]) -> Any:
    return client.patch("/api/v1/endpoints/credit-uae", body, content_type="application/json")


def test_everything_about_a_call_is_registered_changed_and_in_the_log(catalogue: Catalogue, api_for: Api) -> None:
    client = api_for("ci")
    called = {
        "protocol": "v2",
        "options": {"model": "credit", "output": "predict_proba", "content_type": "pd", "binary": False},
        "concurrency": 4,
        "rows_per_second": 5000,
        "timeout": 12,
    }
    answer = post(client, "endpoints", {**ENDPOINT, **called})
    assert answer.status_code == 201, answer.content
    assert {key: answer.json()[key] for key in called} == called
    changed = change(client, {"rows_per_second": None, "options": {"model": "credit", "nan": "NaN"}, "concurrency": 1})
    assert changed.status_code == 200, changed.content
    entry = newest()
    assert (entry.facts["before"]["rows_per_second"], entry.facts["after"]["rows_per_second"]) == (5000, None)
    assert entry.facts["options"] == {"model": "credit", "nan": "NaN"}
    assert change(client, {"concurrency": 1}).status_code == 200
    assert newest() == entry, "nothing differs, nothing is written"


def test_what_is_not_said_has_careful_defaults(catalogue: Catalogue, api_for: Api) -> None:
    made = post(api_for("ci"), "endpoints", ENDPOINT).json()
    assert (made["options"], made["concurrency"], made["rows_per_second"]) == ({}, 2, None)
    assert (made["timeout"], made["credential"]) == (30, "")


@pytest.mark.parametrize(
    ("body", "field", "sentence"),
    [
        ({"options": {"colour": "red"}}, "options", "has no option “colour”; it has answer_key"),
        ({"options": {"format": "xml"}}, "options", "Option “format” must be one of"),
        ({"options": {"params": "predict"}}, "options", "Option “params” must be an object"),
        ({"options": ["format"]}, "options", "an object of keys and values"),
        ({"options": {"largest_batch": True}}, "options", "a whole number from 1 to 20000"),
        ({"options": {"params": {"api_key": "s3cret"}}}, "options", "looks like a secret"),
        ({"options": {"params": {"api_keys": [["s3cret"]]}}}, "options", "looks like a secret"),
        ({"options": {"params": {"token": {"value": "s3cret"}}}}, "options", "looks like a secret"),
        ({"url": "http://127.0.0.1:5001/score?v=1&code=s3cret"}, "url", "“code” in the address looks like a secret"),
        ({"identity": "http://127.0.0.1:5001/?Api-Key=s3cret"}, "identity", "“Api-Key” in the address looks like"),
        ({"options": {"params": {"x": "y" * 9000}}}, "options", "at most 8000 bytes"),
        ({"options": {"params": {"x": "nul \x00"}}}, "options", "no NUL character"),
        ({"options": {"params": {"x": nested(40)}}}, "options", "nested too deeply"),
        ({"protocol": "v2", "options": {"datatype": "DOUBLE"}}, "options", "or an object of column and datatype"),
        ({"protocol": "v2", "options": {"binary": 1}}, "options", "one of true, false"),
        ({"protocol": "v1", "options": {"model": ""}}, "options", "text of 1 to 200 characters"),
        ({"protocol": "http_json"}, "options", "needs the option “request”"),
        ({"protocol": "http_json", "options": {**MAPPING, "response": "$.x"}}, "options", "does not say what is there"),
        ({"concurrency": 17}, "concurrency", "16"),
        ({"concurrency": 0}, "concurrency", "1"),
        ({"rows_per_second": 0}, "rows_per_second", "1"),
        ({"timeout": 601}, "timeout", "600"),
        ({"credential": "Bearer abc"}, "credential", "capital letters"),
        ({"credential": "NOT_THERE"}, "credential", "ENDPOINT_CREDENTIAL_NOT_THERE"),
    ],
)
def test_what_cannot_be_is_refused_with_its_field(
    body: dict[str, Any], field: str, sentence: str, catalogue: Catalogue, api_for: Api
) -> None:
    client = api_for("ci")
    answer = post(client, "endpoints", {**ENDPOINT, **body})
    assert answer.status_code == 400, answer.content
    (error,) = answer.json()["errors"]
    assert sentence in error["detail"]
    assert error["pointer"] == f"#/{field}"
    assert not Endpoint.objects.filter(name="credit-uae").exists()
    post(client, "endpoints", ENDPOINT)
    assert change(client, body).status_code == 400
    assert Endpoint.objects.get(name="credit-uae").options == {}


def test_a_column_that_is_called_like_a_secret_is_none(catalogue: Catalogue, api_for: Api) -> None:
    request = {"rows": {"$each_row": {"token_count": {"$cell": "age"}}}, "max_tokens": 5}
    body = {**ENDPOINT, "protocol": "http_json", "options": {**MAPPING, "request": request}}
    answer = post(api_for("ci"), "endpoints", body)
    assert answer.status_code == 201, answer.content
    signed = change(api_for("ci"), {"protocol": "v1", "options": {"extra": {"signature_name": "proba"}}})
    assert signed.status_code == 200, signed.content


def test_options_of_another_protocol_do_not_outlive_a_change_of_protocol(catalogue: Catalogue, api_for: Api) -> None:
    client = api_for("ci")
    post(client, "endpoints", {**ENDPOINT, "options": {"format": "records"}})
    answer = change(client, {"protocol": "seldon_v1"})
    assert answer.status_code == 400
    assert "has no option “format”" in json.dumps(answer.json(), ensure_ascii=False)
    assert change(client, {"protocol": "seldon_v1", "options": {}}).status_code == 200


def test_the_database_holds_the_limits_too(catalogue: Catalogue) -> None:
    from django.db import IntegrityError, transaction

    endpoint = register(catalogue)
    for wrong in ({"concurrency": 0}, {"timeout": 0}, {"credential": "bearer x"}, {"protocol": "telepathy"}):
        with pytest.raises(IntegrityError), transaction.atomic():
            Endpoint.objects.filter(pk=endpoint.pk).update(**wrong)


def register(catalogue: Catalogue, **changes: Any) -> Endpoint:
    return environments.register_endpoint(
        "credit-uae",
        environment=catalogue.uae,
        version=catalogue.first,
        url="http://127.0.0.1:9/invocations",
        output={"kind": "score"},
        by=BY,
        **changes,
    )


def test_a_mapping_is_held_against_the_inputs_of_the_model(catalogue: Catalogue) -> None:
    catalogue.first.schema = {"inputs": [{"name": "income", "type": "double"}]}
    with pytest.raises(BadInput, match="the model has no input “age”; it has income"):
        register(catalogue, protocol="http_json", options=MAPPING)


# ── credentials ──────────────────────────────────────────────────────────────────────────────────────────────────────
SECRET = "Bearer 8f1e-very-secret"


def test_a_credential_is_stored_by_name_and_its_value_nowhere(
    catalogue: Catalogue, api_for: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENDPOINT_CREDENTIAL_SCORING", SECRET)
    answer = post(api_for("ci"), "endpoints", {**ENDPOINT, "credential": "SCORING"})
    assert answer.status_code == 201, answer.content
    assert answer.json()["credential"] == "SCORING"
    assert credentials.headers("SCORING") == {"Authorization": SECRET}
    entry = newest()
    assert entry.facts["credential"] == "SCORING"
    assert "8f1e" not in json.dumps(entry.facts) + answer.content.decode()
    monkeypatch.delenv("ENDPOINT_CREDENTIAL_SCORING")
    with pytest.raises(BadInput, match="“SCORING” is not there: set ENDPOINT_CREDENTIAL_SCORING"):
        credentials.headers("SCORING")


def test_credentials_are_read_from_a_file_that_only_its_owner_may_read(tmp_path: Path, settings: Any) -> None:
    file = tmp_path / "credentials.json"
    file.write_text(json.dumps({"KEYED": {"x-api-key": "abc", "x-tenant": "t1"}, "PLAIN": "Basic eA=="}))
    settings.ENDPOINT_CREDENTIALS_FILE = str(file)
    file.chmod(0o640)
    with pytest.raises(BadInput, match="its mode must be 0600"):
        credentials.headers("KEYED")
    file.chmod(0o600)
    assert credentials.headers("KEYED") == {"x-api-key": "abc", "x-tenant": "t1"}
    assert credentials.headers("PLAIN") == {"Authorization": "Basic eA=="}
    with pytest.raises(BadInput, match="“OTHER” is not there"):
        credentials.headers("OTHER")
    file.write_text("not json")
    with pytest.raises(BadInput, match="is not JSON"):
        credentials.headers("KEYED")
    settings.ENDPOINT_CREDENTIALS_FILE = str(tmp_path / "none")
    with pytest.raises(BadInput, match="cannot be read: No such file"):
        credentials.headers("KEYED")


@pytest.mark.parametrize(
    "value",
    ['{"host": "evil"}', '{"x-key": 5}', "two\r\nlines: yes", '{"x y": "z"}', '{"x-key": ""}', "{half", '{"é": "z"}'],
)
def test_what_is_no_header_is_refused_without_its_value(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENDPOINT_CREDENTIAL_BAD", value)
    with pytest.raises(BadInput) as caught:
        credentials.headers("BAD")
    assert value not in str(caught.value)
