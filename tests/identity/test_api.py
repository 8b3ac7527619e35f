"""What every endpoint gets: authentication, the declared right, problem documents, the request id."""

from __future__ import annotations

import json

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from audit.queries import Filters, search
from governance.models.roles import Action
from tests import personas

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.identity.probes")]
MAKE = "/api/v1/probe/make"


def problem_of(response, status, code):
    assert response.status_code == status, response.content
    assert response["Content-Type"] == "application/problem+json"
    document = json.loads(response.content)
    assert document["status"] == status
    assert document["code"] == code
    assert document["type"] == f"urn:countersign:problem:{code}"
    assert document["title"]
    assert document["detail"].endswith((".", "!"))
    assert document["request_id"] == response["X-Request-ID"]
    return document


def endpoints(resolver=None, prefix="/"):
    """(path with sample arguments, view) of every route below /api/v1/ of the real URL configuration."""
    resolver = resolver or get_resolver("config.urls")
    for pattern in resolver.url_patterns:
        path = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from endpoints(pattern, path)
        elif isinstance(pattern, URLPattern) and path.startswith("/api/"):
            yield path, pattern.callback


def sample(path):
    for converter, value in {"int": "1", "uuid": "00000000-0000-0000-0000-000000000000"}.items():
        while f"<{converter}:" in path:
            before, _found, rest = path.partition(f"<{converter}:")
            path = before + value + rest.partition(">")[2]
    while "<" in path:
        before, _found, rest = path.partition("<")
        path = before + "x" + rest.partition(">")[2]
    return path


def test_every_endpoint_refuses_anonymous_callers():
    walked = list(endpoints())
    assert walked
    for path, view in walked:
        methods = [m for m in view.cls.http_method_names if hasattr(view.cls, m)] if hasattr(view, "cls") else ["get"]
        for method in {*methods, *getattr(view, "actions", {})} - {"options"}:
            response = getattr(Client(), method)(sample(path), content_type="application/json")
            if path == "/api/docs/":  # a page for people
                assert response["Location"] == "/login?next=/api/docs/"
                continue
            assert response.status_code == 401, (method, path, response.status_code)
            assert response["Content-Type"] == "application/problem+json"
            assert json.loads(response.content or b"{}").get("status", 401) == 401


def test_every_endpoint_declares_a_known_right_for_each_of_its_methods():
    for path, view in endpoints():
        if not path.startswith("/api/v1/"):
            continue
        declared = getattr(view.cls, "required_action", {})
        handled = {m.upper() for m in view.cls.http_method_names if hasattr(view.cls, m)} | {
            m.upper() for m in getattr(view, "actions", None) or {}
        }
        assert handled - {"OPTIONS", "HEAD"} <= set(declared), path
        assert set(declared.values()) <= {str(action) for action in Action}, path


def test_an_anonymous_call_is_told_how_to_authenticate():
    response = Client().get(MAKE)
    document = problem_of(response, 401, "not_authenticated")
    assert "Bearer" in document["detail"]
    assert response["WWW-Authenticate"] == 'Bearer realm="countersign"'


@pytest.mark.parametrize(
    ("header", "code"),
    [
        ("Bearer", "token.malformed"),
        ("Bearer ", "token.malformed"),
        ("Bearer csn_zzz", "token.malformed"),
        ("Bearer csn_12345678_" + "a" * 43, "token.unknown"),
        ("Bearer \x00", "token.malformed"),
        ("Bearer " + "x" * 9000, "token.malformed"),
        ("bearer café", "token.malformed"),
        ("Basic bGF5bGE6eA==", "token.scheme"),
        ("csn_12345678_" + "a" * 43, "token.scheme"),
    ],
)
def test_a_malformed_token_is_401_and_never_500(header, code):
    for headers in ({}, {"HTTP_IDEMPOTENCY_KEY": "k"}):
        problem_of(Client().post(MAKE, "{}", "application/json", HTTP_AUTHORIZATION=header, **headers), 401, code)


@pytest.mark.parametrize("body", [r'{"username": "\ud800"}', r'{"\udfff": 1}', r'[["\ud800"]]'])
def test_half_a_character_in_a_body_is_400_and_never_500(api_for, body):
    document = problem_of(api_for("ci").post(MAKE, body, "application/json"), 400, "input.not_json")
    assert "surrogate" in document["detail"]


def test_a_token_with_the_scope_is_let_in_and_one_without_is_told_what_it_needs(api_for):
    assert api_for("ci").get(MAKE).json() == {"name": "ci"}
    narrow = Client(headers={"Authorization": f"Bearer {personas.token_of('ci', scopes=('gate.check',))}"})
    document = problem_of(narrow.get(MAKE), 403, "access.registry.read")
    assert "a token with the scope registry.read" in document["detail"]


def test_a_browser_session_reads_and_needs_the_csrf_token_to_change(client_for):
    assert client_for("yusuf").get(MAKE).status_code == 200
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(personas.get("yusuf"))
    problem_of(strict.post(MAKE, {"username": "new"}, "application/json"), 403, "permission_denied")


@pytest.mark.parametrize("path", ["/api/v1/probe/undeclared", "/api/v1/probe/misspelt"])
def test_a_view_that_declares_no_known_right_is_closed_to_everybody(api_for, client_for, path):
    problem_of(api_for("ci").get(path), 403, "access.undeclared")
    problem_of(client_for("amir").get(path), 403, "access.undeclared")
    problem_of(Client().get(path), 401, "not_authenticated")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("delete", MAKE, "GET, POST, HEAD, OPTIONS"),
        ("get", "/api/v1/probe/behind", "POST, OPTIONS"),
        ("head", "/api/v1/probe/behind", "POST, OPTIONS"),
        ("put", "/api/v1/probe/behind", "POST, OPTIONS"),
        ("get", "/api/v1/gate/checks", "POST, OPTIONS"),
    ],
)
def test_a_method_that_an_endpoint_does_not_have_is_405_and_names_those_it_has(api_for, method, path, allowed):
    response = getattr(api_for("ci"), method)(path)
    assert (response.status_code, response["Allow"]) == (405, allowed)
    assert response["Content-Type"] == "application/problem+json"
    if method != "head":
        problem_of(response, 405, "method_not_allowed")
    assert getattr(Client(), method)(path).status_code == 401


def test_a_method_that_an_endpoint_has_and_does_not_declare_stays_closed(api_for):
    problem_of(api_for("ci").post("/api/v1/probe/half", "{}", "application/json"), 403, "access.undeclared")


@pytest.mark.parametrize(
    ("body", "place"),
    [("{", "line 1"), ("", "line 1"), ('{"username": NaN}', "NaN"), ("[" * 100_000, ""), (b"\xff\xfe", "")],
)
def test_a_body_that_is_not_json_is_told_where(api_for, body, place):
    response = api_for("ci").post(MAKE, body, "application/json")
    assert response.status_code == 400
    document = json.loads(response.content)
    assert document["code"] in {"input.not_json", "input.nesting"} or (body == "" and document["errors"])
    if document["code"] == "input.not_json":
        assert place in document["detail"]


def test_another_media_type_is_415(api_for):
    problem_of(api_for("ci").post(MAKE, "<xml/>", "application/xml"), 415, "unsupported_media_type")


def test_each_wrong_field_is_named_by_its_pointer(api_for):
    response = api_for("ci").post(MAKE, {"tags": [1, "x"]}, "application/json")
    errors = problem_of(response, 400, "input.invalid")["errors"]
    assert {error["pointer"] for error in errors} == {"#/username", "#/tags/1"}


def test_bad_input_of_a_concept_module_is_a_400_with_its_field(api_for):
    response = api_for("ci").post(MAKE, {"username": "Has Space"}, "application/json")
    assert problem_of(response, 400, "account.username")["errors"][0]["pointer"] == "#/username"


def test_refusals_keep_their_status_code_and_reasons(api_for):
    client = api_for("ci")
    refused = problem_of(client.get("/api/v1/probe/fail/refused"), 422, "gate.closed")
    assert refused["errors"] == [{"detail": "Compliance has not signed."}]
    problem_of(client.get("/api/v1/probe/fail/conflict"), 409, "signoff.state")
    problem_of(client.get("/api/v1/probe/fail/missing"), 404, "not_found")


def test_a_serialization_failure_asks_to_repeat(api_for):
    response = api_for("ci").get("/api/v1/probe/fail/serialization")
    problem_of(response, 503, "database.busy")
    assert response["Retry-After"] == "1"


def test_our_own_mistake_is_a_500_problem_that_tells_nothing_but_the_request_id(api_for):
    document = problem_of(api_for("ci").get("/api/v1/probe/fail/mistake"), 500, "server.error")
    assert "ours" not in document["detail"]


def test_an_unknown_path_below_api_is_a_problem_and_not_a_page():
    for path in ("/api/v1/nothing", "/api/", "/api/v9/models"):
        problem_of(Client().get(path), 404, "not_found")


def test_a_nul_in_the_address_is_a_problem_and_not_a_database_error(api_for):
    problem_of(api_for("ci").get("/api/v1/probe/everyone?limit=%00"), 400, "input.nul")


def test_a_page_is_cut_by_a_cursor_and_a_wrong_limit_is_named(api_for):
    personas.everyone()
    client = api_for("ci")
    first = client.get("/api/v1/probe/everyone?limit=4").json()
    second = client.get(first["next"]).json()
    assert len(first["results"]) == 4
    assert not set(first["results"]) & set(second["results"])
    for wrong in ("0", "201", "-1", "x", "1.5", "", "9" * 400):
        document = problem_of(client.get(f"/api/v1/probe/everyone?limit={wrong}"), 400, "input.invalid")
        assert document["errors"][0]["pointer"] == "#/limit"
    problem_of(client.get("/api/v1/probe/everyone?cursor=rubbish"), 404, "not_found")


def test_a_valid_request_id_is_echoed_and_reaches_the_log(api_for):
    response = api_for("ci").post(
        MAKE, {"username": "traced"}, "application/json", HTTP_X_REQUEST_ID="ci-run-4711.step-2"
    )
    assert response["X-Request-ID"] == "ci-run-4711.step-2"
    assert [row.event for row in search(Filters(request_id="ci-run-4711.step-2")).rows] == ["user.created"]


@pytest.mark.parametrize("sent", ["", "short", "has space in it", "x" * 200, 'quote"{}quote', "<script>alert</script>"])
def test_a_request_id_that_could_forge_a_log_line_is_replaced(sent):
    response = Client().get("/healthz", HTTP_X_REQUEST_ID=sent)
    assert response["X-Request-ID"] != sent
    assert len(response["X-Request-ID"]) == 36


def test_security_headers_are_on_every_answer():
    for path in ("/healthz", "/login", "/api/v1/nothing"):
        response = Client().get(path)
        assert response["X-Content-Type-Options"] == "nosniff"
        assert response["X-Frame-Options"] == "DENY"
        assert "default-src 'self'" in response["Content-Security-Policy"]
        assert "unsafe" not in response["Content-Security-Policy"]
        assert response["Permissions-Policy"]
        assert "no-store" in response["Cache-Control"]


def test_the_openapi_document_describes_tokens_problems_and_idempotency_keys(api_for):
    document = api_for("ci").get("/api/schema/?format=json").json()
    assert document["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
    post = document["paths"]["/api/v1/gate/checks"]["post"]
    assert "Idempotency-Key" in {parameter["name"] for parameter in post["parameters"]}
    assert post["responses"]["422"]["content"]["application/problem+json"]["schema"]["$ref"].endswith("/Problem")


def test_the_api_page_has_no_inline_script_and_no_other_host(client_for):
    page = client_for("sami").get("/api/docs/").content.decode()
    assert "<script>" not in page
    assert "<style" not in page
    assert "//" not in page.replace("<!DOCTYPE html>", "")
    script = client_for("sami").get("/api/docs/?script=")
    assert script["Content-Type"] == "application/javascript"
