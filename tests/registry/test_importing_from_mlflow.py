"""Import from a real ``mlflow server``: what is written, what is not, and what happens when the server fails."""

from __future__ import annotations

import base64
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import connection

from audit import queries as audit_queries
from audit.actors import Actor
from audit.refusals import Conflict, Refused
from registry import datasets, deployments, environments, tasks, versions
from registry.models import Alias, Dataset, LineageEdge, Model, ModelVersion, Run
from registry.queries import lineage_closure
from registry.sources import mlflow, mlflow_client
from tests.conftest import CommittedDatabase
from tests.registry.logging_to_mlflow import MODEL
from tests.registry.tracking import Answer, Tracking, forwarded, standing_in

BY = Actor.system("mlflow-import")
#: The server keeps what one of the tests gives to the run of version 1.
LATER = "afterthought"
ROOT = Path(__file__).parents[2]
TABLES: tuple[Any, ...] = (Model, ModelVersion, Alias, Dataset, Run, LineageEdge)


@pytest.fixture
def registry(committed_db: CommittedDatabase, tracking: Tracking, settings: Any) -> CommittedDatabase:
    """An empty registry that points at the server."""
    settings.MLFLOW_TRACKING_URI = tracking.url
    tracking.point(MODEL, "champion", 1)
    return committed_db


def written() -> dict[str, int]:
    """Rows of every table of the registry, and entries of the log."""
    counts = {table.__name__: table.objects.count() for table in TABLES}
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM audit.entry")
        return {**counts, "entries": cursor.fetchone()[0]}


def version(number: int) -> ModelVersion:
    return versions.resolve(MODEL, number)


def events(subject: str) -> list[str]:
    return [str(row.event) for row in audit_queries.history(subject)]


def test_versions_arrive_with_run_trainers_metrics_and_schema(registry: CommittedDatabase) -> None:
    summary = mlflow.import_all(by=BY)
    assert (summary.models, summary.versions, summary.aliases, summary.out_of_band) == (1, 2, 1, 0)
    first = version(1)
    assert first.contributors == ("yusuf", "jonas")
    assert first.metrics == {"auc": "0.30000000000000004"}, "the text that MLflow sent; NaN is no measurement"
    assert [column["name"] for column in first.schema["inputs"]] == ["income", "debt"]
    run = Run.objects.get(run_id=first.run_id)
    assert (run.params["solver"], run.contributors) == ("lbfgs", ["yusuf", "jonas"])
    assert run.started
    assert run.ended
    assert run.started <= run.ended
    assert Alias.objects.get(name="champion").version == first
    assert Model.objects.get(name=MODEL).risk == "unknown", "nobody has said yet how much harm it can do"


def test_the_digest_is_the_one_that_a_pipeline_computes_from_the_files(
    registry: CommittedDatabase, tracking: Tracking
) -> None:
    mlflow.import_all(by=BY)
    assert version(1).digest != version(2).digest
    for number in (1, 2):
        folder = next(tracking.files.glob(f"*/models/{version(number).source_uri.removeprefix('models:/')}/artifacts"))
        done = subprocess.run(
            [sys.executable, "-m", "countersign", "digest", str(folder)],
            env={**os.environ, "PYTHONPATH": str(ROOT / "cli")},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.stdout.strip() == version(number).digest, done.stderr


def test_what_a_run_does_not_say_about_its_data_stays_unknown(registry: CommittedDatabase) -> None:
    summary = mlflow.import_all(by=BY)
    loans, untagged, misplaced = (Dataset.objects.get(name=name) for name in ("loans", "untagged", "misplaced"))
    assert (loans.classification, loans.subjects, loans.regions) == ("personal", ["AE", "SA"], ["azure:uaenorth"])
    assert not loans.confirmed
    assert loans.source_uri == "https://lake.example/loans"
    assert (untagged.classification, untagged.subjects, untagged.regions) == ("unknown", [], [])
    assert (misplaced.classification, misplaced.regions) == ("unknown", []), "one region of two would hide the other"
    assert sum("misplaced" in problem for problem in summary.problems) == 2
    assert Dataset.objects.get(name="raw-loans").classification == "unknown"


def test_other_rows_under_the_same_name_are_another_data_set(registry: CommittedDatabase) -> None:
    mlflow.import_all(by=BY)
    reached = {number: {each.dataset.name for each in lineage_closure(version(number))} for number in (1, 2)}
    assert reached[1] - {LATER} == {"loans", "raw-loans"}
    other = next(name for name in reached[2] if name.startswith("loans."))
    assert reached[2] == {other, "raw-loans", "untagged", "misplaced"}
    assert other == f"loans.{Dataset.objects.get(name=other).digest}"


def test_a_second_import_writes_nothing(registry: CommittedDatabase) -> None:
    mlflow.import_all(by=BY)
    before = written()
    again = mlflow.import_all(by=BY)
    assert (again.models, again.versions, again.aliases, again.unchanged) == (0, 0, 0, 2)
    assert written() == before


def test_a_data_set_that_a_run_is_given_later_is_found(registry: CommittedDatabase, tracking: Tracking) -> None:
    mlflow.import_all(by=BY)
    given = {"name": LATER, "digest": "0badcafe", "source_type": "http", "source": '{"url": "https://x.example"}'}
    tracking.call("POST", "runs/log-inputs", run_id=version(1).run_id, datasets=[{"dataset": given}])
    mlflow.import_all(by=BY)
    assert LATER in {each.dataset.name for each in lineage_closure(version(1))}
    before = written()
    mlflow.import_all(by=BY)
    assert written() == before


def test_what_an_operator_confirmed_is_not_changed_by_a_claim(registry: CommittedDatabase) -> None:
    datasets.register_dataset(
        "untagged", classification="special", subjects=["DE"], regions_held=["aws:eu-central-1"], confirmed=True, by=BY
    )
    mlflow.import_all(by=BY)
    kept = Dataset.objects.get(name__startswith="untagged")
    assert (kept.classification, kept.subjects, kept.regions) == ("special", ["DE"], ["aws:eu-central-1"])


def test_an_alias_moved_by_hand_is_followed_and_recorded(registry: CommittedDatabase, tracking: Tracking) -> None:
    mlflow.import_all(by=BY)
    tracking.point(MODEL, "champion", 2)
    summary = mlflow.import_all(by=BY)
    assert (summary.aliases, summary.out_of_band) == (1, 1)
    assert Alias.objects.get(name="champion").version == version(2)
    assert events(f"alias:{MODEL}/champion")[:2] == ["out_of_band.observed", "alias.moved"]
    newest = audit_queries.history(f"alias:{MODEL}/champion")[0]
    assert newest.facts["before"]["version"] == f"version:{MODEL}/1"
    assert newest.reason == "moved outside the ledger"
    assert mlflow.import_all(by=BY).out_of_band == 0


def test_a_new_alias_of_a_version_that_serves_is_recorded_too(registry: CommittedDatabase, tracking: Tracking) -> None:
    mlflow.import_all(by=BY)
    production = environments.register_environment(
        "prod-uae",
        name="Production",
        tier="prod",
        regions_served=["azure:uaenorth"],
        perimeter="AE-federal",
        log_sinks=["azure:uaenorth"],
        backups=[],
        support_access=[],
        explanation_workers=[],
        by=BY,
    )
    deployments.record_deploy(production, version(2), by=BY)
    tracking.point(MODEL, "live", 2)
    tracking.point(MODEL, "idle", 1)
    try:
        assert mlflow.import_all(by=BY).out_of_band == 1
        assert events(f"alias:{MODEL}/live") == ["out_of_band.observed", "alias.moved"]
        assert events(f"alias:{MODEL}/idle") == ["alias.moved"]
    finally:
        for alias in ("live", "idle"):
            tracking.call("DELETE", "registered-models/alias", name=MODEL, alias=alias)
    removed = mlflow.import_all(by=BY)
    assert sum("removed in MLflow" in problem for problem in removed.problems) == 2


def test_a_version_without_its_own_training_run_is_left_out(registry: CommittedDatabase, tracking: Tracking) -> None:
    mlflow.import_all(by=BY)
    known = version(1).source_uri.removeprefix("models:/")
    tracking.call("POST", "registered-models/create", name="orphan")
    try:
        logged = tracking.call("POST", "logged-models", name="orphan", experiment_id="0")["model"]["info"]["model_id"]
        for model, run in ((logged, ""), (logged, version(1).run_id), (known, version(2).run_id)):
            made = {"source": f"models:/{model}", "model_id": model, "run_id": run}
            tracking.call("POST", "model-versions/create", name="orphan", **made)
        summary = mlflow.import_all(by=BY)
    finally:
        tracking.call("DELETE", "registered-models/delete", name="orphan")
    assert not ModelVersion.objects.filter(model__name="orphan").exists()
    why = {problem[:8]: problem for problem in summary.problems}
    assert "no training run" in why["orphan/1"]
    assert "no run" in why["orphan/2"]
    assert "was made by" in why["orphan/3"], "MLflow itself accepts a run with other data"


def test_a_version_made_again_under_a_known_number_is_not_taken_for_it(
    registry: CommittedDatabase, tracking: Tracking
) -> None:
    model = versions.register_model(MODEL, title="x", owner="x", purpose="x", risk="high", risk_reason="x", by=BY)
    versions.register_version(
        model, digest="sha256:" + "0" * 64, trained_by=["yusuf"], run_id="gone", source_uri="models:/m-gone", by=BY
    )
    summary = mlflow.import_all(by=BY)
    assert version(1).digest == "sha256:" + "0" * 64
    assert any("another artifact" in problem for problem in summary.problems)


def refusal(url: str, settings: Any) -> Refused:
    """The refusal of an import from ``url``; it names the address and the variable, and nothing was written."""
    settings.MLFLOW_TRACKING_URI = url
    before = written()
    with pytest.raises(Refused) as caught:
        mlflow.import_all(by=BY)
    assert written() == before
    assert "MLFLOW_TRACKING_URI" in caught.value.sentence
    return caught.value


def test_nothing_that_listens_is_a_refusal_with_address_and_variable(committed_db: Any, settings: Any) -> None:
    refused = refusal("http://127.0.0.1:9", settings)
    assert refused.code == "mlflow.unreachable"
    assert "http://127.0.0.1:9" in refused.sentence


@pytest.mark.parametrize("address", ["", "sqlite:///mlflow.db", "databricks", "http://", "127.0.0.1:5000"])
def test_an_address_that_is_none_is_refused(committed_db: Any, settings: Any, address: str) -> None:
    assert refusal(address, settings).code == "mlflow.address"


def test_a_password_in_the_address_is_never_shown(committed_db: Any, settings: Any) -> None:
    assert "geheim" not in refusal("http://ci:geheim@127.0.0.1:9", settings).sentence


# A double answers below: a healthy MLflow cannot be made to answer HTML, 401 or 500, or to fall silent, on demand.
@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (200, b"<!doctype html><title>Sign in</title>", "mlflow.answer"),
        (200, b"[]", "mlflow.answer"),
        (200, b'{"registered_models": 7}', "mlflow.answer"),
        (200, b'{"registered_models": [7]}', "mlflow.answer"),
        (302, b"", "mlflow.status"),
        (401, b"no", "mlflow.login"),
        (500, b"<h1>oops</h1>", "mlflow.status"),
        (0, b'{"registered_models":', "mlflow.unreachable"),
    ],
)
def test_an_answer_that_is_not_mlflows_is_a_refusal(
    committed_db: Any, settings: Any, status: int, body: bytes, code: str
) -> None:
    with standing_in(lambda _path: (status, body, {"content-type": "text/html"})) as url:
        refused = refusal(url, settings)
    assert refused.code == code
    assert url in refused.sentence


def test_a_silent_server_is_a_refusal(committed_db: Any, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()

    def silent(_path: str) -> Answer:
        released.wait(30)
        return 200, b"{}", {}

    monkeypatch.setattr(mlflow_client, "READ", 0.3)
    with standing_in(silent) as url:
        try:
            assert refusal(url, settings).code == "mlflow.timeout"
        finally:
            released.set()


def test_the_login_is_sent_as_mlflows_own_clients_send_it(committed_db: Any, settings: Any) -> None:
    seen: list[str] = []

    def note(headers: Any) -> None:
        seen.append(headers.get("authorization", ""))

    with standing_in(lambda _path: (200, b"{}", {}), note) as url:
        settings.MLFLOW_TRACKING_URI = url
        settings.MLFLOW_TRACKING_TOKEN = "t0"
        mlflow.import_all(by=BY)
        settings.MLFLOW_TRACKING_USERNAME, settings.MLFLOW_TRACKING_PASSWORD = "ci", "pw"
        mlflow.import_all(by=BY)
    assert list(dict.fromkeys(seen)) == ["Bearer t0", "Basic " + base64.b64encode(b"ci:pw").decode()]


def test_a_truncated_file_has_no_digest_and_no_version(
    registry: CommittedDatabase, tracking: Tracking, settings: Any
) -> None:
    def shortened(path: str) -> Answer:
        status, body, headers = forwarded(tracking, path)
        return (status, body[:-1], headers) if path.endswith("/requirements.txt") else (status, body, headers)

    with standing_in(shortened) as url:
        settings.MLFLOW_TRACKING_URI = url
        summary = mlflow.import_all(by=BY)
    assert summary.versions == 0
    assert not ModelVersion.objects.exists()
    assert not Run.objects.exists()
    assert sum("bytes" in problem for problem in summary.problems) == 2


def test_an_import_that_is_killed_leaves_whole_versions_only_and_the_next_goes_on(
    registry: CommittedDatabase, tracking: Tracking, settings: Any, tmp_path: Path
) -> None:
    reached, released, descriptions = threading.Event(), threading.Event(), []

    def stuck_in_the_second(path: str) -> Answer:
        if path.endswith("/MLmodel"):
            descriptions.append(path)
            if len(descriptions) == 2:
                reached.set()
                released.wait(60)
        return forwarded(tracking, path)

    with standing_in(stuck_in_the_second) as url:
        environment = {name: value for name, value in os.environ.items() if name != "COUNTERSIGN_OFFLINE"}
        environment |= {
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "DATABASE_URL": registry.url(),
            "SUBJECT_KEYS_DATABASE_URL": settings.SUBJECT_KEYS_DATABASE_URL,
            "MLFLOW_TRACKING_URI": url,
            "SECRET_KEY": "tests-only-" * 6,
            "CELERY_BROKER_URL": "redis://127.0.0.1:1/0",
            "COUNTERSIGN_STATE": str(tmp_path),
        }
        process = subprocess.Popen([sys.executable, "manage.py", "registry_import"], env=environment, cwd=ROOT)
        try:
            assert reached.wait(60)
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait(20)
            released.set()
    assert [each.number for each in ModelVersion.objects.all()] == [1]
    assert {each.dataset.name for each in lineage_closure(version(1))} - {LATER} == {"loans", "raw-loans"}
    assert Run.objects.count() == 1
    assert mlflow.import_all(by=BY).versions == 1
    assert {each.number for each in ModelVersion.objects.all()} == {1, 2}


def test_the_clocks_import_does_nothing_without_a_server(committed_db: Any, settings: Any) -> None:
    settings.MLFLOW_TRACKING_URI = ""
    before = written()
    tasks.import_from_mlflow()
    assert written() == before


def test_two_imports_at_a_time_are_one_too_many(registry: CommittedDatabase) -> None:
    with psycopg.connect(registry.url()) as other:
        other.execute("SELECT pg_advisory_lock(%s, 0)", [mlflow.LOCK])
        with pytest.raises(Conflict, match="Another import"):
            mlflow.import_all(by=BY)
        # Given back by hand: the server may notice a closed connection only after the next one has asked.
        other.execute("SELECT pg_advisory_unlock(%s, 0)", [mlflow.LOCK])
    assert mlflow.import_all(by=BY).versions == 2


def test_what_a_version_needs_to_run_comes_from_its_files(registry: CommittedDatabase) -> None:
    mlflow.import_all(by=BY)
    needs = version(1).dependencies
    assert needs is not None
    assert "scikit-learn" in {each["name"] for each in needs}


def test_needs_that_are_not_understood_are_unknown_and_said(
    registry: CommittedDatabase, tracking: Tracking, settings: Any
) -> None:
    def strange(path: str) -> Answer:
        status, body, headers = forwarded(tracking, path)
        if path.endswith("/requirements.txt"):
            body = b"-e .".ljust(len(body))
        return status, body, headers

    with standing_in(strange) as url:
        settings.MLFLOW_TRACKING_URI = url
        summary = mlflow.import_all(by=BY)
    assert version(1).dependencies is None
    assert sum("what it needs to run is unknown" in problem for problem in summary.problems) == 2
