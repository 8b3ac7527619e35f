"""Health, readiness and metrics."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test import Client

from config import health

pytestmark = pytest.mark.django_db


def test_the_process_answers_without_asking_anybody(django_assert_num_queries):
    with django_assert_num_queries(0):
        assert Client().get("/healthz").json()["state"] == "passed"


def test_with_the_broker_down_the_server_is_degraded_and_still_ready(settings):
    settings.CELERY_BROKER_URL = "redis://127.0.0.1:1/0"
    response = Client().get("/readyz")
    document = response.json()
    assert document["checks"]["broker"]["state"] == "failed"
    assert "jobs wait" in document["checks"]["broker"]["sentence"]
    assert {name: check["state"] for name, check in document["checks"].items() if name != "broker"} == {
        "database": "passed",
        "migrations": "passed",
        "log": document["checks"]["log"]["state"],
        "witnesses": "passed",
    }
    assert (response.status_code, document["state"]) in {(200, "degraded"), (503, "unready")}
    assert (response.status_code == 200) == (document["checks"]["log"]["state"] == "passed")


def test_a_waiting_migration_makes_the_server_unready():
    with connection.cursor() as cursor:
        cursor.execute("SELECT has_table_privilege('django_migrations', 'SELECT')")
        assert cursor.fetchone() == (True,)
    assert health._migrations().word == "passed"


def test_the_server_cannot_say_that_a_migration_ran():
    with connection.cursor() as cursor:
        cursor.execute("SELECT has_table_privilege('django_migrations', 'INSERT, UPDATE, DELETE, TRUNCATE')")
        assert cursor.fetchone() == (False,)


def test_metrics_count_requests_by_route_and_name_no_person():
    client = Client()
    client.get("/healthz")
    client.get("/no/such/page/of/layla")
    text = client.get("/metrics").content.decode()
    assert 'countersign_http_requests_total{method="GET",status="200",view="healthz"}' in text
    assert 'view="unmatched"' in text
    assert "layla" not in text
    for gauge in ("countersign_database_up 1.0", "countersign_log_size", "countersign_log_pending"):
        assert gauge in text


def test_health_pages_accept_no_post():
    for path in ("/healthz", "/readyz", "/metrics"):
        assert Client().post(path).status_code == 405
