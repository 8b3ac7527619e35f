"""The reconciler against a real MLflow server, its aliases moved and its versions remade by its own REST API."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.management import call_command

from registry import aliases, deployments, environments, finding_wording, tasks, versions
from registry.models import Alias, Environment, Finding, Model, ModelVersion, ReconcilerRun
from registry.sources import mlflow
from tests.conftest import CommittedDatabase, free_port
from tests.registry.catalogue import BY, Catalogue
from tests.registry.logging_to_mlflow import MODEL
from tests.registry.test_reconciling import LAYLA, look, standing
from tests.registry.tracking import Tracking


@pytest.fixture
def imported(committed_db: CommittedDatabase, tracking: Tracking, settings: Any) -> Tracking:
    """Its models, imported here; the first serves in ``prod``."""
    settings.MLFLOW_TRACKING_URI = tracking.url
    tracking.point(MODEL, "champion", 1)
    mlflow.import_all(by=BY)
    prod = environments.register_environment(
        "prod",
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
    deployments.record_deploy(prod, ModelVersion.objects.get(model__name=MODEL, number=1), by=BY)
    return tracking


def test_an_alias_moved_by_hand_stays_a_finding_after_the_import_has_followed(imported: Tracking) -> None:
    assert look().differences == 0
    imported.point(MODEL, "champion", 2)
    assert look().opened == 1, "seen before the import"
    assert standing() == [("alias_moved", f"alias:{MODEL}/champion", "open")]
    assert mlflow.import_all(by=BY).out_of_band == 1
    run = look()
    assert (run.opened, run.gone, run.differences) == (0, 0, 1), "the import followed it, the ledger did not"
    finding = Finding.objects.get()
    sentence = finding_wording.sentence(finding)
    assert f"the ledger has it at {MODEL}/1, MLflow at {MODEL}/2" in sentence
    imported.point(MODEL, "champion", 1)
    assert mlflow.import_all(by=BY).out_of_band == 1
    assert look().gone == 1, "back by hand is back"
    assert Alias.objects.get(name="champion").outside is False


def test_an_alias_that_the_import_saw_first_is_found_and_the_ledgers_own_move_ends_it(imported: Tracking) -> None:
    imported.point(MODEL, "champion", 2)
    mlflow.import_all(by=BY)
    assert look().opened == 1
    alias = Alias.objects.select_related("model").get(name="champion")
    assert (alias.outside, alias.ledger) == (True, f"version:{MODEL}/1")
    aliases.move(
        Model.objects.get(name=MODEL), "champion", ModelVersion.objects.get(model__name=MODEL, number=2), by=LAYLA
    )
    assert (look().gone, standing()) == (1, [])


def test_mlflow_that_is_away_is_a_finding_and_hides_nothing(imported: Tracking, settings: Any) -> None:
    imported.point(MODEL, "champion", 2)
    look()
    settings.MLFLOW_TRACKING_URI = f"http://127.0.0.1:{free_port()}"
    run = look()
    assert [kind for kind, _subject, _state in standing()] == ["alias_moved", "source_unreadable"]
    assert (run.complete, run.gone) == (False, 0)
    conclusion = finding_wording.conclusion(run, list(Finding.objects.standing()))
    assert conclusion.startswith("Production differs from the record in 1 place.")
    assert "MLflow could not be read." in conclusion
    settings.MLFLOW_TRACKING_URI = imported.url
    assert look().gone == 1


def test_a_version_that_is_deleted_or_remade_there_is_found(imported: Tracking, settings: Any) -> None:
    imported.call("POST", "registered-models/create", name="short-lived")
    sources = {each.number: each.source_uri for each in ModelVersion.objects.filter(model__name=MODEL)}
    made = {
        number: {"name": "short-lived", "source": source, "model_id": source.removeprefix("models:/")}
        for number, source in sources.items()
    }
    imported.call("POST", "model-versions/create", **made[1])
    model = versions.register_model(
        "short-lived", title="x", owner="x", purpose="x", risk="high", risk_reason="x", by=BY
    )
    versions.register_version(
        model,
        digest=Catalogue.digest(77),
        trained_by=["yusuf"],
        tracking_server=imported.url,
        source_uri=sources[1],
        by=BY,
    )
    assert look().differences == 0
    imported.call("DELETE", "registered-models/delete", name="short-lived")
    look()
    assert standing() == [("deleted_there", "model:short-lived", "open")]
    imported.call("POST", "registered-models/create", name="short-lived")
    look()
    assert standing() == [("deleted_there", "version:short-lived/1", "open")]
    imported.call("POST", "model-versions/create", **made[2])
    look()
    assert standing() == [("source_changed", "version:short-lived/1", "open")]
    imported.call("DELETE", "registered-models/delete", name="short-lived")


def test_the_clock_and_the_command_look_too(imported: Tracking, capsys: pytest.CaptureFixture[str]) -> None:
    tasks.look_for_differences()
    assert ReconcilerRun.objects.get().asked_by == "system:reconciler"
    with pytest.raises(SystemExit) as incomplete:
        call_command("reconcile")
    assert incomplete.value.code == 2, "prod has no endpoint to ask"
    assert capsys.readouterr().out.startswith("1 place does not say what it serves.")
    imported.point(MODEL, "champion", 2)
    with pytest.raises(SystemExit) as different:
        call_command("reconcile")
    assert different.value.code == 1
    assert "Production differs from the record in 1 place." in capsys.readouterr().out
    assert Environment.objects.get().slug == "prod"
