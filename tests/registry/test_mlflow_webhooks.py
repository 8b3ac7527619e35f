"""Webhooks of MLflow: only its own deliveries wake the import, and nothing that they say is believed."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from celery import current_app
from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler, get_internal_wsgi_application
from django.test import Client
from kombu.exceptions import OperationalError

from audit import queries as audit_queries
from audit.refusals import Refused
from registry import tasks
from registry.models import MLflowDelivery, ModelVersion
from registry.sources import mlflow, mlflow_webhooks
from tests.conftest import CommittedDatabase
from tests.registry.logging_to_mlflow import MODEL
from tests.registry.tracking import Tracking, running
from tests.stack import eventually

SECRET = "only for tests"
BODY = json.dumps({"entity": "model_version", "action": "created", "data": {"name": "never-heard-of", "version": "9"}})


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch, settings: Any) -> list[str]:
    """The tasks that the broker was given: a double, since what counts here is that there was one."""
    settings.MLFLOW_WEBHOOK_SECRET = SECRET
    tasks_sent: list[str] = []
    monkeypatch.setattr(current_app, "send_task", lambda name, **_: tasks_sent.append(name))
    return tasks_sent


def deliver(
    body: str = BODY, *, delivery: str = "d-1", at: float | None = None, secret: str = SECRET, **changed: str
) -> Any:
    """Post as MLflow does; ``changed`` replaces headers."""
    seconds = str(int(time.time() if at is None else at))
    signed = hmac.new(secret.encode(), f"{delivery}.{seconds}.{body}".encode(), hashlib.sha256).digest()
    headers = {
        "X-MLflow-Delivery-Id": delivery,
        "X-MLflow-Timestamp": seconds,
        "X-MLflow-Signature": f"v1,{base64.b64encode(signed).decode()}",
    }
    headers |= {f"X-MLflow-{name.replace('_', '-')}": value for name, value in changed.items()}
    return Client(enforce_csrf_checks=True).post("/webhooks/mlflow", body, "application/json", headers=headers)


@pytest.mark.django_db
def test_a_delivery_is_taken_in_once_and_wakes_one_import(sent: list[str]) -> None:
    assert (deliver().status_code, deliver().json()) == (202, {"delivery": "d-1", "known": True})
    assert deliver(delivery="d-2").json() == {"delivery": "d-2", "known": False}
    assert sent == [mlflow_webhooks.IMPORT], "the second one found the import awake"
    assert MLflowDelivery.objects.filter(taken=False).count() == 2


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("how", "code"),
    [
        ({"secret": "another"}, "webhook.signature"),
        ({"Signature": "v1,"}, "webhook.signature"),
        ({"Signature": "v1,é"}, "webhook.signature"),
        ({"Signature": "v2,AAAA"}, "webhook.unsigned"),
        ({"Signature": ""}, "webhook.unsigned"),
        ({"Delivery_Id": ""}, "webhook.unsigned"),
        ({"Delivery_Id": "d 1"}, "webhook.unsigned"),
        ({"Delivery_Id": "x" * 101}, "webhook.unsigned"),
        ({"Delivery_Id": "d-9"}, "webhook.signature"),
        ({"Timestamp": "soon"}, "webhook.unsigned"),
        ({"Timestamp": "-5"}, "webhook.unsigned"),
        ({"Timestamp": "9" * 40}, "webhook.unsigned"),
        ({"Timestamp": "1"}, "webhook.signature"),
        ({"at": 1_600_000_000}, "webhook.late"),
        ({"at": 4_000_000_000}, "webhook.late"),
    ],
    ids=str,
)
def test_what_is_not_surely_from_mlflow_changes_nothing(sent: list[str], how: dict[str, Any], code: str) -> None:
    answer = deliver(**how)
    assert (answer.status_code, answer.json()["code"]) == (401, code)
    assert answer.json()["detail"]
    assert not sent
    assert not MLflowDelivery.objects.exists()


@pytest.mark.django_db
def test_a_changed_body_is_not_mlflows(sent: list[str]) -> None:
    seconds = str(int(time.time()))
    signed = hmac.new(SECRET.encode(), f"d-1.{seconds}.{BODY}".encode(), hashlib.sha256).digest()
    signature = f"v1,{base64.b64encode(signed).decode()}"
    assert deliver(BODY, Timestamp=seconds, Signature=signature).status_code == 202
    assert deliver(BODY + " ", Timestamp=seconds, Signature=signature).json()["code"] == "webhook.signature"


@pytest.mark.django_db
def test_without_a_secret_nothing_is_accepted_and_the_answer_says_what_to_set(sent: list[str], settings: Any) -> None:
    settings.MLFLOW_WEBHOOK_SECRET = ""
    answer = deliver(secret="")
    assert (answer.status_code, answer.json()["code"]) == (404, "webhook.not_set_up")
    assert "MLFLOW_WEBHOOK_SECRET" in answer.json()["detail"]
    assert Client().get("/webhooks/mlflow").status_code == 405


@pytest.mark.django_db
def test_a_body_that_is_too_large_is_refused_unread(sent: list[str], settings: Any) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 50
    assert (deliver().status_code, deliver().json()["code"]) == (413, "input.too_large")
    assert not MLflowDelivery.objects.exists()


@pytest.mark.django_db
def test_a_broker_that_is_away_loses_no_delivery(
    sent: list[str], settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any, **__: Any) -> None:
        raise OperationalError("no broker")

    monkeypatch.setattr(current_app, "send_task", away)
    assert deliver().status_code == 202
    settings.MLFLOW_TRACKING_URI = "http://127.0.0.1:1"
    seen: list[int] = []
    monkeypatch.setattr(mlflow, "import_all", lambda **_: seen.append(1))
    tasks.import_from_mlflow()  # the poll
    assert seen == [1]
    assert not MLflowDelivery.objects.filter(taken=False).exists()


@pytest.mark.django_db
def test_what_comes_during_an_import_is_looked_after_at_once(
    sent: list[str], settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.MLFLOW_TRACKING_URI = "http://127.0.0.1:1"
    rounds: list[int] = []

    def importing(**_: Any) -> None:
        rounds.append(1)
        if len(rounds) == 1:
            deliver(delivery="meanwhile")

    monkeypatch.setattr(mlflow, "import_all", importing)
    tasks.import_from_mlflow()
    assert len(rounds) == 2


@pytest.mark.django_db
def test_an_import_that_fails_leaves_the_delivery_waiting(sent: list[str], settings: Any) -> None:
    settings.MLFLOW_TRACKING_URI = "http://127.0.0.1:1"
    deliver()
    with pytest.raises(Refused, match=re.escape("127.0.0.1:1")):
        tasks.import_from_mlflow()
    assert MLflowDelivery.objects.filter(taken=False).count() == 1


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the test looks at what was stored."""


@pytest.fixture
def site(committed_db: CommittedDatabase, settings: Any) -> Iterator[str]:
    """Our server, so that a real MLflow can reach it."""
    settings.MLFLOW_WEBHOOK_SECRET = SECRET
    server = ThreadedWSGIServer(("127.0.0.1", 0), _Quiet)
    server.set_app(get_internal_wsgi_application())
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join(10)


@pytest.fixture(scope="module")
def telling(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tracking]:
    """A real MLflow server that may send webhooks to the loopback interface."""
    allowed = {
        "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY": base64.urlsafe_b64encode(hashlib.sha256(b"tests").digest()).decode(),
        "MLFLOW_WEBHOOK_ALLOWED_SCHEMES": "http,https",
        "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS": "true",
    }
    with running(tmp_path_factory.mktemp("mlflow"), **allowed) as server:
        yield server


def test_a_real_mlflow_tells_and_the_import_reads_what_is_there(
    site: str, telling: Tracking, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(current_app, "send_task", lambda *_, **__: None)
    settings.MLFLOW_TRACKING_URI = telling.url
    events = [{"entity": "MODEL_VERSION", "action": "CREATED"}, {"entity": "MODEL_VERSION_ALIAS", "action": "CREATED"}]
    telling.call("POST", "webhooks", name="ours", url=f"{site}/webhooks/mlflow", events=events, secret=SECRET)
    telling.log_models()
    eventually(lambda: MLflowDelivery.objects.filter(taken=False).count() >= 2, seconds=60)
    tasks.import_from_mlflow()
    assert ModelVersion.objects.filter(model__name=MODEL).count() == 2
    assert not MLflowDelivery.objects.filter(taken=False).exists()
    told = audit_queries.search(audit_queries.Filters(event="version.registered")).rows
    assert {row.actor_id for row in told} == {"system:mlflow-import"}
