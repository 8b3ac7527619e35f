"""Telling MLflow while its server fails: what was recorded stands, what waits is tried again, and all of it is seen."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from celery import current_app
from django.utils import timezone

from registry import deployments, versions
from registry.models import Deployment, MLflowWrite, ModelVersion
from registry.sources import mlflow_mirror, mlflow_outbox
from tests.registry import catalogue
from tests.registry.catalogue import BY, Catalogue
from tests.registry.tracking import Answer, standing_in

pytestmark = pytest.mark.django_db
ELSEWHERE = "http://mlflow.example"


class Stub:
    """What stands in for MLflow: ``fails`` answers a POST that it names, everything else goes well."""

    def __init__(self) -> None:
        self.fails: dict[str, Answer] = {}
        self.all: Answer | None = None
        self.posted: list[dict[str, Any]] = []
        self.headers: list[str] = []

    def get(self, path: str) -> Answer:
        if self.all:
            return self.all
        if "registered-models/get" in path:
            return 200, json.dumps({"registered_model": {"name": "m"}}).encode(), {}
        return 200, json.dumps({"model_version": {"source": ""}}).encode(), {}

    def post(self, _path: str, body: bytes) -> Answer:
        sent = json.loads(body)
        if sent["name"] in self.fails:
            return self.fails[sent["name"]]
        self.posted.append(sent)
        return 200, b"{}", {}


@pytest.fixture
def stub(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stub]:
    monkeypatch.setattr(current_app, "send_task", lambda *_, **__: None)
    stub = Stub()
    with standing_in(stub.get, lambda headers: stub.headers.append(headers["authorization"]), stub.post) as url:
        settings.MLFLOW_TRACKING_URI, settings.MLFLOW_WRITE_BACK = url, "mirror"
        settings.MLFLOW_TRACKING_TOKEN = "geheim"
        yield stub


@pytest.fixture
def owed(stub: Stub) -> list[MLflowWrite]:
    """The decisions of two models, one after the other."""
    whole = catalogue.build()
    for name in ("first", "second"):
        model = versions.register_model(name, title=name, owner="x", purpose="x", risk="high", risk_reason="x", by=BY)
        version = versions.register_version(
            model, digest=Catalogue.digest(50), trained_by=["yusuf"], tracking_server=ELSEWHERE, by=BY
        )
        deployments.record_deploy(whole.uae, version, "all_at_once", f"dec_{name}", by=BY)
    return list(MLflowWrite.objects.all())


def told() -> list[tuple[str, int]]:
    return [(each.state, each.attempts) for each in MLflowWrite.objects.all()]


def test_it_is_told_with_the_login_of_the_settings(stub: Stub, owed: list[MLflowWrite]) -> None:
    assert mlflow_mirror.send_waiting() == 2
    assert stub.posted == [
        {"name": name, "version": "1", "key": "countersign.decision", "value": f"dec_{name}"}
        for name in ("first", "second")
    ]
    assert set(stub.headers) == {"Bearer geheim"}


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (401, b"", "refused the login"),
        (403, b"", "refused the login"),
        (404, b"<html>not here", "answered HTTP 404"),
        (400, b'{"error_code": "UNKNOWN"}', "answered HTTP 400"),
        (400, b"[" * 100_000, "answered HTTP 400"),
        (302, b"", "answered HTTP 302"),
        (200, b"<html>", "does not speak MLflow"),
        (200, b"{}", "does not speak MLflow"),
        (0, b"{", "cannot be read"),
    ],
)
def test_a_server_that_cannot_be_told_is_asked_once_and_everything_waits(
    stub: Stub, owed: list[MLflowWrite], status: int, body: bytes, words: str
) -> None:
    stub.all = (status, body, {})
    assert mlflow_mirror.send_waiting() == 0
    states = told()
    assert [state for state, _attempts in states] == ["waiting", "waiting"]
    assert (words in MLflowWrite.objects.earliest("id").last_error, "geheim" in str(mlflow_outbox.mirrors())) == (
        True,
        False,
    )
    assert Deployment.objects.filter(decision_id__startswith="dec_").count() == 2, "what was recorded stands"
    assert mlflow_mirror.send_waiting() == 0
    assert told() == states, "not before its time"


def test_a_server_that_is_slow_is_not_waited_for(
    stub: Stub, owed: list[MLflowWrite], settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(_path: str, _body: bytes) -> Answer:
        time.sleep(1)
        return 200, b"{}", {}

    monkeypatch.setattr(mlflow_mirror, "READ", 0.2)
    monkeypatch.setattr(stub, "post", slow)
    with standing_in(stub.get, None, slow) as url:
        settings.MLFLOW_TRACKING_URI = url
        assert mlflow_mirror.send_waiting() == 0
    assert told() == [("waiting", 1), ("waiting", 0)], "one attempt, for the whole server"
    assert "did not answer in time" in MLflowWrite.objects.earliest("id").last_error


def test_what_the_server_cannot_do_for_one_model_does_not_keep_the_other_waiting(
    stub: Stub, owed: list[MLflowWrite]
) -> None:
    stub.fails = {"first": (500, b"", {})}
    assert mlflow_mirror.send_waiting() == 1
    assert told() == [("waiting", 1), ("finished", 1)]
    second = owed[1].version
    first: ModelVersion = owed[0].version
    newer = versions.register_version(
        first.model, digest=Catalogue.digest(51), trained_by=["yusuf"], tracking_server=ELSEWHERE, by=BY
    )
    uae = Deployment.objects.get(version=second).environment
    deployments.record_deploy(uae, newer, "all_at_once", "dec_newer", by=BY)
    stub.fails = {}
    assert mlflow_mirror.send_waiting() == 0, "nothing overtakes what is older of the same model"
    MLflowWrite.objects.filter(state="waiting").update(due=timezone.now())
    assert mlflow_mirror.send_waiting() == 2
    assert [each["value"] for each in stub.posted] == ["dec_second", "dec_first", "dec_newer"]


def test_the_wait_grows_and_ends_at_an_hour(stub: Stub, owed: list[MLflowWrite]) -> None:
    stub.all = (503, b"", {})
    waits = []
    for _attempt in range(10):
        MLflowWrite.objects.update(due=timezone.now())
        mlflow_mirror.send_waiting()
        waits.append(round((MLflowWrite.objects.earliest("id").due - timezone.now()) / timedelta(seconds=30)))
    assert waits == [1, 2, 4, 8, 16, 32, 64, 120, 120, 120]


@pytest.mark.parametrize("code", ["RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"])
def test_what_mlflow_refuses_in_its_own_words_is_not_tried_again(
    stub: Stub, owed: list[MLflowWrite], code: str
) -> None:
    answer = json.dumps({"error_code": code, "message": "Model Version (name=first, version=1) not found"})
    stub.fails = {"first": (404 if code.startswith("RES") else 400, answer.encode(), {})}
    assert mlflow_mirror.send_waiting() == 1
    assert told() == [("refused", 1), ("finished", 1)]
    assert "not found" in MLflowWrite.objects.earliest("id").last_error
    mirror = mlflow_outbox.mirrors()["mlflow"]
    assert (mirror.waiting, mirror.refused, "not found" in mirror.error) == (0, 1, True)


def test_a_newer_decision_replaces_one_that_waits(stub: Stub, owed: list[MLflowWrite]) -> None:
    first = Deployment.objects.get(decision_id="dec_first")
    deployments.end_deployment(first, by=BY)
    deployments.record_deploy(first.environment, first.version, "all_at_once", "dec_again", by=BY)
    assert mlflow_mirror.send_waiting() == 2
    assert [each["value"] for each in stub.posted] == ["dec_second", "dec_again"]
    assert told() == [("superseded", 0), ("finished", 1), ("finished", 1)]


def test_what_was_replaced_while_it_was_on_its_way_is_recorded_as_told(stub: Stub, owed: list[MLflowWrite]) -> None:
    row = owed[0]
    MLflowWrite.objects.filter(pk=row.pk).update(state="superseded", done=timezone.now())
    mlflow_outbox.end(row, mlflow_outbox.MirrorState.FINISHED, by=mlflow_mirror.MIRROR)
    assert told()[0] == ("superseded", 0)
    from audit import queries

    assert queries.history(row.version.subject)[0].event == "mlflow.mirrored"


def test_a_deployment_without_a_decision_is_not_told(stub: Stub, owed: list[MLflowWrite]) -> None:
    deployment = Deployment.objects.get(decision_id="dec_first")
    deployments.end_deployment(deployment, by=BY)
    MLflowWrite.objects.all().delete()
    deployments.record_deploy(deployment.environment, deployment.version, by=BY)
    assert told() == []
