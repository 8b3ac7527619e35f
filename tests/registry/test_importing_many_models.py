"""Many models on a real ``mlflow server``: complete, the same after the server was away, and cheap to ask again.

The suite makes 6 models; ``python3 manage.py bench mlflow_import`` does the same with 200 models and 2,000 versions.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from audit.actors import Actor
from audit.refusals import Refused
from registry.models import Alias, LineageEdge, ModelVersion, SourceImport
from registry.sources import mlflow
from tests.conftest import CommittedDatabase, use_database
from tests.registry.compared import differences, state
from tests.registry.many_models import name_of
from tests.registry.tracking import ENVIRONMENT, ROOT, Answer, Tracking, forwarded, running, standing_in

BY = Actor.system("mlflow-import")
MODELS, VERSIONS = 6, 18


@pytest.fixture(scope="module")
def tracking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tracking]:
    """A server with many models in it."""
    with running(tmp_path_factory.mktemp("many")) as server:
        subprocess.run(
            [sys.executable, "-m", "tests.registry.many_models", str(MODELS), str(VERSIONS)],
            env={**os.environ, **ENVIRONMENT, "MLFLOW_TRACKING_URI": server.url},
            cwd=ROOT,
            check=True,
            capture_output=True,
            timeout=300,
        )
        yield server


def test_everything_arrives_as_mlflow_says_it(
    committed_db: CommittedDatabase, tracking: Tracking, settings: Any
) -> None:
    settings.MLFLOW_TRACKING_URI = tracking.url
    summary = mlflow.import_all(by=BY)
    assert (summary.models, summary.versions, summary.aliases, summary.problems) == (MODELS, VERSIONS, MODELS, [])
    assert differences(tracking, 50) == []
    assert LineageEdge.objects.filter(kind="input").count() == 2 * VERSIONS
    assert {each.version.number for each in Alias.objects.select_related("version")} == {VERSIONS // MODELS}


def test_a_server_that_dies_in_the_middle_ends_in_the_same_state(
    committed_db: CommittedDatabase, template_database: str, tracking: Tracking, settings: Any
) -> None:
    asked: list[str] = []

    def until_it_died(path: str) -> Answer:
        if path.endswith("/MLmodel"):
            asked.append(path)
        return (0, b'{"', {}) if len(asked) > VERSIONS // 2 else forwarded(tracking, path)

    with standing_in(until_it_died) as url:
        settings.MLFLOW_TRACKING_URI = url
        with pytest.raises(Refused) as caught:
            mlflow.import_all(by=BY)
    assert url in caught.value.sentence
    assert ModelVersion.objects.count() == VERSIONS // 2
    assert SourceImport.objects.get().refusal == caught.value.sentence
    settings.MLFLOW_TRACKING_URI = tracking.url  # started again, under another address
    assert mlflow.import_all(by=BY).versions == VERSIONS - VERSIONS // 2
    assert SourceImport.objects.first().refusal == ""  # type: ignore[union-attr]
    after_a_failure = state()
    whole = replace(committed_db, name=f"{committed_db.name}_whole")
    whole.server.create(whole.name, template_database)
    try:
        use_database(whole.url())
        mlflow.import_all(by=BY)
        assert after_a_failure == state()
    finally:
        use_database(committed_db.url())
        whole.server.drop(whole.name)


def test_asking_again_takes_a_handful_of_requests(
    committed_db: CommittedDatabase, tracking: Tracking, settings: Any, django_assert_max_num_queries: Any
) -> None:
    requests: list[str] = []

    def counted(path: str, body: bytes | None = None) -> Answer:
        requests.append(path)
        return forwarded(tracking, path, body)

    settings.MLFLOW_TRACKING_URI = tracking.url
    mlflow.import_all(by=BY)
    with standing_in(counted, question=counted) as url:
        settings.MLFLOW_TRACKING_URI = url
        with django_assert_max_num_queries(20):
            summary = mlflow.import_all(by=BY)
    assert (summary.versions, summary.unchanged, summary.problems) == (0, VERSIONS, [])
    assert len(requests) == 4, "models, versions, experiments, runs"


def _otherwise(tracking: Tracking, path: str, body: bytes | None = None) -> Answer:
    """Another server: the same names and numbers, but no id of the first one."""
    status, content, headers = forwarded(tracking, path, body)
    return status, content.replace(b"models:/m-", b"models:/m-f"), headers


def test_a_model_of_another_server_is_left_out(
    committed_db: CommittedDatabase, tracking: Tracking, settings: Any
) -> None:
    settings.MLFLOW_TRACKING_URI = tracking.url
    mlflow.import_all(by=BY)
    before = state()
    with standing_in(partial(_otherwise, tracking), question=partial(_otherwise, tracking)) as url:
        settings.MLFLOW_TRACKING_URI = url
        summary = mlflow.import_all(by=BY)
    assert state() == before
    assert len(summary.problems) == MODELS
    assert all(tracking.url in problem and "MLFLOW_SERVERS" in problem for problem in summary.problems)


def test_a_second_server_has_names_of_its_own_and_one_that_is_away_stops_nobody(
    committed_db: CommittedDatabase, tracking: Tracking, settings: Any
) -> None:
    login = {"token": "", "username": "", "password": ""}
    settings.MLFLOW_TRACKING_URI = "http://127.0.0.1:9"
    settings.MLFLOW_SERVERS = [{"name": "risk", "uri": tracking.url, "prefix": "risk.", **login}]
    with pytest.raises(Refused, match=r"127\.0\.0\.1:9"):
        mlflow.import_all(by=BY)
    names = set(ModelVersion.objects.values_list("model__name", flat=True))
    assert names == {f"risk.{name_of(number)}" for number in range(MODELS)}
    assert {each.server: bool(each.refusal) for each in SourceImport.objects.all()} == {"mlflow": True, "risk": False}


def test_pages_that_never_end_are_a_refusal(committed_db: Any, settings: Any) -> None:
    with standing_in(lambda _path: (200, b'{"next_page_token": "again"}', {})) as url:
        settings.MLFLOW_TRACKING_URI = url
        with pytest.raises(Refused) as caught:
            mlflow.import_all(by=BY)
    assert caught.value.code == "mlflow.pages"


def test_what_a_listing_names_twice_is_imported_once(
    committed_db: CommittedDatabase, tracking: Tracking, settings: Any
) -> None:
    def twice(path: str) -> Answer:
        status, body, headers = forwarded(tracking, path.replace("&page_token=again", ""))
        if "/model-versions/search" in path and "page_token" not in path:
            body = json.dumps({**json.loads(body), "next_page_token": "again"}).encode()
        return status, body, headers

    with standing_in(twice) as url:
        settings.MLFLOW_TRACKING_URI = url
        assert mlflow.import_all(by=BY).versions == VERSIONS
